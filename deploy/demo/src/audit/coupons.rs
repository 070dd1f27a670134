//! The fifth book: coupons. Each that was issued is used by one order that stands, or free, and
//! an order is cheaper by what its coupons took off, and by nothing else.

use std::collections::BTreeMap;

use super::{
    Agreed, Audit,
    pages::{OrderBook, Pages},
};

pub(super) fn compare(pages: &Pages, agreed: &Agreed, audit: &mut Audit) {
    for coupon_id in agreed.coupons.symmetric_difference(&pages.coupons) {
        audit
            .coupon(format!("coupon {coupon_id} was issued and is not in the book, or only there"));
    }
    compare_uses(pages, audit);
    compare_discounts(pages, agreed, audit);
}

fn compare_uses(pages: &Pages, audit: &mut Audit) {
    let mut orders_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for it in &pages.coupon_uses {
        let (coupon_id, order_no) = (it.coupon_id.as_str(), it.order_no.as_str());
        let line = it.line_no.map(|line_no| (it.order_no.clone(), line_no));
        let order = pages.orders.get(order_no);
        let stands = order.is_some_and(OrderBook::keeps_coupons)
            && !line.is_some_and(|it| pages.cancelled.contains(&it));
        if it.is_used != stands || !pages.coupons.contains(coupon_id) {
            audit.coupon(format!("coupon {coupon_id} is {it:?}, and its order {order:?}"));
        }
        if it.is_used {
            orders_of.entry(coupon_id).or_default().push(order_no);
        }
    }
    for (coupon_id, order_nos) in orders_of.iter().filter(|(_, it)| 1 < it.len()) {
        audit.coupon(format!("coupon {coupon_id} is used by the orders {order_nos:?}"));
    }
    audit.coupons = pages.coupons.len() as u64;
    audit.coupons_used = orders_of.len() as u64;
}

fn compare_discounts(pages: &Pages, agreed: &Agreed, audit: &mut Audit) {
    let mut taken_minor: BTreeMap<&str, i64> = BTreeMap::new();
    for it in &pages.coupon_uses {
        *taken_minor.entry(&it.order_no).or_default() += it.taken_minor;
    }
    for (order_no, order) in &pages.orders {
        let taken_minor = taken_minor.get(order_no.as_str()).copied().unwrap_or(0);
        let discount_minor = order.discount_minor;
        let agreed_minor = agreed.discounts_minor.get(order_no).copied();
        let is_agreed = agreed_minor.is_none_or(|it| it == discount_minor);
        if discount_minor != taken_minor || !is_agreed {
            audit.coupon(format!(
                "order {order_no} is cheaper by {discount_minor}; its coupons took {taken_minor} \
                 off, and agreed was {agreed_minor:?}"
            ));
        }
    }
}

impl Audit {
    fn coupon(&mut self, finding: String) {
        self.integrity.coupon_mismatches += 1;
        self.found(finding);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::pages::CouponUse, *};

    /// Two orders, of which the first uses a coupon; another coupon is free.
    fn sound() -> (Pages, Agreed) {
        let order = |discount_minor| OrderBook {
            total_minor: 10 - discount_minor,
            discount_minor,
            status: "PAYMENT_SUCCESS".to_owned(),
            ..OrderBook::default()
        };
        let it = CouponUse {
            coupon_id: "k-1".to_owned(),
            order_no: "order-1".to_owned(),
            line_no: None,
            taken_minor: 3,
            is_used: true,
        };
        let coupons = BTreeSet::from(["k-1".to_owned(), "k-2".to_owned()]);
        let orders =
            BTreeMap::from([("order-1".to_owned(), order(3)), ("order-2".to_owned(), order(0))]);
        let discounts = [("order-1".to_owned(), 3), ("order-2".to_owned(), 0)];
        let pages =
            Pages { orders, coupons: coupons.clone(), coupon_uses: vec![it], ..Pages::default() };
        let agreed = Agreed { coupons, discounts_minor: discounts.into(), ..Agreed::default() };
        (pages, agreed)
    }

    /// The coupons that do not add up after `change`.
    fn changed(change: impl FnOnce(&mut Pages, &mut Agreed)) -> u64 {
        let (mut pages, mut agreed) = sound();
        change(&mut pages, &mut agreed);
        let mut audit = Audit::default();
        compare(&pages, &agreed, &mut audit);
        audit.integrity.coupon_mismatches
    }

    #[test]
    fn each_coupon_is_used_by_one_order_that_stands_or_free() {
        let (pages, agreed) = sound();
        let mut audit = Audit::default();
        compare(&pages, &agreed, &mut audit);
        assert_eq!((audit.coupons, audit.coupons_used), (2, 1));
        assert_eq!(changed(|_, _| ()), 0);

        let twice = |pages: &mut Pages, agreed: &mut Agreed| {
            let order_no = "order-2".to_owned();
            pages.orders.get_mut(&order_no).unwrap().discount_minor = 3;
            agreed.discounts_minor.insert(order_no.clone(), 3);
            pages.coupon_uses.push(CouponUse { order_no, ..pages.coupon_uses[0].clone() });
        };
        assert_eq!(changed(twice), 1);
        let lost = |pages: &mut Pages, _: &mut Agreed| pages.coupon_uses[0].is_used = false;
        assert_eq!(changed(lost), 1);
        for over in ["CANCELED", "PAYMENT_OUT_OF_STOCK", "PAYMENT_RETURNED", "PAYMENT_WITHDRAWN"] {
            let kept = |pages: &mut Pages, _: &mut Agreed| {
                over.clone_into(&mut pages.orders.get_mut("order-1").unwrap().status);
            };
            assert_eq!(changed(kept), 1, "{over}");
        }
        let of_line = |pages: &mut Pages, _: &mut Agreed| {
            pages.coupon_uses[0].line_no = Some(2);
            pages.cancelled.insert(("order-1".to_owned(), 2));
        };
        assert_eq!(changed(of_line), 1, "its line is cancelled, and it is not given back");
        let of_nobody = |pages: &mut Pages, _: &mut Agreed| {
            "order-3".clone_into(&mut pages.coupon_uses[0].order_no);
            pages.orders.get_mut("order-1").unwrap().discount_minor = 0;
        };
        assert_eq!(changed(of_nobody), 2, "nor is that the discount that was agreed");
        assert_eq!(changed(|pages, _| drop(pages.coupons.pop_last())), 1, "it is not there");
        assert_eq!(changed(|pages, _| pages.coupons.extend(["k-3".to_owned()])), 1);
    }

    #[test]
    fn an_order_is_cheaper_by_its_coupons_and_by_nothing_else() {
        let more = |pages: &mut Pages, agreed: &mut Agreed| {
            pages.orders.get_mut("order-2").unwrap().discount_minor = 1;
            agreed.discounts_minor.insert("order-2".to_owned(), 1);
        };
        assert_eq!(changed(more), 1);
        assert_eq!(changed(|pages, _| pages.coupon_uses[0].taken_minor = 4), 1);
        let other = |_: &mut Pages, agreed: &mut Agreed| {
            agreed.discounts_minor.insert("order-1".to_owned(), 2);
        };
        assert_eq!(changed(other), 1);
    }
}
