//! The definitions that the demo registers: the shipped ones, with shorter times.
//!
//! The shipped times are those of a shop that runs for years: an inquiry that is not
//! answered is repeated after 15 s. A demo that lasts seconds cannot wait for that. Only
//! times and attempts of calls are replaced, line by line; steps, calls, requests and what
//! is waited for are the same.

use std::{fs, io, path::Path};

/// The definitions as the project ships them, by their files.
pub const SHIPPED: [(&str, &str); 10] = [
    ("place-order.yaml", include_str!("../../definitions/place-order.yaml")),
    ("place-pending-order.yaml", include_str!("../../definitions/place-pending-order.yaml")),
    ("settle-paid-order.yaml", include_str!("../../definitions/settle-paid-order.yaml")),
    ("cancel-pending-order.yaml", include_str!("../../definitions/cancel-pending-order.yaml")),
    ("cancel-order.yaml", include_str!("../../definitions/cancel-order.yaml")),
    ("cancel-order-item.yaml", include_str!("../../definitions/cancel-order-item.yaml")),
    ("refund.yaml", include_str!("../../definitions/refund.yaml")),
    ("prepare-delivery.yaml", include_str!("../../definitions/prepare-delivery.yaml")),
    ("set-stock.yaml", include_str!("../../definitions/set-stock.yaml")),
    ("restock.yaml", include_str!("../../definitions/restock.yaml")),
];

/// How long a step of the demo waits for its reply.
pub const STEP_TIMEOUT_MS: u64 = 2_000;

/// How often what did not happen is tried again.
const RETRY: &str = "retry: { first: 100ms, factor: 2, max: 1s, attempts: 15 }";

/// How often the question what became of a call is asked again.
const RESOLVE: &str = "resolve: { first: 200ms, factor: 2, max: 2s, attempts: 15 }";

/// Writes the shipped definitions with the demo's times.
///
/// # Errors
///
/// The folder or a file cannot be written.
pub fn write_hurried(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (file, shipped) in SHIPPED {
        fs::write(folder.join(file), hurried(shipped))?;
    }
    Ok(())
}

/// A definition with the demo's times.
pub fn hurried(shipped: &str) -> String {
    let lines: Vec<&str> = shipped.lines().collect();
    let first = lines.iter().position(|line| is_step(line)).unwrap_or(lines.len());
    let mut hurried = vec!["# The shipped definition with shorter times.".to_owned()];
    hurried.extend(lines[..first].iter().map(|line| (*line).to_owned()));
    for step in lines[first..].chunk_by(|_, line| !is_step(line)) {
        hurry(step, &mut hurried);
    }
    hurried.push(String::new());
    hurried.join("\n")
}

fn is_step(line: &str) -> bool {
    line.starts_with("  - name:")
}

/// What a step waits for from outside takes as long as it takes.
fn hurry(step: &[&str], hurried: &mut Vec<String>) {
    let has = |key: &str| step.iter().any(|line| line.trim() == key);
    let (calls, waits) = (has("action:"), has("wait:"));
    for line in step {
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        if text.starts_with("timeout:") && !waits {
            hurried.push(format!("{indent}timeout: {STEP_TIMEOUT_MS}ms"));
        } else if text == "compensation:" {
            hurried.push((*line).to_owned());
            hurried.push(format!("{indent}  {RETRY}"));
        } else if is_step(line) && calls {
            hurried.push((*line).to_owned());
            hurried.push(format!("{indent}  {RETRY}"));
            hurried.push(format!("{indent}  {RESOLVE}"));
        } else if !text.starts_with("retry:") && !text.starts_with("resolve:") {
            hurried.push((*line).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use orchestrator::definition::ScenarioFile;

    use super::*;

    /// Everything but times, attempts, comments and blank lines.
    fn substance(text: &str) -> Vec<&str> {
        let is_time = |line: &str| {
            ["timeout:", "retry:", "resolve:", "#"].iter().any(|it| line.starts_with(it))
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_time(line)).collect()
    }

    #[test]
    fn only_times_differ_from_the_shipped_definitions() {
        for (file, shipped) in SHIPPED {
            let hurried = hurried(shipped);
            assert_eq!(substance(&hurried), substance(shipped), "{file}");
            assert!(!hurried.contains("15s"), "{hurried}");
            let calls = shipped.matches("\n    action:").count();
            assert!(0 < calls, "{file} calls somebody");
            assert_eq!(hurried.matches(RESOLVE).count(), calls, "{file}");
        }
    }

    #[test]
    fn nobody_is_hurried_who_decides() {
        let (_, refund) = SHIPPED.into_iter().find(|(file, _)| *file == "refund.yaml").unwrap();
        assert!(hurried(refund).contains("      timeout: 7d\n"));
    }

    #[test]
    fn every_definition_that_is_shipped_is_registered() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions");
        let mut files: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            // Scenarios stand beside what they play, and all that goes into a cluster is listed.
            .filter(|it| !ScenarioFile::is_named(it) && it != "Kustomization")
            .collect();
        files.sort_unstable();
        let mut mine = SHIPPED.map(|(file, _)| file.to_owned());
        mine.sort_unstable();
        assert_eq!(files, mine);
    }
}
