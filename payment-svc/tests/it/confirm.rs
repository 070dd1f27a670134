//! Prepare and Confirm.

use payment_svc::simulator::{DuplicateOrders, Fault, FaultScript, SimulatorConfig};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::payment::v1::PaymentStatus;
use tonic::Code;

use crate::{
    bank::{Bank, charge, decline, on_confirm},
    shop::{Shop, is, refusal, request, service_at, within},
};

on_both_databases!(
    a_confirm_captures_once_and_is_answered_the_same_for_ever,
    s4_1_s4_2_the_confirmed_amount_is_the_prepared_one,
    s4_2_a_declined_card_does_not_change_the_price,
    d5_what_the_buyer_agreed_to_pay_must_be_the_servers_price,
    d7_one_payment_of_the_provider_settles_one_order,
    d7_a_payment_that_another_order_settled_at_the_provider_is_refused,
    s4_4_parallel_confirms_of_one_payment_capture_once,
    s4_4_parallel_confirms_of_one_operation_capture_once,
    an_order_with_two_payments_is_paid_once,
    f72_s4_6_s4_7_a_confirm_that_is_already_processed_succeeds,
    s0_15_d6_a_network_error_is_unknown_and_never_no_payment,
    f74_a_lost_reply_after_the_capture_is_success_in_the_end,
    f74_an_inquiry_settles_a_lost_reply,
    a_decline_is_recorded_and_repeated_without_the_provider,
    a_payment_that_took_no_money_may_be_tried_again,
    a_wrong_key_parks_the_operation_and_a_right_one_goes_on,
    s0_13_a_payment_that_is_not_there_is_refused,
);

async fn a_confirm_captures_once_and_is_answered_the_same_for_ever(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    let first = shop.confirm(op_id, &it).await.unwrap();
    assert_eq!((first.amount_minor, first.provider_key.as_str()), (700, "pay-1"));
    assert!(1_700_000_000 < first.approved_at.unwrap().seconds);
    for _ in 0..3 {
        assert_eq!(shop.confirm(op_id, &it).await.unwrap(), first);
    }
    let seen = shop.payment("order-1").await.unwrap();
    assert_eq!((seen.status(), seen.balance_minor), (PaymentStatus::Completed, 700));
    assert_eq!(seen.payment_id, first.payment_id);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn s4_1_s4_2_the_confirmed_amount_is_the_prepared_one(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let payment_id = shop.prepare(new_op_id(), "order-1", 700).await.unwrap();
    assert_eq!(shop.status("order-1").await, PaymentStatus::Prepared);
    let second = shop.prepare(new_op_id(), "order-1", 700).await;
    assert_eq!(refusal(second), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));

    // The client talked the buyer and the provider into another price.
    shop.bank.buyer("pay-1", "order-1", 1).await;
    let cheap = shop.confirm(new_op_id(), &request("pay-1", "order-1", 1)).await;
    assert_eq!(refusal(cheap), is(Code::FailedPrecondition, "AMOUNT_MISMATCH"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Prepared);

    shop.bank.buyer("pay-2", "order-1", 700).await;
    let paid = shop.confirm(new_op_id(), &request("pay-2", "order-1", 700)).await.unwrap();
    assert_eq!(paid.payment_id, payment_id);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn s4_2_a_declined_card_does_not_change_the_price(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.prepare(new_op_id(), "order-1", 700).await.unwrap();
    let declined = on_confirm([decline("REJECT_CARD_PAYMENT")]);
    shop.bank.buyer_with("pay-1", "order-1", 700, declined).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap_err();
    assert_eq!(shop.status("order-1").await, PaymentStatus::Failed);

    shop.bank.buyer("pay-2", "order-1", 1).await;
    let cheap = shop.confirm(new_op_id(), &request("pay-2", "order-1", 1)).await;
    assert_eq!(refusal(cheap), is(Code::FailedPrecondition, "AMOUNT_MISMATCH"));
    shop.bank.buyer("pay-3", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-3", "order-1", 700)).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn d5_what_the_buyer_agreed_to_pay_must_be_the_servers_price(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 1).await;
    let asked = shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await;
    assert_eq!(refusal(asked), is(Code::FailedPrecondition, "AMOUNT_MISMATCH"));
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Failed);
    shop.assert_books_agree().await;
}

async fn d7_one_payment_of_the_provider_settles_one_order(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    for order_no in ["order-1", "order-2"] {
        let again = shop.confirm(new_op_id(), &request("pay-1", order_no, 700)).await;
        assert_eq!(refusal(again), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
    }
    // Also after its money went back.
    shop.cancel(new_op_id(), "pay-1", 0).await.unwrap();
    let again = shop.confirm(new_op_id(), &request("pay-1", "order-2", 700)).await;
    assert_eq!(refusal(again), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
    shop.assert_books_agree().await;
}

async fn d7_a_payment_that_another_order_settled_at_the_provider_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.bank.confirm("another program", &charge("pay-1", "order-1", 700)).await;
    let asked = shop.confirm(new_op_id(), &request("pay-1", "order-2", 700)).await;
    assert_eq!(refusal(asked), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
    assert_eq!(shop.status("order-2").await, PaymentStatus::Failed);
    assert_eq!(shop.bank.money("order-2").await, (0, 0, 0));
}

async fn s4_4_parallel_confirms_of_one_payment_capture_once(scratch: Scratch) {
    let bank = Bank::open_with(SimulatorConfig {
        duplicate_orders: DuplicateOrders::Captured,
        ..SimulatorConfig::default()
    })
    .await;
    let shop = Shop::open_at(scratch, bank).await;
    let it = request("pay-1", "order-1", 700);
    shop.bank.buyer("pay-1", "order-1", 700).await;
    let asked = confirm_at_once(&shop, &vec![it; 8]).await;
    assert_eq!(asked, (1, 7));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn an_order_with_two_payments_is_paid_once(scratch: Scratch) {
    let bank = Bank::open_with(SimulatorConfig {
        duplicate_orders: DuplicateOrders::Captured,
        ..SimulatorConfig::default()
    })
    .await;
    let shop = Shop::open_at(scratch, bank).await;
    let mut requests = Vec::new();
    for number in 0..6 {
        let key = format!("pay-{number}");
        shop.bank.buyer(&key, "order-1", 700).await;
        requests.push(request(&key, "order-1", 700));
    }
    assert_eq!(confirm_at_once(&shop, &requests).await, (1, 5));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

/// How many of the confirms, each an operation of its own, succeeded, and how many were
/// refused because the payment is used.
async fn confirm_at_once(
    shop: &Shop,
    requests: &[shop_proto::payment::v1::ConfirmRequest],
) -> (usize, usize) {
    let asked = requests.iter().map(|it| shop.confirm_in_turn(new_op_id(), it));
    let mut outcomes = (0, 0);
    for asked in join_all(asked).await {
        match asked {
            Ok(_) => outcomes.0 += 1,
            Err(status) => {
                let used = is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED");
                assert_eq!(refusal::<()>(Err(status)), used);
                outcomes.1 += 1;
            }
        }
    }
    outcomes
}

/// Polls all of them, so that their transactions run at the same time.
pub(crate) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|it| Some(Box::pin(it))).collect();
    let mut outputs = Vec::new();
    std::future::poll_fn(|cx| {
        for slot in &mut pending {
            if let Some(future) = slot
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                outputs.push(output);
                *slot = None;
            }
        }
        match pending.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    outputs
}

async fn s4_4_parallel_confirms_of_one_operation_capture_once(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let slow = Fault::Delay { before_ms: 50, after_commit_ms: 50 };
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([slow])).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    let asked = join_all((0..8).map(|_| shop.confirm(op_id, &it))).await;
    let first = asked[0].as_ref().unwrap();
    assert!(asked.iter().all(|it| it.as_ref().unwrap() == first));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
}

async fn f72_s4_6_s4_7_a_confirm_that_is_already_processed_succeeds(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    // The provider did it, and will say "already processed" to every other key.
    shop.bank.confirm("an earlier life of ours", &charge("pay-1", "order-1", 700)).await;
    let paid = shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    assert_eq!(paid.amount_minor, 700);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn s0_15_d6_a_network_error_is_unknown_and_never_no_payment(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    let Shop { bank, participant, database, scratch, clock } = shop;
    let stopped = bank.stop().await;

    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    for _ in 0..2 {
        let request = saga_participant::testkit::with_op_id(op_id, it.clone());
        let asked = participant.perform(request).await;
        assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    }
    let fenced = crate::shop::resolve(&participant, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(fenced, Resolution::InProgress(_)), "{fenced:?}");

    let shop = Shop { bank: stopped.start().await, participant, database, scratch, clock };
    assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);
    shop.confirm(op_id, &it).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

/// The reply to the confirm is lost, and the look-up after it too.
fn silence() -> FaultScript {
    FaultScript {
        confirm: vec![Fault::DropAfterCommit],
        look_up: vec![Fault::DropBeforeCommit],
        ..FaultScript::default()
    }
}

async fn f74_a_lost_reply_after_the_capture_is_success_in_the_end(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer_with("pay-1", "order-1", 700, silence()).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    let asked = shop.confirm(op_id, &it).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);

    shop.confirm(op_id, &it).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    assert_eq!(shop.bank.fired("drop_after_commit").await, 1);
    shop.assert_books_agree().await;
}

async fn f74_an_inquiry_settles_a_lost_reply(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer_with("pay-1", "order-1", 700, silence()).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    shop.confirm(op_id, &it).await.unwrap_err();
    let resolution = shop.resolve(op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(resolution, Resolution::Applied(_)), "{resolution:?}");
    assert_eq!(shop.status("order-1").await, PaymentStatus::Completed);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
}

async fn a_decline_is_recorded_and_repeated_without_the_provider(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let declined = on_confirm([decline("REJECT_CARD_PAYMENT")]);
    shop.bank.buyer_with("pay-1", "order-1", 700, declined).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    let first = shop.confirm(op_id, &it).await.unwrap_err();
    assert_eq!(refusal::<()>(Err(first.clone())), is(Code::FailedPrecondition, "DECLINED"));
    assert!(first.message().contains("REJECT_CARD_PAYMENT"), "{first}");

    let Shop { bank, participant, database, scratch, clock } = shop;
    let stopped = bank.stop().await;
    let request = saga_participant::testkit::with_op_id(op_id, it);
    let again = participant.perform(request).await.unwrap_err();
    assert_eq!((again.code(), again.details()), (first.code(), first.details()));

    let shop = Shop { bank: stopped.start().await, participant, database, scratch, clock };
    let undone = shop.undo(new_op_id(), op_id).await.unwrap();
    assert_eq!((undone.payment_id.as_str(), undone.cancelled_minor), ("", 0));
    shop.assert_books_agree().await;
}

async fn a_payment_that_took_no_money_may_be_tried_again(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 600)).await.unwrap_err();
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn a_wrong_key_parks_the_operation_and_a_right_one_goes_on(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let wrong = on_confirm([decline("UNAUTHORIZED_KEY")]);
    shop.bank.buyer_with("pay-1", "order-1", 700, wrong).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    let asked = shop.confirm(op_id, &it).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_CONFIGURATION"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);
    shop.confirm(op_id, &it).await.unwrap();
    shop.assert_books_agree().await;
}

async fn s0_13_a_payment_that_is_not_there_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let asked = shop.confirm(new_op_id(), &request("no-such-pay", "order-1", 700)).await;
    assert_eq!(refusal(asked), is(Code::FailedPrecondition, "SESSION_EXPIRED"));
    let unknown = shop.payment("order-2").await;
    assert_eq!(refusal(unknown), is(Code::NotFound, "PAYMENT_NOT_FOUND"));

    // Where nobody listens it is unknown, however often it is asked.
    let nowhere = service_at(&shop.database, "http://127.0.0.1:9");
    let op_id = new_op_id();
    let it = saga_participant::testkit::with_op_id(op_id, request("pay-9", "order-9", 5));
    let asked = within(Box::pin(nowhere.perform(it))).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
}
