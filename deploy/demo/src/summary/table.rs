//! The summary for people.

use std::fmt::Write as _;

use super::Summary;
use crate::audit::Integrity;

/// How the order of a credit note is found.
const MATCHING: &str = "a credit note is taken for the newest earlier order of its customer that \
    has most of its\n  lines: same item, quantity and price, not given back yet";

impl Summary {
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
        row("rejected", self.rejected.to_string());
        let notes = self.cancels_matched + self.cancels_partly_matched + self.cancels_unmatched;
        if 0 < notes {
            row("credit notes", notes.to_string());
            row("  of an order", self.cancels_matched.to_string());
            row("  of an order with some lines", self.cancels_partly_matched.to_string());
            row("  of no order: passed over", self.cancels_unmatched.to_string());
            row("  order not placed: nothing due", self.cancels_not_due.to_string());
            row("cancels of orders and lines", self.cancels.to_string());
            row("  completed", self.cancels_completed.to_string());
            row("  compensated", self.cancels_compensated.to_string());
            for (reason, count) in &self.cancel_refusals {
                row(&format!("    {reason}"), count.to_string());
            }
        }
        if 0 < self.coupons {
            row("coupons issued", self.coupons.to_string());
            row("  used by an order", self.coupons_used.to_string());
            row("  free", (self.coupons - self.coupons_used).to_string());
        }
        row("stuck", paint.alarm(self.stuck));
        row("orders per second", format!("{:.1}", self.orders_per_s));
        row("half ended within", format!("{} ms", self.p50_ms));
        row("99 of 100 within", format!("{} ms", self.p99_ms));
        if 0 < self.kills {
            row("orchestrator killed", self.kills.to_string());
        }
        if 0 < notes {
            let _ = writeln!(text, "\n  {MATCHING}");
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
        text.push_str(&self.books(paint));
        for finding in &self.findings {
            let _ = writeln!(text, "  {}", paint.red(&format!("! {finding}")));
        }
        text
    }

    fn books(&self, paint: Paint) -> String {
        let mut text =
            "\n  read from the books of the services and of the payment provider\n".to_owned();
        let Integrity {
            duplicate_charges,
            orphan_charges,
            stock_mismatches,
            negative_stock,
            orders_without_payment,
            coupon_mismatches,
        } = self.integrity;
        for (name, count) in [
            ("charged twice", duplicate_charges),
            ("charged for nothing", orphan_charges),
            ("orders not paid", orders_without_payment),
            ("coupons that do not add up", coupon_mismatches),
            ("stock that leaked", stock_mismatches),
            ("stock below zero", negative_stock),
        ] {
            let _ = writeln!(text, "    {name:<30}{:>12}", paint.alarm(count));
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
