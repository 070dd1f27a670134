//! The command line.

use std::{num::NonZeroUsize, time::Duration};

/// What to measure, and how long.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// A short look instead of a measurement.
    pub(crate) quick: bool,
    /// How often each subject has its turn.
    pub(crate) rounds: u32,
    /// Figures to measure. Empty: all.
    only: Vec<String>,
    /// Subjects to measure, where a figure lets them be chosen. Empty: all.
    subjects: Vec<String>,
    /// Sagas in flight, where a figure has several loads.
    pub(crate) in_flight: Option<usize>,
    /// Threads of this process. Absent: as many as the orchestrator's program would have.
    pub(crate) threads: Option<NonZeroUsize>,
    /// This process is one that [`super::slow_disk`] has started.
    pub(crate) is_slow_disk_child: bool,
}

/// Makes a process a child of the figure on slow disks. Not for people.
pub(crate) const SLOW_DISK_CHILD: &str = "--slow-disk-child";

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// The usage, where they do not fit.
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
        figures: &[&str],
    ) -> Result<Self, String> {
        let usage = format!(
            "cargo bench -p saga-tests -- [--quick] [--rounds N] [--only FIGURE]... \
             [--subject NAME]... [--in-flight N] [--threads N]\nfigures: {}",
            figures.join(", ")
        );
        let (mut rounds, mut threads, mut is_slow_disk_child) = (None, None, false);
        let (mut quick, mut only, mut subjects, mut in_flight) = (false, vec![], vec![], None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| usage.clone());
            match argument.as_str() {
                // Cargo adds this one.
                "--bench" => {}
                "--quick" => quick = true,
                "--rounds" => rounds = Some(value()?.parse().map_err(|_| usage.clone())?),
                "--only" => only.push(value()?),
                "--subject" => subjects.push(value()?),
                "--in-flight" => in_flight = Some(value()?.parse().map_err(|_| usage.clone())?),
                "--threads" => threads = Some(value()?.parse().map_err(|_| usage.clone())?),
                SLOW_DISK_CHILD => is_slow_disk_child = true,
                _ => return Err(usage),
            }
        }
        if only.iter().any(|name| !figures.contains(&name.as_str())) {
            return Err(usage);
        }
        let rounds = rounds.unwrap_or(if quick { 1 } else { 3 }).max(1);
        Ok(Self { quick, rounds, only, subjects, in_flight, threads, is_slow_disk_child })
    }

    /// Whether this figure is to be measured.
    pub(crate) fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == figure)
    }

    /// Whether this subject is to be measured.
    pub(crate) fn wants_subject(&self, subject: &str) -> bool {
        self.subjects.is_empty() || self.subjects.iter().any(|it| it == subject)
    }

    /// How long one subject is under load each time.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 3 })
    }

    /// One of two numbers, for a measurement or for a short look.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// Tells the person who waits what happens now.
#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
pub(crate) fn progress(what: &str) {
    eprintln!("   {what}");
}
