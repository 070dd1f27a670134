//! New orders.

use std::collections::HashSet;

use futures::{StreamExt as _, future::join_all, stream};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use shop_proto::order::v1::{
    AcceptOrderRequest, CurrencyBalance, InsertOrderRequest, OrderLine, OrderStatus, PaymentInput,
    WithdrawOrderRequest,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::shop::{Shop, is, line, paid, pending};

on_both_databases!(
    s1_7_a_line_is_price_times_quantity_less_the_discount,
    s3_3_a_paid_order_begins_as_payment_success,
    a_total_that_was_not_paid_is_refused_with_both_sums,
    one_of_many_operations_inserts_an_order_number,
    d4_order_numbers_that_are_made_never_meet,
    invalid_fields_are_named_with_value_and_remedy,
    a_total_beyond_the_limit_is_refused,
    what_orders_owe_in_several_currencies_is_not_added_up,
    a_number_is_taken_by_one_order_and_given_back,
    a_wrong_word_of_the_customer_is_refused_with_the_field,
    an_order_of_two_thousand_lines_comes_back_as_it_was,
    an_order_that_does_not_exist_is_not_found,
);

async fn s1_7_a_line_is_price_times_quantity_less_the_discount(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let reply = shop.insert(paid("order-1")).await.unwrap();
    assert_eq!((reply.order_no.as_str(), reply.total_minor), ("order-1", 3 * 250 + 50));
    let order = shop.order("order-1").await.unwrap();
    assert_eq!(order.lines, paid("order-1").lines);
    assert_eq!((order.total_minor, order.payment_id.as_str()), (800, "payment-1"));
    shop.assert_sound().await;
}

async fn s3_3_a_paid_order_begins_as_payment_success(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let status_id = shop.insert(paid("order-1")).await.unwrap().status_id;
    let order = shop.order("order-1").await.unwrap();
    assert_eq!((order.status(), order.status_id), (OrderStatus::PaymentSuccess, status_id));
    let history = shop.history("order-1").await.unwrap();
    assert_eq!((history.len(), history[0].prev_id), (1, 0));

    shop.pending("order-2").await;
    let order = shop.order("order-2").await.unwrap();
    assert_eq!((order.status(), order.payment_id.as_str()), (OrderStatus::PaymentPending, ""));
}

async fn a_total_that_was_not_paid_is_refused_with_both_sums(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for paid_minor in [0, 799, 801, -800, i64::MAX] {
        let order = InsertOrderRequest { paid_minor, ..paid("order-1") };
        let status = shop.insert(order).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "TOTAL_MISMATCH");
        let facts = status.get_details_error_info().unwrap().metadata;
        assert_eq!(
            (facts["total_minor"].as_str(), &facts["paid_minor"]),
            ("800", &paid_minor.to_string())
        );
    }
    is(&shop.order("order-1").await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND");
}

async fn one_of_many_operations_inserts_an_order_number(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let ended = join_all((0..20).map(|_| shop.insert(paid("order-1")))).await;
    let refused: Vec<_> = ended.iter().filter_map(|it| it.as_ref().err()).collect();
    assert_eq!(refused.len(), 19);
    for status in refused {
        is(status, Code::AlreadyExists, "DUPLICATE_ORDER_NO");
    }
    let second = with_op_id(new_op_id(), pending("order-1"));
    let status = shop.client().create_pending(second).await.unwrap_err();
    is(&status, Code::AlreadyExists, "DUPLICATE_ORDER_NO");
    shop.assert_sound().await;
}

async fn d4_order_numbers_that_are_made_never_meet(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let op_id = new_op_id();
    let make = |op_id| {
        let mut client = shop.client();
        async move {
            let reply = client.create_pending(with_op_id(op_id, pending(""))).await.unwrap();
            reply.into_inner().order_no
        }
    };
    let crowd = stream::iter(0..200).map(|_| make(new_op_id())).buffer_unordered(32);
    let mut made: Vec<String> = crowd.collect().await;
    made.push(make(op_id).await);
    assert_eq!(made.iter().collect::<HashSet<_>>().len(), 201);
    assert!(made.iter().all(|it| it.len() == 32));
    assert_eq!(&make(op_id).await, made.last().unwrap(), "a repeated call makes no second order");
    assert_eq!(shop.audit().await.orders, 201);
}

async fn invalid_fields_are_named_with_value_and_remedy(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let with_line = |line: OrderLine| InsertOrderRequest { lines: vec![line], ..paid("order-1") };
    let cases = [
        (paid("short"), "order_no is \"short\": from 6 to 64 letters, digits, _ and -"),
        (paid("has space"), "order_no is "),
        (
            InsertOrderRequest { customer_id: String::new(), ..paid("order-1") },
            "customer_id is \"\"",
        ),
        (
            InsertOrderRequest { currency: "gbp".to_owned(), ..paid("order-1") },
            "currency is \"gbp\"",
        ),
        (InsertOrderRequest { payment_id: String::new(), ..paid("order-1") }, "payment_id is \"\""),
        (
            InsertOrderRequest { lines: Vec::new(), ..paid("order-1") },
            "lines is \"0\": from 1 to 2000",
        ),
        (with_line(line("A", 0, 1, 0)), "lines[0].qty is \"0\": from 1 to 1000000"),
        (with_line(line("A", 1_000_001, 1, 0)), "lines[0].qty is "),
        (with_line(line("A", 1, -1, 0)), "lines[0].price_minor is \"-1\""),
        (with_line(line("A", 1, i64::MAX, 0)), "lines[0].price_minor is "),
        (with_line(line("A", 2, 100, 201)), "lines[0].discount_minor is \"201\": from 0 to 200"),
        (with_line(line("A", 2, 100, -1)), "lines[0].discount_minor is \"-1\""),
        (with_line(line("\n", 2, 100, 0)), "lines[0].item_id is "),
        (
            with_line(OrderLine { credits: -1, ..line("A", 1, 1, 0) }),
            "lines[0].credits is \"-1\": from 0 to",
        ),
        (
            InsertOrderRequest {
                lines: vec![OrderLine { credits: 500_001, ..line("A", 1, 1, 0) }; 2],
                ..paid("order-1")
            },
            "credits of all lines is \"1000002\": from 0 to 1000000",
        ),
    ];
    for (order, told) in cases {
        let status = shop.insert(order).await.unwrap_err();
        let payment = told.starts_with("payment_id");
        if payment {
            is(&status, Code::InvalidArgument, "FIELD_INVALID");
        } else {
            is(&status, Code::FailedPrecondition, "INPUT_INVALID");
        }
        assert!(status.message().starts_with(told), "{} should tell {told}", status.message());
    }
    assert_eq!(shop.audit().await.orders, 0);
}

/// So that the sum of all orders fits into 64 bits.
async fn a_total_beyond_the_limit_is_refused(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    for lines in [
        vec![line("A", 1_000_000, 1_001, 0)],
        vec![line("A", 1, 500_000_001, 0); 2],
        vec![line("A", 1_000_000, 1_000_000_000, 0); 2],
    ] {
        let order = InsertOrderRequest { lines, ..paid("order-1") };
        let status = shop.insert(order).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "INPUT_INVALID");
    }
    let lines = vec![line("A", 1, 500_000_000, 0); 2];
    let most = InsertOrderRequest { lines, paid_minor: 1_000_000_000, ..paid("order-1") };
    shop.insert(most.clone()).await.unwrap();
    shop.insert(InsertOrderRequest { order_no: "order-2".to_owned(), ..most }).await.unwrap();
    assert_eq!(shop.balance("GBP").await, 2_000_000_000);
    shop.assert_sound().await;
}

async fn what_orders_owe_in_several_currencies_is_not_added_up(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.insert(paid("order-1")).await.unwrap();
    let won = InsertOrderRequest { currency: "KRW".to_owned(), ..paid("order-2") };
    shop.insert(won).await.unwrap();
    shop.pending("order-3").await;
    let of = |currency: &str, balance_minor| CurrencyBalance {
        currency: currency.to_owned(),
        balance_minor,
    };
    let audit = shop.audit().await;
    assert_eq!((audit.orders, audit.balances), (3, vec![of("GBP", 800), of("KRW", 800)]));
    let none = InsertOrderRequest { currency: "ZZZ".to_owned(), ..paid("order-4") };
    is(&shop.insert(none).await.unwrap_err(), Code::FailedPrecondition, "INPUT_INVALID");
}

/// One operation at a time has a number, from before anything is asked for its order.
async fn a_number_is_taken_by_one_order_and_given_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let accept = |key: &str| AcceptOrderRequest {
        order_no: "order-1".to_owned(),
        customer_id: "customer-1".to_owned(),
        lines: vec![OrderLine { item_id: "A".to_owned(), qty: 1, ..OrderLine::default() }],
        payment: Some(PaymentInput {
            provider: "toss".to_owned(),
            provider_key: key.to_owned(),
            amount_minor: 0,
        }),
        ..AcceptOrderRequest::default()
    };
    let first = new_op_id();
    let accepted = shop.client().accept_order(with_op_id(first, accept("pay-1"))).await.unwrap();
    assert_eq!(accepted.into_inner().credit_account, "customer-1");
    for (key, code, reason) in [
        ("pay-2", Code::AlreadyExists, "DUPLICATE_ORDER_NO"),
        ("pay-1", Code::FailedPrecondition, "SAME_PAYMENT"),
    ] {
        let request = with_op_id(new_op_id(), accept(key));
        is(&shop.client().accept_order(request).await.unwrap_err(), code, reason);
    }
    // Nobody else writes it down meanwhile.
    let status = shop.insert(paid("order-1")).await.unwrap_err();
    is(&status, Code::AlreadyExists, "DUPLICATE_ORDER_NO");
    let status = shop.client().create_pending(with_op_id(new_op_id(), pending("order-1"))).await;
    is(&status.unwrap_err(), Code::AlreadyExists, "DUPLICATE_ORDER_NO");

    let withdraw = WithdrawOrderRequest { accept_op_id: first.to_string() };
    shop.client().withdraw_order(with_op_id(new_op_id(), withdraw)).await.unwrap();
    let second = new_op_id();
    shop.client().accept_order(with_op_id(second, accept("pay-2"))).await.unwrap();
    let order = InsertOrderRequest { accept_op_id: second.to_string(), ..paid("order-1") };
    shop.insert(order).await.unwrap();
    for (key, reason) in [("pay-3", "DUPLICATE_ORDER_NO"), ("pay-2", "SAME_PAYMENT")] {
        let request = with_op_id(new_op_id(), accept(key));
        let status = shop.client().accept_order(request).await.unwrap_err();
        assert_eq!(reason_of(&status), reason, "{status:?}");
    }
    shop.assert_sound().await;
}

async fn a_wrong_word_of_the_customer_is_refused_with_the_field(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let good = || AcceptOrderRequest {
        order_no: "order-1".to_owned(),
        customer_id: "customer-1".to_owned(),
        lines: vec![OrderLine { item_id: "A".to_owned(), qty: 1, ..OrderLine::default() }],
        payment: Some(PaymentInput {
            provider: "toss".to_owned(),
            provider_key: "pay-1".to_owned(),
            amount_minor: 1,
        }),
        ..AcceptOrderRequest::default()
    };
    let with = |change: &dyn Fn(&mut AcceptOrderRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let paying = |change: &dyn Fn(&mut PaymentInput)| {
        let mut request = good();
        change(request.payment.as_mut().unwrap());
        request
    };
    let cases = [
        ("order_no", with(&|it| it.order_no = "abc".to_owned())),
        ("order_no", with(&|it| it.order_no = "x".repeat(65))),
        ("customer_id", with(&|it| it.customer_id.clear())),
        ("customer_id", with(&|it| it.customer_id = "x".repeat(65))),
        ("credit_account", with(&|it| it.credit_account = "x".repeat(65))),
        ("lines", with(&|it| it.lines.clear())),
        ("lines", with(&|it| it.lines = vec![it.lines[0].clone(); 2_001])),
        ("lines[0].item_id", with(&|it| it.lines[0].item_id.clear())),
        ("lines[0].qty", with(&|it| it.lines[0].qty = 0)),
        ("lines[0].qty", with(&|it| it.lines[0].qty = -5)),
        ("lines[0].price_minor", with(&|it| it.lines[0].price_minor = -1)),
        ("lines[0].credits", with(&|it| it.lines[0].credits = -1)),
        ("lines[0].discount_minor", with(&|it| it.lines[0].discount_minor = 1)),
        ("discount_minor", with(&|it| it.discount_minor = 5)),
        ("currency", with(&|it| it.currency = "krw".to_owned())),
        ("payment.provider", paying(&|it| it.provider = "stripe".to_owned())),
        ("payment.provider_key", paying(&|it| it.provider_key.clear())),
        ("payment.provider_key", paying(&|it| it.provider_key = "k".repeat(201))),
        ("payment.provider_key", paying(&|it| it.provider_key = "..".to_owned())),
        ("payment.amount_minor", paying(&|it| it.amount_minor = -5)),
    ];
    for (field, request) in cases {
        let status = shop.client().accept_order(with_op_id(new_op_id(), request)).await;
        let status = status.unwrap_err();
        is(&status, Code::FailedPrecondition, "INPUT_INVALID");
        let facts = status.get_details_error_info().unwrap().metadata;
        assert_eq!(facts["field"], field, "{status:?}");
    }
    shop.client().accept_order(with_op_id(new_op_id(), good())).await.unwrap();
}

async fn an_order_of_two_thousand_lines_comes_back_as_it_was(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let lines: Vec<_> =
        (0..2_000).map(|n| line(&format!("item \"{n}\""), n + 1, n % 100, 0)).collect();
    let paid_minor = lines.iter().map(|it| it.qty * it.price_minor).sum();
    shop.insert(InsertOrderRequest { lines: lines.clone(), paid_minor, ..paid("order-1") })
        .await
        .unwrap();
    assert_eq!(shop.order("order-1").await.unwrap().lines, lines);
    shop.assert_sound().await;
}

async fn an_order_that_does_not_exist_is_not_found(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    is(&shop.order("order-9").await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND");
    is(&shop.history("order-9").await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND");
    let status = shop.transition("order-9", OrderStatus::PaymentConfirm, 0).await.unwrap_err();
    is(&status, Code::NotFound, "ORDER_NOT_FOUND");
    is(&shop.order("x").await.unwrap_err(), Code::InvalidArgument, "FIELD_INVALID");
}
