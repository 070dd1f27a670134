//! What the books are once rows of the operation log are deleted.

use saga_participant::{
    Sql, on_both_databases,
    testkit::{Scratch, new_op_id},
};

use crate::shop::Shop;

on_both_databases!(the_books_are_sound_without_the_operations_behind_them);

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
