//! Windows that close, keys that are forgotten and money that comes later, by the clocks of
//! the provider and of the service. They decide when, never what.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode},
};
use payment_svc::simulator::{Fault, FaultScript, Stage};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::payment::v1::PaymentStatus;
use tokio::net::TcpListener;
use tonic::Code;

use crate::{
    bank::{decline, on_confirm},
    shop::{Shop, is, refusal, request, resolve, service_at},
};

on_both_databases!(
    a_confirm_after_the_buyers_window_is_refused_and_takes_nothing,
    a_lost_confirm_is_refused_when_the_windows_have_passed,
    f75_while_the_first_call_runs_the_same_key_waits,
    while_the_provider_says_that_it_runs_no_window_closes,
    a_refusal_that_the_provider_replays_stays_a_refusal,
    f76_t5_beyond_the_keys_age_a_confirm_only_looks,
    f76_t5_beyond_the_keys_age_a_cancel_only_looks,
    f77_what_is_sent_again_is_the_same_byte_for_byte,
    f77_another_request_under_the_same_id_is_refused,
    f80_a_payment_by_virtual_account_is_refused_and_cancelled_at_once,
    f80_a_deposit_that_is_quicker_than_the_cancel_is_captured,
    f80_a_deposit_that_never_comes_ends_with_its_due_date,
    s4_9_money_waits_until_the_operation_before_is_settled,
);

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

impl Shop {
    /// Time passes for everybody.
    async fn pass(&self, ms: i64) {
        self.bank.simulator.advance_clock(ms).await.unwrap();
        self.clock.set_offset_ms(ms);
    }
}

fn unknown() -> (Code, String) {
    is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN")
}

async fn a_confirm_after_the_buyers_window_is_refused_and_takes_nothing(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.pass(11 * MINUTE_MS).await;
    let late = shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "SESSION_EXPIRED"));
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
    shop.assert_books_agree().await;
}

async fn a_lost_confirm_is_refused_when_the_windows_have_passed(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([Fault::DropBeforeCommit])).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
    shop.pass(11 * MINUTE_MS).await;
    let late = shop.confirm(op_id, &it).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "SESSION_EXPIRED"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Failed);
    shop.assert_books_agree().await;
}

async fn f75_while_the_first_call_runs_the_same_key_waits(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let faults = [Fault::Conflict409, Fault::Conflict409];
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm(faults)).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    for _ in 0..2 {
        assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
        assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);
    }
    shop.confirm(op_id, &it).await.unwrap();
    assert_eq!(shop.bank.fired("conflict409").await, 2);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

/// By our clock every window is over; by the provider's the call still runs.
async fn while_the_provider_says_that_it_runs_no_window_closes(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let faults = [Fault::Conflict409, Fault::Conflict409];
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm(faults)).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
    shop.clock.set_offset_ms(50 * MINUTE_MS);
    assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
    shop.confirm(op_id, &it).await.unwrap();
    assert_eq!(shop.bank.fired("conflict409").await, 2);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

/// The provider keeps 4xx replies by key. Where such a reply is no answer for good, the
/// operation ends with the buyer's window and not before.
async fn a_refusal_that_the_provider_replays_stays_a_refusal(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([decline("PROVIDER_ERROR")])).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    for _ in 0..3 {
        assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
    }
    // It was said once and replayed since.
    assert_eq!(shop.bank.fired("decline").await, 1);
    shop.pass(11 * MINUTE_MS).await;
    let late = shop.confirm(op_id, &it).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "SESSION_EXPIRED"));
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
}

async fn f76_t5_beyond_the_keys_age_a_confirm_only_looks(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let lost = FaultScript {
        confirm: vec![Fault::DropAfterCommit],
        look_up: vec![Fault::DropBeforeCommit],
        ..FaultScript::default()
    };
    shop.bank.buyer_with("pay-1", "order-1", 700, lost).await;
    shop.bank.buyer_with("pay-2", "order-2", 700, on_confirm([Fault::DropBeforeCommit])).await;
    let (first, second) = (request("pay-1", "order-1", 700), request("pay-2", "order-2", 700));
    let (first_id, second_id) = (new_op_id(), new_op_id());
    assert_eq!(refusal(shop.confirm(first_id, &first).await), unknown());
    assert_eq!(refusal(shop.confirm(second_id, &second).await), unknown());

    shop.pass(16 * DAY_MS).await;
    // A confirm that is sent from now on meets this, and nobody would count it out.
    let trap = on_confirm([Fault::DropAfterCommit]);
    shop.bank.simulator.plan_faults(trap).await.unwrap();
    shop.confirm(first_id, &first).await.unwrap();
    let late = shop.confirm(second_id, &second).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "SESSION_EXPIRED"));
    assert_eq!(shop.bank.fired("drop_after_commit").await, 1);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    assert_eq!(shop.bank.money("order-2").await, (0, 0, 0));
    shop.assert_books_agree().await;
}

async fn f76_t5_beyond_the_keys_age_a_cancel_only_looks(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let mut cancels = Vec::new();
    for (number, fault) in [Fault::DropAfterCommit, Fault::DropBeforeCommit].iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        let faults = FaultScript { cancel: vec![fault.clone()], ..FaultScript::default() };
        shop.bank.buyer_with(&key, &order_no, 700, faults).await;
        shop.confirm(new_op_id(), &request(&key, &order_no, 700)).await.unwrap();
        let look_up = vec![Fault::DropBeforeCommit];
        let blind = FaultScript { look_up, ..FaultScript::default() };
        shop.bank.simulator.plan_faults(blind).await.unwrap();
        let op_id = new_op_id();
        assert_eq!(refusal(shop.cancel(op_id, &key, 100).await), unknown());
        cancels.push(op_id);
    }
    shop.pass(16 * DAY_MS).await;
    let done = shop.cancel(cancels[0], "pay-0", 100).await.unwrap();
    assert_eq!((done.cancelled_minor, done.balance_minor), (100, 600));
    // Nobody knows whether that one is still on its way: it stays open, for a person.
    assert_eq!(refusal(shop.cancel(cancels[1], "pay-1", 100).await), unknown());
    assert_eq!(shop.bank.money("order-0").await, (700, 100, 1));
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

/// A provider that writes down what it is sent, and answers 500.
async fn recorder() -> (String, Arc<Mutex<Vec<(String, Bytes)>>>) {
    let sent: Arc<Mutex<Vec<(String, Bytes)>>> = Arc::default();
    let record = sent.clone();
    let routes =
        Router::new().fallback(move |method: Method, headers: HeaderMap, body: Bytes| async move {
            if method == Method::POST {
                let key = headers["idempotency-key"].to_str().unwrap().to_owned();
                record.lock().unwrap().push((key, body));
            }
            StatusCode::INTERNAL_SERVER_ERROR
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, sent)
}

async fn f77_what_is_sent_again_is_the_same_byte_for_byte(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let (url, sent) = recorder().await;
    let first = service_at(&shop.database, &url);
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    first.perform(with_op_id(op_id, it.clone())).await.unwrap_err();
    first.perform(with_op_id(op_id, it.clone())).await.unwrap_err();
    // Another process, and an inquiry that knows only the operation's id.
    let second = service_at(&shop.database, &url);
    let resolution = resolve(&second, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(resolution, Resolution::InProgress(_)), "{resolution:?}");

    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|it| *it == sent[0]), "{sent:?}");
    assert_eq!(sent[0].0, op_id.to_string());
}

async fn f77_another_request_under_the_same_id_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([Fault::DropBeforeCommit])).await;
    shop.bank.buyer("pay-2", "order-2", 900).await;
    let op_id = new_op_id();
    let first = request("pay-1", "order-1", 700);
    assert_eq!(refusal(shop.confirm(op_id, &first).await), unknown());
    for other in [request("pay-1", "order-1", 701), request("pay-2", "order-2", 900)] {
        let asked = shop.confirm(op_id, &other).await;
        assert_eq!(refusal(asked), is(Code::AlreadyExists, "OP_ID_REUSED"));
    }
    shop.confirm(op_id, &first).await.unwrap();
    assert_eq!(shop.bank.money("order-2").await, (0, 0, 0));
}

/// An order waits for minutes, and the buyer of a virtual account has days.
async fn f80_a_payment_by_virtual_account_is_refused_and_cancelled_at_once(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let lost = [
        Vec::new(),
        vec![Fault::DropAfterCommit],
        vec![Fault::ErrorAfter { status: 500 }],
        // It comes again for as long as the provider keeps the key.
        vec![decline("PROVIDER_ERROR")],
    ];
    for (number, cancel) in lost.into_iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        let faults = FaultScript { cancel, ..FaultScript::default() };
        shop.bank.buyer_at(Stage::VirtualAccount, &key, &order_no, 700, faults).await;
        let (op_id, it) = (new_op_id(), request(&key, &order_no, 700));
        for _ in 0..2 {
            let asked = shop.confirm(op_id, &it).await;
            assert_eq!(refusal(asked), is(Code::FailedPrecondition, "PAYS_LATER"), "{number}");
        }
        assert_eq!(shop.bank.show(&key).await.1["status"], "CANCELED", "{number}");
        // The buyer's bank takes no deposit any more.
        assert!(!shop.bank.simulator.buyer_pays(&key).await.unwrap());
        assert_eq!(shop.bank.money(&order_no).await, (0, 0, 0));
        assert_eq!(shop.status(&order_no).await, PaymentStatus::Failed);
    }
    let fired: u64 = shop.bank.simulator.faults_fired().await.unwrap().values().sum();
    assert_eq!(fired, 3);
    shop.assert_books_agree().await;
}

/// While the provider does not answer, the money may come: nothing is refused, and what came
/// is the order's, or goes back.
async fn f80_a_deposit_that_is_quicker_than_the_cancel_is_captured(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let faults = FaultScript { cancel: vec![Fault::DropBeforeCommit], ..FaultScript::default() };
    shop.bank.buyer_at(Stage::VirtualAccount, "pay-1", "order-1", 700, faults).await;
    let (op_id, undo_id, it) = (new_op_id(), new_op_id(), request("pay-1", "order-1", 700));
    assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
    assert_eq!(shop.bank.show("pay-1").await.1["status"], "WAITING_FOR_DEPOSIT");
    assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);
    assert_eq!(shop.bank.fired("drop_before_commit").await, 1);

    assert!(shop.bank.simulator.buyer_pays("pay-1").await.unwrap());
    // The deadline has turned the saga back meanwhile: the money that came goes back.
    let undone = shop.undo(undo_id, op_id).await.unwrap();
    assert_eq!((undone.cancelled_minor, undone.balance_minor), (700, 0));
    // Nobody is told that the money is here, as it was for a moment.
    let late = refusal(shop.confirm(op_id, &it).await);
    assert_eq!(late, is(Code::FailedPrecondition, "OP_REVERSED"));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}

async fn f80_a_deposit_that_never_comes_ends_with_its_due_date(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let faults = FaultScript { cancel: vec![Fault::DropBeforeCommit], ..FaultScript::default() };
    shop.bank.buyer_at(Stage::VirtualAccount, "pay-1", "order-1", 700, faults).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    assert_eq!(refusal(shop.confirm(op_id, &it).await), unknown());
    shop.pass(8 * DAY_MS).await;
    assert!(!shop.bank.simulator.buyer_pays("pay-1").await.unwrap());
    let late = shop.confirm(op_id, &it).await;
    assert_eq!(refusal(late), is(Code::FailedPrecondition, "SESSION_EXPIRED"));
    assert_eq!(shop.undo(new_op_id(), op_id).await.unwrap().cancelled_minor, 0);
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
}

/// Safety over speed: what would be quicker could take money twice.
async fn s4_9_money_waits_until_the_operation_before_is_settled(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([Fault::DropBeforeCommit])).await;
    shop.bank.buyer("pay-2", "order-1", 700).await;
    let first_id = new_op_id();
    assert_eq!(refusal(shop.confirm(first_id, &request("pay-1", "order-1", 700)).await), unknown());
    for key in ["pay-1", "pay-2"] {
        let asked = shop.confirm(new_op_id(), &request(key, "order-1", 700)).await;
        assert_eq!(refusal(asked), is(Code::Aborted, "PAYMENT_IN_PROGRESS"));
    }
    shop.confirm(first_id, &request("pay-1", "order-1", 700)).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}
