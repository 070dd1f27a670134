//! What coupons take off the lines of an order. A line is never cheaper than nothing, and what is
//! taken off the lines is what the coupon takes, to the last unit.

use std::cmp::Reverse;

use shop_proto::order::v1::OrderLine;

/// What a coupon is worth.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Minor units, of the order's currency.
    Minor(i64),
    /// Of what is left to pay, rounded down: 1 to 100.
    Percent(i64),
}

impl Value {
    pub(super) fn is_percent(self) -> bool {
        matches!(self, Self::Percent(_))
    }

    fn of(self, cost_minor: i64) -> i64 {
        match self {
            Self::Minor(minor) => minor.min(cost_minor),
            // A thousand million times a hundred.
            Self::Percent(percent) => cost_minor * percent / 100,
        }
    }
}

/// The lines of an order while coupons are taken off.
#[derive(Debug)]
pub(super) struct Bill {
    lines: Vec<OrderLine>,
    /// Whether a coupon of its own was taken off the line: one each.
    has_own: Vec<bool>,
}

impl Bill {
    pub(super) fn of(lines: &[OrderLine]) -> Self {
        Self { lines: lines.to_vec(), has_own: vec![false; lines.len()] }
    }

    /// Takes a coupon off the dearest line of its item, of two the first; answers which, from 1, and
    /// how much. `None`: no such line is left, or nothing of it.
    pub(super) fn take_off_one(
        &mut self,
        item_id: &str,
        value: Value,
    ) -> Option<(Option<i64>, i64)> {
        let is_free = |(index, line): &(usize, &OrderLine)| {
            line.item_id == item_id && !self.has_own[*index] && 0 < value.of(cost_minor(line))
        };
        let free = self.lines.iter().enumerate().filter(is_free);
        let (index, _) = free.max_by_key(|(index, line)| (cost_minor(line), Reverse(*index)))?;
        let taken_minor = value.of(cost_minor(&self.lines[index]));
        self.has_own[index] = true;
        self.lines[index].discount_minor += taken_minor;
        Some((Some(i64::try_from(index).ok()? + 1), taken_minor))
    }

    /// Takes a coupon off the whole order, each line by its share. `None`: nothing is left.
    pub(super) fn take_off_all(&mut self, value: Value) -> Option<i64> {
        let all_minor: i64 = self.lines.iter().map(cost_minor).sum();
        let taken_minor = value.of(all_minor);
        if taken_minor <= 0 {
            return None;
        }
        // By the shares of all lines up to each one: the rounded parts add up to the whole.
        let share = |up_to_minor: i64| {
            let share = i128::from(up_to_minor) * i128::from(taken_minor) / i128::from(all_minor);
            i64::try_from(share).unwrap_or(taken_minor)
        };
        let mut up_to_minor = 0;
        for line in &mut self.lines {
            let before = share(up_to_minor);
            up_to_minor += cost_minor(line);
            line.discount_minor += share(up_to_minor) - before;
        }
        Some(taken_minor)
    }

    /// The lines with their discounts, what these are together, and what is left to pay.
    pub(super) fn into_lines(self) -> (Vec<OrderLine>, i64, i64) {
        let discount_minor = self.lines.iter().map(|it| it.discount_minor).sum();
        let total_minor = self.lines.iter().map(cost_minor).sum();
        (self.lines, discount_minor, total_minor)
    }
}

fn cost_minor(line: &OrderLine) -> i64 {
    line.price_minor * line.qty - line.discount_minor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(lines: &[(&str, i64, i64)]) -> Bill {
        let line = |(item_id, qty, price_minor): &(&str, i64, i64)| OrderLine {
            item_id: (*item_id).to_owned(),
            qty: *qty,
            price_minor: *price_minor,
            ..OrderLine::default()
        };
        Bill::of(&lines.iter().map(line).collect::<Vec<_>>())
    }

    fn discounts(bill: Bill) -> (Vec<i64>, i64, i64) {
        let (lines, discount_minor, total_minor) = bill.into_lines();
        (lines.iter().map(|it| it.discount_minor).collect(), discount_minor, total_minor)
    }

    #[test]
    fn what_is_taken_off_an_order_is_shared_to_the_last_unit() {
        for taken in 1..=100 {
            let mut bill = bill(&[("a", 3, 7), ("b", 1, 1), ("c", 2, 39)]);
            assert_eq!(bill.take_off_all(Value::Minor(taken)), Some(taken));
            let (of_lines, discount_minor, total_minor) = discounts(bill);
            assert_eq!(of_lines.iter().sum::<i64>(), taken);
            assert_eq!((discount_minor, total_minor), (taken, 100 - taken));
            assert!(of_lines.iter().zip([21, 1, 78]).all(|(it, cost)| (0..=cost).contains(it)));
        }
    }

    #[test]
    fn no_line_and_no_order_is_cheaper_than_nothing() {
        let mut bill = bill(&[("a", 2, 50), ("a", 1, 30)]);
        assert_eq!(bill.take_off_one("a", Value::Minor(1_000)), Some((Some(1), 100)));
        assert_eq!(bill.take_off_one("a", Value::Percent(10)), Some((Some(2), 3)));
        assert_eq!(bill.take_off_one("a", Value::Percent(10)), None, "one coupon for each line");
        assert_eq!(bill.take_off_one("b", Value::Minor(1)), None);
        assert_eq!(bill.take_off_all(Value::Minor(1_000)), Some(27));
        assert_eq!(bill.take_off_all(Value::Minor(1_000)), None);
        assert_eq!(discounts(bill), (vec![100, 30], 130, 0));
    }

    #[test]
    fn a_coupon_of_an_item_is_taken_off_its_dearest_line() {
        let mut bill = bill(&[("a", 1, 30), ("b", 1, 900), ("a", 2, 50), ("a", 1, 100)]);
        assert_eq!(bill.take_off_one("a", Value::Minor(40)), Some((Some(3), 40)));
        assert_eq!(bill.take_off_one("a", Value::Percent(50)), Some((Some(4), 50)));
        assert_eq!(bill.take_off_one("a", Value::Percent(50)), Some((Some(1), 15)));
        assert_eq!(bill.take_off_one("a", Value::Percent(50)), None);
    }

    #[test]
    fn a_percentage_is_of_what_is_left_and_rounded_for_the_shop() {
        let mut bill = bill(&[("a", 1, 99), ("b", 1, 200)]);
        assert_eq!(bill.take_off_one("b", Value::Minor(100)), Some((Some(2), 100)));
        assert_eq!(bill.take_off_all(Value::Percent(10)), Some(19));
        assert_eq!(discounts(bill).2, 180);
    }
}
