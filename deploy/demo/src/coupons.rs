//! Coupons of the buyers: on a share of the orders, of every kind, and some of them named by two
//! orders, of which one gets it. What they take off is reckoned here as a buyer does; the order
//! service reckons for itself, and the audit compares.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shop_proto::order::v1::{Coupon, CouponKind};

use crate::{
    catalogue::{CURRENCY, Catalogue},
    place::Basket,
};

/// Of a thousand orders, those that use a coupon.
const COUPONS_PERMILLE: u32 = 200;

/// Of a thousand coupons, those that cover their order whole.
const WHOLE_PERMILLE: u32 = 50;

/// Of a thousand coupons, those that a later order of the same customer names as well.
const RIVALS_PERMILLE: u32 = 250;

/// Valid until 2096: from and to are the order service's tests.
const VALID_TO_S: i64 = 4_000_000_000;

/// Gives coupons to the customers of some baskets, which are cheaper by them. From a seed of its
/// own, so that the orders are the same with and without.
pub(crate) fn hand_out(baskets: &mut [Basket], catalogue: &Catalogue, seed: u64) -> Vec<Coupon> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0xc0c0);
    let mut coupons = Vec::new();
    // Coupons that the next order of the customer will name too.
    let mut wanted: BTreeMap<String, Coupon> = BTreeMap::new();
    for (index, basket) in baskets.iter_mut().enumerate() {
        let customer_id = basket.order.customer_id.clone();
        if let Some(coupon) = wanted.remove(&customer_id) {
            basket.take_off(&coupon, catalogue);
        } else if rng.random_range(0..1_000) < COUPONS_PERMILLE {
            let coupon_id = format!("coupon-{index:06}");
            let coupon = draw(coupon_id, basket, &mut rng);
            if !basket.take_off(&coupon, catalogue) {
                continue;
            }
            if rng.random_range(0..1_000) < RIVALS_PERMILLE {
                wanted.insert(customer_id, coupon.clone());
            }
            coupons.push(coupon);
        }
    }
    coupons
}

/// A coupon for the customer of a basket.
fn draw(coupon_id: String, basket: &Basket, rng: &mut StdRng) -> Coupon {
    let is_whole = rng.random_range(0..1_000) < WHOLE_PERMILLE;
    let (kind, value) = match rng.random_range(0..2) {
        _ if is_whole => (CouponKind::Percent, 100),
        0 => (CouponKind::Percent, rng.random_range(5..=40)),
        _ => (CouponKind::Amount, rng.random_range(50..=1_000)),
    };
    let line = rng.random_range(0..basket.order.lines.len());
    let is_of_line = !is_whole && rng.random_range(0..2) == 0;
    let currency = if kind == CouponKind::Amount { CURRENCY } else { "" };
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    Coupon {
        coupon_id,
        customer_id: basket.order.customer_id.clone(),
        item_id: if is_of_line { basket.order.lines[line].item_id.clone() } else { String::new() },
        kind: kind.into(),
        value,
        currency: currency.to_owned(),
        valid_from: at(0),
        valid_to: at(VALID_TO_S),
    }
}

impl Basket {
    /// Names the coupon, and expects to pay less by it. False: it would take nothing off.
    fn take_off(&mut self, coupon: &Coupon, catalogue: &Catalogue) -> bool {
        let cost_minor = |item_id: &str, qty: i64| {
            catalogue.get(item_id).map_or(0, |item| item.price_minor * qty)
        };
        let lines = &self.order.lines;
        let of_minor = if coupon.item_id.is_empty() {
            lines.iter().map(|it| cost_minor(&it.item_id, it.qty)).sum()
        } else {
            let of_item = lines.iter().filter(|it| it.item_id == coupon.item_id);
            of_item.map(|it| cost_minor(&it.item_id, it.qty)).max().unwrap_or(0)
        };
        let taken_minor = match coupon.kind() {
            CouponKind::Percent => of_minor * coupon.value / 100,
            _ => of_minor.min(coupon.value),
        };
        if taken_minor == 0 {
            return false;
        }
        self.coupon_id = Some(coupon.coupon_id.clone());
        self.discount_minor = taken_minor;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{generate::generate, orders::OrderFile};

    #[test]
    fn coupons_of_every_kind_are_on_a_share_of_the_orders_and_some_on_two() {
        let (catalogue, OrderFile { orders, .. }) = generate(1_000, 1);
        let mut baskets: Vec<Basket> =
            orders.iter().map(|it| Basket::fill(it, &catalogue).unwrap()).collect();
        let coupons = hand_out(&mut baskets, &catalogue, 1);
        let named: Vec<&String> = baskets.iter().filter_map(|it| it.coupon_id.as_ref()).collect();
        assert!((150..300).contains(&named.len()), "{} of 1,000 orders", named.len());
        let rivals = named.len() - coupons.len();
        assert!(20 < rivals, "{rivals} coupons are named twice");
        let kind = |it: &Coupon| (it.kind, it.item_id.is_empty());
        let kinds: std::collections::BTreeSet<_> = coupons.iter().map(kind).collect();
        assert_eq!(kinds.len(), 4, "amounts and percentages, of orders and items");
        let free = baskets.iter().filter(|it| it.to_pay_minor() == 0).count();
        assert!((3..60).contains(&free), "{free} orders cost nothing");
        assert!(baskets.iter().all(|it| 0 <= it.to_pay_minor()));
        assert_eq!(hand_out(&mut baskets.clone(), &catalogue, 1), coupons);
    }
}
