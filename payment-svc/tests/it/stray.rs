//! Cancel of payments that our tables do not know.

use payment_svc::simulator::{Fault, FaultScript, Stage};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::payment::v1::{CancelRequest, CancelResponse, PaymentStatus, cancel_request};
use tonic::Code;

use crate::{
    bank::{charge, decline},
    shop::{Shop, is, paid, refusal, request, within},
};

on_both_databases!(
    s0_11_a_payment_for_an_order_that_nobody_knows_goes_back,
    a_client_cannot_give_back_what_was_paid_for_another_order,
    where_there_is_nothing_to_give_back_the_goal_is_reached,
    without_an_order_what_is_not_there_is_refused,
    what_cannot_be_a_payment_has_nothing_to_give_back,
    a_payment_that_is_named_with_no_order_was_paid_for_none,
    the_same_key_at_another_provider_is_the_orders_own_payment,
    a_provider_that_the_shop_does_not_have_is_refused_and_holds_nothing,
    d9_f78_the_outcome_for_a_stray_may_be_unknown_and_is_never_dropped,
    d7_a_payment_that_went_back_as_a_stray_settles_no_order,
    d7_of_a_verification_and_a_cancel_of_a_stray_at_once_one_has_the_money,
);

fn of(provider: &str, provider_key: &str, order_no: &str) -> CancelRequest {
    CancelRequest {
        payment: Some(cancel_request::Payment::ProviderKey(provider_key.to_owned())),
        provider: provider.to_owned(),
        order_no: order_no.to_owned(),
        any_order: order_no.is_empty(),
        ..CancelRequest::default()
    }
}

async fn s0_11_a_payment_for_an_order_that_nobody_knows_goes_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.bank.buyer("pay-2", "order-2", 500).await;
    shop.bank.confirm("another program", &charge("pay-2", "order-2", 500)).await;
    for (it, order_no, minor) in [
        (of("portone", "imp-1", "order-1"), "order-1", 700),
        (of("toss", "pay-2", "order-2"), "order-2", 500),
    ] {
        let op_id = new_op_id();
        let back = shop.cancel_as(op_id, it.clone()).await.unwrap();
        let expected =
            CancelResponse { payment_id: String::new(), cancelled_minor: minor, balance_minor: 0 };
        assert_eq!(back, expected);
        // The same for ever, and by another operation too.
        assert_eq!(shop.cancel_as(op_id, it.clone()).await.unwrap(), back);
        assert_eq!(shop.cancel_as(new_op_id(), it).await.unwrap(), back);
        assert_eq!(shop.bank.money(order_no).await, (minor, minor, 1));
    }
    shop.assert_books_agree().await;
}

async fn a_client_cannot_give_back_what_was_paid_for_another_order(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let nothing = CancelResponse::default();
    let it = of("portone", "imp-1", "order-of-a-thief");
    assert_eq!(shop.cancel_as(new_op_id(), it.clone()).await.unwrap(), nothing);
    shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await.unwrap();
    assert_eq!(shop.cancel_as(new_op_id(), it).await.unwrap(), nothing);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn where_there_is_nothing_to_give_back_the_goal_is_reached(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("imp-open", "order-open", 700).await;
    for (key, order_no) in [("imp-none", "order-none"), ("imp-open", "order-open")] {
        let done = shop.cancel_as(new_op_id(), of("portone", key, order_no)).await.unwrap();
        assert_eq!(done, CancelResponse::default());
    }
    // "Nothing" was no promise: the buyer pays, and the order is settled.
    assert!(shop.bank.simulator.buyer_pays("imp-open").await.unwrap());
    shop.verify(new_op_id(), &paid("imp-open", "order-open", 700)).await.unwrap();
    shop.assert_books_agree().await;
}

async fn without_an_order_what_is_not_there_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("imp-open", "order-open", 700).await;
    let none = shop.cancel_as(new_op_id(), of("portone", "imp-none", "")).await;
    assert_eq!(refusal(none), is(Code::NotFound, "PAYMENT_NOT_FOUND"));
    let open = shop.cancel_as(new_op_id(), of("portone", "imp-open", "")).await;
    assert_eq!(refusal(open), is(Code::FailedPrecondition, "NOT_CANCELABLE"));

    let cancel = vec![decline("the issuer is closed")];
    let script = FaultScript { cancel, ..FaultScript::default() };
    shop.bank.buyer_at(Stage::Paid, "imp-1", "order-1", 700, script).await;
    let refused = shop.cancel_as(new_op_id(), of("portone", "imp-1", "")).await.unwrap_err();
    assert!(refused.message().contains("the issuer is closed"), "{refused}");
    assert_eq!(refusal::<()>(Err(refused)), is(Code::FailedPrecondition, "NOT_CANCELABLE"));
    assert_eq!(shop.audit().await.violations, Vec::<String>::new());
}

async fn what_cannot_be_a_payment_has_nothing_to_give_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    // A customer's words, in a step that gives back what he brought along.
    for it in [
        of("nobody", "imp-1", "order-1"),
        of("portone", "..", "order-1"),
        of("portone", "", "order-1"),
        of("portone", &"k".repeat(201), "order-1"),
        of("portone", "imp-1", "no"),
    ] {
        let asked = shop.cancel_as(new_op_id(), it).await;
        assert_eq!(asked.unwrap(), CancelResponse::default());
    }
    let part = CancelRequest { amount_minor: 5, ..of("portone", "imp-1", "order-1") };
    let asked = shop.cancel_as(new_op_id(), part).await;
    assert_eq!(refusal(asked), is(Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
}

/// Whoever starts a saga may leave the order's number empty, and know somebody's key.
async fn a_payment_that_is_named_with_no_order_was_paid_for_none(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.bank.buyer("pay-2", "order-2", 500).await;
    shop.bank.payer("imp-3", "order-3", 300).await;
    shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await.unwrap();
    shop.confirm(new_op_id(), &request("pay-2", "order-2", 500)).await.unwrap();
    for (provider, key) in [("portone", "imp-1"), ("toss", "pay-2"), ("portone", "imp-3")] {
        let nobodys = CancelRequest { any_order: false, ..of(provider, key, "") };
        let asked = shop.cancel_as(new_op_id(), nobodys).await;
        assert_eq!(asked.unwrap(), CancelResponse::default(), "{key}");
    }
    for (order_no, held_minor) in [("order-1", 700), ("order-2", 500), ("order-3", 300)] {
        assert_eq!(shop.bank.money(order_no).await, (held_minor, 0, 1));
    }
    // Somebody at the shop who has looked says so.
    shop.cancel_as(new_op_id(), of("portone", "imp-3", "")).await.unwrap();
    assert_eq!(shop.bank.money("order-3").await, (300, 300, 1));
    shop.assert_books_agree().await;
}

/// The simulator shows one book by both wires, as two names of one contract may.
async fn the_same_key_at_another_provider_is_the_orders_own_payment(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await.unwrap();
    let asked = shop.cancel_as(new_op_id(), of("toss", "imp-1", "order-1")).await;
    assert_eq!(asked.unwrap(), CancelResponse::default());
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn a_provider_that_the_shop_does_not_have_is_refused_and_holds_nothing(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let toss_alone = shop.with_toss_alone();
    let (op_id, it) = (new_op_id(), paid("imp-1", "order-1", 700));
    for _ in 0..2 {
        let asked = toss_alone.perform(with_op_id(op_id, it.clone())).await.unwrap_err();
        assert_eq!(refusal::<()>(Err(asked)), is(Code::FailedPrecondition, "PROVIDER_NOT_TAKEN"));
    }
    let offered = of("portone", "imp-1", "order-1");
    let back = toss_alone.perform(with_op_id(new_op_id(), offered.clone())).await.unwrap();
    assert_eq!(back.into_inner(), CancelResponse::default());

    // What it may have been asked for before says nothing of what a client knows.
    let look_up = vec![Fault::ErrorBefore { status: 500 }];
    let script = FaultScript { look_up, ..FaultScript::default() };
    shop.bank.buyer_at(Stage::Paid, "imp-3", "order-3", 700, script).await;
    let (open, third) = (new_op_id(), paid("imp-3", "order-3", 700));
    let asked = shop.verify(open, &third).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    let asked = toss_alone.perform(with_op_id(open, third.clone())).await.unwrap_err();
    assert_eq!(refusal::<()>(Err(asked)), is(Code::Unavailable, "PROVIDER_CONFIGURATION"));
    shop.verify(open, &third).await.unwrap();

    // Where there was money by it, it is a gap in the configuration, and nothing is decided.
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.verify(new_op_id(), &it).await.unwrap();
    let later = of("portone", "imp-2", "order-2");
    let asked = toss_alone.perform(with_op_id(new_op_id(), later)).await.unwrap_err();
    assert_eq!(refusal::<()>(Err(asked)), is(Code::Unavailable, "PROVIDER_CONFIGURATION"));
    shop.assert_books_agree().await;
}

async fn d9_f78_the_outcome_for_a_stray_may_be_unknown_and_is_never_dropped(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let script = FaultScript {
        // By key, and where it is judged after the cancel.
        look_up: vec![Fault::ErrorBefore { status: 500 }],
        cancel: vec![
            Fault::DropBeforeCommit,
            Fault::Conflict409,
            Fault::ErrorAfter { status: 502 },
        ],
        ..FaultScript::default()
    };
    shop.bank.buyer_at(Stage::Paid, "imp-1", "order-1", 700, script).await;
    let (op_id, it) = (new_op_id(), of("portone", "imp-1", "order-1"));
    for _ in 0..3 {
        let asked = shop.cancel_as(op_id, it.clone()).await;
        assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
        assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
        // Neither another cancel nor an order gets between.
        let other = shop.cancel_as(new_op_id(), it.clone()).await;
        assert_eq!(refusal(other), is(Code::Aborted, "PAYMENT_IN_PROGRESS"));
        let taken = shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await;
        assert_eq!(refusal(taken), is(Code::Aborted, "PAYMENT_IN_PROGRESS"));
    }
    let back = shop.cancel_as(op_id, it).await.unwrap();
    assert_eq!((back.cancelled_minor, back.balance_minor), (700, 0));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    let fired: u64 = shop.bank.simulator.faults_fired().await.unwrap().values().sum();
    assert_eq!(fired, 4);
    shop.assert_books_agree().await;
}

async fn d7_a_payment_that_went_back_as_a_stray_settles_no_order(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.cancel_as(new_op_id(), of("portone", "imp-1", "order-1")).await.unwrap();
    let asked = shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await;
    assert_eq!(refusal(asked), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
    shop.assert_books_agree().await;
}

/// Whichever comes first, the other one sees it: by the lock on the provider's key, because
/// at first there is no row that both could wait for.
async fn d7_of_a_verification_and_a_cancel_of_a_stray_at_once_one_has_the_money(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for round in 0..24 {
        let (key, order_no) = (format!("imp-{round}"), format!("order-{round}"));
        shop.bank.payer(&key, &order_no, 700).await;
        let (verify_id, cancel_id) = (new_op_id(), new_op_id());
        let order = paid(&key, &order_no, 700);
        let verifying = async {
            loop {
                match shop.verify(verify_id, &order).await {
                    Err(status) if status.code() == Code::Aborted => tokio::task::yield_now().await,
                    ended => return ended,
                }
            }
        };
        let cancelling = async {
            loop {
                match shop.cancel_paid(cancel_id, &key, &order_no).await {
                    Err(status) if status.code() == Code::Aborted => tokio::task::yield_now().await,
                    ended => return ended,
                }
            }
        };
        let (verified, cancelled) =
            Box::pin(within(async { tokio::join!(verifying, cancelling) })).await;
        let cancelled_minor = cancelled.unwrap().cancelled_minor;
        if verified.is_err() {
            let used = is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED");
            assert_eq!((refusal(verified), cancelled_minor), (used, 700));
        } else {
            // It settles the order: it does not go back without the settling.
            assert_eq!(shop.status(&order_no).await, PaymentStatus::Completed);
            assert_eq!(cancelled_minor, 0);
        }
        assert_eq!(shop.bank.money(&order_no).await, (700, cancelled_minor, 1));
    }
    shop.assert_books_agree().await;
}
