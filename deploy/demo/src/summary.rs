//! What a run came to: for people as a table, for programs as one JSON object.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use crate::{
    audit::{Audit, Integrity},
    faults::Faults,
    place::{Fate, Placed},
};

/// Orders from which on every kind of fault is expected to happen.
const ORDERS_FOR_ALL_FAULTS: u64 = 200;

/// Sentences about single orders that are kept.
const EXAMPLES_MAX: usize = 10;

/// What a run came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Orders that were placed or turned away. Those that an interrupted run did not come
    /// to are not among them.
    pub orders: u64,
    /// Placed and paid.
    pub completed: u64,
    /// Refused on the way, with everything undone.
    pub compensated: u64,
    /// Waiting for a person, or not ended in time.
    pub stuck: u64,
    /// Of these, those that the log does not explain: they simply did not end.
    pub not_ended: u64,
    /// Not accepted.
    pub rejected: u64,
    /// The five numbers that must be 0.
    #[serde(flatten)]
    pub integrity: Integrity,
    /// From the first order to the end of the last, in milliseconds.
    pub elapsed_ms: u64,
    /// Orders that ended in a second.
    pub orders_per_s: f64,
    /// Half of the orders ended within this, in milliseconds.
    pub p50_ms: u64,
    /// All but one of a hundred orders ended within this, in milliseconds.
    pub p99_ms: u64,
    /// Credit notes of the file that were passed over.
    pub skipped_cancels: u64,
    /// How often the orchestrator was killed.
    pub kills: u32,
    /// Faults that really happened, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Kinds of faults that should have happened in a run of this length and did not.
    pub faults_never_fired: Vec<String>,
    /// Why orders were refused, and how many.
    pub refusals: BTreeMap<String, u64>,
    /// Whether the run was interrupted before its last order.
    pub interrupted: bool,
    /// Examples of what is not as it should be, in words.
    pub findings: Vec<String>,
}

/// What a summary is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) placed: Vec<Placed>,
    pub(crate) elapsed: Duration,
    pub(crate) audit: Audit,
    pub(crate) weather: Faults,
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) skipped_cancels: u64,
    pub(crate) kills: u32,
    pub(crate) interrupted: bool,
}

impl Summary {
    pub(crate) fn of(parts: Parts) -> Self {
        let mut summary = Self {
            orders: parts.placed.len() as u64,
            integrity: parts.audit.integrity,
            elapsed_ms: whole_ms(parts.elapsed),
            skipped_cancels: parts.skipped_cancels,
            kills: parts.kills,
            faults: parts.faults,
            interrupted: parts.interrupted,
            ..Self::default()
        };
        let mut took_ms = Vec::new();
        for placed in &parts.placed {
            summary.count(placed);
            if matches!(placed.fate, Fate::Completed | Fate::Compensated { .. }) {
                took_ms.push(whole_ms(placed.took));
            }
        }
        took_ms.sort_unstable();
        summary.p50_ms = percentile(&took_ms, 50);
        summary.p99_ms = percentile(&took_ms, 99);
        summary.orders_per_s = per_second(took_ms.len(), parts.elapsed);
        if ORDERS_FOR_ALL_FAULTS <= summary.orders && parts.weather == Faults::Heavy {
            let kinds = parts.weather.kinds().into_iter();
            summary.faults_never_fired =
                kinds.filter(|kind| !summary.faults.contains_key(kind)).collect();
        }
        summary.findings.extend(parts.audit.findings);
        summary
    }

    /// Whether money and stock are where they belong, and every accepted order has ended
    /// or says why it waits for a person.
    pub fn is_sound(&self) -> bool {
        self.integrity.holds() && self.not_ended == 0
    }

    fn count(&mut self, placed: &Placed) {
        let order_no = &placed.order_no;
        match &placed.fate {
            Fate::Completed => self.completed += 1,
            Fate::Compensated { reason } => {
                self.compensated += 1;
                *self.refusals.entry(reason.clone()).or_default() += 1;
            }
            Fate::Stuck { reason, message } => {
                self.stuck += 1;
                self.found(format!("order {order_no} is stuck: {reason}: {message}"));
            }
            Fate::Open { why } => {
                self.stuck += 1;
                self.not_ended += 1;
                self.found(format!("order {order_no} has not ended: {why}"));
            }
            Fate::Rejected { reason } => {
                self.rejected += 1;
                *self.refusals.entry(reason.clone()).or_default() += 1;
                self.found(format!("order {order_no} was not accepted: {reason}"));
            }
        }
    }

    fn found(&mut self, finding: String) {
        if self.findings.len() < EXAMPLES_MAX {
            self.findings.push(finding);
        }
    }

    /// The summary for people. `paint` makes what is wrong red.
    pub fn table(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<32}{value:>12}");
        };
        row("orders", self.orders.to_string());
        row("completed", self.completed.to_string());
        row("compensated", self.compensated.to_string());
        for (reason, count) in &self.refusals {
            row(&format!("  {reason}"), count.to_string());
        }
        row("stuck", paint.alarm(self.stuck));
        row("rejected", self.rejected.to_string());
        if 0 < self.skipped_cancels {
            row("credit notes skipped", self.skipped_cancels.to_string());
        }
        row("orders per second", format!("{:.1}", self.orders_per_s));
        row("half ended within", format!("{} ms", self.p50_ms));
        row("99 of 100 within", format!("{} ms", self.p99_ms));
        if 0 < self.kills {
            row("orchestrator killed", self.kills.to_string());
        }
        if !self.faults.is_empty() {
            text.push_str("\n  faults that happened\n");
        }
        for (kind, count) in &self.faults {
            let _ = writeln!(text, "    {:<30}{count:>12}", kind.replace('_', " "));
        }
        for kind in &self.faults_never_fired {
            let line = format!("    {:<30}{:>12}", kind.replace('_', " "), "never");
            let _ = writeln!(text, "{}", paint.red(&line));
        }
        text.push_str("\n  read from the books of the services and of the payment provider\n");
        let Integrity {
            duplicate_charges,
            orphan_charges,
            stock_mismatches,
            negative_stock,
            orders_without_payment,
        } = self.integrity;
        for (name, count) in [
            ("charged twice", duplicate_charges),
            ("charged for nothing", orphan_charges),
            ("orders not paid", orders_without_payment),
            ("stock that leaked", stock_mismatches),
            ("stock below zero", negative_stock),
        ] {
            let _ = writeln!(text, "    {name:<30}{:>12}", paint.alarm(count));
        }
        for finding in &self.findings {
            let _ = writeln!(text, "  {}", paint.red(&format!("! {finding}")));
        }
        text
    }
}

/// Whether a table is in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// For a terminal.
    Colour,
    /// For everything else.
    Plain,
}

impl Paint {
    /// A number that should be 0, 12 wide.
    fn alarm(self, count: u64) -> String {
        let padded = format!("{count:>12}");
        if count == 0 { padded } else { self.red(&padded) }
    }

    fn red(self, text: &str) -> String {
        match self {
            Self::Colour => format!("\u{1b}[31m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The smallest value that `percent` of the sorted ones do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    rank.checked_sub(1).and_then(|at| sorted.get(at)).copied().unwrap_or(0)
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    let count = u32::try_from(count).map_or(f64::MAX, f64::from);
    if seconds == 0.0 { 0.0 } else { (count / seconds * 10.0).round() / 10.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(fate: Fate, took_ms: u64) -> Placed {
        Placed { order_no: "order-1".to_owned(), fate, took: Duration::from_millis(took_ms) }
    }

    fn parts(placed: Vec<Placed>) -> Parts {
        Parts {
            placed,
            elapsed: Duration::from_secs(2),
            audit: Audit::default(),
            weather: Faults::Heavy,
            faults: BTreeMap::from([("network_cut".to_owned(), 3)]),
            skipped_cancels: 0,
            kills: 0,
            interrupted: false,
        }
    }

    #[test]
    fn every_order_is_counted_once_and_percentiles_are_of_those_that_ended() {
        let mut all: Vec<Placed> = (1..=98).map(|ms| placed(Fate::Completed, ms)).collect();
        let declined = Fate::Compensated { reason: "DECLINED".to_owned() };
        all.push(placed(declined.clone(), 99));
        all.push(placed(declined, 100));
        all.push(placed(Fate::Rejected { reason: "QTY_INVALID".to_owned() }, 9_999));
        let summary = Summary::of(parts(all));
        assert_eq!((summary.orders, summary.completed, summary.compensated), (101, 98, 2));
        assert_eq!((summary.p50_ms, summary.p99_ms, summary.rejected), (50, 99, 1));
        assert_eq!(summary.refusals["DECLINED"], 2);
        assert!(summary.is_sound());
    }

    #[test]
    fn an_order_that_did_not_end_spoils_the_run_and_one_that_is_stuck_is_shown() {
        let open = Fate::Open { why: "verify_payment is unknown".to_owned() };
        let summary = Summary::of(parts(vec![placed(open, 1)]));
        assert!(!summary.is_sound());
        assert_eq!((summary.stuck, summary.not_ended), (1, 1));

        let reason = "COMPENSATION_FAILING".to_owned();
        let stuck = Fate::Stuck { reason, message: "verify_payment".to_owned() };
        let summary = Summary::of(parts(vec![placed(stuck, 1)]));
        assert!(summary.is_sound());
        assert!(summary.table(Paint::Plain).contains("COMPENSATION_FAILING"));
    }

    #[test]
    fn a_fault_that_never_happened_is_red_in_a_long_run() {
        let short = Summary::of(parts(vec![placed(Fate::Completed, 1); 199]));
        assert!(short.faults_never_fired.is_empty());
        let long = Summary::of(parts(vec![placed(Fate::Completed, 1); 200]));
        assert!(long.faults_never_fired.contains(&"network_late".to_owned()));
        assert!(!long.faults_never_fired.contains(&"network_cut".to_owned()));
        assert!(long.table(Paint::Colour).contains("\u{1b}[31m    network late"));
    }

    #[test]
    fn the_json_is_one_flat_object() {
        let summary = Summary::of(parts(vec![placed(Fate::Completed, 7)]));
        let json = serde_json::to_value(&summary).unwrap();
        for name in [
            "orders",
            "completed",
            "compensated",
            "stuck",
            "rejected",
            "duplicate_charges",
            "orphan_charges",
            "stock_mismatches",
            "negative_stock",
            "orders_without_payment",
            "elapsed_ms",
            "orders_per_s",
            "p50_ms",
            "p99_ms",
            "skipped_cancels",
            "kills",
        ] {
            assert!(json[name].is_number(), "{name}: {json}");
        }
    }
}
