//! Defects of published code (domain.md, section 2) that are impossible here. D11's locks
//! stand in `contention`, D17's connections in `crowd`.

use futures::future::join_all;
use saga_participant::{
    Sql,
    testkit::{new_op_id, reason_of, resolve, with_op_id},
};
use saga_proto::saga::participant::v1::{
    ListEffectsRequest, ResolveMode, participant_service_client::ParticipantServiceClient,
    resolve_response::Resolution,
};
use shop_proto::inventory::v1::{AuditRequest, GetStockRequest};
use tonic::Code;

use crate::shop::{Ground, Shop, is, on_every_ground, reserve};

on_every_ground!(
    d1_a_lock_that_was_not_given_is_not_taken_for_done,
    d2_stock_and_the_record_of_it_are_one_write,
    d10_an_error_in_the_middle_takes_back_the_first_rows,
    d11_more_than_there_is_is_refused_in_the_statement_itself,
    d11_a_question_changes_nothing,
    d17_when_the_last_line_is_short_no_line_stays_reduced,
);

/// D1: the old code logged "lock not acquired" and took the message for consumed.
async fn d1_a_lock_that_was_not_given_is_not_taken_for_done(mut ground: Ground) {
    ground.limits.lock_wait_max_ms = 150;
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let lock = if shop.database.is_postgres() {
        "select 1 from stock where item_id = 'A' for update"
    } else {
        "select 1"
    };
    let occupied = shop.occupy(lock).await;
    let op_id = new_op_id();
    let request = with_op_id(op_id, reserve(&[("A", 4)]));
    let status = shop.client().reserve(request).await.unwrap_err();
    let reason = reason_of(&status);
    match status.code() {
        Code::Aborted => assert!(["STOCK_CONFLICT", "PLEASE_RETRY"].contains(&reason.as_str())),
        // SQLite: not even the operation's row could be asked for.
        code => assert_eq!((code, reason.as_str()), (Code::Unavailable, "OPERATION_IN_PROGRESS")),
    }
    occupied.leave().await;
    let resolution = resolve(&shop.channel, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(resolution, Resolution::Absent(_)), "{resolution:?}");
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    shop.reserve(op_id, &[("A", 4)]).await.unwrap();
    assert_eq!(shop.counts("A").await, (10, 4, 0));
    shop.assert_sound().await;
}

/// Lets no operation be recorded.
const UNRECORDABLE: Sql = Sql {
    postgres: "create function refuse_record() returns trigger language plpgsql as $$
            begin raise exception 'a fault of the test'; end $$;
        create trigger unrecordable before update on op_log
            for each row execute function refuse_record()",
    sqlite: "create trigger unrecordable before update on op_log
        begin select raise(abort, 'a fault of the test'); end",
};
const RECORDABLE: Sql = Sql {
    postgres: "drop trigger unrecordable on op_log; drop function refuse_record",
    sqlite: "drop trigger unrecordable",
};

/// D2: with two writes, one can be lost. Here the record that answers the saga and the
/// change of stock are there together, or neither.
async fn d2_stock_and_the_record_of_it_are_one_write(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let (sold, held) = (new_op_id(), new_op_id());
    shop.decrease(sold, &[("A", 2)]).await.unwrap();
    shop.reserve(held, &[("A", 3)]).await.unwrap();
    let before = (shop.stock("A").await, books(&shop).await);

    shop.tamper(UNRECORDABLE).await.unwrap();
    let op_id = new_op_id();
    let refused = [
        shop.reserve(op_id, &[("A", 1)]).await.unwrap_err(),
        shop.decrease(new_op_id(), &[("A", 1)]).await.unwrap_err(),
        shop.commit(held).await.unwrap_err(),
        shop.release(held).await.unwrap_err(),
        shop.restock(sold, &[]).await.unwrap_err(),
        shop.set_stock("A", 50).await.unwrap_err(),
    ];
    for status in refused {
        is(&status, Code::Internal, "INTERNAL_FAULT");
    }
    assert_eq!((shop.stock("A").await, books(&shop).await), before);

    shop.tamper(RECORDABLE).await.unwrap();
    shop.reserve(op_id, &[("A", 1)]).await.unwrap();
    shop.commit(held).await.unwrap();
    assert_eq!(shop.counts("A").await, (5, 1, 5));
    shop.assert_sound().await;
}

/// Rows in the tables that operations write.
async fn books(shop: &Shop) -> [i64; 5] {
    [
        shop.number("select count(*) from op_log").await,
        shop.number("select count(*) from movements").await,
        shop.number("select count(*) from reservations").await,
        shop.number("select count(*) from reservation_lines").await,
        shop.number("select cast(sum(version) as bigint) from stock").await,
    ]
}

/// Refuses a line of one item, which comes last.
const NO_LINE_OF_Z: Sql = Sql {
    postgres: "alter table reservation_lines add constraint no_z check (item_id <> 'Z')",
    sqlite: "create trigger no_z before insert on reservation_lines when new.item_id = 'Z'
        begin select raise(abort, 'a fault of the test'); end",
};

/// D10: the old code swallowed the exception, and the first rows of the batch were kept.
/// Orders that share a transaction with the one that fails are not touched.
async fn d10_an_error_in_the_middle_takes_back_the_first_rows(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 100), ("B", 100), ("Z", 100)]).await;
    shop.tamper(NO_LINE_OF_Z).await.unwrap();
    let orders =
        (0..40).map(|n| {
            let of = [("A", 1), ("B", 1), ("Z", 1)];
            let shop = &shop;
            async move {
                (n % 4, shop.reserve(new_op_id(), &of[..if n % 4 == 0 { 3 } else { 2 }]).await)
            }
        });
    for (n, ended) in join_all(orders).await {
        match ended {
            Ok(reserved) => assert_eq!((n != 0, reserved.items), (true, 2)),
            Err(status) => {
                assert_eq!(n, 0, "{status:?}");
                is(&status, Code::Internal, "INTERNAL_FAULT");
            }
        }
    }
    for (item, reserved) in [("A", 30), ("B", 30), ("Z", 0)] {
        assert_eq!(shop.counts(item).await, (100, reserved, 0));
    }
    shop.assert_sound().await;
}

/// D11: nothing stood between a quantity and the row but a look before.
async fn d11_more_than_there_is_is_refused_in_the_statement_itself(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 7)]).await;
    // Reserving and selling at once: 3 and 2 do not go evenly into 7.
    let reserved = join_all((0..10).map(|_| shop.reserve(new_op_id(), &[("A", 3)])));
    let sold = join_all((0..10).map(|_| shop.decrease(new_op_id(), &[("A", 2)])));
    let (reserved, sold) = futures::future::join(reserved, sold).await;
    let refused = reserved.iter().filter_map(|it| it.as_ref().err());
    for status in refused.chain(sold.iter().filter_map(|it| it.as_ref().err())) {
        is(status, Code::FailedPrecondition, "OUT_OF_STOCK");
    }
    let count = |ok: usize, qty: i64| i64::try_from(ok).unwrap() * qty;
    let reserved = count(reserved.iter().filter(|it| it.is_ok()).count(), 3);
    let sold = count(sold.iter().filter(|it| it.is_ok()).count(), 2);
    assert_eq!(shop.counts("A").await, (7 - sold, reserved, sold));
    assert!((6..=7).contains(&(reserved + sold)), "{reserved} and {sold}");
    shop.assert_sound().await;
}

/// D11: stock was changed by an HTTP GET.
async fn d11_a_question_changes_nothing(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let op_id = new_op_id();
    shop.reserve(op_id, &[("A", 4)]).await.unwrap();
    let before = (shop.stock("A").await, books(&shop).await);
    for _ in 0..3 {
        let request = GetStockRequest { item_ids: vec!["A".to_owned()] };
        shop.client().get_stock(request).await.unwrap();
        shop.client().audit(AuditRequest {}).await.unwrap();
        resolve(&shop.channel, op_id, ResolveMode::Peek).await.unwrap();
        resolve(&shop.channel, new_op_id(), ResolveMode::Peek).await.unwrap();
        let mut participant = ParticipantServiceClient::new(shop.channel.clone());
        participant.list_effects(ListEffectsRequest::default()).await.unwrap();
    }
    assert_eq!((shop.stock("A").await, books(&shop).await), before);
}

/// D17: a transaction for each item left items 1 to k reduced when k+1 failed.
async fn d17_when_the_last_line_is_short_no_line_stays_reduced(ground: Ground) {
    let ids: Vec<String> = (0..12).map(|n| format!("item-{n:02}")).collect();
    let items: Vec<(&str, i64)> = ids.iter().map(|it| (it.as_str(), 5)).collect();
    let shop = Shop::open(ground, &items).await;
    // Wherever the short line stands.
    for short in 0..items.len() {
        let mut of: Vec<(&str, i64)> = items.iter().map(|(id, _)| (*id, 1)).collect();
        of[short].1 = 6;
        for refused in [
            shop.reserve(new_op_id(), &of).await.unwrap_err(),
            shop.decrease(new_op_id(), &of).await.unwrap_err(),
        ] {
            is(&refused, Code::FailedPrecondition, "OUT_OF_STOCK");
            assert!(refused.message().ends_with(of[short].0), "{refused:?}");
        }
    }
    let untouched = "select count(*) from stock
        where on_hand = 5 and reserved = 0 and sold = 0 and version = 1";
    assert_eq!(shop.number(untouched).await, 12);
    assert_eq!(shop.number("select count(*) from reservations").await, 0);
    shop.assert_sound().await;
}
