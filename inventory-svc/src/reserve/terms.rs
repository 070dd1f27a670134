//! What an order costs: the catalogue's prices, computed here once and used by everybody.
//!
//! What the caller says of prices is compared and then forgotten: a difference is refused
//! with the catalogue's, so that nobody pays another price than he expects.

use saga_participant::{OperationError, Refusal, RefusalCode, fields};
use shop_proto::inventory::v1::{Line, PricedLine};

use super::{LINES_MAX, merge, offer::Offers};
use crate::{
    item::CREDITS_MAX,
    stock::{self, Quantities},
};

/// What one order may cost, in minor units: the sum of nine billion such orders fits into
/// 64 bits. The other services have the same limit.
const TOTAL_MINOR_MAX: i64 = 1_000_000_000;

/// What the caller wants, and what he takes for its price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) lines: &'a [Line],
    /// 0: not said.
    pub(crate) total_minor: i64,
    /// Empty: not said.
    pub(crate) currency: &'a str,
    pub(crate) prices: Prices,
}

/// Which prices and credits of the lines the caller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prices {
    /// Those that are not 0.
    Some,
    /// All.
    All,
}

/// What it costs.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) total_minor: i64,
    pub(crate) currency: String,
    pub(crate) credits: i64,
}

impl Said<'_> {
    /// How many of each item.
    pub(crate) fn quantities(&self) -> Result<Quantities, OperationError> {
        fields::refuse(fields::within("lines", self.lines.len(), 1..=LINES_MAX))?;
        merge(self.lines)
    }

    /// The terms of lines whose items are offered, if the caller does not take them for
    /// others.
    pub(crate) fn terms(&self, offers: &Offers) -> Result<Terms, OperationError> {
        let currency = self.one_currency(offers)?;
        let (mut total_minor, mut credits) = (0_i64, 0_i64);
        let mut lines = Vec::with_capacity(self.lines.len());
        for line in self.lines {
            let Some(offer) = offers.get(&line.item_id) else { continue };
            let cost_minor = offer.price_minor.checked_mul(line.qty);
            let sum = cost_minor.and_then(|it| total_minor.checked_add(it));
            total_minor = sum.filter(|it| *it <= TOTAL_MINOR_MAX).ok_or_else(too_high)?;
            // At most a million credits of at most a million units.
            let granted = offer.credits * line.qty;
            credits += granted;
            if CREDITS_MAX < credits {
                return Err(too_high());
            }
            let priced = PricedLine {
                item_id: line.item_id.clone(),
                qty: line.qty,
                price_minor: offer.price_minor,
                credits: granted,
            };
            self.compare(line, &priced)?;
            lines.push(priced);
        }
        if self.total_minor != 0 && self.total_minor != total_minor {
            return Err(changed("the sum", total_minor, self.total_minor));
        }
        Ok(Terms { lines, total_minor, currency, credits })
    }

    fn compare(&self, said: &Line, priced: &PricedLine) -> Result<(), OperationError> {
        let is_said = |it: i64| it != 0 || self.prices == Prices::All;
        if is_said(said.price_minor) && said.price_minor != priced.price_minor {
            let what = format!("the price of {}", priced.item_id);
            return Err(changed(&what, priced.price_minor, said.price_minor));
        }
        if is_said(said.credits) && said.credits != priced.credits {
            let what = format!("the number of credits of {}", priced.item_id);
            return Err(changed(&what, priced.credits, said.credits));
        }
        Ok(())
    }

    fn one_currency(&self, offers: &Offers) -> Result<String, OperationError> {
        let found = self.lines.iter().filter_map(|it| offers.get(&it.item_id));
        let mut currencies: Vec<&str> = found.map(|it| it.currency.as_str()).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let [currency] = currencies[..] else {
            let mut item_ids: Vec<&str> = self.lines.iter().map(|it| &*it.item_id).collect();
            item_ids.sort_unstable();
            item_ids.dedup();
            let what = "items whose prices are in several currencies";
            let code = RefusalCode::FailedPrecondition;
            return Err(stock::refusal(code, "CURRENCY_MIXED", what, &item_ids));
        };
        if !self.currency.is_empty() && self.currency != currency {
            return Err(changed("the currency", currency, self.currency.escape_debug()));
        }
        Ok(currency.to_owned())
    }
}

fn changed(
    what: &str,
    actual: impl std::fmt::Display,
    said: impl std::fmt::Display,
) -> OperationError {
    let said: String = said.to_string().chars().take(80).collect();
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "PRICE_CHANGED",
        message: format!("{what} is {actual}, not {said}"),
        metadata: vec![("actual", actual.to_string()), ("said", said)],
    })
}

fn too_high() -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "TOTAL_TOO_HIGH",
        message: format!(
            "an order costs at most {TOTAL_MINOR_MAX} minor units and grants at most \
             {CREDITS_MAX} credits"
        ),
        metadata: vec![("total_minor_max", TOTAL_MINOR_MAX.to_string())],
    })
}
