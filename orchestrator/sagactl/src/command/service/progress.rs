//! How far a check is, on standard error: one line that changes, on a terminal; a line for
//! each step elsewhere.

use std::io::{self, IsTerminal, Write};

use saga_proto::saga::v1::CheckProgress;

use crate::look::plain;

/// What was shown of a check so far.
#[derive(Debug)]
pub(super) struct Progress {
    live: bool,
    step: String,
}

impl Progress {
    pub(super) fn begin() -> Self {
        Self { live: io::stderr().is_terminal(), step: String::new() }
    }

    pub(super) fn show(&mut self, told: &CheckProgress) {
        let CheckProgress { step, rule, tried, total } = told;
        let mut talk = io::stderr().lock();
        // Where standard error is closed there is nobody to tell.
        if self.live {
            let line = format!("{tried} of {total}  {} {}", plain(step), plain(rule));
            let _ = write!(talk, "\r\x1b[2K{line}").and_then(|()| talk.flush());
        } else if self.step != *step {
            self.step.clone_from(step);
            let _ = writeln!(talk, "checking {}: {tried} of {total} rules tried", plain(step));
        }
    }

    /// Makes room for something else.
    pub(super) fn clear(&self) {
        if self.live {
            let mut talk = io::stderr().lock();
            let _ = write!(talk, "\r\x1b[2K").and_then(|()| talk.flush());
        }
    }
}
