//! Reservations: all or nothing, no lost update, never below zero.

use futures::future::join_all;
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::inventory::v1::{
    DecreaseRequest, ItemStatus, Line, PricedLine, QuoteRequest, ReserveRequest,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::shop::{Ground, Shop, is, lines, on_every_ground, reserve};

on_every_ground!(
    s0_1_s3_7_sixty_of_a_hundred_orders_get_the_last_sixty,
    s3_4_all_lines_or_none,
    s1_5_an_item_that_is_not_on_sale_is_not_reserved,
    s1_10_the_sales_count_rises_with_the_sale_and_not_with_a_release,
    commit_and_release_are_idempotent_and_exclude_each_other,
    a_release_that_comes_first_forbids_the_reservation,
    an_order_of_two_thousand_lines_is_one_operation,
    s1_3_lines_of_the_same_item_are_merged,
);

on_both_databases!(
    an_item_that_does_not_exist_is_named,
    out_of_stock_names_no_more_items_than_a_header_holds,
    a_commit_of_nothing_is_refused,
    invalid_fields_are_named_with_value_and_remedy,
    a_total_beyond_the_limit_is_refused,
    prices_are_the_catalogue_s,
    s2_8_a_hold_that_ran_out_still_holds,
);

async fn s0_1_s3_7_sixty_of_a_hundred_orders_get_the_last_sixty(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 60), ("B", 1_000)]).await;
    let orders = (0..100).map(|_| shop.reserve(new_op_id(), &[("B", 1), ("A", 1)]));
    let ended = join_all(orders).await;
    let refused: Vec<_> = ended.iter().filter_map(|it| it.as_ref().err()).collect();
    for status in &refused {
        is(status, Code::FailedPrecondition, "OUT_OF_STOCK");
    }
    assert_eq!((ended.len() - refused.len(), refused.len()), (60, 40));
    assert_eq!(shop.counts("A").await, (60, 60, 0));
    assert_eq!(shop.counts("B").await, (1_000, 60, 0));

    let reserved = ended.iter().filter_map(|it| it.as_ref().ok());
    let commits = reserved.map(|it| shop.commit(it.reserve_op_id.parse().unwrap()));
    for units in join_all(commits).await {
        assert_eq!(units.unwrap(), 2);
    }
    assert_eq!(shop.counts("A").await, (0, 0, 60));
    shop.assert_sound().await;
}

async fn s3_4_all_lines_or_none(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 5), ("B", 5), ("C", 1)]).await;
    let status = shop.reserve(new_op_id(), &[("A", 5), ("C", 2), ("B", 5)]).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "OUT_OF_STOCK");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.domain.as_str(), info.metadata["items"].as_str()), ("inventory.shop", "C"));
    for (item, on_hand) in [("A", 5), ("B", 5), ("C", 1)] {
        assert_eq!(shop.counts(item).await, (on_hand, 0, 0));
    }
    shop.assert_sound().await;
}

async fn s1_3_lines_of_the_same_item_are_merged(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 5), ("B", 5)]).await;
    let reserved = shop.reserve(new_op_id(), &[("A", 2), ("B", 1), ("A", 3)]).await.unwrap();
    assert_eq!((reserved.items, reserved.total_minor), (2, 6 * 250));
    assert_eq!(reserved.currency, "GBP");
    assert_eq!(shop.counts("A").await, (5, 5, 0));
    let status = shop.reserve(new_op_id(), &[("B", 2), ("B", 3)]).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "OUT_OF_STOCK");
}

async fn s1_5_an_item_that_is_not_on_sale_is_not_reserved(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 5), ("B", 5)]).await;
    for status in [ItemStatus::Suspended, ItemStatus::Discontinued] {
        crate::items::put(&shop, "B", |item| item.status = status.into()).await.unwrap();
        let refused = shop.reserve(new_op_id(), &[("A", 1), ("B", 1)]).await.unwrap_err();
        is(&refused, Code::FailedPrecondition, "ITEM_NOT_ON_SALE");
        assert_eq!(refused.message(), "items that are not on sale: B");
    }
    assert_eq!(shop.counts("A").await, (5, 0, 0));
    crate::items::put(&shop, "B", |item| item.status = ItemStatus::OnSale.into()).await.unwrap();
    shop.reserve(new_op_id(), &[("A", 1), ("B", 1)]).await.unwrap();
}

async fn an_item_that_does_not_exist_is_named(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 5)]).await;
    let lines = [("A", 1), ("'; drop table stock; --", 1), ("Ω", 1)];
    let status = shop.reserve(new_op_id(), &lines).await.unwrap_err();
    is(&status, Code::NotFound, "ITEM_NOT_FOUND");
    assert!(status.message().contains("'; drop table stock; --,Ω"), "{status:?}");
    assert_eq!(shop.counts("A").await, (5, 0, 0));
}

async fn out_of_stock_names_no_more_items_than_a_header_holds(scratch: Scratch) {
    let ids: Vec<String> = (0..1_112).map(|n| format!("{n:064}")).collect();
    let items: Vec<(&str, i64)> = ids.iter().map(|it| (it.as_str(), 1)).collect();
    let lines: Vec<(&str, i64)> = ids.iter().map(|it| (it.as_str(), 2)).collect();
    let shop = Shop::open(scratch, &items).await;
    let status = shop.reserve(new_op_id(), &lines).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "OUT_OF_STOCK");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["items"].split(',').count(), 10);
    assert_eq!(info.metadata["items_count"], "1112");
}

async fn s1_10_the_sales_count_rises_with_the_sale_and_not_with_a_release(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let (sold, released) = (new_op_id(), new_op_id());
    shop.reserve(sold, &[("A", 3)]).await.unwrap();
    shop.reserve(released, &[("A", 4)]).await.unwrap();
    assert_eq!(shop.counts("A").await, (10, 7, 0));
    assert_eq!(shop.commit(sold).await.unwrap(), 3);
    assert_eq!(shop.counts("A").await, (7, 4, 3));
    assert_eq!(shop.release(released).await.unwrap(), 4);
    assert_eq!(shop.counts("A").await, (7, 0, 3));
    shop.assert_sound().await;
}

async fn commit_and_release_are_idempotent_and_exclude_each_other(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let (sold, released) = (new_op_id(), new_op_id());
    shop.reserve(sold, &[("A", 3)]).await.unwrap();
    shop.reserve(released, &[("A", 4)]).await.unwrap();

    assert_eq!(shop.commit(sold).await.unwrap(), 3);
    assert_eq!(shop.commit(sold).await.unwrap(), 3);
    let refused = shop.release(sold).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "RESERVATION_COMMITTED");

    assert_eq!(shop.release(released).await.unwrap(), 4);
    is(&shop.release(released).await.unwrap_err(), Code::FailedPrecondition, "ALREADY_REVERSED");
    let refused = shop.commit(released).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "RESERVATION_NOT_HELD");
    assert_eq!(shop.counts("A").await, (7, 0, 3));
    shop.assert_sound().await;
}

async fn a_release_that_comes_first_forbids_the_reservation(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let op_id = new_op_id();
    assert_eq!(shop.release(op_id).await.unwrap(), 0);
    is(&shop.reserve(op_id, &[("A", 1)]).await.unwrap_err(), Code::FailedPrecondition, "OP_FENCED");
    assert_eq!(shop.counts("A").await, (10, 0, 0));
}

async fn a_commit_of_nothing_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch, &[]).await;
    is(&shop.commit(new_op_id()).await.unwrap_err(), Code::NotFound, "RESERVATION_NOT_FOUND");
}

async fn invalid_fields_are_named_with_value_and_remedy(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 10)]).await;
    let long = "x".repeat(65);
    let cases: [(&[(&str, i64)], &str); 7] = [
        (&[], "lines is \"0\": from 1 to 2000"),
        (&[("A", 0)], "lines[0].qty is \"0\": from 1 to 1000000"),
        (&[("A", 1), ("A", -1)], "lines[1].qty is \"-1\": from 1 to 1000000"),
        (&[("A", 1_000_001)], "lines[0].qty is \"1000001\": from 1 to 1000000"),
        (&[("A", i64::MAX)], "lines[0].qty is \"9223372036854775807\": from 1 to 1000000"),
        (&[("", 1)], "lines[0].item_id is \"\": from 1 to 64 characters"),
        (&[("a\0b", 1)], "no control characters"),
    ];
    for (lines, told) in cases {
        let status = shop.reserve(new_op_id(), lines).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "INPUT_INVALID");
        assert!(status.message().contains(told), "{} should tell {told}", status.message());
    }
    is(
        &shop.reserve(new_op_id(), &[(&long, 1)]).await.unwrap_err(),
        Code::FailedPrecondition,
        "INPUT_INVALID",
    );
    for order_no in ["", "short", "has space", "naïve-order", &long] {
        let request = ReserveRequest { order_no: order_no.to_owned(), ..reserve(&[("A", 1)]) };
        let request = with_op_id(new_op_id(), request);
        let status = shop.client().reserve(request).await.unwrap_err();
        assert!(status.message().starts_with("order_no is "), "{status:?}");
    }
    assert_eq!(shop.counts("A").await, (10, 0, 0));
}

async fn an_order_of_two_thousand_lines_is_one_operation(ground: Ground) {
    let ids: Vec<String> = (0..2_001).map(|n| format!("item-{n}")).collect();
    let items: Vec<(&str, i64)> = ids.iter().map(|it| (it.as_str(), 10)).collect();
    let lines: Vec<(&str, i64)> = ids.iter().map(|it| (it.as_str(), 1)).collect();
    let shop = Shop::open(ground, &items).await;
    let op_id = new_op_id();
    let reserved = shop.reserve(op_id, &lines[..2_000]).await.unwrap();
    assert_eq!((reserved.items, reserved.total_minor), (2_000, 500_000));
    assert_eq!(shop.commit(op_id).await.unwrap(), 2_000);
    let status = shop.reserve(new_op_id(), &lines).await.unwrap_err();
    assert_eq!(status.message(), "lines is \"2001\": from 1 to 2000");
    shop.assert_sound().await;
}

async fn a_total_beyond_the_limit_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 1_000_000), ("B", 1_000_000)]).await;
    for price_minor in [500_000_001, i64::MAX] {
        crate::items::put(&shop, "A", |item| item.price_minor = price_minor).await.unwrap();
        let status = shop.reserve(new_op_id(), &[("A", 2)]).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "TOTAL_TOO_HIGH");
    }
    crate::items::put(&shop, "B", |item| item.credits = Some(500_001)).await.unwrap();
    let status = shop.reserve(new_op_id(), &[("B", 2)]).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "TOTAL_TOO_HIGH");
    assert_eq!(shop.counts("A").await, (1_000_000, 0, 0));
}

/// S4-2: the reply tells what each line costs, and what the caller takes for it is compared.
async fn prices_are_the_catalogue_s(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 10), ("B", 10)]).await;
    crate::items::put(&shop, "B", |item| {
        item.price_minor = 70;
        item.credits = Some(5);
    })
    .await
    .unwrap();
    let lines = || lines(&[("B", 2), ("A", 1), ("B", 1)]);
    let ask = |change: &dyn Fn(&mut ReserveRequest)| {
        let mut request = ReserveRequest { lines: lines(), ..reserve(&[]) };
        change(&mut request);
        let mut client = shop.client();
        let request = with_op_id(new_op_id(), request);
        async move { client.reserve(request).await }
    };
    for change in [
        &|it: &mut ReserveRequest| it.lines[0].price_minor = 69,
        &|it: &mut ReserveRequest| it.lines[2].price_minor = i64::MIN,
        &|it: &mut ReserveRequest| it.lines[0].credits = 11,
        &|it: &mut ReserveRequest| it.expected_total_minor = 459,
        &|it: &mut ReserveRequest| it.currency = "KRW".to_owned(),
        &|it: &mut ReserveRequest| it.currency = "gbp".to_owned(),
    ] as [&dyn Fn(&mut ReserveRequest); 6]
    {
        let status = ask(change).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "PRICE_CHANGED");
    }
    assert_eq!(shop.counts("B").await, (10, 0, 0));

    let reply = ask(&|it| {
        it.lines[0].price_minor = 70;
        it.lines[2].credits = 5;
        it.expected_total_minor = 460;
        it.currency = "GBP".to_owned();
    });
    let reply = reply.await.unwrap().into_inner();
    let priced =
        |line: &PricedLine| (line.item_id.clone(), line.qty, line.price_minor, line.credits);
    let told: Vec<_> = reply.lines.iter().map(priced).collect();
    let line = |item: &str, qty, price, credits| (item.to_owned(), qty, price, credits);
    assert_eq!(told, [line("B", 2, 70, 10), line("A", 1, 250, 0), line("B", 1, 70, 5)]);
    assert_eq!((reply.total_minor, reply.credits), (460, 15));

    // A quote is the same, and holds nothing; also of what is not in the house.
    let request = QuoteRequest { lines: lines(), expected_total_minor: 460, ..Default::default() };
    let quoted =
        shop.client().quote(with_op_id(new_op_id(), request.clone())).await.unwrap().into_inner();
    assert_eq!((quoted.lines, quoted.total_minor, quoted.credits), (reply.lines, 460, 15));
    assert_eq!(shop.counts("B").await, (10, 3, 0));
    let other = QuoteRequest { expected_total_minor: 1, ..request };
    let status = shop.client().quote(with_op_id(new_op_id(), other)).await.unwrap_err();
    is(&status, Code::FailedPrecondition, "PRICE_CHANGED");

    // An order that was written down before is sold at its prices, if all are today's.
    let sell = |price_minor: i64, credits: i64| {
        let lines = vec![Line { item_id: "B".to_owned(), qty: 1, price_minor, credits }];
        let order_no = "order-0002".to_owned();
        let request =
            DecreaseRequest { order_no, lines, expected_total_minor: 70, ..Default::default() };
        let mut client = shop.client();
        async move { client.decrease(with_op_id(new_op_id(), request)).await }
    };
    for (price_minor, credits) in [(0, 5), (1, 5), (70, 0), (70, 6)] {
        let status = sell(price_minor, credits).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "PRICE_CHANGED");
    }
    assert_eq!(sell(70, 5).await.unwrap().into_inner().credits, 5);
    shop.assert_sound().await;
}

/// Nothing is decided by a clock: the reservation is the saga's until the saga ends it.
async fn s2_8_a_hold_that_ran_out_still_holds(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 10)]).await;
    let op_id = new_op_id();
    let hold_until = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let request = ReserveRequest { hold_until, ..reserve(&[("A", 4)]) };
    shop.client().reserve(with_op_id(op_id, request)).await.unwrap();
    is(
        &shop.reserve(new_op_id(), &[("A", 7)]).await.unwrap_err(),
        Code::FailedPrecondition,
        "OUT_OF_STOCK",
    );
    assert_eq!(shop.counts("A").await, (10, 4, 0));
    assert_eq!(shop.commit(op_id).await.unwrap(), 4);
    assert_eq!(shop.counts("A").await, (6, 0, 4));
    shop.assert_sound().await;
}
