//! Which status may follow which: every pair, over the wire and by hand.

use saga_participant::{on_both_databases, testkit::Scratch};
use shop_proto::order::v1::OrderStatus::{
    self, CancelRejected, CancelRequested, Canceled, Delivered, DeliveryPreparation,
    PartiallyCanceled, PaymentConfirm, PaymentNoPaymentInfo, PaymentOutOfStock, PaymentPending,
    PaymentReturned, PaymentSuccess, PaymentWithdrawn, RefundCompleted, RefundRejected,
    RefundRequested, Unspecified,
};
use tonic::Code;

use crate::shop::{RawStatus, Shop, is, is_illegal, paid};

on_both_databases!(
    s0_12_s2_4_d19_only_the_legal_steps_are_possible,
    s0_19_the_numbers_of_the_source_are_one_less,
    a_rejected_request_leaves_what_was_legal_before,
);

const ALL: [OrderStatus; 16] = [
    PaymentPending,
    PaymentConfirm,
    PaymentSuccess,
    PaymentOutOfStock,
    PaymentNoPaymentInfo,
    CancelRequested,
    CancelRejected,
    Canceled,
    PartiallyCanceled,
    RefundRequested,
    RefundRejected,
    RefundCompleted,
    DeliveryPreparation,
    Delivered,
    PaymentReturned,
    PaymentWithdrawn,
];

/// How an order comes to a status (PARTIALLY_CANCELED: by the cancel of its second line),
/// and where it may go from there as a whole.
const STATES: [(&[OrderStatus], &[OrderStatus]); 26] = [
    // Only an order that waits for its payment starts the check of one (S0-12), or is withdrawn.
    (&[PaymentPending], &[PaymentConfirm, PaymentWithdrawn]),
    (&[PaymentPending, PaymentWithdrawn], &[]),
    (
        &[PaymentPending, PaymentConfirm],
        &[PaymentSuccess, PaymentOutOfStock, PaymentNoPaymentInfo, PaymentPending, PaymentReturned],
    ),
    (&[PaymentPending, PaymentConfirm, PaymentPending], &[PaymentConfirm, PaymentWithdrawn]),
    (&[PaymentPending, PaymentConfirm, PaymentReturned], &[]),
    (&[PaymentPending, PaymentConfirm, PaymentOutOfStock], &[]),
    (&[PaymentPending, PaymentConfirm, PaymentNoPaymentInfo], &[PaymentConfirm, PaymentWithdrawn]),
    (&[PaymentPending, PaymentConfirm, PaymentNoPaymentInfo, PaymentWithdrawn], &[]),
    (&[PaymentPending, PaymentConfirm, PaymentSuccess], FROM_SUCCESS),
    (&[PaymentSuccess], FROM_SUCCESS),
    (&[PaymentSuccess, PartiallyCanceled], FROM_SUCCESS),
    // With a request for a refund it does not go on to delivery (S2-4).
    (&[PaymentSuccess, RefundRequested], &[RefundCompleted, RefundRejected]),
    (&[PaymentSuccess, RefundRequested, RefundCompleted], &[]),
    (&[PaymentSuccess, RefundRequested, RefundRejected], FROM_SUCCESS),
    (&[PaymentSuccess, CancelRequested], &[Canceled, CancelRejected]),
    (&[PaymentSuccess, CancelRequested, Canceled], &[]),
    (&[PaymentSuccess, CancelRequested, CancelRejected], FROM_SUCCESS),
    (&[PaymentSuccess, PartiallyCanceled, CancelRequested, CancelRejected], FROM_SUCCESS),
    (&[PaymentSuccess, CancelRequested, CancelRejected, PartiallyCanceled], FROM_SUCCESS),
    (&[PaymentSuccess, DeliveryPreparation], FROM_PREPARATION),
    (&[PaymentSuccess, DeliveryPreparation, PartiallyCanceled], FROM_SUCCESS),
    (&[PaymentSuccess, DeliveryPreparation, CancelRequested, CancelRejected], FROM_PREPARATION),
    (&[PaymentSuccess, DeliveryPreparation, CancelRequested, Canceled], &[]),
    (&[PaymentSuccess, DeliveryPreparation, Delivered], &[RefundRequested]),
    (
        &[PaymentSuccess, DeliveryPreparation, Delivered, RefundRequested],
        &[RefundCompleted, RefundRejected],
    ),
    (
        &[PaymentSuccess, DeliveryPreparation, Delivered, RefundRequested, RefundRejected],
        &[RefundRequested],
    ),
];

const FROM_SUCCESS: &[OrderStatus] = &[CancelRequested, RefundRequested, DeliveryPreparation];
const FROM_PREPARATION: &[OrderStatus] = &[CancelRequested, Delivered];

async fn walk(shop: &Shop, order_no: &str, path: &[OrderStatus]) {
    match path[0] {
        PaymentPending => drop(shop.pending(order_no).await),
        _ => drop(shop.insert(paid(order_no)).await.unwrap()),
    }
    for to in &path[1..] {
        if *to == PartiallyCanceled {
            assert_eq!(shop.drop_line(order_no, 2).await, PartiallyCanceled);
        } else {
            shop.transition(order_no, *to, 0).await.unwrap();
        }
    }
    assert_eq!(shop.status(order_no).await, *path.last().unwrap());
}

fn name(status: OrderStatus) -> &'static str {
    status.as_str_name().strip_prefix("ORDER_STATUS_").unwrap()
}

async fn s0_12_s2_4_d19_only_the_legal_steps_are_possible(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let (mut legal_steps, mut illegal_steps, mut orders) = (0, 0, 0);
    for (path, legal) in STATES {
        let mut order_no = String::new();
        for to in ALL {
            if order_no.is_empty() {
                orders += 1;
                order_no = format!("order-{orders}");
                walk(&shop, &order_no, path).await;
            }
            if legal.contains(&to) {
                shop.transition(&order_no, to, 0).await.unwrap();
                // The next one needs an order that is where this one was.
                order_no.clear();
                legal_steps += 1;
                continue;
            }
            let status = shop.transition(&order_no, to, 0).await.unwrap_err();
            is_illegal(&status, name(*path.last().unwrap()));
            let by_hand = RawStatus::of(&order_no, name(to));
            shop.append(by_hand).await.expect_err(&format!("{path:?} to {to:?} by hand"));
            illegal_steps += 1;
        }
    }
    assert_eq!((legal_steps, illegal_steps), (47, STATES.len() * ALL.len() - 47));
    let status = shop.transition("order-1", Unspecified, 0).await.unwrap_err();
    is(&status, Code::InvalidArgument, "FIELD_INVALID");
    shop.assert_sound().await;
}

/// Every status that a rejection can follow, and the step that was legal before the request.
async fn a_rejected_request_leaves_what_was_legal_before(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let paths: [(&[OrderStatus], OrderStatus); 4] = [
        (&[PaymentSuccess, CancelRequested, CancelRejected], DeliveryPreparation),
        (&[PaymentSuccess, RefundRequested, RefundRejected], CancelRequested),
        (&[PaymentSuccess, DeliveryPreparation, CancelRequested, CancelRejected], Delivered),
        (
            &[PaymentSuccess, DeliveryPreparation, Delivered, RefundRequested, RefundRejected],
            RefundRequested,
        ),
    ];
    for (index, (path, legal)) in paths.into_iter().enumerate() {
        let order_no = format!("order-{index}");
        walk(&shop, &order_no, path).await;
        let order = shop.order(&order_no).await.unwrap();
        let before = path[path.len() - 3];
        assert_eq!((order.status(), order.counts_as()), (*path.last().unwrap(), before));
        // Rejected as often as it is asked for.
        for rejected in [path[path.len() - 2], path[path.len() - 1]] {
            shop.transition(&order_no, rejected, 0).await.unwrap();
        }
        assert_eq!(shop.order(&order_no).await.unwrap().counts_as(), before);
        shop.transition(&order_no, legal, 0).await.unwrap();
    }
    shop.assert_sound().await;
}

/// Zero means "never sent" on this wire.
async fn s0_19_the_numbers_of_the_source_are_one_less(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let of_the_source: [(i32, &str, &[OrderStatus]); 5] = [
        (0, "PAYMENT_PENDING", &[PaymentPending]),
        (1, "PAYMENT_CONFIRM", &[PaymentPending, PaymentConfirm]),
        (2, "PAYMENT_SUCCESS", &[PaymentSuccess]),
        (3, "PAYMENT_OUT_OF_STOCK", &[PaymentPending, PaymentConfirm, PaymentOutOfStock]),
        (4, "PAYMENT_NO_PAYMENT_INFO", &[PaymentPending, PaymentConfirm, PaymentNoPaymentInfo]),
    ];
    for (number, wanted, path) in of_the_source {
        let order_no = format!("order-{number}");
        walk(&shop, &order_no, path).await;
        let status = shop.order(&order_no).await.unwrap().status;
        assert_eq!((status - 1, name(OrderStatus::try_from(status).unwrap())), (number, wanted));
    }
}
