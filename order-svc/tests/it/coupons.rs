//! Coupons: whose they are, that each is used once, and how they come back (S1-3, I14).

use futures::future::join_all;
use prost_types::Timestamp;
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::order::v1::{
    AcceptOrderRequest, Coupon, CouponKind, GetCouponRequest, InsertOrderRequest,
    IssueCouponRequest, OrderStatus, ReturnCouponsRequest, UseCouponsRequest, UseCouponsResponse,
    WithdrawOrderRequest,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::shop::{Shop, change, fact, is, line, paid};

mod books;
mod pending;

on_both_databases!(
    s1_3_a_coupon_is_used_once_by_its_customer_while_it_is_valid,
    i14_a_buyer_who_lies_about_coupons_is_refused_by_the_first_step,
    i14_of_many_orders_at_once_one_uses_a_coupon,
    a_coupon_comes_back_with_the_order_that_did_not_come_about,
    a_cancelled_order_gives_its_coupons_back,
    a_cancelled_line_gives_back_the_coupon_that_was_taken_off_it,
    an_order_that_coupons_cover_whole_is_placed_without_a_payment,
    what_is_left_to_pay_is_what_the_customer_expects,
    a_coupon_is_issued_once,
    coupons_of_an_order_that_came_about_are_not_returned,
    a_coupon_that_expires_before_it_is_used_is_refused_and_the_number_is_free,
);

const FOREVER: i64 = 4_000_000_000;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn coupon(coupon_id: &str, value: i64) -> Coupon {
    Coupon {
        coupon_id: coupon_id.to_owned(),
        customer_id: "customer-1".to_owned(),
        item_id: String::new(),
        kind: CouponKind::Amount.into(),
        value,
        currency: "GBP".to_owned(),
        valid_from: at(0),
        valid_to: at(FOREVER),
    }
}

/// Two lines, of 750 and 100, to be paid with these coupons.
fn wanted(order_no: &str, coupon_ids: &[&str]) -> UseCouponsRequest {
    UseCouponsRequest {
        order_no: order_no.to_owned(),
        customer_id: "customer-1".to_owned(),
        currency: "GBP".to_owned(),
        lines: vec![line("A", 3, 250, 0), line("B", 1, 100, 0)],
        coupon_ids: coupon_ids.iter().map(|it| (*it).to_owned()).collect(),
        expected_minor: 0,
        is_paid: true,
    }
}

async fn issue(shop: &Shop, coupon: Coupon) {
    let request = IssueCouponRequest { coupon: Some(coupon) };
    shop.client().issue_coupon(with_op_id(new_op_id(), request)).await.unwrap();
}

async fn take(
    shop: &Shop,
    op_id: Uuid,
    request: UseCouponsRequest,
) -> Result<UseCouponsResponse, Status> {
    Ok(shop.client().use_coupons(with_op_id(op_id, request)).await?.into_inner())
}

/// The order that uses a coupon, or an empty text.
async fn user_of(shop: &Shop, coupon_id: &str) -> String {
    let request = GetCouponRequest { coupon_id: coupon_id.to_owned() };
    shop.client().get_coupon(request).await.unwrap().into_inner().order_no
}

fn discounts(used: &UseCouponsResponse) -> Vec<i64> {
    used.lines.iter().map(|it| it.discount_minor).collect()
}

/// Places the order as its coupons left it.
async fn place(shop: &Shop, order_no: &str, used: &UseCouponsResponse) {
    let order = InsertOrderRequest {
        lines: used.lines.clone(),
        paid_minor: used.total_minor,
        payment_id: if used.total_minor == 0 { String::new() } else { "payment-1".to_owned() },
        ..paid(order_no)
    };
    shop.insert(order).await.unwrap();
}

/// What a buyer may say of coupons that is not so, and the reason with which it is refused.
const LIES: [(&str, Code, &str); 6] = [
    ("none", Code::NotFound, "COUPON_NOT_FOUND"),
    ("theirs", Code::FailedPrecondition, "COUPON_NOT_YOURS"),
    ("late", Code::FailedPrecondition, "COUPON_EXPIRED"),
    ("early", Code::FailedPrecondition, "COUPON_EXPIRED"),
    ("of-c", Code::FailedPrecondition, "COUPON_DOES_NOT_FIT"),
    ("won", Code::FailedPrecondition, "COUPON_DOES_NOT_FIT"),
];

/// Issues what the lies are about, and two coupons that are good.
async fn issue_all(shop: &Shop) {
    issue(shop, coupon("k-1", 85)).await;
    issue(shop, Coupon { item_id: "B".to_owned(), ..coupon("of-b", 30) }).await;
    issue(shop, Coupon { item_id: "C".to_owned(), ..coupon("of-c", 30) }).await;
    issue(shop, Coupon { currency: "KRW".to_owned(), ..coupon("won", 30) }).await;
    issue(shop, Coupon { customer_id: "customer-2".to_owned(), ..coupon("theirs", 30) }).await;
    issue(shop, Coupon { valid_to: at(1), ..coupon("late", 30) }).await;
    issue(shop, Coupon { valid_from: at(FOREVER - 1), ..coupon("early", 30) }).await;
}

async fn s1_3_a_coupon_is_used_once_by_its_customer_while_it_is_valid(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue_all(&shop).await;
    for (coupon_id, code, reason) in LIES {
        // All or none: what is beside it is not used either.
        let refused = take(&shop, new_op_id(), wanted("order-1", &["k-1", coupon_id])).await;
        let refused = refused.unwrap_err();
        is(&refused, code, reason);
        assert_eq!(fact(&refused, "coupon_id"), coupon_id);
        assert_eq!(user_of(&shop, "k-1").await, "");
    }
    let twice = take(&shop, new_op_id(), wanted("order-1", &["k-1", "k-1"])).await.unwrap_err();
    is(&twice, Code::FailedPrecondition, "INPUT_INVALID");

    let op_id = new_op_id();
    let used = take(&shop, op_id, wanted("order-1", &["k-1", "of-b"])).await.unwrap();
    // 30 off the second line, and 85 off the 820 that are left, by their shares.
    assert_eq!((discounts(&used), used.discount_minor, used.total_minor), (vec![77, 38], 115, 735));
    let again = take(&shop, op_id, wanted("order-1", &["k-1", "of-b"])).await.unwrap();
    assert_eq!(again, used);
    place(&shop, "order-1", &used).await;
    let other = take(&shop, new_op_id(), wanted("order-2", &["k-1"])).await.unwrap_err();
    is(&other, Code::FailedPrecondition, "COUPON_USED");
    assert_eq!(user_of(&shop, "k-1").await, "order-1");
    shop.assert_sound().await;
}

async fn i14_of_many_orders_at_once_one_uses_a_coupon(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    issue(&shop, coupon("k-2", 5)).await;
    let orders = (0..8).map(|n| {
        // In whatever order they are named: nobody waits for somebody who waits for him.
        let ids = if n % 2 == 0 { ["k-1", "k-2"] } else { ["k-2", "k-1"] };
        let request = wanted(&format!("order-{n}"), &ids);
        take(&shop, new_op_id(), request)
    });
    let (used, refused): (Vec<_>, Vec<_>) =
        join_all(orders).await.into_iter().partition(Result::is_ok);
    assert_eq!((used.len(), refused.len()), (1, 7));
    for refused in refused {
        is(&refused.unwrap_err(), Code::FailedPrecondition, "COUPON_USED");
    }
}

/// Before anything else is asked for the order, so that nothing has to be undone.
async fn i14_a_buyer_who_lies_about_coupons_is_refused_by_the_first_step(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue_all(&shop).await;
    issue(&shop, coupon("gone", 5)).await;
    let used = take(&shop, new_op_id(), wanted("order-0", &["gone"])).await.unwrap();
    place(&shop, "order-0", &used).await;
    let accept = |ids: &[&str]| {
        let UseCouponsRequest { customer_id, lines, coupon_ids, currency, .. } =
            wanted("order-1", ids);
        let order_no = "order-1".to_owned();
        AcceptOrderRequest {
            order_no,
            customer_id,
            lines,
            coupon_ids,
            currency,
            ..AcceptOrderRequest::default()
        }
    };
    let long = "k".repeat(65);
    let many: Vec<String> = (0..101).map(|n| format!("k-{n}")).collect();
    let words = [vec!["k-1", "k-1"], vec![""], vec![&long], many.iter().map(|it| &**it).collect()];
    let words = words.into_iter().map(|ids| (ids, Code::FailedPrecondition, "INPUT_INVALID"));
    let lies = LIES.map(|(coupon_id, code, reason)| (vec!["k-1", coupon_id], code, reason));
    let gone = (vec!["k-1", "gone"], Code::FailedPrecondition, "COUPON_USED");
    for (ids, code, reason) in words.chain(lies).chain([gone]) {
        let request = with_op_id(new_op_id(), accept(&ids));
        let refused = shop.client().accept_order(request).await.unwrap_err();
        is(&refused, code, reason);
    }
    // No trace: the number is free, and so are the coupons.
    let request = with_op_id(new_op_id(), accept(&["k-1", "of-b"]));
    shop.client().accept_order(request).await.unwrap();
    assert_eq!(user_of(&shop, "k-1").await, "");
    shop.assert_sound().await;
}

async fn a_coupon_comes_back_with_the_order_that_did_not_come_about(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    let op_id = new_op_id();
    take(&shop, op_id, wanted("order-1", &["k-1"])).await.unwrap();
    let audit = shop.audit().await;
    assert!(audit.violations.iter().any(|it| it.contains("I14")), "{audit:?}");
    assert_eq!(back(&shop, op_id).await, 1);
    assert_eq!(user_of(&shop, "k-1").await, "");
    shop.assert_sound().await;

    // A use that comes behind its undo does nothing.
    let late = new_op_id();
    back(&shop, late).await;
    let fenced = take(&shop, late, wanted("order-1", &["k-1"])).await.unwrap_err();
    is(&fenced, Code::FailedPrecondition, "OP_FENCED");
    take(&shop, new_op_id(), wanted("order-2", &["k-1"])).await.unwrap();
}

async fn back(shop: &Shop, use_op_id: Uuid) -> i64 {
    let request = ReturnCouponsRequest { use_op_id: use_op_id.to_string() };
    let reply = shop.client().return_coupons(with_op_id(new_op_id(), request)).await;
    reply.unwrap().into_inner().coupons
}

async fn a_cancelled_order_gives_its_coupons_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    let used = take(&shop, new_op_id(), wanted("order-1", &["k-1"])).await.unwrap();
    place(&shop, "order-1", &used).await;
    shop.change(new_op_id(), change("order-1", OrderStatus::CancelRequested)).await.unwrap();
    assert_eq!(user_of(&shop, "k-1").await, "order-1", "it may still be rejected");
    shop.change(new_op_id(), change("order-1", OrderStatus::Canceled)).await.unwrap();
    assert_eq!(user_of(&shop, "k-1").await, "");
    shop.assert_sound().await;
}

async fn a_cancelled_line_gives_back_the_coupon_that_was_taken_off_it(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, Coupon { item_id: "A".to_owned(), ..coupon("of-a", 50) }).await;
    issue(&shop, coupon("k-1", 8)).await;
    let used = take(&shop, new_op_id(), wanted("order-1", &["k-1", "of-a"])).await.unwrap();
    place(&shop, "order-1", &used).await;
    let cancel = new_op_id();
    let line = shop.cancel_line(cancel, "order-1", 1).await.unwrap();
    // What was paid for it, and not what it costs.
    assert_eq!(line.refund_minor, 750 - used.lines[0].discount_minor);
    assert_eq!(user_of(&shop, "of-a").await, "order-1");
    shop.finish_line(new_op_id(), cancel).await.unwrap();
    assert_eq!(user_of(&shop, "of-a").await, "");
    assert_eq!(user_of(&shop, "k-1").await, "order-1");
    shop.drop_line("order-1", 2).await;
    assert_eq!(user_of(&shop, "k-1").await, "");
    shop.assert_sound().await;
}

async fn an_order_that_coupons_cover_whole_is_placed_without_a_payment(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 10_000)).await;
    let paid_for = take(&shop, new_op_id(), wanted("order-1", &["k-1"])).await.unwrap_err();
    is(&paid_for, Code::FailedPrecondition, "NOTHING_TO_PAY");
    let free = UseCouponsRequest { is_paid: false, ..wanted("order-1", &["k-1"]) };
    let used = take(&shop, new_op_id(), free).await.unwrap();
    assert_eq!((used.total_minor, discounts(&used)), (0, vec![750, 100]));
    place(&shop, "order-1", &used).await;
    let order = shop.order("order-1").await.unwrap();
    assert_eq!((order.total_minor, order.payment_id), (0, String::new()));
    let asked = shop.change(new_op_id(), change("order-1", OrderStatus::CancelRequested)).await;
    assert_eq!(asked.unwrap().total_minor, 0);
    shop.assert_sound().await;

    // A line that is free comes back with the whole order only: no amount means all of a payment.
    issue(&shop, Coupon { item_id: "B".to_owned(), ..coupon("of-b", 100) }).await;
    let used = take(&shop, new_op_id(), wanted("order-3", &["of-b"])).await.unwrap();
    place(&shop, "order-3", &used).await;
    assert_eq!(used.total_minor, 750);
    let free = shop.cancel_line(new_op_id(), "order-3", 2).await.unwrap_err();
    is(&free, Code::FailedPrecondition, "NOTHING_TO_REFUND");

    // Without a coupon nothing is free.
    let unpaid = InsertOrderRequest { payment_id: String::new(), ..paid("order-2") };
    assert_eq!(shop.insert(unpaid).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn what_is_left_to_pay_is_what_the_customer_expects(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let percent =
        Coupon { kind: CouponKind::Percent.into(), currency: String::new(), ..coupon("k-1", 10) };
    issue(&shop, percent).await;
    let expecting =
        |expected_minor| UseCouponsRequest { expected_minor, ..wanted("order-1", &["k-1"]) };
    let changed = take(&shop, new_op_id(), expecting(764)).await.unwrap_err();
    is(&changed, Code::FailedPrecondition, "PRICE_CHANGED");
    assert_eq!(fact(&changed, "actual"), "765");
    assert_eq!(user_of(&shop, "k-1").await, "");
    take(&shop, new_op_id(), expecting(765)).await.unwrap();
}

async fn a_coupon_is_issued_once(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    issue(&shop, coupon("k-1", 85)).await;
    for (coupon, code) in [
        (coupon("k-1", 86), Code::AlreadyExists),
        (coupon("k-2", 0), Code::InvalidArgument),
        (Coupon { currency: "ZZZ".to_owned(), ..coupon("k-2", 1) }, Code::InvalidArgument),
        (Coupon { valid_to: at(0), ..coupon("k-2", 1) }, Code::InvalidArgument),
        (Coupon { kind: 0, ..coupon("k-2", 1) }, Code::InvalidArgument),
    ] {
        let request = IssueCouponRequest { coupon: Some(coupon) };
        let refused = shop.client().issue_coupon(with_op_id(new_op_id(), request)).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    for coupon_id in [String::new(), "k".repeat(65), "k\n".to_owned()] {
        let asked = shop.client().get_coupon(GetCouponRequest { coupon_id }).await;
        assert_eq!(asked.unwrap_err().code(), Code::InvalidArgument);
    }
}

async fn coupons_of_an_order_that_came_about_are_not_returned(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    issue(&shop, coupon("k-2", 5)).await;
    let op_id = new_op_id();
    let used = take(&shop, op_id, wanted("order-1", &["k-1"])).await.unwrap();
    place(&shop, "order-1", &used).await;
    let request = ReturnCouponsRequest { use_op_id: op_id.to_string() };
    let reply = shop.client().return_coupons(with_op_id(new_op_id(), request)).await;
    is(&reply.unwrap_err(), Code::FailedPrecondition, "ORDER_STANDS");
    assert_eq!(user_of(&shop, "k-1").await, "order-1");
    // Nor does it get any cheaper.
    let more = take(&shop, new_op_id(), wanted("order-1", &["k-2"])).await.unwrap_err();
    is(&more, Code::AlreadyExists, "DUPLICATE_ORDER_NO");
    shop.assert_sound().await;
}

async fn a_coupon_that_expires_before_it_is_used_is_refused_and_the_number_is_free(
    scratch: Scratch,
) {
    let shop = Shop::open(scratch).await;
    issue(&shop, coupon("k-1", 85)).await;
    let UseCouponsRequest { order_no, customer_id, lines, coupon_ids, currency, .. } =
        wanted("order-1", &["k-1"]);
    let accept = AcceptOrderRequest {
        order_no,
        customer_id,
        lines,
        coupon_ids,
        currency,
        ..AcceptOrderRequest::default()
    };
    let accept_op_id = new_op_id();
    shop.client().accept_order(with_op_id(accept_op_id, accept.clone())).await.unwrap();
    shop.tamper("update coupons set valid_to_ms = 1").await.unwrap();
    let late = take(&shop, new_op_id(), wanted("order-1", &["k-1"])).await.unwrap_err();
    is(&late, Code::FailedPrecondition, "COUPON_EXPIRED");
    let undo = WithdrawOrderRequest { accept_op_id: accept_op_id.to_string() };
    shop.client().withdraw_order(with_op_id(new_op_id(), undo)).await.unwrap();
    let without = AcceptOrderRequest { coupon_ids: Vec::new(), ..accept };
    shop.client().accept_order(with_op_id(new_op_id(), without)).await.unwrap();
    shop.assert_sound().await;
}
