//! The history of an order's status: a chain without branches, held by the database.

use futures::future::join_all;
use saga_participant::{Arg, OperationError, Sql, Tx, on_both_databases, testkit::Scratch};
use shop_proto::order::v1::OrderStatus;
use uuid::Uuid;

use crate::shop::{RawStatus, Shop, paid};

on_both_databases!(
    s2_1_s2_2_every_change_is_a_row_and_the_newest_is_the_status,
    s2_6_the_database_lets_no_second_successor_in,
    s2_8_no_clock_decides_what_the_status_is,
    d19_of_many_first_rows_the_database_lets_one_in,
    d19_the_database_lets_no_second_first_row_and_no_lie_in,
);

async fn s2_1_s2_2_every_change_is_a_row_and_the_newest_is_the_status(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let first = shop.pending("order-1").await;
    let second = shop.transition("order-1", OrderStatus::PaymentConfirm, first).await.unwrap();
    assert_eq!(second.from(), OrderStatus::PaymentPending);
    let third = shop.transition("order-1", OrderStatus::PaymentOutOfStock, 0).await.unwrap();

    let history = shop.history("order-1").await.unwrap();
    let chain: Vec<_> = history.iter().map(|it| (it.prev_id, it.id, it.status())).collect();
    assert_eq!(
        chain,
        [
            (0, first, OrderStatus::PaymentPending),
            (first, second.status_id, OrderStatus::PaymentConfirm),
            (second.status_id, third.status_id, OrderStatus::PaymentOutOfStock),
        ]
    );
    assert_eq!(history[1].reason, "because");
    assert!(history[2].at.is_some());
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(
        (order.status(), order.status_id),
        (OrderStatus::PaymentOutOfStock, third.status_id)
    );
    shop.assert_sound().await;
}

const SECOND_SUCCESSOR: &str = "
    insert into order_status (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
    select order_no, id, status, 'PAYMENT_CONFIRM', '', placed_by, 0
    from orders join order_status using (order_no) where prev_id is null";

async fn s2_6_the_database_lets_no_second_successor_in(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.pending("order-1").await;
    shop.transition("order-1", OrderStatus::PaymentConfirm, 0).await.unwrap();
    shop.tamper(SECOND_SUCCESSOR).await.unwrap_err();
    shop.tamper("update order_status set status = 'PAYMENT_CONFIRM'").await.unwrap_err();
    shop.tamper("delete from order_status").await.unwrap_err();
    if shop.database.is_postgres() {
        shop.tamper("truncate order_status cascade").await.unwrap_err();
    }
    shop.assert_sound().await;
}

/// Rows that claim to be of long ago and of the far future: the chain alone counts.
async fn s2_8_no_clock_decides_what_the_status_is(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.pending("order-1").await;
    let confirm = RawStatus { at_ms: i64::MAX, ..RawStatus::of("order-1", "PAYMENT_CONFIRM") };
    shop.append(confirm).await.unwrap();
    assert_eq!(shop.status("order-1").await, OrderStatus::PaymentConfirm);
    shop.append(RawStatus::of("order-1", "PAYMENT_SUCCESS")).await.unwrap();
    assert_eq!(shop.status("order-1").await, OrderStatus::PaymentSuccess);
    shop.transition("order-1", OrderStatus::DeliveryPreparation, 0).await.unwrap();
    assert_eq!(shop.status("order-1").await, OrderStatus::DeliveryPreparation);
    assert_eq!(shop.history("order-1").await.unwrap().len(), 4);
}

/// An order that has no status yet, as none of the service's own ever is.
const WITHOUT_STATUS: Sql = Sql {
    postgres: "insert into orders
        (order_no, customer_id, currency, total_minor, placed_by, placed_at_ms)
        values ('order-1', 'customer-1', 'GBP', 0, gen_random_uuid(), 0)",
    sqlite: "insert into orders
        (order_no, customer_id, currency, total_minor, placed_by, placed_at_ms)
        values ('order-1', 'customer-1', 'GBP', 0, randomblob(16), 0)",
};

/// A plain unique constraint over (order_no, prev_id) would let all of them in.
async fn d19_of_many_first_rows_the_database_lets_one_in(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.tamper(WITHOUT_STATUS).await.unwrap();
    let insert = |mut tx: Tx| async move {
        let op_id = Uuid::now_v7();
        tx.execute(
            "insert into order_status
                (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            values ('order-1', null, 'START', 'PAYMENT_PENDING', '', $1, 0)",
            &[Arg::Uuid(op_id)],
        )
        .await?;
        tx.commit().await
    };
    let ended: Vec<Result<(), OperationError>> =
        join_all((0..20).map(|_| shop.database.write(insert))).await;
    assert_eq!(ended.iter().filter(|it| it.is_ok()).count(), 1, "{ended:?}");
    assert_eq!(shop.history("order-1").await.unwrap().len(), 1);
}

async fn d19_the_database_lets_no_second_first_row_and_no_lie_in(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let second_first = Sql {
        postgres: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            values ('order-1', null, 'START', 'PAYMENT_PENDING', '', gen_random_uuid(), 0)",
        sqlite: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            values ('order-1', null, 'START', 'PAYMENT_PENDING', '', randomblob(16), 0)",
    };
    shop.tamper(second_first).await.unwrap_err();
    let raw = |to| RawStatus::of("order-1", to);
    let lies = [
        // A step that is legal from another status than the one of the row before.
        RawStatus { from: Some("PAYMENT_PENDING"), ..raw("PAYMENT_CONFIRM") },
        // A step of a line without a line, and of the whole order with one.
        raw("PARTIALLY_CANCELED"),
        RawStatus { line_no: Some(1), ..raw("CANCEL_REQUESTED") },
        RawStatus { line_no: Some(3), ..raw("PARTIALLY_CANCELED") },
        // Only a rejection restores something.
        RawStatus { restores: Some("PAYMENT_SUCCESS"), ..raw("CANCEL_REQUESTED") },
    ];
    for lie in lies {
        shop.append(lie.clone()).await.expect_err(&format!("{lie:?}"));
    }
    shop.transition("order-1", OrderStatus::CancelRequested, 0).await.unwrap();
    // It restores what was before the request, not what somebody would like.
    let lie = RawStatus { restores: Some("DELIVERED"), ..raw("CANCEL_REJECTED") };
    shop.append(lie).await.unwrap_err();
    assert_eq!(shop.history("order-1").await.unwrap().len(), 2);
    shop.append(raw("CANCEL_REJECTED")).await.unwrap();
    shop.assert_sound().await;
}
