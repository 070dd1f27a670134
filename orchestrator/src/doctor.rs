//! What is safe about how an orchestrator is set up, what is not, and what to do about it.
//!
//! It reads the configuration and looks at the log's database, the machine and the files, as
//! the user and the role that will serve. It changes nothing, opens no log and calls no
//! participant, so it can be run beside an orchestrator that serves.

use std::fmt::Write as _;

use saga_log::{Inspection, OpenError};
use serde::Serialize;

use crate::{
    clock::{Clock as _, SystemClock},
    config::Config,
};

mod database;
mod machine;
mod setup;

/// What is known of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Safe,
    /// A choice that is fine where it is meant.
    Note,
    /// Sagas, money or secrets can be lost by it.
    Unsafe,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In one word or two, the same in every version: scripts may look for it.
    pub subject: &'static str,
    pub verdict: Verdict,
    /// What was seen, and what follows from it.
    pub what: String,
    /// What to do. Empty where nothing is.
    pub remedy: String,
}

impl Finding {
    fn safe(subject: &'static str, what: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Safe, what: what.into(), remedy: String::new() }
    }

    fn note(subject: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Note, what: what.into(), remedy: remedy.into() }
    }

    fn not_safe(subject: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Unsafe, what: what.into(), remedy: remedy.into() }
    }
}

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub safe: bool,
    pub findings: Vec<Finding>,
}

impl Report {
    fn of(findings: Vec<Finding>) -> Self {
        let safe = findings.iter().all(|it| it.verdict != Verdict::Unsafe);
        Self { safe, findings }
    }

    /// For people: what is unsafe first.
    #[must_use]
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        let words = [(Verdict::Unsafe, "UNSAFE"), (Verdict::Note, "note"), (Verdict::Safe, "safe")];
        for (verdict, word) in words {
            for it in self.findings.iter().filter(|it| it.verdict == verdict) {
                let _ = writeln!(text, "{word:<7} {:<13} {}", it.subject, it.what);
                if !it.remedy.is_empty() {
                    let _ = writeln!(text, "{:<21} try: {}", "", it.remedy);
                }
            }
        }
        let count = self.findings.iter().filter(|it| it.verdict == Verdict::Unsafe).count();
        let _ = match count {
            0 => writeln!(text, "\nNothing that was looked at is unsafe."),
            1 => writeln!(text, "\n1 thing is unsafe."),
            _ => writeln!(text, "\n{count} things are unsafe."),
        };
        text
    }
}

/// Looks at everything.
///
/// # Errors
///
/// The log's database could not be asked: nothing can be said. Nothing was changed.
pub async fn examine(config: &Config) -> Result<Report, OpenError> {
    let now_ms = || i64::try_from(SystemClock.now_ms()).unwrap_or(i64::MAX);
    let inspection = saga_log::inspect(&config.log, now_ms).await?;
    let mut findings = match &inspection {
        Inspection::Memory => vec![Finding::not_safe(
            "log",
            "memory: forgets every saga when the program ends",
            "name a database: log = \"sqlite:PATH\" on one machine, or \"postgres://..\"",
        )],
        Inspection::Sqlite(facts) => database::judge_sqlite(facts),
        Inspection::Postgres(facts) => database::judge_postgres(facts),
    };
    findings.extend(setup::judge(config));
    findings.extend(machine::judge(config, &machine::look()));
    Ok(Report::of(findings))
}
