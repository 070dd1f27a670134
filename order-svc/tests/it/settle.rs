//! An order that was paid before it is settled, as the saga settles it; and that what was
//! undone stays undone.

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, resolve, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::order::v1::{
    CreatePendingRequest, InsertOrderRequest, LineState, OrderStatus, Settling, TransitionRequest,
};
use tonic::Code;

use crate::shop::{Shop, change, is, is_illegal, line, paid, pending};

on_both_databases!(
    s0_10_an_order_is_accepted_at_once_and_followed_by_its_status,
    an_order_can_still_be_paid_after_a_wrong_payment,
    s0_11_an_unknown_order_number_is_told_apart_from_a_wrong_state,
    s1_3_s1_4_the_amount_to_pay_is_the_order_s_own,
    d14_what_was_undone_is_never_set_to_success,
    d15_a_compensation_is_applied_once_and_its_refusal_is_told,
    d15_an_undo_that_comes_first_fences_the_change,
);

async fn s0_10_an_order_is_accepted_at_once_and_followed_by_its_status(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let (op_id, order) = (new_op_id(), pending(""));
    let made = shop.client().create_pending(with_op_id(op_id, order.clone())).await.unwrap();
    let made = made.into_inner();
    assert_eq!(shop.status(&made.order_no).await, OrderStatus::PaymentPending);
    // A client that lost the reply asks again and finds its order.
    let again = shop.client().create_pending(with_op_id(op_id, order)).await.unwrap();
    assert_eq!(again.into_inner(), made);
    let steps = [OrderStatus::PaymentConfirm, OrderStatus::PaymentSuccess];
    for to in steps {
        shop.transition(&made.order_no, to, 0).await.unwrap();
        assert_eq!(shop.status(&made.order_no).await, to);
    }
    let order = shop.order(&made.order_no).await.unwrap();
    assert_eq!(order.payment_id, "payment-1", "settled by the payment that the change named");
    shop.assert_sound().await;
}

async fn s0_11_an_unknown_order_number_is_told_apart_from_a_wrong_state(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let confirm = OrderStatus::PaymentConfirm;
    // The saga cancels the payment of an order that does not exist ..
    let status = shop.transition("order-1", confirm, 0).await.unwrap_err();
    is(&status, Code::NotFound, "ORDER_NOT_FOUND");
    // .. but not of one that somebody else is settling, or has settled.
    shop.pending("order-2").await;
    shop.transition("order-2", confirm, 0).await.unwrap();
    is_illegal(&shop.transition("order-2", confirm, 0).await.unwrap_err(), "PAYMENT_CONFIRM");
    shop.transition("order-2", OrderStatus::PaymentOutOfStock, 0).await.unwrap();
    let status = shop.transition("order-2", confirm, 0).await.unwrap_err();
    is_illegal(&status, "PAYMENT_OUT_OF_STOCK");
}

/// What is wrong with a payment says nothing about the order that was named with it.
async fn an_order_can_still_be_paid_after_a_wrong_payment(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let named = |key: &str, customer_id: &str| {
        let (provider, provider_key) = ("portone".to_owned(), key.to_owned());
        TransitionRequest {
            customer_id: customer_id.to_owned(),
            settling: Some(Settling { provider, provider_key }),
            ..change("order-1", OrderStatus::PaymentConfirm)
        }
    };
    shop.pending("order-1").await;
    for (customer_id, reason) in [("customer-2", "NOT_OWNER"), ("", "INPUT_INVALID")] {
        let status = shop.change(new_op_id(), named("imp-1", customer_id)).await.unwrap_err();
        is(&status, Code::FailedPrecondition, reason);
    }
    let status = shop.change(new_op_id(), named("", "customer-1")).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "INPUT_INVALID");
    for back in [OrderStatus::PaymentNoPaymentInfo, OrderStatus::PaymentPending] {
        let begun = new_op_id();
        shop.change(begun, named("imp-1", "customer-1")).await.unwrap();
        // Another payment is another matter than the same one twice.
        let status = shop.change(new_op_id(), named("imp-1", "customer-1")).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "SAME_PAYMENT");
        let status = shop.change(new_op_id(), named("imp-2", "customer-1")).await.unwrap_err();
        is_illegal(&status, "PAYMENT_CONFIRM");
        let undo =
            TransitionRequest { reverses_op_id: begun.to_string(), ..change("order-1", back) };
        shop.change(new_op_id(), undo).await.unwrap();
        assert_eq!(shop.status("order-1").await, back);
    }
    shop.change(new_op_id(), named("imp-2", "customer-1")).await.unwrap();
    shop.transition("order-1", OrderStatus::PaymentSuccess, 0).await.unwrap();
    let status = shop.change(new_op_id(), named("imp-2", "customer-1")).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "SAME_PAYMENT");
    let status = shop.change(new_op_id(), named("imp-1", "customer-1")).await.unwrap_err();
    is_illegal(&status, "PAYMENT_SUCCESS");
    shop.assert_sound().await;
}

async fn s1_3_s1_4_the_amount_to_pay_is_the_order_s_own(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let orders = [
        (vec![line("A", 2, 450, 0)], 900),
        (vec![line("A", 2, 450, 100), line("B", 1, 50, 50), line("A", 1, 450, 1)], 1249),
    ];
    for (index, (lines, total_minor)) in orders.into_iter().enumerate() {
        let order_no = format!("order-{index}");
        let order = CreatePendingRequest { lines, ..pending(&order_no) };
        shop.client().create_pending(with_op_id(new_op_id(), order)).await.unwrap();
        shop.call_discounts_old().await;
        let confirm = shop.transition(&order_no, OrderStatus::PaymentConfirm, 0).await.unwrap();
        assert_eq!((confirm.total_minor, confirm.currency.as_str()), (total_minor, "GBP"));
        let unnamed = TransitionRequest {
            payment_id: String::new(),
            ..change(&order_no, OrderStatus::PaymentSuccess)
        };
        let status = shop.change(new_op_id(), unnamed).await.unwrap_err();
        is(&status, Code::InvalidArgument, "FIELD_INVALID");
        shop.transition(&order_no, OrderStatus::PaymentSuccess, 0).await.unwrap();
    }
    let wrong = TransitionRequest {
        payment_id: "payment-2".to_owned(),
        ..change("order-0", OrderStatus::CancelRequested)
    };
    let status = shop.change(new_op_id(), wrong).await.unwrap_err();
    assert!(status.message().starts_with("payment_id is \"payment-2\""), "{status:?}");
    shop.assert_sound().await;
}

/// The published code sets SUCCESS although the insert failed, and after the compensation.
async fn d14_what_was_undone_is_never_set_to_success(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    // The insert was refused: there is nothing that could be set.
    let wrong = InsertOrderRequest { paid_minor: 1, ..paid("order-1") };
    is(&shop.insert(wrong).await.unwrap_err(), Code::FailedPrecondition, "TOTAL_MISMATCH");
    let status = shop.transition("order-1", OrderStatus::PaymentSuccess, 0).await.unwrap_err();
    is(&status, Code::NotFound, "ORDER_NOT_FOUND");

    // The insert was taken for failed and called off; then it arrives.
    let op_id = new_op_id();
    let fenced = resolve(&shop.channel, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(fenced, Resolution::Fenced(_)), "{fenced:?}");
    let late = shop.client().insert_order(with_op_id(op_id, paid("order-1"))).await.unwrap_err();
    is(&late, Code::FailedPrecondition, "OP_FENCED");
    is(&shop.order("order-1").await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND");

    // The check was undone; then the step that it was to lead to arrives.
    let ends = [OrderStatus::PaymentOutOfStock, OrderStatus::PaymentReturned];
    for (order_no, end) in ["order-2", "order-3"].into_iter().zip(ends) {
        shop.pending(order_no).await;
        let confirm = new_op_id();
        shop.change(confirm, change(order_no, OrderStatus::PaymentConfirm)).await.unwrap();
        let reverses_op_id = confirm.to_string();
        let undo = TransitionRequest { reverses_op_id, ..change(order_no, end) };
        shop.change(new_op_id(), undo).await.unwrap();
        let late = shop.transition(order_no, OrderStatus::PaymentSuccess, 0).await.unwrap_err();
        is(&late, Code::FailedPrecondition, "ILLEGAL_TRANSITION");
        // The repeated start is told that it was undone, and starts nothing.
        let again = shop.change(confirm, change(order_no, OrderStatus::PaymentConfirm)).await;
        is(&again.unwrap_err(), Code::FailedPrecondition, "OP_REVERSED");
        let order = shop.order(order_no).await.unwrap();
        assert_eq!((order.status(), order.payment_id.as_str()), (end, ""));
    }
    assert_eq!(shop.balance("GBP").await, 0);
    shop.assert_sound().await;
}

async fn d15_a_compensation_is_applied_once_and_its_refusal_is_told(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let (cancel, undo) = (new_op_id(), new_op_id());
    shop.cancel_line(cancel, "order-1", 1).await.unwrap();
    for _ in 0..3 {
        shop.restore_line(undo, cancel).await.unwrap();
    }
    let status = shop.restore_line(new_op_id(), cancel).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "ALREADY_REVERSED");
    // Nor does a late one undo the next cancel of the line.
    shop.cancel_line(new_op_id(), "order-1", 1).await.unwrap();
    shop.restore_line(undo, cancel).await.unwrap();
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(order.line_states().next(), Some(LineState::Canceling));

    shop.insert(paid("order-2")).await.unwrap();
    let (request, undo) = (new_op_id(), new_op_id());
    shop.change(request, change("order-2", OrderStatus::RefundRequested)).await.unwrap();
    let back = || TransitionRequest {
        reverses_op_id: request.to_string(),
        ..change("order-2", OrderStatus::RefundRejected)
    };
    let first = shop.change(undo, back()).await.unwrap();
    assert_eq!(shop.change(undo, back()).await.unwrap(), first);
    let status = shop.change(new_op_id(), back()).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "ALREADY_REVERSED");
    assert_eq!(shop.history("order-2").await.unwrap().len(), 3);
    shop.assert_sound().await;
}

async fn d15_an_undo_that_comes_first_fences_the_change(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let head = shop.insert(paid("order-1")).await.unwrap().status_id;
    let request = new_op_id();
    let back = TransitionRequest {
        reverses_op_id: request.to_string(),
        ..change("order-1", OrderStatus::CancelRejected)
    };
    assert_eq!(shop.change(new_op_id(), back).await.unwrap().status_id, 0, "nothing to undo");
    let late = shop.change(request, change("order-1", OrderStatus::CancelRequested)).await;
    is(&late.unwrap_err(), Code::FailedPrecondition, "OP_FENCED");

    let cancel = new_op_id();
    assert_eq!(shop.restore_line(new_op_id(), cancel).await.unwrap().line_no, 0);
    let late = shop.cancel_line(cancel, "order-1", 1).await.unwrap_err();
    is(&late, Code::FailedPrecondition, "OP_FENCED");
    let order = shop.order("order-1").await.unwrap();
    assert_eq!((order.status_id, order.line_states().next()), (head, Some(LineState::Active)));
    shop.assert_sound().await;
}
