//! The audit finds what is wrong with coupons and discounts.

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};

use super::{coupon, issue, place, take, wanted};
use crate::shop::{Shop, paid};

on_both_databases!(i12_i14_the_audit_finds_what_is_wrong_with_coupons);

async fn i12_i14_the_audit_finds_what_is_wrong_with_coupons(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    let used = take(&shop, new_op_id(), wanted("order-1", &["k-1"])).await.unwrap();
    place(&shop, "order-1", &used).await;
    shop.insert(paid("order-2")).await.unwrap();
    let copy = "insert into coupon_uses (use_op_id, coupon_id, order_no, taken_minor, state)
        select placed_by, 'k-1', order_no, 50, 'USED' from orders where order_no = 'order-2'";
    let used = "insert into coupon_uses (use_op_id, coupon_id, order_no, taken_minor, state)
        select placed_by, 'k-1', order_no, 85, 'USED' from orders where order_no = 'order-1'";
    // The database refuses it whoever asks.
    shop.tamper(copy).await.unwrap_err();
    shop.assert_sound().await;
    for (damage, told, repair) in [
        (
            "update coupon_uses set taken_minor = 86",
            "I12: an order is cheaper by what its coupons took off, and by nothing else: order \
             order-1 has 85, not 86",
            "update coupon_uses set taken_minor = 85",
        ),
        (
            "update coupon_uses set state = 'RETURNED'",
            "I14: coupons are given back where their order or line came to nothing, and only \
             there: coupon k-1 has 1, not 0",
            "update coupon_uses set state = 'USED'",
        ),
        (
            "update coupon_uses set order_no = 'order-3'",
            "I14: a coupon is used by an order that is there, or about to be: coupon k-1 has 0, \
             not 1",
            "update coupon_uses set order_no = 'order-1'",
        ),
    ] {
        shop.tamper(damage).await.unwrap();
        assert_eq!(shop.audit().await.violations[0], told);
        shop.tamper(repair).await.unwrap();
        shop.assert_sound().await;
    }
    shop.tamper("delete from coupon_uses").await.unwrap();
    let told = "I12: an order is cheaper by what its coupons took off, and by nothing else: order \
        order-1 has 85, not 0";
    assert_eq!(shop.audit().await.violations, [told]);
    shop.tamper(used).await.unwrap();
    shop.assert_sound().await;
    shop.tamper("drop index coupon_uses_used").await.unwrap();
    shop.tamper(copy).await.unwrap();
    let twice = "I14: a coupon is used by one order at a time: coupon k-1 has 2, not 1";
    let dear = "I12: an order is cheaper by what its coupons took off, and by nothing else: order \
        order-2 has 0, not 50";
    assert_eq!(shop.audit().await.violations, [twice, dear]);
}
