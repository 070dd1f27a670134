//! The audit finds what breaks an invariant.

use saga_participant::{
    Sql, on_both_databases,
    testkit::{Scratch, new_op_id},
};

use crate::shop::Shop;

on_both_databases!(
    i1_i2_i3_the_audit_finds_stock_that_was_tampered_with,
    i4_i5_the_audit_finds_effects_without_an_operation,
    i1_i2_s3_7_the_database_itself_refuses,
);

async fn open(scratch: Scratch) -> Shop {
    let shop = Shop::open(scratch, &[("A", 10), ("B", 10)]).await;
    let (sold, released) = (new_op_id(), new_op_id());
    shop.reserve(sold, &[("A", 3)]).await.unwrap();
    shop.commit(sold).await.unwrap();
    shop.reserve(new_op_id(), &[("A", 1)]).await.unwrap();
    shop.reserve(released, &[("B", 2)]).await.unwrap();
    shop.release(released).await.unwrap();
    shop.decrease(new_op_id(), &[("B", 1)]).await.unwrap();
    shop.assert_sound().await;
    shop
}

async fn i1_i2_i3_the_audit_finds_stock_that_was_tampered_with(scratch: Scratch) {
    let shop = open(scratch).await;
    let cases = [
        (
            "update stock set on_hand = on_hand - 1 where item_id = 'B'",
            &["I2: what is on hand is the sum of the movements: item B has 8, not 9"][..],
            "update stock set on_hand = on_hand + 1 where item_id = 'B'",
        ),
        (
            "update stock set sold = sold + 1 where item_id = 'A'",
            &[
                "I2: what is sold is the sum of the movements: item A has 4, not 3",
                "I3: what is sold is what reservations sold, less what came back: \
                 item A has 4, not 3",
            ],
            "update stock set sold = sold - 1 where item_id = 'A'",
        ),
        (
            "update reservation_lines set restocked = 1 where qty = 3",
            &["I3: what is sold is what reservations sold, less what came back: \
               item A has 3, not 2"],
            "update reservation_lines set restocked = 0",
        ),
        (
            "update stock set reserved = reserved + 1 where item_id = 'A'",
            &[
                "I2: what is reserved is the sum of the movements: item A has 2, not 1",
                "what is reserved is what reservations hold: item A has 2, not 1",
            ],
            "update stock set reserved = reserved - 1 where item_id = 'A'",
        ),
    ];
    for (damage, told, repair) in cases {
        shop.tamper(damage).await.unwrap();
        assert_eq!(shop.audit().await.violations, told, "{damage}");
        shop.tamper(repair).await.unwrap();
        shop.assert_sound().await;
    }
}

async fn i4_i5_the_audit_finds_effects_without_an_operation(scratch: Scratch) {
    let shop = open(scratch).await;
    let cases = [
        (
            "update op_log set state = 'FENCED' where kind = 'Decrease'",
            "I4, I5: what moved stock is an operation that took effect: operation ",
            "update op_log set state = 'APPLIED' where kind = 'Decrease'",
        ),
        (
            "update op_log set reverses = null where kind = 'Release'",
            "I5: a reservation is released by one operation, and others by none: reservation ",
            "update op_log set reverses = (
                select op_id from reservations where state = 'RELEASED'
            ) where kind = 'Release'",
        ),
        (
            "update reservation_lines set qty = 3 where item_id = 'B' and qty = 2",
            "I4: a reservation moved what its lines say: reservation ",
            "update reservation_lines set qty = 2 where item_id = 'B' and qty = 3",
        ),
        (
            "update op_log set kind = 'Decrease' where kind = 'Commit'",
            "I4: an operation that took stock has one reservation: operation ",
            "update op_log set kind = 'Commit' where kind = 'Decrease' and not exists (
                select 1 from reservations where reservations.op_id = op_log.op_id
            )",
        ),
    ];
    for (damage, told, repair) in cases {
        shop.tamper(damage).await.unwrap();
        let found = shop.audit().await.violations;
        assert!(found.len() == 1 && found[0].starts_with(told), "{damage}: {found:?}");
        shop.tamper(repair).await.unwrap();
        shop.assert_sound().await;
    }
}

/// S3-7: by a check as well as by code.
async fn i1_i2_s3_7_the_database_itself_refuses(scratch: Scratch) {
    let shop = open(scratch).await;
    for damage in [
        "update stock set on_hand = -1 where item_id = 'B'",
        "update stock set reserved = -1 where item_id = 'B'",
        "update stock set reserved = 11 where item_id = 'B'",
        "update stock set sold = -1 where item_id = 'B'",
        "update reservation_lines set restocked = qty + 1",
        "update movements set on_hand_delta = 0",
        "delete from movements",
    ] {
        shop.tamper(Sql::from(damage)).await.unwrap_err();
    }
    shop.assert_sound().await;
}
