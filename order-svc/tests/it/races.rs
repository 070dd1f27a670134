//! Changes of one order at the same time. Exactly one wins; the others learn the new head.

use std::time::{Duration, Instant};

use futures::future::join_all;
use saga_participant::{
    Tx, on_both_databases,
    testkit::{Scratch, new_op_id, reason_of},
};
use shop_proto::order::v1::{
    InsertOrderRequest, LineState,
    OrderStatus::{self, DeliveryPreparation, PaymentConfirm, RefundRequested},
    TransitionResponse,
};
use tokio::sync::oneshot;
use tonic::{Code, Status};

use crate::shop::{RawStatus, Shop, fact, is, is_illegal, line, paid};

on_both_databases!(
    s2_5_s2_7_of_simultaneous_changes_exactly_one_wins,
    s2_3_s2_4_a_refund_request_and_a_delivery_never_both_happen,
    d8_of_many_starts_of_the_payment_check_one_happens,
    s2_3_a_change_that_waits_for_the_winner_learns_the_new_head,
    of_many_cancels_of_one_line_one_happens,
    the_last_lines_that_finish_at_once_cancel_the_order,
    a_change_of_the_order_and_a_cancel_of_a_line_never_both_begin,
);

const AT_ONCE: usize = 20;
const ROUNDS: usize = 10;

/// The winner, and the refusals of all others.
fn one_winner(ended: Vec<Result<TransitionResponse, Status>>) -> (TransitionResponse, Vec<Status>) {
    let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{won:?}");
    let winner = won.into_iter().next().unwrap().unwrap();
    (winner, lost.into_iter().map(Result::unwrap_err).collect())
}

async fn s2_5_s2_7_of_simultaneous_changes_exactly_one_wins(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for round in 0..ROUNDS {
        let order_no = format!("order-{round}");
        let first = shop.pending(&order_no).await;
        let calls = (0..AT_ONCE).map(|_| shop.transition(&order_no, PaymentConfirm, first));
        let (winner, lost) = one_winner(join_all(calls).await);
        for status in lost {
            is(&status, Code::FailedPrecondition, "LOST_RACE");
            assert_eq!(fact(&status, "head"), winner.status_id.to_string());
            assert_eq!(fact(&status, "status"), "PAYMENT_CONFIRM");
        }
    }
    shop.assert_sound().await;
}

/// Both are legal from PAYMENT_SUCCESS, and both saw it.
async fn s2_3_s2_4_a_refund_request_and_a_delivery_never_both_happen(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for round in 0..ROUNDS {
        let order_no = format!("order-{round}");
        let head = shop.insert(paid(&order_no)).await.unwrap().status_id;
        // In every second round nobody says what they saw.
        let seen = if round % 2 == 0 { head } else { 0 };
        let (refund, delivery) = tokio::join!(
            shop.transition(&order_no, RefundRequested, seen),
            shop.transition(&order_no, DeliveryPreparation, seen),
        );
        let (winner, lost) = one_winner(vec![refund, delivery]);
        assert_eq!(winner.from(), OrderStatus::PaymentSuccess);
        let order = shop.order(&order_no).await.unwrap();
        assert_eq!((order.status_id, lost.len()), (winner.status_id, 1));
        match reason_of(&lost[0]).as_str() {
            "LOST_RACE" => assert_eq!(fact(&lost[0], "head"), winner.status_id.to_string()),
            // It came so late that it saw the winner.
            _ => {
                assert_eq!(seen, 0);
                is_illegal(&lost[0], &order.status().as_str_name()["ORDER_STATUS_".len()..]);
            }
        }
        assert_eq!(shop.history(&order_no).await.unwrap().len(), 2);
    }
    shop.assert_sound().await;
}

/// Nobody says what they saw: all of them ask for the present state.
async fn d8_of_many_starts_of_the_payment_check_one_happens(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for round in 0..ROUNDS {
        let order_no = format!("order-{round}");
        shop.pending(&order_no).await;
        let calls = (0..AT_ONCE).map(|_| shop.transition(&order_no, PaymentConfirm, 0));
        let (winner, lost) = one_winner(join_all(calls).await);
        for status in lost {
            match reason_of(&status).as_str() {
                "LOST_RACE" => assert_eq!(fact(&status, "head"), winner.status_id.to_string()),
                _ => is_illegal(&status, "PAYMENT_CONFIRM"),
            }
        }
        assert_eq!(shop.history(&order_no).await.unwrap().len(), 2);
    }
    shop.assert_sound().await;
}

/// The winner's transaction is open while the loser, who saw the same head, appends.
async fn s2_3_a_change_that_waits_for_the_winner_learns_the_new_head(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let head = shop.insert(paid("order-1")).await.unwrap().status_id;
    let (inserted, has_inserted) = oneshot::channel::<()>();
    let (end, may_end) = oneshot::channel::<()>();
    let database = shop.database.clone();
    let winner = tokio::spawn(async move {
        let append = |mut tx: Tx| async move {
            RawStatus::of("order-1", "REFUND_REQUESTED").insert(&mut tx).await?;
            inserted.send(()).unwrap();
            may_end.await.unwrap();
            tx.commit().await
        };
        database.write(append).await
    });
    has_inserted.await.unwrap();
    // PostgreSQL decides it by the constraint alone; SQLite has the loser wait to begin.
    let seen = if shop.database.is_postgres() { 0 } else { head };
    let loser = shop.transition("order-1", DeliveryPreparation, seen);
    let release = async {
        if shop.database.is_postgres() {
            until_one_waits(&shop).await;
        }
        end.send(()).unwrap();
    };
    let (lost, ()) = tokio::join!(loser, release);
    winner.await.unwrap().unwrap();
    let lost = lost.unwrap_err();
    is(&lost, Code::FailedPrecondition, "LOST_RACE");
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(fact(&lost, "head"), order.status_id.to_string());
    assert_eq!(fact(&lost, "status"), "REFUND_REQUESTED");
    assert_eq!(order.status(), RefundRequested);
}

/// Waits until a statement of this database waits for another transaction.
async fn until_one_waits(shop: &Shop) {
    const WAITING: &str = "/* waiting */
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
            and query like '/* append_status */%'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while shop.number(WAITING).await == 0 {
        assert!(Instant::now() < deadline, "nobody waits");
        tokio::task::yield_now().await;
    }
}

async fn of_many_cancels_of_one_line_one_happens(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let calls = (0..AT_ONCE).map(|_| shop.cancel_line(new_op_id(), "order-1", 1));
    let ended = join_all(calls).await;
    let lost: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
    assert_eq!(lost.len(), AT_ONCE - 1);
    for status in lost {
        is(&status, Code::FailedPrecondition, "LINE_NOT_ACTIVE");
        assert_eq!(fact(&status, "state"), "CANCELING");
    }
    shop.assert_sound().await;
}

/// Each sees that it is not the last unless the other has finished.
async fn the_last_lines_that_finish_at_once_cancel_the_order(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for round in 0..ROUNDS {
        let order_no = format!("order-{round}");
        let lines = vec![line("A", 1, 100, 0); 8];
        let order = InsertOrderRequest { lines, ..paid(&order_no) };
        shop.insert(order).await.unwrap();
        let mut cancels = Vec::new();
        for line_no in 1..=8 {
            let cancel = new_op_id();
            shop.cancel_line(cancel, &order_no, line_no).await.unwrap();
            cancels.push(cancel);
        }
        let finished = join_all(cancels.iter().map(|it| shop.finish_line(new_op_id(), *it))).await;
        let statuses: Vec<_> = finished.into_iter().map(|it| it.unwrap().status()).collect();
        let last = statuses.iter().filter(|it| **it == OrderStatus::Canceled).count();
        assert_eq!(last, 1, "{statuses:?}");
        assert_eq!(shop.status(&order_no).await, OrderStatus::Canceled);
    }
    shop.assert_sound().await;
}

/// Otherwise the order's whole balance and the line's part of it would be given back.
async fn a_change_of_the_order_and_a_cancel_of_a_line_never_both_begin(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let (mut order_won, mut line_won) = (0, 0);
    for round in 0..4 * ROUNDS {
        let order_no = format!("order-{round}");
        shop.insert(paid(&order_no)).await.unwrap();
        let to = OrderStatus::CancelRequested;
        let (order, line) = tokio::join!(
            shop.transition(&order_no, to, 0),
            shop.cancel_line(new_op_id(), &order_no, 1),
        );
        match (order, line) {
            (Ok(_), Err(status)) => {
                is_illegal(&status, "CANCEL_REQUESTED");
                order_won += 1;
            }
            (Err(status), Ok(_)) => {
                is(&status, Code::FailedPrecondition, "LINE_CANCELING");
                line_won += 1;
            }
            both => panic!("not exactly one won: {both:?}"),
        }
        let order = shop.order(&order_no).await.unwrap();
        let line_cancels = order.line_states().any(|it| it == LineState::Canceling);
        assert_eq!(line_cancels, order.status() != to);
    }
    assert_eq!(order_won + line_won, 4 * ROUNDS);
    shop.assert_sound().await;
}

/// Changes of status do not wait for each other but in the history itself.
#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_the_constraint_decides_and_not_a_lock() {
    let shop = Shop::open(Scratch::postgres().await).await;
    let (mut by_constraint, deadline) = (0, Instant::now() + Duration::from_secs(60));
    let mut round = 0;
    while by_constraint == 0 {
        assert!(Instant::now() < deadline, "no two changes ever met");
        let order_no = format!("order-{round}");
        shop.pending(&order_no).await;
        let calls = (0..AT_ONCE).map(|_| shop.transition(&order_no, PaymentConfirm, 0));
        let (_, lost) = one_winner(join_all(calls).await);
        by_constraint += lost.iter().filter(|it| reason_of(it) == "LOST_RACE").count();
        round += 1;
    }
}
