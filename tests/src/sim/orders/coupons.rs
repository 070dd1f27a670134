//! Coupons: each takes the same off the first line of one order.

use prost::Message;
use shop_proto::order::v1 as pb;
use uuid::Uuid;

use super::{Orders, cost_minor};
use crate::sim::answer::{Answer, Deny};

/// What a coupon takes off, in minor units.
pub const COUPON_MINOR: i64 = 100;

/// The coupon with which an order is placed.
#[must_use]
pub fn coupon_of(order_no: &str) -> String {
    format!("coupon-{order_no}")
}

/// A coupon that was used.
#[derive(Clone, Debug)]
pub struct Use {
    /// For which order.
    pub order_no: String,
    /// The operation that used it.
    pub op: Uuid,
}

impl Orders {
    pub(super) fn use_coupons(&mut self, op: Uuid, request: pb::UseCouponsRequest) -> Answer {
        let pb::UseCouponsRequest { order_no, mut lines, coupon_ids, expected_minor, .. } = request;
        if let Some(used) = coupon_ids.iter().find(|it| self.used.contains_key(*it)) {
            return Err(Deny::refused("COUPON_USED", used.clone()));
        }
        let discount_minor = coupon_ids.iter().map(|_| COUPON_MINOR).sum();
        let Some(first) = lines.first_mut() else { return Err(Deny::invalid("lines")) };
        first.discount_minor += discount_minor;
        let total_minor: i64 = lines.iter().map(cost_minor).sum();
        if expected_minor != 0 && expected_minor != total_minor {
            return Err(Deny::refused("PRICE_CHANGED", total_minor.to_string()));
        }
        for coupon_id in coupon_ids {
            self.used.insert(coupon_id, Use { order_no: order_no.clone(), op });
        }
        Ok(pb::UseCouponsResponse { lines, discount_minor, total_minor }.encode_to_vec())
    }

    pub(super) fn return_coupons(&mut self, use_op: Uuid) -> Answer {
        let before = self.used.len();
        self.used.retain(|_, it| it.op != use_op);
        let coupons = i64::try_from(before - self.used.len()).unwrap_or(i64::MAX);
        Ok(pb::ReturnCouponsResponse { coupons }.encode_to_vec())
    }
}
