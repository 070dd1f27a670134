//! Verify: buyers who pay before the shop is asked.

use payment_svc::simulator::{DuplicateOrders, Fault, FaultScript, SimulatorConfig, Stage};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::payment::v1::{PaymentStatus, VerifyRequest};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    bank::{Bank, charge},
    shop::{Shop, is, paid, refusal, request, within},
};

on_both_databases!(
    a_paid_payment_is_taken_once_and_answered_the_same_for_ever,
    s0_13_s0_18_a_payment_that_does_not_exist_is_told_as_such,
    s0_13_what_is_not_paid_is_refused_with_where_it_stands,
    s0_14_d5_another_amount_is_refused_and_goes_back,
    s4_2_what_was_announced_must_be_what_is_expected,
    d7_a_payment_for_another_order_is_refused,
    d7_one_payment_of_the_provider_settles_one_order_once,
    s0_15_d6_an_error_of_provider_or_network_is_unknown_and_never_no_payment,
    f74_an_inquiry_settles_an_unknown_verification,
    s0_17_out_of_stock_after_the_payment_gives_the_money_back,
    a_verification_of_toss_looks_and_captures_nothing,
    a_confirm_of_a_buyer_who_paid_already_only_verifies,
    a_verification_that_never_came_is_fenced_by_its_undo,
);

fn with_toss(request: VerifyRequest) -> VerifyRequest {
    VerifyRequest { provider: "toss".to_owned(), ..request }
}

async fn a_paid_payment_is_taken_once_and_answered_the_same_for_ever(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let (op_id, it) = (new_op_id(), paid("imp-1", "order-1", 700));
    let first = shop.verify(op_id, &it).await.unwrap();
    assert_eq!((first.amount_minor, first.provider_key.as_str()), (700, "imp-1"));
    assert!(1_700_000_000 < first.approved_at.unwrap().seconds);
    assert_eq!(shop.verify(op_id, &it).await.unwrap(), first);

    let seen = shop.payment("order-1").await.unwrap();
    assert_eq!((seen.status(), seen.provider.as_str()), (PaymentStatus::Completed, "portone"));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn s0_13_s0_18_a_payment_that_does_not_exist_is_told_as_such(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for it in [paid("imp-9", "order-9", 700), with_toss(paid("pay-9", "order-9", 700))] {
        let op_id = new_op_id();
        let first = shop.verify(op_id, &it).await.unwrap_err();
        assert_eq!(refusal::<()>(Err(first.clone())), is(Code::NotFound, "PAYMENT_NOT_FOUND"));
        let again = shop.verify(op_id, &it).await.unwrap_err();
        assert_eq!((again.code(), again.details()), (first.code(), first.details()));
    }
    shop.assert_books_agree().await;
}

async fn s0_13_what_is_not_paid_is_refused_with_where_it_stands(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let none = FaultScript::default;
    shop.bank.buyer_at(Stage::Requested, "imp-open", "order-open", 700, none()).await;
    shop.bank.payer("imp-back", "order-back", 700).await;
    let all = serde_json::json!({ "cancelReason": "by hand" });
    shop.bank.cancel("by hand", "imp-back", all).await;
    for (name, status) in [("open", "OPEN"), ("back", "CANCELLED")] {
        let it = paid(&format!("imp-{name}"), &format!("order-{name}"), 700);
        let refused = shop.verify(new_op_id(), &it).await.unwrap_err();
        let told = refused.get_details_error_info().unwrap().metadata["status"].clone();
        assert_eq!(told, status);
        assert_eq!(refusal::<()>(Err(refused)), is(Code::FailedPrecondition, "NOT_PAID"));
    }
    // The buyer's time to pay runs out.
    shop.bank.simulator.advance_clock(31 * 60_000).await.unwrap();
    for provider in ["portone", "toss"] {
        let it =
            VerifyRequest { provider: provider.to_owned(), ..paid("imp-open", "order-open", 700) };
        let late = shop.verify(new_op_id(), &it).await;
        assert_eq!(refusal(late), is(Code::FailedPrecondition, "NOT_PAID"));
    }
    shop.assert_books_agree().await;
}

async fn s0_14_d5_another_amount_is_refused_and_goes_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    // The client paid 1 and says that it is enough.
    shop.bank.payer("imp-1", "order-1", 1).await;
    let refused = shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await.unwrap_err();
    let told = refused.get_details_error_info().unwrap().metadata;
    assert_eq!((&*told["actual_minor"], &*told["expected_minor"]), ("1", "700"));
    assert_eq!(refusal::<()>(Err(refused)), is(Code::FailedPrecondition, "AMOUNT_MISMATCH"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Failed);

    let back = shop.cancel_paid(new_op_id(), "imp-1", "order-1").await.unwrap();
    assert_eq!((back.cancelled_minor, back.balance_minor), (1, 0));
    assert_eq!(shop.bank.money("order-1").await, (1, 1, 1));

    // Nobody is asked about money that the shop does not take.
    shop.bank.payer("imp-2", "order-2", 700).await;
    let dollars = VerifyRequest { currency: "USD".to_owned(), ..paid("imp-2", "order-2", 700) };
    let refused = shop.verify(new_op_id(), &dollars).await;
    assert_eq!(refusal(refused), is(Code::FailedPrecondition, "CURRENCY_NOT_TAKEN"));
}

async fn s4_2_what_was_announced_must_be_what_is_expected(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let payment_id = shop.prepare(new_op_id(), "order-1", 700).await.unwrap();
    shop.bank.payer("imp-1", "order-1", 1).await;
    let cheap = shop.verify(new_op_id(), &paid("imp-1", "order-1", 1)).await;
    assert_eq!(refusal(cheap), is(Code::FailedPrecondition, "AMOUNT_MISMATCH"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Prepared);

    let shop = Shop { bank: Bank::open().await, ..shop };
    let participant = shop.with_bank();
    shop.bank.payer("imp-2", "order-1", 700).await;
    let it = saga_participant::testkit::with_op_id(new_op_id(), paid("imp-2", "order-1", 700));
    let taken = participant.perform(it).await.unwrap().into_inner();
    assert_eq!(taken.payment_id, payment_id);
    assert_eq!(shop.payment("order-1").await.unwrap().provider, "portone");
}

async fn d7_a_payment_for_another_order_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let refused = shop.verify(new_op_id(), &paid("imp-1", "order-2", 700)).await.unwrap_err();
    let told = refused.get_details_error_info().unwrap().metadata;
    assert_eq!(told["order_no"], "order-1");
    assert_eq!(refusal::<()>(Err(refused)), is(Code::FailedPrecondition, "ORDER_MISMATCH"));
    // It still settles the order that it is for.
    shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn d7_one_payment_of_the_provider_settles_one_order_once(scratch: Scratch) {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let shop = Shop::open_at(scratch, Bank::open_with(config).await).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.bank.payer("imp-2", "order-1", 700).await;
    let it = paid("imp-1", "order-1", 700);
    let asked = (0..8).map(|_| async {
        loop {
            match shop.verify(new_op_id(), &it).await {
                Err(status) if status.code() == Code::Aborted => tokio::task::yield_now().await,
                ended => return ended,
            }
        }
    });
    let ended = within(crate::confirm::join_all(asked)).await;
    let (taken, refused): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1, 7));
    for refused in refused {
        assert_eq!(refusal(refused), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
    }
    // Nor is the order paid a second time, nor with the same money after it went back.
    let second = shop.verify(new_op_id(), &paid("imp-2", "order-1", 700)).await;
    assert_eq!(refusal(second), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
    shop.cancel_paid(new_op_id(), "imp-1", "order-1").await.unwrap();
    let again = shop.verify(new_op_id(), &it).await;
    assert_eq!(refusal(again), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
}

async fn s0_15_d6_an_error_of_provider_or_network_is_unknown_and_never_no_payment(
    scratch: Scratch,
) {
    let shop = Shop::open(scratch).await;
    let faults = [
        Fault::DropBeforeCommit,
        Fault::ErrorBefore { status: 500 },
        Fault::ErrorBefore { status: 502 },
        Fault::Conflict409,
    ];
    let look_up = faults.to_vec();
    let script = FaultScript { look_up, ..FaultScript::default() };
    shop.bank.buyer_at(Stage::Paid, "imp-1", "order-1", 700, script).await;
    let token = vec![Fault::DropBeforeCommit, Fault::ErrorBefore { status: 503 }];
    let script = FaultScript { token, ..FaultScript::default() };
    shop.bank.simulator.plan_faults(script).await.unwrap();

    let (op_id, it) = (new_op_id(), paid("imp-1", "order-1", 700));
    for _ in 0..2 + faults.len() {
        let asked = shop.verify(op_id, &it).await;
        assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
        assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);
    }
    // The look-up by order fails where the one by key said "there is none".
    shop.verify(op_id, &it).await.unwrap();
    let fired: u64 = shop.bank.simulator.faults_fired().await.unwrap().values().sum();
    assert_eq!(fired, 6);
    shop.assert_books_agree().await;

    let Shop { bank, participant, database, scratch, clock } = shop;
    let stopped = bank.stop().await;
    let shop_down = |op_id| {
        let request = paid("imp-2", "order-2", 700);
        participant.perform(saga_participant::testkit::with_op_id(op_id, request))
    };
    let down_id = new_op_id();
    for _ in 0..2 {
        let asked = shop_down(down_id).await;
        assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    }
    let bank = stopped.start().await;
    let shop = Shop { bank, participant, database, scratch, clock };
    let gone = shop.verify(down_id, &paid("imp-2", "order-2", 700)).await;
    assert_eq!(refusal(gone), is(Code::NotFound, "PAYMENT_NOT_FOUND"));
}

async fn f74_an_inquiry_settles_an_unknown_verification(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let look_up = vec![Fault::DropBeforeCommit];
    let script = FaultScript { look_up, ..FaultScript::default() };
    shop.bank.buyer_at(Stage::Paid, "imp-1", "order-1", 700, script).await;
    let op_id = new_op_id();
    shop.verify(op_id, &paid("imp-1", "order-1", 700)).await.unwrap_err();
    let resolution = shop.resolve(op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(resolution, Resolution::Applied(_)), "{resolution:?}");
    assert_eq!(shop.status("order-1").await, PaymentStatus::Completed);
}

async fn s0_17_out_of_stock_after_the_payment_gives_the_money_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let verify_id = new_op_id();
    shop.verify(verify_id, &paid("imp-1", "order-1", 700)).await.unwrap();
    // Whoever has only the client's word for it gets nothing: the money settles the order.
    let without_the_settling = shop.cancel_paid(new_op_id(), "imp-1", "order-1").await.unwrap();
    assert_eq!(without_the_settling.cancelled_minor, 0);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));

    let op_id = new_op_id();
    let back = shop.undo(op_id, verify_id).await.unwrap();
    assert_eq!((back.cancelled_minor, back.balance_minor), (700, 0));
    assert_eq!(shop.undo(op_id, verify_id).await.unwrap(), back);
    let offered = shop.cancel_paid(new_op_id(), "imp-1", "order-1").await.unwrap();
    assert_eq!((offered.cancelled_minor, offered.balance_minor), (0, 0));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Cancelled);
    shop.assert_books_agree().await;
}

async fn a_verification_of_toss_looks_and_captures_nothing(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    let open = shop.verify(new_op_id(), &with_toss(paid("pay-1", "order-1", 700))).await;
    assert_eq!(refusal(open), is(Code::FailedPrecondition, "NOT_PAID"));
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
    shop.bank.confirm("another program", &charge("pay-1", "order-1", 700)).await;
    shop.verify(new_op_id(), &with_toss(paid("pay-1", "order-1", 700))).await.unwrap();
    shop.assert_books_agree().await;
}

async fn a_confirm_of_a_buyer_who_paid_already_only_verifies(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let portone = |key: &str, order_no: &str| {
        let mut it = request(key, order_no, 700);
        it.provider = "portone".to_owned();
        it
    };
    shop.bank.payer("imp-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &portone("imp-1", "order-1")).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.bank.buyer("imp-2", "order-2", 700).await;
    let open = shop.confirm(new_op_id(), &portone("imp-2", "order-2")).await;
    assert_eq!(refusal(open), is(Code::FailedPrecondition, "NOT_PAID"));
    let gone = shop.confirm(new_op_id(), &portone("imp-3", "order-3")).await;
    assert_eq!(refusal(gone), is(Code::NotFound, "PAYMENT_NOT_FOUND"));
    shop.bank.payer("imp-4", "order-4", 700).await;
    let other = shop.confirm(new_op_id(), &portone("imp-4", "order-5")).await;
    assert_eq!(refusal(other), is(Code::FailedPrecondition, "PAYMENT_ALREADY_USED"));
}

async fn a_verification_that_never_came_is_fenced_by_its_undo(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let verify_id = new_op_id();
    let undone = shop.undo(new_op_id(), verify_id).await.unwrap();
    assert_eq!(undone.cancelled_minor, 0);
    let late = shop.verify(verify_id, &paid("imp-1", "order-1", 700)).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "OP_FENCED"));
}
