//! One line of an order cancelled, as the saga does it.

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::order::v1::{
    CancelLineRequest, CancelLineResponse, FinishCancelLineResponse, InsertOrderRequest,
    LineState::{self, Active, Canceled, Canceling},
    OrderStatus,
};
use tonic::Code;

use crate::shop::{Shop, fact, is, is_illegal, line, paid};

on_both_databases!(
    s1_8_one_line_is_cancelled_by_its_owner_and_the_rest_stays,
    s1_4_s1_7_a_line_with_a_coupon_gives_back_what_it_cost,
    with_its_last_line_an_order_is_cancelled,
    lines_are_cancelled_beside_each_other,
    while_a_line_is_cancelled_the_order_stands_still,
    a_line_that_cannot_be_cancelled_is_refused_with_the_reason,
    only_a_cancel_that_was_begun_is_ended,
);

async fn states(shop: &Shop, order_no: &str) -> Vec<LineState> {
    shop.order(order_no).await.unwrap().line_states().collect()
}

async fn s1_8_one_line_is_cancelled_by_its_owner_and_the_rest_stays(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    for (customer_id, reason) in [("customer-2", "NOT_OWNER"), ("", "INPUT_INVALID")] {
        let (order_no, customer_id) = ("order-1".to_owned(), customer_id.to_owned());
        let stranger = CancelLineRequest { order_no, line_no: 1, customer_id };
        let request = with_op_id(new_op_id(), stranger);
        let status = shop.client().cancel_line(request).await.unwrap_err();
        is(&status, Code::FailedPrecondition, reason);
    }
    assert_eq!(states(&shop, "order-1").await, [Active, Active]);

    let cancel = new_op_id();
    let canceling = shop.cancel_line(cancel, "order-1", 1).await.unwrap();
    assert_eq!(
        canceling,
        CancelLineResponse {
            order_no: "order-1".to_owned(),
            line_no: 1,
            item_id: "A".to_owned(),
            qty: 3,
            refund_minor: 750,
            currency: "GBP".to_owned(),
            payment_id: "payment-1".to_owned(),
            remaining_lines: 1,
            credits: 0,
            credit_account: String::new(),
        }
    );
    assert_eq!(states(&shop, "order-1").await, [Canceling, Active]);
    assert_eq!(shop.status("order-1").await, OrderStatus::PaymentSuccess);

    let finished = shop.finish_line(new_op_id(), cancel).await.unwrap();
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(
        finished,
        FinishCancelLineResponse {
            order_no: "order-1".to_owned(),
            line_no: 1,
            status_id: order.status_id,
            status: OrderStatus::PartiallyCanceled.into(),
        }
    );
    assert_eq!((order.status(), order.balance_minor), (OrderStatus::PartiallyCanceled, 50));
    assert_eq!(order.line_states().collect::<Vec<_>>(), [Canceled, Active]);
    let history = shop.history("order-1").await.unwrap();
    assert_eq!((history[1].line_no, history[1].reason.as_str()), (1, "line 1"));
    assert_eq!(shop.balance("GBP").await, 50);
    shop.assert_sound().await;
}

async fn s1_4_s1_7_a_line_with_a_coupon_gives_back_what_it_cost(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let lines = vec![line("A", 2, 300, 1), line("A", 1, 300, 250), line("B", 7, 11, 0)];
    let paid_minor = 599 + 50 + 77;
    let order = InsertOrderRequest { lines, paid_minor, ..paid("order-1") };
    assert_eq!(shop.insert(order).await.unwrap().total_minor, paid_minor);
    shop.call_discounts_old().await;
    let mut given_back = 0;
    for (line_no, refund_minor) in [(2, 50), (1, 599), (3, 77)] {
        let cancel = new_op_id();
        let canceling = shop.cancel_line(cancel, "order-1", line_no).await.unwrap();
        assert_eq!(canceling.refund_minor, refund_minor);
        shop.finish_line(new_op_id(), cancel).await.unwrap();
        given_back += refund_minor;
        let order = shop.order("order-1").await.unwrap();
        assert_eq!(order.balance_minor, paid_minor - given_back);
    }
    assert_eq!(given_back, paid_minor);
    shop.assert_sound().await;
}

async fn with_its_last_line_an_order_is_cancelled(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    assert_eq!(shop.drop_line("order-1", 2).await, OrderStatus::PartiallyCanceled);
    assert_eq!(shop.drop_line("order-1", 1).await, OrderStatus::Canceled);
    assert_eq!(shop.order("order-1").await.unwrap().balance_minor, 0);

    let single = InsertOrderRequest {
        lines: vec![line("A", 1, 100, 0)],
        paid_minor: 100,
        ..paid("order-2")
    };
    shop.insert(single).await.unwrap();
    assert_eq!(shop.drop_line("order-2", 1).await, OrderStatus::Canceled);
    shop.assert_sound().await;
}

async fn lines_are_cancelled_beside_each_other(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let (first, second) = (new_op_id(), new_op_id());
    assert_eq!(shop.cancel_line(first, "order-1", 1).await.unwrap().remaining_lines, 1);
    assert_eq!(shop.cancel_line(second, "order-1", 2).await.unwrap().remaining_lines, 0);
    // The other one may still be taken back, so the order is not CANCELED yet.
    let finished = shop.finish_line(new_op_id(), first).await.unwrap();
    assert_eq!(finished.status(), OrderStatus::PartiallyCanceled);
    shop.restore_line(new_op_id(), second).await.unwrap();
    assert_eq!(states(&shop, "order-1").await, [Canceled, Active]);
    assert_eq!(shop.drop_line("order-1", 2).await, OrderStatus::Canceled);
    shop.assert_sound().await;
}

async fn while_a_line_is_cancelled_the_order_stands_still(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let cancel = new_op_id();
    shop.cancel_line(cancel, "order-1", 2).await.unwrap();
    let steps = [
        OrderStatus::CancelRequested,
        OrderStatus::RefundRequested,
        OrderStatus::DeliveryPreparation,
    ];
    for to in steps {
        let status = shop.transition("order-1", to, 0).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "LINE_CANCELING");
        assert_eq!(fact(&status, "line_no"), "2");
    }
    is_illegal(
        &shop.transition("order-1", OrderStatus::Delivered, 0).await.unwrap_err(),
        "PAYMENT_SUCCESS",
    );
    shop.restore_line(new_op_id(), cancel).await.unwrap();
    // And the other way round.
    for to in [OrderStatus::RefundRequested, OrderStatus::RefundRejected] {
        shop.transition("order-1", to, 0).await.unwrap();
    }
    shop.transition("order-1", OrderStatus::CancelRequested, 0).await.unwrap();
    let status = shop.cancel_line(new_op_id(), "order-1", 2).await.unwrap_err();
    is_illegal(&status, "CANCEL_REQUESTED");
    shop.assert_sound().await;
}

async fn a_line_that_cannot_be_cancelled_is_refused_with_the_reason(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let lines = vec![line("A", 1, 100, 0), line("gift", 1, 0, 0), line("coupon", 1, 9, 9)];
    let order = InsertOrderRequest { lines, paid_minor: 100, ..paid("order-1") };
    shop.insert(order).await.unwrap();
    shop.call_discounts_old().await;
    let refused = |line_no| {
        let call = shop.cancel_line(new_op_id(), "order-1", line_no);
        async move { call.await.unwrap_err() }
    };
    is(&refused(4).await, Code::NotFound, "LINE_NOT_FOUND");
    is(&refused(0).await, Code::FailedPrecondition, "INPUT_INVALID");
    // A provider would take a cancel of nothing for a cancel of everything.
    for free in [2, 3] {
        is(&refused(free).await, Code::FailedPrecondition, "NOTHING_TO_REFUND");
    }
    shop.drop_line("order-1", 1).await;
    let status = refused(1).await;
    is(&status, Code::FailedPrecondition, "LINE_NOT_ACTIVE");
    assert_eq!(fact(&status, "state"), "CANCELED");

    shop.pending("order-2").await;
    let status = shop.cancel_line(new_op_id(), "order-2", 1).await.unwrap_err();
    is_illegal(&status, "PAYMENT_PENDING");
    let status = shop.cancel_line(new_op_id(), "order-3", 1).await.unwrap_err();
    is(&status, Code::NotFound, "ORDER_NOT_FOUND");
    shop.assert_sound().await;
}

async fn only_a_cancel_that_was_begun_is_ended(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let status = shop.finish_line(new_op_id(), new_op_id()).await.unwrap_err();
    is(&status, Code::NotFound, "LINE_CANCEL_NOT_FOUND");

    let cancel = new_op_id();
    shop.cancel_line(cancel, "order-1", 1).await.unwrap();
    let (finish, finished) = (new_op_id(), shop.finish_line(new_op_id(), cancel).await.unwrap());
    let status = shop.finish_line(finish, cancel).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "LINE_NOT_CANCELING");
    // A failed undo says so; it is not taken for done.
    let status = shop.restore_line(new_op_id(), cancel).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "LINE_NOT_CANCELING");
    assert_eq!(shop.order("order-1").await.unwrap().status_id, finished.status_id);

    let other = new_op_id();
    shop.cancel_line(other, "order-1", 2).await.unwrap();
    shop.restore_line(new_op_id(), other).await.unwrap();
    let status = shop.finish_line(new_op_id(), other).await.unwrap_err();
    is(&status, Code::NotFound, "LINE_CANCEL_NOT_FOUND");
    // An operation that is none of a line.
    let request = new_op_id();
    let whole = crate::shop::change("order-1", OrderStatus::CancelRequested);
    shop.change(request, whole).await.unwrap();
    let status = shop.restore_line(new_op_id(), request).await.unwrap_err();
    is(&status, Code::NotFound, "LINE_CANCEL_NOT_FOUND");
    shop.assert_sound().await;
}
