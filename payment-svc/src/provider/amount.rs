//! Amounts as providers write them: in units of the currency, with as many decimals as ISO 4217
//! gives it. Inside of the shop an amount is a whole number of minor units.

use iso_currency::Currency;
use serde_json::Number;

/// Decimals of a currency. `None`: ISO 4217 has no such currency, or it has no units to pay with.
pub(crate) fn decimals(currency: &str) -> Option<u32> {
    Currency::from_code(currency)?.exponent().map(u32::from)
}

/// An amount in minor units as providers write it: 1099 of GBP is 10.99, 1099 of KRW is 1099.
pub(crate) fn written(amount_minor: i64, decimals: u32) -> Number {
    let scale = 10_i64.pow(decimals);
    if amount_minor % scale == 0 {
        return Number::from(amount_minor / scale);
    }
    let (units, rest) = (amount_minor.unsigned_abs() / scale.unsigned_abs(), amount_minor % scale);
    let sign = if amount_minor < 0 { "-" } else { "" };
    let rest = rest.unsigned_abs();
    let text = format!("{sign}{units}.{rest:0width$}", width = decimals as usize);
    serde_json::from_str(&text).expect("digits around a point are a number")
}

/// What a provider wrote, in minor units. `None`: it is no amount of a currency with so many
/// decimals.
pub(crate) fn read(number: &Number, decimals: u32) -> Option<i64> {
    // The shortest text that means this number: no digit is made up, none is lost.
    let text = number.to_string();
    let (units, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    let missing = (decimals as usize).checked_sub(rest.len())?;
    format!("{units}{rest}{}", "0".repeat(missing)).parse().ok()
}

/// An amount that was counted with so many decimals, counted with others. `None`: it needs more
/// of them, or is too large.
pub(crate) fn rescaled(amount: i64, from: u32, to: u32) -> Option<i64> {
    let scale = 10_i64.checked_pow(from.abs_diff(to))?;
    match from <= to {
        true => amount.checked_mul(scale),
        false => (amount % scale == 0).then(|| amount / scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_counted_anew_without_a_loss_or_not_at_all() {
        for (amount, from, to, counted) in [
            (60_000, 2, 0, Some(600)),
            (600, 0, 2, Some(60_000)),
            (-50, 1, 0, Some(-5)),
            (7, 3, 3, Some(7)),
            (60_050, 2, 0, None),
            (i64::MAX, 0, 2, None),
            (1, 0, 99, None),
        ] {
            assert_eq!(rescaled(amount, from, to), counted, "{amount}");
        }
    }

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_amount_has_the_decimals_of_its_currency() {
        assert_eq!(["KRW", "JPY"].map(decimals), [Some(0); 2]);
        assert_eq!(["GBP", "USD"].map(decimals), [Some(2); 2]);
        assert_eq!(["KWD", "BHD"].map(decimals), [Some(3); 2]);
        assert_eq!(["krw", "ZZZ", "XXX", ""].map(decimals), [None; 4]);
    }

    #[test]
    fn what_is_written_is_read_as_the_same_amount() {
        for (amount_minor, decimals, text) in [
            (1099, 0, "1099"),
            (1099, 2, "10.99"),
            (1090, 2, "10.9"),
            (1005, 2, "10.05"),
            (1000, 2, "10"),
            (7, 3, "0.007"),
            (-1099, 2, "-10.99"),
            (0, 2, "0"),
            (999_999_999, 2, "9999999.99"),
            (1_000_000_000, 3, "1000000"),
        ] {
            assert_eq!(written(amount_minor, decimals).to_string(), text);
            assert_eq!(read(&number(text), decimals), Some(amount_minor), "{text}");
        }
        for (text, amount_minor) in [("10.990", 1099), ("10.0", 1000), ("10", 1000)] {
            assert_eq!(read(&number(text), 2), Some(amount_minor), "{text}");
        }
        for (text, decimals) in [("10.995", 2), ("0.5", 0), ("1e300", 2), ("1e-9", 2)] {
            assert_eq!(read(&number(text), decimals), None, "{text}");
        }
    }
}
