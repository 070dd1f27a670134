//! The history of an order's status: a chain without branches.

use futures::future::join_all;
use saga_participant::{Sql, on_both_databases, testkit::Scratch};
use saga_proto::shop::order::v1::OrderStatus;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::shop::{Shop, is, paid};

on_both_databases!(
    s2_1_every_change_is_a_row_and_the_newest_is_the_status,
    s2_5_of_simultaneous_changes_exactly_one_wins,
    s2_3_a_change_that_saw_an_old_head_loses,
    s0_12_only_a_pending_order_moves_to_confirm,
    s2_6_the_database_lets_no_second_successor_in,
    d19_the_database_lets_no_second_first_row_and_no_illegal_step_in,
    i6_the_audit_finds_what_was_tampered_with,
);

const ALL: [OrderStatus; 5] = [
    OrderStatus::PaymentPending,
    OrderStatus::PaymentConfirm,
    OrderStatus::PaymentSuccess,
    OrderStatus::PaymentOutOfStock,
    OrderStatus::PaymentNoPaymentInfo,
];

async fn s2_1_every_change_is_a_row_and_the_newest_is_the_status(scratch: Scratch) {
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

async fn s2_5_of_simultaneous_changes_exactly_one_wins(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for round in 0..5 {
        let order_no = format!("order-{round}");
        let first = shop.pending(&order_no).await;
        let calls = (0..20).map(|_| shop.transition(&order_no, OrderStatus::PaymentConfirm, first));
        let ended = join_all(calls).await;
        let won: Vec<_> = ended.iter().filter_map(|it| it.as_ref().ok()).collect();
        assert_eq!(won.len(), 1);
        for status in ended.iter().filter_map(|it| it.as_ref().err()) {
            is(status, Code::FailedPrecondition, "LOST_RACE");
            let facts = status.get_details_error_info().unwrap().metadata;
            assert_eq!(facts["head"], won[0].status_id.to_string());
            assert_eq!(facts["status"], "PAYMENT_CONFIRM");
        }
    }
    shop.assert_sound().await;
}

/// Both saw PAYMENT_CONFIRM; both are legal from there; only one may happen.
async fn s2_3_a_change_that_saw_an_old_head_loses(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.pending("order-1").await;
    let head = shop.transition("order-1", OrderStatus::PaymentConfirm, 0).await.unwrap().status_id;
    let (one, other) = tokio::join!(
        shop.transition("order-1", OrderStatus::PaymentSuccess, head),
        shop.transition("order-1", OrderStatus::PaymentOutOfStock, head),
    );
    let refused = match (one, other) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("not exactly one won: {both:?}"),
    };
    is(&refused, Code::FailedPrecondition, "LOST_RACE");
    assert_eq!(shop.history("order-1").await.unwrap().len(), 3);
}

async fn s0_12_only_a_pending_order_moves_to_confirm(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let legal = [
        (OrderStatus::PaymentPending, OrderStatus::PaymentConfirm),
        (OrderStatus::PaymentConfirm, OrderStatus::PaymentSuccess),
        (OrderStatus::PaymentConfirm, OrderStatus::PaymentOutOfStock),
        (OrderStatus::PaymentConfirm, OrderStatus::PaymentNoPaymentInfo),
    ];
    let mut tried = 0;
    for from in ALL {
        for to in ALL {
            let order_no = format!("order-{tried}");
            bring_to(&shop, &order_no, from).await;
            let ended = shop.transition(&order_no, to, 0).await;
            assert_eq!(ended.is_ok(), legal.contains(&(from, to)), "{from:?} to {to:?}: {ended:?}");
            if let Err(status) = ended {
                is(&status, Code::FailedPrecondition, "ILLEGAL_TRANSITION");
                let facts = status.get_details_error_info().unwrap().metadata;
                assert_eq!(format!("ORDER_STATUS_{}", facts["from"]), from.as_str_name());
            }
            tried += 1;
        }
    }
    assert_eq!(tried, 25);
    let status = shop.transition("order-0", OrderStatus::Unspecified, 0).await.unwrap_err();
    is(&status, Code::InvalidArgument, "FIELD_INVALID");
    shop.assert_sound().await;
}

async fn bring_to(shop: &Shop, order_no: &str, status: OrderStatus) {
    shop.pending(order_no).await;
    if status != OrderStatus::PaymentPending {
        shop.transition(order_no, OrderStatus::PaymentConfirm, 0).await.unwrap();
    }
    if !matches!(status, OrderStatus::PaymentPending | OrderStatus::PaymentConfirm) {
        shop.transition(order_no, status, 0).await.unwrap();
    }
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
    shop.assert_sound().await;
}

async fn d19_the_database_lets_no_second_first_row_and_no_illegal_step_in(scratch: Scratch) {
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
    let illegal = Sql {
        postgres: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            select order_no, id, status, 'PAYMENT_PENDING', '', gen_random_uuid(), 0
            from order_status",
        sqlite: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            select order_no, id, status, 'PAYMENT_PENDING', '', randomblob(16), 0
            from order_status",
    };
    // A step that is legal from another status than the one of the row before.
    let lying = Sql {
        postgres: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            select order_no, id, 'PAYMENT_PENDING', 'PAYMENT_CONFIRM', '', gen_random_uuid(), 0
            from order_status",
        sqlite: "insert into order_status
            (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            select order_no, id, 'PAYMENT_PENDING', 'PAYMENT_CONFIRM', '', randomblob(16), 0
            from order_status",
    };
    for sql in [second_first, illegal, lying] {
        shop.tamper(sql).await.unwrap_err();
    }
    assert_eq!(shop.history("order-1").await.unwrap().len(), 1);
}

async fn i6_the_audit_finds_what_was_tampered_with(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    shop.pending("order-2").await;
    shop.assert_sound().await;
    let cases = [
        (
            "update orders set total_minor = 801 where order_no = 'order-2'",
            "the total is the sum of the lines: order order-2 has 801, not 800",
            "update orders set total_minor = 800 where order_no = 'order-2'",
        ),
        (
            "update orders set payment_id = null where order_no = 'order-1'",
            "an order that was inserted as paid names its payment: order order-1 has 0, not 1",
            "update orders set payment_id = 'payment-1' where order_no = 'order-1'",
        ),
    ];
    for (damage, told, repair) in cases {
        shop.tamper(damage).await.unwrap();
        assert_eq!(shop.audit().await.violations, [told]);
        shop.tamper(repair).await.unwrap();
        shop.assert_sound().await;
    }
    let without_status = Sql {
        postgres: "insert into orders
            (order_no, customer_id, currency, total_minor, placed_by, placed_at_ms)
            values ('order-3', 'customer-1', 'GBP', 0, gen_random_uuid(), 0)",
        sqlite: "insert into orders
            (order_no, customer_id, currency, total_minor, placed_by, placed_at_ms)
            values ('order-3', 'customer-1', 'GBP', 0, randomblob(16), 0)",
    };
    shop.tamper(without_status).await.unwrap();
    let told = "I6: an order has one first status: order order-3 has 0, not 1";
    assert_eq!(shop.audit().await.violations, [told]);
}
