//! What is left once operations are forgotten.

use std::time::Duration;

use saga_participant::{
    Sql, on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use saga_proto::saga::participant::v1::{
    AdvanceHorizonRequest, participant_service_client::ParticipantServiceClient,
};
use shop_proto::inventory::v1::{ReleaseRequest, restock_request::Sale};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::shop::{Shop, is};

on_both_databases!(
    the_books_are_sound_without_the_operations_behind_them,
    movements_are_folded_and_what_can_be_given_back_stays,
);

const HOUR_MS: u64 = 3_600_000;

/// An operation's id of so many hours ago.
fn ago(hours: u64) -> Uuid {
    let id = new_op_id().as_u128();
    Uuid::from_u128(id - (u128::from(hours * HOUR_MS) << 80))
}

/// Tells that nothing older is needed, and waits until so many operations are on record.
async fn forget(shop: &Shop, hours: u64, left: i64) {
    let at_ms = u64::try_from(new_op_id().as_u128() >> 80).unwrap() - hours * HOUR_MS;
    let request = AdvanceHorizonRequest { log_id: Uuid::nil().to_string(), at_ms };
    let mut participant = ParticipantServiceClient::new(shop.channel.clone());
    participant.advance_horizon(request).await.unwrap();
    let wait = async {
        while shop.number("select count(*) from op_log").await != left {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

async fn restock(shop: &Shop, op_id: Uuid, reserved: Uuid, of: &[(&str, i64)]) {
    let sale = Sale::ReserveOpId(reserved.to_string());
    shop.restock_as(op_id, sale, of).await.unwrap();
}

#[track_caller]
fn too_old<T: std::fmt::Debug>(answered: Result<T, Status>) {
    is(&answered.unwrap_err(), Code::DataLoss, "OP_TOO_OLD");
}

async fn the_books_are_sound_without_the_operations_behind_them(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 10), ("B", 10)]).await;
    let (sold, released) = (new_op_id(), new_op_id());
    shop.reserve(sold, &[("A", 3)]).await.unwrap();
    shop.commit(sold).await.unwrap();
    shop.reserve(released, &[("B", 2)]).await.unwrap();
    shop.release(released).await.unwrap();
    shop.decrease(new_op_id(), &[("B", 1)]).await.unwrap();
    shop.tamper(Sql::from("delete from op_log")).await.unwrap();
    shop.assert_sound().await;
    // What is there must still be right.
    shop.reserve(new_op_id(), &[("A", 1)]).await.unwrap();
    shop.tamper(Sql::from("update op_log set state = 'FENCED'")).await.unwrap();
    let found = shop.audit().await.violations;
    let told = "I4, I5: what moved stock is an operation that took effect: operation ";
    assert!(found.len() == 1 && found[0].starts_with(told), "{found:?}");
}

async fn movements_are_folded_and_what_can_be_given_back_stays(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 20), ("B", 20)]).await;
    let (sold, released, whole, part) = (ago(9), ago(9), ago(9), ago(9));
    shop.reserve(sold, &[("A", 3), ("B", 1)]).await.unwrap();
    shop.commit_as(ago(9), sold).await.unwrap();
    shop.reserve(released, &[("B", 2)]).await.unwrap();
    let release = ReleaseRequest { reserve_op_id: released.to_string() };
    let (undo, mut client) = (ago(9), shop.client());
    client.release(with_op_id(undo, release.clone())).await.unwrap();
    shop.decrease(whole, &[("A", 2)]).await.unwrap();
    restock(&shop, ago(9), whole, &[("A", 2)]).await;
    shop.decrease(part, &[("B", 4)]).await.unwrap();
    restock(&shop, ago(9), part, &[("B", 1)]).await;
    shop.reserve(new_op_id(), &[("A", 5)]).await.unwrap();
    let before = (shop.counts("A").await, shop.counts("B").await);

    forget(&shop, 8, 1).await;
    shop.assert_sound().await;
    assert_eq!((shop.counts("A").await, shop.counts("B").await), before);
    let movements = "select count(*) from movements where kind <> 'INITIAL'";
    assert_eq!(shop.number(movements).await, 2 + 1, "an opening row each, and what is young");
    assert_eq!(shop.number("select count(*) from reservations").await, 3);
    for damage in ["delete from movements", "update movements set on_hand_delta = 0"] {
        shop.tamper(Sql::from(damage)).await.unwrap_err();
    }

    // Nothing happens twice, and no undo says that there is nothing to undo.
    too_old(shop.reserve(sold, &[("A", 3), ("B", 1)]).await);
    too_old(shop.decrease(part, &[("B", 4)]).await);
    too_old(client.release(with_op_id(undo, release)).await);
    let release = ReleaseRequest { reserve_op_id: sold.to_string() };
    too_old(client.release(with_op_id(new_op_id(), release)).await);
    assert_eq!((shop.counts("A").await, shop.counts("B").await), before);

    // What was sold long ago is given back, and is forgotten with the operation that did it.
    restock(&shop, ago(5), sold, &[("A", 3)]).await;
    restock(&shop, ago(5), sold, &[("B", 1)]).await;
    restock(&shop, ago(5), part, &[("B", 2)]).await;
    shop.assert_sound().await;
    forget(&shop, 4, 1).await;
    shop.assert_sound().await;
    assert_eq!(shop.number(movements).await, 2 + 1);
    assert_eq!(shop.number("select count(*) from reservations").await, 2);
    assert_eq!(shop.number("select count(*) from reservation_lines").await, 2);
    restock(&shop, new_op_id(), part, &[("B", 1)]).await;
    assert_eq!(shop.counts("B").await, (20, 0, 0));
    shop.assert_sound().await;
}
