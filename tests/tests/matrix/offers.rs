//! The simulated payment service keeps the rule of the real one: money that settles an order
//! is not given back as an offer (payment-svc, `cancel.rs`).

use prost::Message as _;
use saga_tests::sim::{
    answer::{Answer, Deny},
    barrier::Call,
    fault::Fault,
    scenario::{self, ITEMS},
    shop::{Bought, Shop},
};
use shop_proto::payment::v1::{CancelRequest, CancelResponse, cancel_request::Payment};
use uuid::Uuid;

fn placed() -> (Shop, Bought) {
    let mut shop = Shop::selling(&ITEMS);
    let bought = scenario::bought("order-1", &[0], 2);
    shop.place(&bought);
    (shop, bought)
}

fn offer(bought: &Bought) -> CancelRequest {
    CancelRequest {
        payment: Some(Payment::ProviderKey(bought.key())),
        order_no: bought.order_no.clone(),
        ..CancelRequest::default()
    }
}

fn cancel(shop: &mut Shop, op: u128, request: &CancelRequest) -> Answer {
    let body = request.encode_to_vec().into();
    let call = Call { op: Uuid::from_u128(op), method: "Cancel".to_owned(), body };
    shop.serve("payment", &call, None)
}

/// What the provider holds for the order.
fn held_minor(shop: &Shop, bought: &Bought) -> i64 {
    shop.payments.books.provider.payments[&bought.key()].net_minor()
}

#[test]
fn money_that_settles_an_order_does_not_go_back_as_an_offer() {
    let (mut shop, bought) = placed();
    let told = cancel(&mut shop, 100, &offer(&bought)).unwrap();
    assert_eq!(CancelResponse::decode(&*told).unwrap(), CancelResponse::default());
    assert_eq!(held_minor(&shop, &bought), 1_000);

    let settling = shop.payments.books.payments.values().next().unwrap().taken_by;
    let undoing = CancelRequest { reverses_op_id: settling.to_string(), ..offer(&bought) };
    let told = cancel(&mut shop, 101, &undoing).unwrap();
    assert_eq!(CancelResponse::decode(&*told).unwrap().cancelled_minor, 1_000);
    assert_eq!(held_minor(&shop, &bought), 0);
}

#[test]
fn the_order_itself_is_cancelled_without_its_settling() {
    let (mut shop, bought) = placed();
    let whole = CancelRequest { order_no: String::new(), ..offer(&bought) };
    cancel(&mut shop, 100, &whole).unwrap();
    assert_eq!(held_minor(&shop, &bought), 0);
    // What is cancelled is cancelled: nothing is asked of the provider.
    shop.payments.books.provider.ill = Some(Fault::ProviderDown);
    let again = CancelResponse::decode(&*cancel(&mut shop, 101, &whole).unwrap()).unwrap();
    assert_eq!((again.cancelled_minor, again.balance_minor), (0, 0));
}

#[test]
fn one_cancel_of_a_payment_is_settled_at_a_time() {
    let (mut shop, bought) = placed();
    let part = CancelRequest { order_no: String::new(), amount_minor: 400, ..offer(&bought) };
    shop.payments.books.provider.ill = Some(Fault::ProviderAnswerLost);
    let unknown = cancel(&mut shop, 100, &part);
    assert!(matches!(unknown, Err(Deny::Unknown { .. })), "{unknown:?}");
    let busy = cancel(&mut shop, 101, &part);
    assert!(matches!(busy, Err(Deny::Busy { .. })), "{busy:?}");

    cancel(&mut shop, 100, &part).unwrap();
    assert_eq!(held_minor(&shop, &bought), 600);
    cancel(&mut shop, 101, &part).unwrap();
    assert_eq!(held_minor(&shop, &bought), 200);
}
