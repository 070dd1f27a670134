//! F58: absurd requests are refused before anything is written, with the field and a
//! remedy; and the audit finds books that are not in order.

use saga_participant::{
    Arg, on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use shop_proto::payment::v1::{CancelRequest, ConfirmRequest, VerifyRequest, cancel_request};
use tonic::Code;

use crate::shop::{Shop, is, paid, refusal, request};

on_both_databases!(
    f58_absurd_requests_are_refused_and_leave_nothing,
    the_audit_finds_what_is_not_in_order,
);

async fn f58_absurd_requests_are_refused_and_leave_nothing(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let good = request("pay-1", "order-1", 700);
    let with = |change: &dyn Fn(&mut ConfirmRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let confirms = [
        ("order_no", with(&|it| it.order_no = String::new())),
        ("order_no", with(&|it| it.order_no = "12345".to_owned())),
        ("order_no", with(&|it| it.order_no = "x".repeat(65))),
        ("order_no", with(&|it| it.order_no = "order'; drop table payments; --".to_owned())),
        ("order_no", with(&|it| it.order_no = "order\u{202e}1".to_owned())),
        ("provider", with(&|it| it.provider = "nobody".to_owned())),
        ("provider_key", with(&|it| it.provider_key = String::new())),
        ("provider_key", with(&|it| it.provider_key = "k".repeat(201))),
        ("provider_key", with(&|it| it.provider_key = "a\0b".to_owned())),
        ("provider_key", with(&|it| it.provider_key = "..".to_owned())),
        ("amount_minor", with(&|it| it.amount_minor = 0)),
        ("amount_minor", with(&|it| it.amount_minor = -1)),
        ("amount_minor", with(&|it| it.amount_minor = i64::MAX)),
        ("amount_minor", with(&|it| it.amount_minor = i64::MIN)),
        ("currency", with(&|it| it.currency = "krw".to_owned())),
        ("currency", with(&|it| it.currency = String::new())),
    ];
    for (field, request) in confirms {
        let status = shop.confirm(new_op_id(), &request).await.unwrap_err();
        assert!(status.message().starts_with(field), "{field}: {status}");
        assert_eq!(refusal::<()>(Err(status)), is(Code::FailedPrecondition, "INPUT_INVALID"));
    }
    let good = paid("imp-1", "order-1", 700);
    for (field, request) in [
        ("order_no", VerifyRequest { order_no: "12345".to_owned(), ..good.clone() }),
        ("provider", VerifyRequest { provider: "nobody".to_owned(), ..good.clone() }),
        ("provider_key", VerifyRequest { provider_key: "..".to_owned(), ..good.clone() }),
        ("expected_minor", VerifyRequest { expected_minor: i64::MAX, ..good.clone() }),
        ("currency", VerifyRequest { currency: "won".to_owned(), ..good }),
    ] {
        let status = shop.verify(new_op_id(), &request).await.unwrap_err();
        assert!(status.message().starts_with(field), "{field}: {status}");
        assert_eq!(refusal::<()>(Err(status)), is(Code::FailedPrecondition, "INPUT_INVALID"));
    }
    let cancels = [
        CancelRequest { amount_minor: -1, ..CancelRequest::default() },
        CancelRequest {
            payment: Some(cancel_request::Payment::PaymentId("7".to_owned())),
            ..CancelRequest::default()
        },
    ];
    for request in cancels {
        let asked = shop.participant.perform(with_op_id(new_op_id(), request)).await;
        assert_eq!(refusal(asked), is(Code::InvalidArgument, "FIELD_INVALID"));
    }
    let unreadable = CancelRequest { reverses_op_id: "7".to_owned(), ..CancelRequest::default() };
    let asked = shop.participant.perform(with_op_id(new_op_id(), unreadable)).await;
    assert_eq!(refusal(asked), is(Code::InvalidArgument, "OP_ID_INVALID"));
    let asked = shop.prepare(new_op_id(), "order-1", 0).await;
    assert_eq!(refusal(asked), is(Code::InvalidArgument, "FIELD_INVALID"));

    assert_eq!(shop.audit().await.payments, 0);
    assert_eq!(shop.bank.simulator.ledger().await.unwrap(), []);
}

async fn the_audit_finds_what_is_not_in_order(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    shop.cancel(new_op_id(), "pay-1", 100).await.unwrap();
    shop.assert_books_agree().await;
    assert_eq!(shop.balance("KRW").await, 600);

    for (harm, repair) in [
        ("update payments set cancelled_minor = 200", "update payments set cancelled_minor = 100"),
        ("update attempts set state = 'OPEN'", "update attempts set state = 'CAPTURED'"),
        (
            "update op_log set state = 'FENCED' where kind = 'Cancel'",
            "update op_log set state = 'APPLIED' where kind = 'Cancel'",
        ),
    ] {
        write(&shop, harm).await;
        let violations = shop.audit().await.violations;
        assert!(violations.iter().any(|it| it.contains("order-1")), "{harm}: {violations:?}");
        write(&shop, repair).await;
        assert_eq!(shop.audit().await.violations, Vec::<String>::new(), "{repair}");
    }
}

pub(crate) async fn write(shop: &Shop, sql: &'static str) {
    let written = shop.database.write(move |mut tx| async move {
        let no_args: &[Arg<'_>] = &[];
        tx.execute(sql, no_args).await?;
        tx.commit().await
    });
    written.await.unwrap();
}
