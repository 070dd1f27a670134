//! Stock that is sold at once, and what comes back.

use futures::future::join_all;
use saga_participant::testkit::{new_op_id, reason_of, with_op_id};
use shop_proto::inventory::v1::{RestockRequest, restock_request::Sale};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::shop::{Ground, Shop, is, lines, on_every_ground};

on_every_ground!(
    whatever_is_still_sold_comes_back,
    s3_4_s0_1_a_decrease_sells_all_lines_or_none,
    s1_6_the_sales_count_falls_with_what_comes_back,
    no_more_comes_back_than_was_sold,
    what_comes_back_at_once_comes_back_once,
    a_restock_by_order_finds_its_one_sale,
    a_restock_that_comes_before_the_sale_waits_for_it,
    a_restock_says_what_it_lacks,
);

fn by(reserved: Uuid) -> Sale {
    Sale::ReserveOpId(reserved.to_string())
}

fn of_order(order_no: &str) -> Sale {
    Sale::OrderNo(order_no.to_owned())
}

async fn s3_4_s0_1_a_decrease_sells_all_lines_or_none(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 30), ("B", 100)]).await;
    let op_id = new_op_id();
    let sold = shop.decrease(op_id, &[("B", 2), ("A", 1), ("A", 1)]).await.unwrap();
    assert_eq!((sold.units, sold.total_minor, sold.currency.as_str()), (4, 1_000, "GBP"));
    assert_eq!(sold.reserve_op_id, op_id.to_string());
    assert_eq!((shop.counts("A").await, shop.counts("B").await), ((28, 0, 2), (98, 0, 2)));
    let refused = shop.decrease(new_op_id(), &[("B", 1), ("A", 29)]).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "OUT_OF_STOCK");

    // What is promised to others is not sold.
    shop.reserve(new_op_id(), &[("A", 20)]).await.unwrap();
    let orders = (0..20).map(|_| shop.decrease(new_op_id(), &[("A", 1), ("B", 1)]));
    let sold = join_all(orders).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((sold, shop.counts("A").await), (8, (20, 20, 10)));
    assert_eq!(shop.counts("B").await, (90, 0, 10));
    // A sale is no promise: it cannot be released.
    is(&shop.release(op_id).await.unwrap_err(), Code::FailedPrecondition, "RESERVATION_COMMITTED");
    shop.assert_sound().await;
}

async fn s1_6_the_sales_count_falls_with_what_comes_back(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10), ("B", 10)]).await;
    let (reserved, decreased) = (new_op_id(), new_op_id());
    shop.reserve(reserved, &[("A", 3), ("B", 2)]).await.unwrap();
    shop.commit(reserved).await.unwrap();
    shop.decrease(decreased, &[("A", 4)]).await.unwrap();
    assert_eq!(shop.counts("A").await, (3, 0, 7));

    let back = shop.restock(reserved, &[("A", 1), ("A", 1)]).await.unwrap();
    assert_eq!((back.units, back.lines), (2, lines(&[("A", 2)])));
    assert_eq!(shop.counts("A").await, (5, 0, 5));
    // No lines: all that is still sold.
    let back = shop.restock(reserved, &[]).await.unwrap();
    assert_eq!((back.units, back.lines), (3, lines(&[("A", 1), ("B", 2)])));
    assert_eq!((shop.counts("A").await, shop.counts("B").await), ((6, 0, 4), (10, 0, 0)));
    assert_eq!(shop.restock(reserved, &[]).await.unwrap().units, 0);
    assert_eq!(shop.restock(decreased, &[]).await.unwrap().units, 4);
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    shop.assert_sound().await;
}

async fn no_more_comes_back_than_was_sold(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10), ("B", 10)]).await;
    let sale = new_op_id();
    shop.decrease(sale, &[("A", 3)]).await.unwrap();
    shop.restock(sale, &[("A", 1)]).await.unwrap();
    for of in [&[("A", 3)][..], &[("A", 2), ("A", 1)], &[("A", 1), ("B", 1)], &[("NONE", 1)]] {
        let refused = shop.restock(sale, of).await.unwrap_err();
        is(&refused, Code::FailedPrecondition, "EXCEEDS_SOLD");
    }
    let refused = shop.restock(sale, &[("A", 1), ("B", 1)]).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().metadata["items"], "B");
    assert_eq!((shop.counts("A").await, shop.counts("B").await), ((8, 0, 2), (10, 0, 0)));
    shop.assert_sound().await;
}

async fn what_comes_back_at_once_comes_back_once(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let sale = new_op_id();
    shop.decrease(sale, &[("A", 6)]).await.unwrap();
    // Different operations that all want the same units back.
    let ended = join_all((0..12).map(|_| shop.restock(sale, &[("A", 1)]))).await;
    let (back, refused): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert_eq!((back.len(), refused.len()), (6, 6));
    for status in refused {
        is(&status.unwrap_err(), Code::FailedPrecondition, "EXCEEDS_SOLD");
    }
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    shop.assert_sound().await;
}

async fn a_restock_by_order_finds_its_one_sale(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let (released, sold) = (new_op_id(), new_op_id());
    shop.reserve(released, &[("A", 5)]).await.unwrap();
    shop.release(released).await.unwrap();
    shop.reserve(sold, &[("A", 2)]).await.unwrap();
    shop.commit(sold).await.unwrap();
    // A second saga for the same order, which is going to be refused.
    shop.reserve(new_op_id(), &[("A", 1)]).await.unwrap();
    let restock = shop.restock_as(new_op_id(), of_order("order-0001"), &[]).await.unwrap();
    assert_eq!((restock.units, restock.reserve_op_id), (2, sold.to_string()));
    assert_eq!(shop.counts("A").await, (10, 1, 0));

    for _ in 0..2 {
        shop.decrease(new_op_id(), &[("A", 1)]).await.unwrap();
    }
    let refused = shop.restock_as(new_op_id(), of_order("order-0002"), &[]).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "RESERVATION_AMBIGUOUS");
    shop.assert_sound().await;
}

/// A saga that cancels may come between another's pivot and its last step, Commit.
async fn a_restock_that_comes_before_the_sale_waits_for_it(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let reserved = new_op_id();
    shop.reserve(reserved, &[("A", 2)]).await.unwrap();
    let op_id = new_op_id();
    for sale in [by(reserved), of_order("order-0001")] {
        let early = shop.restock_as(op_id, sale, &[]).await.unwrap_err();
        is(&early, Code::Aborted, "RESERVATION_HELD");
        assert!(early.get_details_retry_info().is_some());
    }
    shop.commit(reserved).await.unwrap();
    assert_eq!(shop.restock_as(op_id, by(reserved), &[]).await.unwrap().units, 2);
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    shop.assert_sound().await;
}

async fn a_restock_says_what_it_lacks(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    for sale in [by(new_op_id()), of_order("order-9999")] {
        let refused = shop.restock_as(new_op_id(), sale, &[]).await.unwrap_err();
        is(&refused, Code::NotFound, "RESERVATION_NOT_FOUND");
    }
    let released = new_op_id();
    shop.reserve(released, &[("A", 5)]).await.unwrap();
    shop.release(released).await.unwrap();
    let refused = shop.restock(released, &[]).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "RESERVATION_NOT_SOLD");

    for (sale, code, reason, told) in [
        (None, Code::InvalidArgument, "FIELD_INVALID", "sale is \"\": reserve_op_id or order_no"),
        (
            Some(Sale::ReserveOpId("7".to_owned())),
            Code::InvalidArgument,
            "OP_ID_INVALID",
            "reserve_op_id is \"7\"",
        ),
        (
            Some(of_order("short")),
            Code::FailedPrecondition,
            "INPUT_INVALID",
            "order_no is \"short\"",
        ),
    ] {
        let request = RestockRequest { sale, ..RestockRequest::default() };
        let status = shop.client().restock(with_op_id(new_op_id(), request)).await.unwrap_err();
        assert_eq!((status.code(), reason_of(&status).as_str()), (code, reason), "{told}");
        assert!(status.message().starts_with(told), "{status:?}");
    }
    let status = shop.restock(released, &[("A", 0)]).await.unwrap_err();
    assert!(status.message().starts_with("lines[0].qty"), "{status:?}");
}

/// Behind a pivot the money is on its way back: what is asked for is what is still sold.
async fn whatever_is_still_sold_comes_back(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10), ("B", 10)]).await;
    let of_order = |order_no: &str| Some(Sale::OrderNo(order_no.to_owned()));
    let back = |sale: Option<Sale>, of: &[(&str, i64)]| {
        let request = RestockRequest { sale, lines: lines(of), at_most: true };
        let request = with_op_id(new_op_id(), request);
        let mut client = shop.client();
        async move { client.restock(request).await.unwrap().into_inner().units }
    };
    // Nothing was ever sold.
    assert_eq!(back(of_order("order-9999"), &[("A", 1)]).await, 0);
    let reserved = shop.reserve(new_op_id(), &[("A", 2), ("B", 3)]).await.unwrap();
    let sale = reserved.reserve_op_id.parse().unwrap();
    shop.commit(sale).await.unwrap();
    shop.restock(sale, &[("A", 1)]).await.unwrap();

    assert_eq!(back(of_order("order-0001"), &[("A", 2), ("B", 2)]).await, 3);
    assert_eq!(back(of_order("order-0001"), &[("A", 2)]).await, 0);
    assert_eq!(shop.counts("B").await, (9, 0, 1));
    // Sold a second time under the same number: it is one order all the same.
    let again = shop.reserve(new_op_id(), &[("B", 4)]).await.unwrap();
    shop.commit(again.reserve_op_id.parse().unwrap()).await.unwrap();
    assert_eq!(back(of_order("order-0001"), &[("B", 5)]).await, 5);
    assert_eq!(back(of_order("order-0001"), &[]).await, 0);
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    assert_eq!(shop.counts("B").await, (10, 0, 0));
    shop.assert_sound().await;
}
