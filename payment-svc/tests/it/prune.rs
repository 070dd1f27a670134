//! What is left once operations are forgotten: the money that they moved.

use std::time::Duration;

use saga_participant::{
    ParticipantApi, Tx, on_both_databases,
    testkit::{Scratch, new_op_id},
};
use saga_proto::saga::participant::v1::{
    AdvanceHorizonRequest, participant_service_server::ParticipantService as _,
};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::{
    bank::{decline, on_confirm},
    shop::{Shop, is, refusal, request},
};

on_both_databases!(money_is_moved_once_and_given_back_after_its_operations_are_forgotten);

const HOUR_MS: u64 = 3_600_000;

/// An operation's id of so many hours ago.
fn ago(hours: u64) -> Uuid {
    let id = new_op_id().as_u128();
    Uuid::from_u128(id - (u128::from(hours * HOUR_MS) << 80))
}

async fn number(shop: &Shop, sql: &'static str) -> i64 {
    let read = move |mut tx: Tx| async move { Ok(tx.row(sql, &[]).await?.unwrap().int(0)?) };
    shop.database.read(read).await.unwrap()
}

async fn forget(shop: &Shop, hours: u64) {
    let at_ms = u64::try_from(new_op_id().as_u128() >> 80).unwrap() - hours * HOUR_MS;
    let request = AdvanceHorizonRequest { log_id: Uuid::nil().to_string(), at_ms };
    let participant = ParticipantApi::new(shop.participant.clone());
    participant.advance_horizon(Request::new(request)).await.unwrap();
    let wait = async {
        while number(shop, "select count(*) from op_log").await != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

async fn money_is_moved_once_and_given_back_after_its_operations_are_forgotten(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let script = on_confirm([decline("REJECT_CARD_PAYMENT")]);
    shop.bank.buyer_with("pay-1", "order-1", 700, script).await;
    let declined = ago(9);
    shop.confirm(declined, &request("pay-1", "order-1", 700)).await.unwrap_err();
    shop.bank.buyer("pay-2", "order-2", 700).await;
    let (captured, cancelled) = (ago(9), ago(9));
    let it = request("pay-2", "order-2", 700);
    let payment_id = shop.confirm(captured, &it).await.unwrap().payment_id;
    shop.cancel_part(cancelled, &payment_id, 300).await.unwrap();
    let money = shop.bank.money("order-2").await;

    forget(&shop, 8).await;
    shop.assert_books_agree().await;
    assert_eq!(number(&shop, "select count(*) from attempts").await, 1, "of what was captured");
    let too_old = is(Code::DataLoss, "OP_TOO_OLD");
    let again = shop.confirm(declined, &request("pay-1", "order-1", 700)).await;
    assert_eq!(refusal(again), too_old);
    assert_eq!(refusal(shop.confirm(captured, &it).await), too_old);
    assert_eq!(refusal(shop.cancel_part(cancelled, &payment_id, 300).await), too_old);
    for undo in [new_op_id(), ago(9)] {
        assert_eq!(refusal(shop.undo(undo, captured).await), too_old);
        assert_eq!(refusal(shop.undo(undo, declined).await), too_old);
    }
    assert_eq!(shop.bank.money("order-2").await, money);

    shop.cancel_part(new_op_id(), &payment_id, 400).await.unwrap();
    shop.assert_books_agree().await;
    assert_eq!(shop.balance("KRW").await, 0);
}
