//! Coupons of orders that wait for their payment (S0-12, S1-3).

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::order::v1::{CreatePendingRequest, OrderStatus, TransitionRequest};
use tonic::Code;

use super::{coupon, issue, take, user_of, wanted};
use crate::shop::{Shop, change, is, pending};

on_both_databases!(a_coupon_of_a_pending_order_comes_back_where_it_is_never_settled);

async fn a_coupon_of_a_pending_order_comes_back_where_it_is_never_settled(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-9", 85)).await;
    let used = take(&shop, new_op_id(), wanted("order-9", &["k-9"])).await.unwrap();
    let order = CreatePendingRequest { lines: used.lines, ..pending("order-9") };
    shop.client().create_pending(with_op_id(new_op_id(), order)).await.unwrap();
    let withdraw = |customer_id: &str| TransitionRequest {
        customer_id: customer_id.to_owned(),
        ..change("order-9", OrderStatus::PaymentWithdrawn)
    };
    let of_nobody = shop.change(new_op_id(), withdraw("")).await.unwrap_err();
    is(&of_nobody, Code::FailedPrecondition, "INPUT_INVALID");
    let of_another = shop.change(new_op_id(), withdraw("another")).await.unwrap_err();
    is(&of_another, Code::FailedPrecondition, "NOT_OWNER");
    assert_eq!(user_of(&shop, "k-9").await, "order-9");
    shop.change(new_op_id(), withdraw(&pending("order-9").customer_id)).await.unwrap();
    assert_eq!(user_of(&shop, "k-9").await, "");
    assert_eq!(shop.balance("GBP").await, 0);
    for (number, end) in
        [OrderStatus::PaymentOutOfStock, OrderStatus::PaymentReturned].into_iter().enumerate()
    {
        let (coupon_id, order_no) = (format!("k-{number}"), format!("order-{number}"));
        issue(&shop, coupon(&coupon_id, 85)).await;
        let used = take(&shop, new_op_id(), wanted(&order_no, &[&coupon_id])).await.unwrap();
        let order = CreatePendingRequest { lines: used.lines, ..pending(&order_no) };
        let created = shop.client().create_pending(with_op_id(new_op_id(), order)).await.unwrap();
        assert_eq!(created.into_inner().total_minor, 850 - 85);
        let begun = shop.change(new_op_id(), change(&order_no, OrderStatus::PaymentConfirm)).await;
        let begun = begun.unwrap();
        // What is paid, and what the goods cost that are sold then.
        assert_eq!((begun.total_minor, begun.goods_minor), (850 - 85, 850));
        assert_eq!(user_of(&shop, &coupon_id).await, order_no);
        shop.change(new_op_id(), change(&order_no, end)).await.unwrap();
        assert_eq!(user_of(&shop, &coupon_id).await, "");
    }
    shop.assert_sound().await;
}
