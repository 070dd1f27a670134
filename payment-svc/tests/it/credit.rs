//! GrantCredit and RevokeCredit.

use std::sync::Arc;

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::payment::v1::{
    GetCreditRequest, GrantCreditRequest, GrantCreditResponse, PaymentStatus, RevokeCreditRequest,
    RevokeCreditResponse,
};
use tonic::{Code, Request, Status};

use crate::shop::{Shop, is, refusal, request};

on_both_databases!(
    s4_8_three_purchases_end_with_18_batteries_in_sequence,
    s4_8_three_purchases_end_with_18_batteries_in_three_threads,
    s4_3_a_confirm_stores_key_provider_and_amount_and_credits_what_was_bought,
    s4_4_a_payment_grants_once_however_often_and_by_whom_it_is_asked,
    a_revocation_takes_back_once_and_forbids_the_grant,
    money_that_goes_back_and_a_grant_come_to_the_same_in_both_orders,
    only_an_approved_payment_grants,
    i9_the_audit_finds_credit_that_nobody_granted,
);

const PACK: i64 = 6;

impl Shop {
    async fn grant(&self, payment_id: &str, credits: i64) -> Result<GrantCreditResponse, Status> {
        let request = GrantCreditRequest {
            payment_id: payment_id.to_owned(),
            account: "customer-1".to_owned(),
            credits,
        };
        let granted = self.participant.apply(with_op_id(new_op_id(), request)).await;
        granted.map(tonic::Response::into_inner)
    }

    async fn revoke(&self, payment_id: &str) -> Result<RevokeCreditResponse, Status> {
        let request = RevokeCreditRequest { payment_id: payment_id.to_owned() };
        let revoked = self.participant.apply(with_op_id(new_op_id(), request)).await;
        revoked.map(tonic::Response::into_inner)
    }

    pub(crate) async fn credit(&self) -> i64 {
        let request = GetCreditRequest { account: "customer-1".to_owned() };
        self.participant.answer(Request::new(request)).await.unwrap().into_inner().balance
    }

    /// A payment that was captured, and its id.
    async fn bought(&self, number: usize) -> String {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        self.bank.buyer(&key, &order_no, 700).await;
        let confirmed = self.confirm(new_op_id(), &request(&key, &order_no, 700)).await;
        confirmed.unwrap().payment_id
    }
}

async fn s4_8_three_purchases_end_with_18_batteries_in_sequence(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    assert_eq!(shop.credit().await, 0);
    for number in 0..3 {
        let payment_id = shop.bought(number).await;
        shop.grant(&payment_id, PACK).await.unwrap();
    }
    assert_eq!(shop.credit().await, 18);
    shop.assert_books_agree().await;
}

async fn s4_8_three_purchases_end_with_18_batteries_in_three_threads(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    let threads = (0..3).map(|number| {
        let shop = shop.clone();
        // Each buyer asks twice, as one does who heard nothing.
        tokio::spawn(async move {
            let payment_id = shop.bought(number).await;
            let (one, other) =
                tokio::join!(shop.grant(&payment_id, PACK), shop.grant(&payment_id, PACK));
            (one.unwrap().credits, other.unwrap().credits)
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        assert_eq!(thread.await.unwrap(), (PACK, PACK));
    }
    assert_eq!(shop.credit().await, 18);
    shop.assert_books_agree().await;
}

async fn s4_3_a_confirm_stores_key_provider_and_amount_and_credits_what_was_bought(
    scratch: Scratch,
) {
    let shop = Shop::open(scratch).await;
    let payment_id = shop.bought(1).await;
    let granted = shop.grant(&payment_id, PACK).await.unwrap();
    assert_eq!((granted.credits, granted.balance), (PACK, PACK));
    let it = shop.payment("order-1").await.unwrap();
    assert_eq!((it.provider.as_str(), it.provider_key.as_str()), ("toss", "pay-1"));
    assert_eq!((it.amount_minor, it.status()), (700, PaymentStatus::Completed));
}

async fn s4_4_a_payment_grants_once_however_often_and_by_whom_it_is_asked(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let payment_id = shop.bought(1).await;
    let asked = (0..8).map(|_| shop.grant(&payment_id, PACK));
    for granted in crate::confirm::join_all(asked).await {
        assert_eq!(granted.unwrap().credits, PACK);
    }
    assert_eq!(shop.credit().await, PACK);
    let another = shop.grant(&payment_id, PACK + 1).await;
    assert_eq!(refusal(another), is(Code::FailedPrecondition, "CREDIT_ALREADY_GRANTED"));
    shop.assert_books_agree().await;
}

async fn a_revocation_takes_back_once_and_forbids_the_grant(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let (granted, late) = (shop.bought(1).await, shop.bought(2).await);
    shop.grant(&granted, PACK).await.unwrap();
    for _ in 0..2 {
        let revoked = shop.revoke(&granted).await.unwrap();
        assert_eq!((revoked.account.as_str(), revoked.credits), ("customer-1", PACK));
    }
    assert_eq!(shop.credit().await, 0);
    // Whoever asks for the grant again is not told that it stands.
    for credits in [PACK, PACK + 1] {
        assert_eq!(shop.grant(&granted, credits).await.unwrap().credits, 0);
    }
    assert_eq!(shop.credit().await, 0);
    // The order is cancelled before the place_order saga comes to its last step. That step
    // lies behind the pivot, so it must succeed.
    let revoked = shop.revoke(&late).await.unwrap();
    assert_eq!((revoked.account.as_str(), revoked.credits), ("", 0));
    assert_eq!(shop.grant(&late, PACK).await.unwrap().credits, 0);
    shop.assert_books_agree().await;
}

/// A line with credits that a coupon covers stands when the line that was paid is cancelled.
async fn money_that_goes_back_and_a_grant_come_to_the_same_in_both_orders(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let (one, other) = (shop.bought(1).await, shop.bought(2).await);
    assert_eq!(shop.grant(&one, PACK).await.unwrap().credits, PACK);
    shop.cancel(new_op_id(), "pay-1", 0).await.unwrap();
    shop.cancel(new_op_id(), "pay-2", 0).await.unwrap();
    assert_eq!(shop.grant(&other, PACK).await.unwrap().credits, PACK);
    assert_eq!(shop.credit().await, 2 * PACK);
    shop.assert_books_agree().await;
    // Who cancels the order takes them back, in both orders as well.
    for payment_id in [&one, &other] {
        assert_eq!(shop.revoke(payment_id).await.unwrap().credits, PACK);
    }
    assert_eq!(shop.credit().await, 0);
    shop.assert_books_agree().await;
}

async fn only_an_approved_payment_grants(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let prepared = shop.prepare(new_op_id(), "order-1", 700).await.unwrap();
    let unpaid = shop.grant(&prepared, PACK).await;
    assert_eq!(refusal(unpaid), is(Code::FailedPrecondition, "NOT_PAID"));
    let nobody = new_op_id().to_string();
    for unknown in [refusal(shop.grant(&nobody, PACK).await), refusal(shop.revoke(&nobody).await)] {
        assert_eq!(unknown, is(Code::NotFound, "PAYMENT_NOT_FOUND"));
    }
    let payment_id = shop.bought(2).await;
    for absurd in [0, -1, i64::MIN, i64::MAX] {
        let asked = shop.grant(&payment_id, absurd).await;
        assert_eq!(refusal(asked), is(Code::InvalidArgument, "FIELD_INVALID"));
    }
    assert_eq!(shop.credit().await, 0);
}

async fn i9_the_audit_finds_credit_that_nobody_granted(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let payment_id = shop.bought(1).await;
    shop.grant(&payment_id, PACK).await.unwrap();
    shop.assert_books_agree().await;
    crate::limits::write(&shop, "update credit_accounts set balance = balance + 1").await;
    let violations = shop.audit().await.violations;
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("customer-1 has 7, not 6"), "{violations:?}");
}
