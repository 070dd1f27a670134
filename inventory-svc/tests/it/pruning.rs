//! What is pruned leaves stock the sum of its movements, and what can still be given back stays.

use saga_participant::{
    on_both_databases,
    testkit::{Scratch, forget, new_op_id},
};

use crate::shop::Shop;

on_both_databases!(i2_movements_are_folded_and_reservations_that_are_over_go);

async fn i2_movements_are_folded_and_reservations_that_are_over_go(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 100), ("B", 100)]).await;
    let [sold, released, held, back, partly] = std::array::from_fn(|_| new_op_id());
    for op_id in [sold, released, held] {
        shop.reserve(op_id, &[("A", 2), ("B", 1)]).await.unwrap();
    }
    shop.commit(sold).await.unwrap();
    shop.release(released).await.unwrap();
    for op_id in [back, partly] {
        shop.decrease(op_id, &[("A", 3)]).await.unwrap();
    }
    shop.restock(back, &[("A", 3)]).await.unwrap();
    shop.restock(partly, &[("A", 1)]).await.unwrap();
    shop.set_stock("B", 50).await.unwrap();
    let before = [shop.counts("A").await, shop.counts("B").await];
    shop.assert_sound().await;

    // Three times: there is an opening row already then.
    for round in 0..3 {
        forget(&shop.channel).await.unwrap();
        let left = "select count(*) from movements where kind <> 'OPENING'";
        while shop.number(left).await != 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(shop.number("select count(*) from movements").await, 2, "one for each item");
        assert_eq!(shop.number("select count(*) from movement_folds").await, 0);
        assert_eq!(shop.number("select count(*) from reservations").await, 3 + round);
        shop.assert_sound().await;
        if round == 0 {
            assert_eq!([shop.counts("A").await, shop.counts("B").await], before);
        }
        let next = new_op_id();
        shop.reserve(next, &[("B", 1)]).await.unwrap();
        shop.assert_sound().await;
    }
    // Nobody else changes them.
    for damage in ["update movements set on_hand_delta = 0", "delete from movements"] {
        shop.tamper(damage).await.unwrap_err();
    }

    // What is young goes on with what is kept.
    shop.restock(partly, &[("A", 2)]).await.unwrap();
    shop.restock(partly, &[("A", 1)]).await.unwrap_err();
    shop.commit(held).await.unwrap();
    shop.restock(sold, &[("A", 2), ("B", 1)]).await.unwrap();
    shop.assert_sound().await;
    forget(&shop.channel).await.unwrap();
    // Held by three, sold by one.
    let over = "select count(*) from reservations";
    while shop.number(over).await != 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.stock("A").await.sold, 2);
    shop.assert_sound().await;
}
