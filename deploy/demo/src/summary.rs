//! What a run came to: for people as a table, for programs as one JSON object.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    audit::{Audit, Integrity},
    buyer::Fate,
    cancel::{Cancelled, NoteCounts},
    faults::Faults,
    place::Placed,
};

mod table;
pub use table::Paint;

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
    /// Orders and cancels that wait for a person, or did not end in time.
    pub stuck: u64,
    /// Of these, those that the log does not explain: they simply did not end.
    pub not_ended: u64,
    /// Not accepted.
    pub rejected: u64,
    /// Credit notes of which an order has all lines.
    pub cancels_matched: u64,
    /// Credit notes of which an order has some lines; the others were passed over.
    pub cancels_partly_matched: u64,
    /// Credit notes of which no order has a line.
    pub cancels_unmatched: u64,
    /// Credit notes of an order that was not placed: nothing is to be given back.
    pub cancels_not_due: u64,
    /// Credit notes for which nothing was asked for: unmatched or not due.
    pub skipped_cancels: u64,
    /// Sagas that were started for credit notes: one for a whole order, or one for each line.
    pub cancels: u64,
    /// Of these, those that gave back money and goods.
    pub cancels_completed: u64,
    /// Of these, those that were refused, with everything undone.
    pub cancels_compensated: u64,
    /// Of these, those that were not accepted.
    pub cancels_rejected: u64,
    /// Coupons that were issued.
    pub coupons: u64,
    /// Of these, those that an order uses; the others are free.
    pub coupons_used: u64,
    /// The six numbers that must be 0.
    #[serde(flatten)]
    pub integrity: Integrity,
    /// From the first order to the end of the last order or cancel, in milliseconds.
    pub elapsed_ms: u64,
    /// Orders that ended in a second; cancels are not counted, and take their time.
    pub orders_per_s: f64,
    /// Sagas of orders and cancels that ended in a second.
    pub sagas_per_s: f64,
    /// Half of the orders ended within this, in milliseconds.
    pub p50_ms: u64,
    /// All but one of a hundred orders ended within this, in milliseconds.
    pub p99_ms: u64,
    /// How often the orchestrator was killed.
    pub kills: u32,
    /// Faults that really happened, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Kinds of faults that should have happened in a run of this length and did not.
    pub faults_never_fired: Vec<String>,
    /// Why orders were refused, and how many.
    pub refusals: BTreeMap<String, u64>,
    /// Why cancels were refused, and how many.
    pub cancel_refusals: BTreeMap<String, u64>,
    /// Whether the run was interrupted before its last order.
    pub interrupted: bool,
    /// Examples of what is not as it should be, in words.
    pub findings: Vec<String>,
}

/// What a summary is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) placed: Vec<Placed>,
    pub(crate) cancelled: Vec<Cancelled>,
    pub(crate) notes: NoteCounts,
    /// Credit notes whose order was not placed.
    pub(crate) not_due: u64,
    pub(crate) elapsed: Duration,
    pub(crate) audit: Audit,
    pub(crate) weather: Faults,
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) kills: u32,
    pub(crate) interrupted: bool,
}

impl Summary {
    pub(crate) fn of(parts: Parts) -> Self {
        let mut summary = Self {
            orders: parts.placed.len() as u64,
            integrity: parts.audit.integrity,
            coupons: parts.audit.coupons,
            coupons_used: parts.audit.coupons_used,
            cancels: parts.cancelled.len() as u64,
            cancels_matched: parts.notes.matched,
            cancels_partly_matched: parts.notes.partly,
            cancels_unmatched: parts.notes.unmatched,
            cancels_not_due: parts.not_due,
            skipped_cancels: parts.notes.unmatched + parts.not_due,
            elapsed_ms: whole_ms(parts.elapsed),
            kills: parts.kills,
            faults: parts.faults,
            interrupted: parts.interrupted,
            ..Self::default()
        };
        let mut took_ms = Vec::new();
        for placed in &parts.placed {
            summary.count(placed);
            if placed.fate.has_ended() {
                took_ms.push(whole_ms(placed.took));
            }
        }
        parts.cancelled.iter().for_each(|it| summary.count_cancel(it));
        let cancels_ended = parts.cancelled.iter().filter(|it| it.fate.has_ended()).count();
        took_ms.sort_unstable();
        summary.p50_ms = percentile(&took_ms, 50);
        summary.p99_ms = percentile(&took_ms, 99);
        summary.orders_per_s = per_second(took_ms.len(), parts.elapsed);
        summary.sagas_per_s = per_second(took_ms.len() + cancels_ended, parts.elapsed);
        if ORDERS_FOR_ALL_FAULTS <= summary.orders && parts.weather == Faults::Heavy {
            let kinds = parts.weather.kinds().into_iter();
            summary.faults_never_fired =
                kinds.filter(|kind| !summary.faults.contains_key(kind)).collect();
        }
        summary.findings.extend(parts.audit.findings);
        summary
    }

    /// Whether money and stock are where they belong, and every accepted order and cancel has
    /// ended or says why it waits for a person.
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
            Fate::Rejected { reason } => {
                self.rejected += 1;
                *self.refusals.entry(reason.clone()).or_default() += 1;
                self.found(format!("order {order_no} was not accepted: {reason}"));
            }
            open => self.count_open(&format!("order {order_no}"), open),
        }
    }

    fn count_cancel(&mut self, cancelled: &Cancelled) {
        let Cancelled { business_key, order_no, .. } = cancelled;
        match &cancelled.fate {
            Fate::Completed => self.cancels_completed += 1,
            Fate::Compensated { reason } => {
                self.cancels_compensated += 1;
                *self.cancel_refusals.entry(reason.clone()).or_default() += 1;
            }
            Fate::Rejected { reason } => {
                self.cancels_rejected += 1;
                *self.cancel_refusals.entry(reason.clone()).or_default() += 1;
                self.found(format!("{business_key} of {order_no} was not accepted: {reason}"));
            }
            open => self.count_open(&format!("{business_key} of order {order_no}"), open),
        }
    }

    fn count_open(&mut self, who: &str, fate: &Fate) {
        match fate {
            Fate::Stuck { reason, message } => {
                self.stuck += 1;
                self.found(format!("{who} is stuck: {reason}: {message}"));
            }
            Fate::Open { why } => {
                self.stuck += 1;
                self.not_ended += 1;
                self.found(format!("{who} has not ended: {why}"));
            }
            Fate::Completed | Fate::Compensated { .. } | Fate::Rejected { .. } => {}
        }
    }

    fn found(&mut self, finding: String) {
        if self.findings.len() < EXAMPLES_MAX {
            self.findings.push(finding);
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
            cancelled: Vec::new(),
            notes: NoteCounts::default(),
            not_due: 0,
            elapsed: Duration::from_secs(2),
            audit: Audit::default(),
            weather: Faults::Heavy,
            faults: BTreeMap::from([("network_cut".to_owned(), 3)]),
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
    fn cancels_are_counted_beside_the_orders() {
        let cancelled = |fate| Cancelled {
            business_key: "cancel-C1".to_owned(),
            order_no: "order-1".to_owned(),
            line_nos: vec![1],
            fate,
        };
        let refused = Fate::Compensated { reason: "NOT_CANCELABLE".to_owned() };
        let open = Fate::Open { why: "give_back is unknown".to_owned() };
        let mut all = parts(vec![placed(Fate::Completed, 7)]);
        all.cancelled = [Fate::Completed, refused, open].into_iter().map(cancelled).collect();
        all.notes = NoteCounts { matched: 2, partly: 1, unmatched: 4 };
        all.not_due = 1;
        let summary = Summary::of(all);
        assert_eq!((summary.orders, summary.completed, summary.p99_ms), (1, 1, 7));
        assert_eq!((summary.cancels, summary.cancels_completed), (3, 1));
        assert_eq!((summary.cancels_compensated, summary.stuck), (1, 1));
        assert_eq!((summary.cancels_unmatched, summary.skipped_cancels), (4, 5));
        assert_eq!(summary.cancel_refusals["NOT_CANCELABLE"], 1);
        assert!(!summary.is_sound(), "a cancel has not ended");
        let table = summary.table(Paint::Plain);
        assert!(table.contains("newest earlier order") && table.contains("cancel-C1"), "{table}");
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
            "coupon_mismatches",
            "coupons",
            "coupons_used",
            "elapsed_ms",
            "orders_per_s",
            "p50_ms",
            "p99_ms",
            "skipped_cancels",
            "cancels",
            "cancels_completed",
            "cancels_compensated",
            "cancels_matched",
            "cancels_partly_matched",
            "cancels_unmatched",
            "cancels_not_due",
            "kills",
        ] {
            assert!(json[name].is_number(), "{name}: {json}");
        }
    }
}
