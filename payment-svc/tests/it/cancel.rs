//! Cancel, by itself and as the compensation of a Confirm.

use payment_svc::simulator::{Fault, FaultScript};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};
use serde_json::json;
use shop_proto::payment::v1::{CancelRequest, PaymentStatus, cancel_request};
use tonic::Code;

use crate::{
    bank::decline,
    shop::{Shop, is, refusal, request},
};

on_both_databases!(
    a_cancel_twice_gives_the_money_back_once,
    a_cancel_is_judged_by_the_balance,
    already_cancelled_to_the_wanted_balance_is_success,
    a_cancel_before_its_confirm_fences_it,
    an_undo_of_an_unknown_confirm_settles_it_first,
    an_undo_of_a_confirm_that_was_lost_on_its_way_leaves_no_money,
    d9_f78_the_outcome_of_a_cancel_may_be_unknown_and_is_never_dropped,
    d9_f78_a_refused_cancel_tells_the_providers_code,
    a_passing_error_does_not_keep_the_money_for_ever,
    two_cancels_at_once_wait_for_one_another,
    what_was_not_captured_cannot_be_given_back,
    money_that_somebody_else_gave_back_is_in_the_books,
    a_cancel_names_one_payment,
    nothing_to_return_is_not_the_whole_balance,
);

async fn paid(scratch: Scratch, cancel: Vec<Fault>) -> (Shop, uuid::Uuid) {
    let shop = Shop::open(scratch).await;
    let faults = FaultScript { cancel, ..FaultScript::default() };
    shop.bank.buyer_with("pay-1", "order-1", 700, faults).await;
    let op_id = new_op_id();
    shop.confirm(op_id, &request("pay-1", "order-1", 700)).await.unwrap();
    (shop, op_id)
}

/// What coupons cover costs nothing, and no amount means all of a payment.
async fn nothing_to_return_is_not_the_whole_balance(scratch: Scratch) {
    let (shop, _) = paid(scratch, vec![]).await;
    let payment_id = shop.payment("order-1").await.unwrap().payment_id;
    for payment_id in [payment_id, String::new()] {
        let nothing = CancelRequest {
            payment: Some(cancel_request::Payment::PaymentId(payment_id)),
            nothing_to_return: true,
            ..CancelRequest::default()
        };
        let done = shop.cancel_as(new_op_id(), nothing.clone()).await.unwrap();
        assert_eq!((done.cancelled_minor, done.balance_minor), (0, 0));
        let some = CancelRequest { amount_minor: 1, ..nothing };
        let wrong = shop.cancel_as(new_op_id(), some).await.unwrap_err();
        assert_eq!(wrong.code(), Code::InvalidArgument);
    }
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn a_cancel_twice_gives_the_money_back_once(scratch: Scratch) {
    let (shop, confirm_id) = paid(scratch, Vec::new()).await;
    let op_id = new_op_id();
    let first = shop.undo(op_id, confirm_id).await.unwrap();
    assert_eq!((first.cancelled_minor, first.balance_minor), (700, 0));
    assert_eq!(shop.undo(op_id, confirm_id).await.unwrap(), first);
    let second = shop.undo(new_op_id(), confirm_id).await;
    assert_eq!(refusal(second), is(Code::FailedPrecondition, "ALREADY_REVERSED"));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Cancelled);
    shop.assert_books_agree().await;
}

async fn a_cancel_is_judged_by_the_balance(scratch: Scratch) {
    let (shop, _) = paid(scratch, Vec::new()).await;
    let part = shop.cancel(new_op_id(), "pay-1", 300).await.unwrap();
    assert_eq!((part.cancelled_minor, part.balance_minor), (300, 400));
    assert_eq!(shop.status("order-1").await, PaymentStatus::PartiallyCancelled);

    let too_much = shop.cancel(new_op_id(), "pay-1", 401).await;
    assert_eq!(refusal(too_much), is(Code::FailedPrecondition, "AMOUNT_EXCEEDS_BALANCE"));
    // The provider calls this one PARTIAL_CANCELED too; the balance says it all.
    let rest = shop.cancel(new_op_id(), "pay-1", 0).await.unwrap();
    assert_eq!((rest.cancelled_minor, rest.balance_minor), (400, 0));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Cancelled);
    assert_eq!(shop.bank.show("pay-1").await.1["status"], json!("PARTIAL_CANCELED"));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}

async fn already_cancelled_to_the_wanted_balance_is_success(scratch: Scratch) {
    let (shop, confirm_id) = paid(scratch, Vec::new()).await;
    shop.cancel(new_op_id(), "pay-1", 0).await.unwrap();
    for undone in [
        shop.cancel(new_op_id(), "pay-1", 0).await.unwrap(),
        shop.undo(new_op_id(), confirm_id).await.unwrap(),
    ] {
        assert_eq!((undone.cancelled_minor, undone.balance_minor), (0, 0));
    }
    let more = shop.cancel(new_op_id(), "pay-1", 1).await;
    assert_eq!(refusal(more), is(Code::FailedPrecondition, "AMOUNT_EXCEEDS_BALANCE"));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}

async fn a_cancel_before_its_confirm_fences_it(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    let confirm_id = new_op_id();
    let undone = shop.undo(new_op_id(), confirm_id).await.unwrap();
    assert_eq!((undone.payment_id.as_str(), undone.cancelled_minor), ("", 0));
    let late = shop.confirm(confirm_id, &request("pay-1", "order-1", 700)).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "OP_FENCED"));
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
    shop.assert_books_agree().await;
}

async fn an_undo_of_an_unknown_confirm_settles_it_first(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let faults = FaultScript {
        confirm: vec![Fault::DropAfterCommit],
        look_up: vec![Fault::DropBeforeCommit],
        ..FaultScript::default()
    };
    shop.bank.buyer_with("pay-1", "order-1", 700, faults).await;
    let confirm_id = new_op_id();
    shop.confirm(confirm_id, &request("pay-1", "order-1", 700)).await.unwrap_err();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));

    let undone = shop.undo(new_op_id(), confirm_id).await.unwrap();
    assert_eq!((undone.cancelled_minor, undone.balance_minor), (700, 0));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}

async fn an_undo_of_a_confirm_that_was_lost_on_its_way_leaves_no_money(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let drops = vec![Fault::DropBeforeCommit; 3];
    let faults = FaultScript { confirm: drops, ..FaultScript::default() };
    shop.bank.buyer_with("pay-1", "order-1", 700, faults).await;
    let (confirm_id, undo_id) = (new_op_id(), new_op_id());
    shop.confirm(confirm_id, &request("pay-1", "order-1", 700)).await.unwrap_err();

    // While nobody knows, the undo neither succeeds nor is refused.
    for _ in 0..2 {
        let asked = shop.undo(undo_id, confirm_id).await;
        assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    }
    shop.undo(undo_id, confirm_id).await.unwrap();
    let (captured, cancelled, _) = shop.bank.money("order-1").await;
    assert_eq!(captured, cancelled);
    assert_eq!(shop.bank.fired("drop_before_commit").await, 3);
    shop.assert_books_agree().await;
}

async fn d9_f78_the_outcome_of_a_cancel_may_be_unknown_and_is_never_dropped(scratch: Scratch) {
    let faults = vec![
        Fault::DropBeforeCommit,
        Fault::ErrorBefore { status: 503 },
        Fault::Conflict409,
        Fault::DropAfterCommit,
    ];
    let (shop, confirm_id) = paid(scratch, faults).await;
    let op_id = new_op_id();
    for _ in 0..3 {
        let asked = shop.undo(op_id, confirm_id).await;
        assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
        assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    }
    let done = shop.undo(op_id, confirm_id).await.unwrap();
    assert_eq!((done.cancelled_minor, done.balance_minor), (700, 0));
    assert_eq!(shop.undo(op_id, confirm_id).await.unwrap(), done);
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    assert_eq!(shop.bank.simulator.faults_fired().await.unwrap().len(), 4);
    shop.assert_books_agree().await;
}

async fn d9_f78_a_refused_cancel_tells_the_providers_code(scratch: Scratch) {
    let (shop, _) = paid(scratch, vec![decline("NOT_CANCELABLE_PAYMENT")]).await;
    let op_id = new_op_id();
    let refused = shop.cancel(op_id, "pay-1", 0).await.unwrap_err();
    assert!(refused.message().contains("NOT_CANCELABLE_PAYMENT"), "{refused}");
    assert_eq!(refusal::<()>(Err(refused)), is(Code::FailedPrecondition, "NOT_CANCELABLE"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Completed);
    // A later one, under an id of its own, may do better.
    shop.cancel(new_op_id(), "pay-1", 0).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}

async fn a_passing_error_does_not_keep_the_money_for_ever(scratch: Scratch) {
    let (shop, confirm_id) = paid(scratch, vec![decline("PROVIDER_ERROR"); 2]).await;
    let done = shop.undo(new_op_id(), confirm_id).await.unwrap();
    assert_eq!((done.cancelled_minor, done.balance_minor), (700, 0));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    assert_eq!(shop.bank.fired("decline").await, 2);
}

async fn two_cancels_at_once_wait_for_one_another(scratch: Scratch) {
    let (shop, _) = paid(scratch, vec![Fault::DropAfterCommit]).await;
    let look_up = vec![Fault::DropBeforeCommit];
    shop.bank
        .simulator
        .plan_faults(FaultScript { look_up, ..FaultScript::default() })
        .await
        .unwrap();
    let (first, second) = (new_op_id(), new_op_id());
    let asked = shop.cancel(first, "pay-1", 200).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    let asked = shop.cancel(second, "pay-1", 200).await;
    assert_eq!(refusal(asked), is(Code::Aborted, "PAYMENT_IN_PROGRESS"));

    assert_eq!(shop.cancel(first, "pay-1", 200).await.unwrap().balance_minor, 500);
    assert_eq!(shop.cancel(second, "pay-1", 200).await.unwrap().balance_minor, 300);
    assert_eq!(shop.bank.money("order-1").await, (700, 400, 1));
    shop.assert_books_agree().await;
}

async fn what_was_not_captured_cannot_be_given_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let nothing = shop.cancel(new_op_id(), "pay-1", 0).await;
    assert_eq!(refusal(nothing), is(Code::NotFound, "PAYMENT_NOT_FOUND"));

    let payment_id = shop.prepare(new_op_id(), "order-1", 700).await.unwrap();
    let prepared = CancelRequest {
        payment: Some(cancel_request::Payment::PaymentId(payment_id)),
        ..CancelRequest::default()
    };
    let prepared = saga_participant::testkit::with_op_id(new_op_id(), prepared);
    let asked = shop.participant.perform(prepared).await;
    assert_eq!(refusal(asked), is(Code::FailedPrecondition, "NOT_CANCELABLE"));

    // While a confirm is not settled, nobody can say what there is to give back.
    let faults = FaultScript { confirm: vec![Fault::DropBeforeCommit], ..FaultScript::default() };
    shop.bank.buyer_with("pay-1", "order-1", 700, faults).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap_err();
    let asked = shop.cancel(new_op_id(), "pay-1", 0).await;
    assert_eq!(refusal(asked), is(Code::Aborted, "PAYMENT_IN_PROGRESS"));
}

async fn money_that_somebody_else_gave_back_is_in_the_books(scratch: Scratch) {
    let (shop, confirm_id) = paid(scratch, Vec::new()).await;
    let by_hand = json!({ "cancelReason": "by hand", "cancelAmount": 100 });
    shop.bank.cancel("by hand", "pay-1", by_hand).await;
    let undone = shop.undo(new_op_id(), confirm_id).await.unwrap();
    assert_eq!(undone.balance_minor, 0);
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}

async fn a_cancel_names_one_payment(scratch: Scratch) {
    let (shop, confirm_id) = paid(scratch, Vec::new()).await;
    shop.bank.buyer("pay-2", "order-2", 5).await;
    shop.confirm(new_op_id(), &request("pay-2", "order-2", 5)).await.unwrap();
    let wrong = CancelRequest {
        payment: Some(cancel_request::Payment::ProviderKey("pay-2".to_owned())),
        reverses_op_id: confirm_id.to_string(),
        ..CancelRequest::default()
    };
    // An operation that is no Confirm cannot be undone by giving money back.
    let prepare_id = new_op_id();
    shop.prepare(prepare_id, "order-3", 5).await.unwrap();
    let no_confirm = CancelRequest { reverses_op_id: prepare_id.to_string(), ..wrong.clone() };
    for request in [wrong, no_confirm, CancelRequest::default()] {
        let request = saga_participant::testkit::with_op_id(new_op_id(), request);
        let asked = shop.participant.perform(request).await;
        assert_eq!(refusal(asked), is(Code::InvalidArgument, "FIELD_INVALID"));
    }
    assert_eq!(shop.bank.money("order-2").await, (5, 0, 1));
}
