//! A whole order cancelled or taken back, as the sagas do it.

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};
use shop_proto::order::v1::{
    ActiveLine, DeliveryState, InsertOrderRequest, LineState, OrderLine, OrderStatus,
    TransitionRequest, TransitionResponse,
};
use tonic::Code;

use crate::shop::{Shop, change, fact, is, is_illegal, line, paid};

on_both_databases!(
    s1_8_a_whole_order_is_cancelled_by_its_owner_with_all_its_lines,
    s1_9_a_cancelled_order_has_its_delivery_cancelled,
    a_cancel_that_is_taken_back_leaves_the_order_as_it_was,
    an_undo_touches_no_change_but_its_own,
    a_refund_is_completed_or_rejected_and_the_lines_stay,
    an_order_knows_the_credit_that_it_grants,
);

const A: i64 = 1;

async fn s1_8_a_whole_order_is_cancelled_by_its_owner_with_all_its_lines(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let head = shop.insert(paid("order-1")).await.unwrap().status_id;
    let by = |customer_id: &str| TransitionRequest {
        customer_id: customer_id.to_owned(),
        ..change("order-1", OrderStatus::CancelRequested)
    };
    let status = shop.change(new_op_id(), by("customer-2")).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "NOT_OWNER");
    for to in [OrderStatus::CancelRequested, OrderStatus::RefundRequested] {
        let nobody = TransitionRequest { to: to.into(), ..by("") };
        let status = shop.change(new_op_id(), nobody).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "INPUT_INVALID");
        assert_eq!(fact(&status, "field"), "customer_id");
    }
    assert_eq!(shop.order("order-1").await.unwrap().status_id, head);

    let requested = shop.change(new_op_id(), by("customer-1")).await.unwrap();
    let active = |line_no, item_id: &str, qty, price_minor| {
        let item_id = item_id.to_owned();
        ActiveLine { line_no, item_id, qty, price_minor, credits: 0 }
    };
    assert_eq!(
        requested,
        TransitionResponse {
            status_id: requested.status_id,
            from: OrderStatus::PaymentSuccess.into(),
            order_no: "order-1".to_owned(),
            customer_id: "customer-1".to_owned(),
            payment_id: "payment-1".to_owned(),
            currency: "GBP".to_owned(),
            total_minor: 800,
            balance_minor: 800,
            active_lines: vec![active(1, "A", 3, 250), active(2, "B", 1, 50)],
            credits: 0,
            credit_account: String::new(),
            goods_minor: 800,
        }
    );
    assert_eq!(shop.balance("GBP").await, 800, "the money is still there");

    let canceled = shop.transition("order-1", OrderStatus::Canceled, 0).await.unwrap();
    assert_eq!((canceled.balance_minor, canceled.active_lines), (0, Vec::new()));
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(order.status(), OrderStatus::Canceled);
    assert_eq!(order.line_states().collect::<Vec<_>>(), [LineState::Canceled; 2]);
    assert_eq!((order.total_minor, order.balance_minor), (800, 0));
    assert_eq!(shop.balance("GBP").await, 0);
    is_illegal(&shop.cancel_line(new_op_id(), "order-1", A).await.unwrap_err(), "CANCELED");
    shop.assert_sound().await;
}

async fn s1_9_a_cancelled_order_has_its_delivery_cancelled(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let delivery = |order_no: &'static str| {
        let order = shop.order(order_no);
        async move { order.await.unwrap().delivery() }
    };
    for order_no in ["order-1", "order-2", "order-3"] {
        shop.insert(paid(order_no)).await.unwrap();
        assert_eq!(delivery(order_no).await, DeliveryState::Unspecified);
        shop.transition(order_no, OrderStatus::DeliveryPreparation, 0).await.unwrap();
        assert_eq!(delivery(order_no).await, DeliveryState::Preparing);
    }
    shop.transition("order-1", OrderStatus::CancelRequested, 0).await.unwrap();
    assert_eq!(delivery("order-1").await, DeliveryState::Preparing, "it may be rejected");
    // But it cannot leave the house meanwhile.
    let status = shop.transition("order-1", OrderStatus::Delivered, 0).await.unwrap_err();
    is_illegal(&status, "CANCEL_REQUESTED");
    shop.transition("order-1", OrderStatus::Canceled, 0).await.unwrap();
    assert_eq!(delivery("order-1").await, DeliveryState::Canceled);

    // With one line less it is another delivery.
    shop.drop_line("order-2", A).await;
    assert_eq!(delivery("order-2").await, DeliveryState::Canceled);
    shop.transition("order-2", OrderStatus::DeliveryPreparation, 0).await.unwrap();
    assert_eq!(delivery("order-2").await, DeliveryState::Preparing);

    shop.transition("order-3", OrderStatus::Delivered, 0).await.unwrap();
    assert_eq!(delivery("order-3").await, DeliveryState::Delivered);
    let status = shop.transition("order-3", OrderStatus::CancelRequested, 0).await.unwrap_err();
    is_illegal(&status, "DELIVERED");
    is_illegal(&shop.cancel_line(new_op_id(), "order-3", A).await.unwrap_err(), "DELIVERED");
    shop.assert_sound().await;
}

async fn a_cancel_that_is_taken_back_leaves_the_order_as_it_was(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    shop.drop_line("order-1", 2).await;
    let request = new_op_id();
    let requested = change("order-1", OrderStatus::CancelRequested);
    assert_eq!(shop.change(request, requested).await.unwrap().balance_minor, 750);
    let back = TransitionRequest {
        reverses_op_id: request.to_string(),
        ..change("order-1", OrderStatus::CancelRejected)
    };
    let rejected = shop.change(new_op_id(), back).await.unwrap();
    assert_eq!(rejected.from(), OrderStatus::CancelRequested);
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(order.status(), OrderStatus::CancelRejected);
    assert_eq!(order.counts_as(), OrderStatus::PartiallyCanceled);
    assert_eq!(order.line_states().collect::<Vec<_>>(), [LineState::Active, LineState::Canceled]);
    // What was legal before is legal again; the same request, too.
    shop.transition("order-1", OrderStatus::CancelRequested, 0).await.unwrap();
    shop.transition("order-1", OrderStatus::Canceled, 0).await.unwrap();
    shop.assert_sound().await;
}

async fn an_undo_touches_no_change_but_its_own(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let (first, second) = (new_op_id(), new_op_id());
    let back = |original: uuid::Uuid| TransitionRequest {
        reverses_op_id: original.to_string(),
        ..change("order-1", OrderStatus::CancelRejected)
    };
    let request = || change("order-1", OrderStatus::CancelRequested);
    shop.change(first, request()).await.unwrap();
    // An operator was faster, and somebody asked again.
    shop.transition("order-1", OrderStatus::CancelRejected, 0).await.unwrap();
    let head = shop.change(second, request()).await.unwrap().status_id;
    let status = shop.change(new_op_id(), back(first)).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "LOST_RACE");
    assert_eq!(fact(&status, "head"), head.to_string());
    shop.change(new_op_id(), back(second)).await.unwrap();
    shop.assert_sound().await;
}

async fn a_refund_is_completed_or_rejected_and_the_lines_stay(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for order_no in ["order-1", "order-2"] {
        shop.insert(paid(order_no)).await.unwrap();
        let asked = shop.transition(order_no, OrderStatus::RefundRequested, 0).await.unwrap();
        assert_eq!((asked.payment_id.as_str(), asked.active_lines.len()), ("payment-1", 2));
        let status = shop.transition(order_no, OrderStatus::DeliveryPreparation, 0).await;
        is_illegal(&status.unwrap_err(), "REFUND_REQUESTED");
    }
    shop.transition("order-1", OrderStatus::RefundCompleted, 0).await.unwrap();
    shop.transition("order-2", OrderStatus::RefundRejected, 0).await.unwrap();
    let refunded = shop.order("order-1").await.unwrap();
    assert_eq!(refunded.line_states().collect::<Vec<_>>(), [LineState::Active; 2]);
    assert_eq!(shop.balance("GBP").await, 800, "one of the two was refunded");
    shop.transition("order-2", OrderStatus::DeliveryPreparation, 0).await.unwrap();
    shop.assert_sound().await;
}

async fn an_order_knows_the_credit_that_it_grants(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let batteries = OrderLine { credits: 6, ..line("battery", 1, 700, 0) };
    let order = InsertOrderRequest {
        lines: vec![batteries, line("B", 1, 100, 0)],
        credit_account: "wallet-1".to_owned(),
        ..paid("order-1")
    };
    let anonymous = InsertOrderRequest { credit_account: String::new(), ..order.clone() };
    let status = shop.insert(anonymous).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "INPUT_INVALID");
    assert!(status.message().starts_with("credit_account is \"\""), "{status:?}");

    assert_eq!(shop.insert(order).await.unwrap().credits, 6);
    assert_eq!(shop.order("order-1").await.unwrap().credit_account, "wallet-1");
    let (cancel, back) = (new_op_id(), new_op_id());
    let canceling = shop.cancel_line(cancel, "order-1", 1).await.unwrap();
    assert_eq!((canceling.credits, canceling.credit_account.as_str()), (6, "wallet-1"));
    shop.restore_line(back, cancel).await.unwrap();
    let other = shop.cancel_line(new_op_id(), "order-1", 2).await.unwrap();
    assert_eq!(other.credits, 0);

    // Credits of one payment are revoked together, so two such lines go together.
    let batteries = OrderLine { credits: 6, ..line("battery", 1, 400, 0) };
    let order = InsertOrderRequest {
        lines: vec![batteries; 2],
        credit_account: "wallet-1".to_owned(),
        ..paid("order-3")
    };
    assert_eq!(shop.insert(order).await.unwrap().credits, 12);
    let status = shop.cancel_line(new_op_id(), "order-3", 1).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "CREDITS_NOT_SEPARABLE");
    let asked = shop.transition("order-3", OrderStatus::CancelRequested, 0).await.unwrap();
    assert_eq!((asked.credits, asked.credit_account.as_str()), (12, "wallet-1"));

    let order = InsertOrderRequest { order_no: "order-2".to_owned(), ..paid("") };
    assert_eq!(shop.insert(order).await.unwrap().credits, 0);
    let asked = shop.transition("order-2", OrderStatus::CancelRequested, 0).await.unwrap();
    assert_eq!((asked.credits, asked.credit_account.as_str()), (0, ""));
    shop.assert_sound().await;
}
