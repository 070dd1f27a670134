//! What came of scenarios.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::look::{Look, Mark, plain};

/// One file of scenarios.
#[derive(Debug)]
pub(crate) struct FileResult {
    pub(crate) file: String,
    pub(crate) scenarios: Vec<ScenarioResult>,
    /// What no scenario went through. `None`: it was not asked for.
    pub(crate) missing: Option<Vec<String>>,
}

/// One scenario.
#[derive(Debug)]
pub(crate) struct ScenarioResult {
    pub(crate) name: String,
    /// Line in the file, from 1.
    pub(crate) line: u32,
    /// Empty: it went as expected.
    pub(crate) differences: Vec<String>,
    pub(crate) course: Vec<String>,
    pub(crate) took: Duration,
}

impl FileResult {
    pub(crate) fn has_failed(&self) -> bool {
        self.scenarios.iter().any(|it| !it.differences.is_empty())
    }

    /// `FILE:LINE` of those that failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = String> {
        let failed = self.scenarios.iter().filter(|it| !it.differences.is_empty());
        failed.map(|it| format!("{}:{}", self.file, it.line))
    }
}

/// For people.
pub(crate) fn report(results: &[FileResult], look: &Look) -> String {
    let mut text = String::new();
    let (mut good, mut bad) = (0, 0);
    for result in results {
        let _ = writeln!(text, "{}", look.heading(&plain(&result.file)));
        for scenario in &result.scenarios {
            let mark = if scenario.differences.is_empty() { Mark::Good } else { Mark::Refused };
            match mark {
                Mark::Good => good += 1,
                _ => bad += 1,
            }
            let sign = look.paint(mark, look.sign(mark));
            let _ = writeln!(text, "  {sign} {}", plain(&scenario.name));
            if scenario.differences.is_empty() {
                continue;
            }
            for difference in &scenario.differences {
                let _ = writeln!(text, "      {}", plain(difference));
            }
            let _ = writeln!(text, "    line {}; what happened:", scenario.line);
            for line in &scenario.course {
                let _ = writeln!(text, "    {}", plain(line));
            }
        }
        for missing in result.missing.iter().flatten() {
            let sign = look.paint(Mark::Waiting, look.sign(Mark::Waiting));
            let _ = writeln!(text, "  {sign} no scenario: {missing}");
        }
    }
    let _ = writeln!(text, "{good} as expected, {bad} not");
    text
}

/// For programs.
pub(crate) fn value(results: &[FileResult]) -> Value {
    let scenario = |it: &ScenarioResult| {
        json!({
            "name": it.name,
            "line": it.line,
            "differences": it.differences,
            "course": it.course,
        })
    };
    let files = results.iter().map(|it| {
        let scenarios: Vec<Value> = it.scenarios.iter().map(scenario).collect();
        json!({ "file": it.file, "scenarios": scenarios, "missing": it.missing })
    });
    json!({ "files": files.collect::<Vec<Value>>() })
}

/// For pipelines: JUnit XML.
pub(crate) fn junit(results: &[FileResult]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for result in results {
        let failed = result.failed().count();
        let (file, tests) = (xml(&result.file), result.scenarios.len());
        let _ =
            writeln!(text, "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failed}\">");
        for scenario in &result.scenarios {
            let (name, time) = (xml(&scenario.name), scenario.took.as_secs_f64());
            let _ = write!(
                text,
                "    <testcase classname=\"{file}\" name=\"{name}\" time=\"{time:.6}\""
            );
            if scenario.differences.is_empty() {
                text.push_str("/>\n");
                continue;
            }
            let (message, course) =
                (xml(&scenario.differences.join("; ")), xml(&scenario.course.join("\n")));
            let _ = writeln!(
                text,
                ">\n      <failure message=\"{message}\">{course}</failure>\n    </testcase>"
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text as XML holds it.
fn xml(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => made.push_str("&amp;"),
            '<' => made.push_str("&lt;"),
            '>' => made.push_str("&gt;"),
            '"' => made.push_str("&quot;"),
            '\n' => made.push_str("&#10;"),
            c if c.is_control() => made.push('\u{fffd}'),
            c => made.push(c),
        }
    }
    made
}
