//! Starts that are not acceptable: each is refused with a stable reason and what to do
//! about it, and changes nothing.

use saga_proto::saga::v1::{ListSagasRequest, StartSagaRequest, start_saga_request::Input};
use saga_tests::{
    buyer::reason,
    order::{MUG, Order},
    shop::{Database, Shop},
};
use tonic::Code;

#[tokio::test]
async fn a_start_that_is_not_acceptable_says_what_would_be() {
    let shop = Shop::open(Database::Sqlite).await;
    let good = || Order::of("order-1", 1, MUG).request();
    let json =
        |text: &str| StartSagaRequest { input: Some(Input::Json(text.to_owned())), ..good() };
    let foreign = prost_types::Any {
        type_url: "type.googleapis.com/shop.payment.v1.ConfirmRequest".to_owned(),
        value: Vec::new(),
    };
    let long = format!(r#"{{ "orderNo": "{}" }}"#, "9".repeat(300_000));
    let named = |definition: &str| StartSagaRequest { definition: definition.to_owned(), ..good() };
    let keyed = |key: &str| StartSagaRequest { business_key: key.to_owned(), ..good() };

    let cases = [
        (named("place-oder"), Code::NotFound, "DEFINITION_NOT_FOUND", "sagactl definition list"),
        (named(""), Code::InvalidArgument, "DEFINITION_MISSING", "place-order"),
        (
            StartSagaRequest { definition_version: 9, ..good() },
            Code::NotFound,
            "DEFINITION_NOT_FOUND",
            "version 9",
        ),
        (json(r#"{ "orderNr": "x" }"#), Code::InvalidArgument, "INPUT_INVALID", "orderNr"),
        (json(r#"{ "lines": "all" }"#), Code::InvalidArgument, "INPUT_INVALID", "lines"),
        (json(r#"{ "orderNo": 5 }"#), Code::InvalidArgument, "INPUT_INVALID", "order"),
        (json("{ not json"), Code::InvalidArgument, "INPUT_INVALID", "JSON"),
        (
            StartSagaRequest { input: Some(Input::Message(foreign)), ..good() },
            Code::InvalidArgument,
            "INPUT_INVALID",
            "shop.order.v1.PlaceOrderInput",
        ),
        (json(&long), Code::InvalidArgument, "INPUT_TOO_LARGE", "send less"),
        (keyed(""), Code::InvalidArgument, "BUSINESS_KEY_MISSING", "such as an order number"),
        (keyed(&"k".repeat(10_000)), Code::InvalidArgument, "BUSINESS_KEY_INVALID", "at most"),
    ];
    for (request, code, wanted, remedy) in cases {
        let told = shop.sagas().start_saga(request).await.unwrap_err();
        assert_eq!((told.code(), reason(&told).as_str()), (code, wanted), "{told}");
        assert!(told.message().contains(remedy), "{wanted} should tell {remedy:?}: {told}");
        assert!(told.message().len() < 1_000, "{wanted} repeats the input");
    }

    // More than the server reads at all.
    let told = shop.sagas().start_saga(json(&long.repeat(10))).await.unwrap_err();
    let wanted = (Code::InvalidArgument, "REQUEST_TOO_LARGE");
    assert_eq!((told.code(), reason(&told).as_str()), wanted, "{told}");
    assert!(told.message().contains("at most 2097152; nothing was done, send less"), "{told}");

    let all = shop.sagas().list_sagas(ListSagasRequest::default()).await.unwrap();
    assert!(all.get_ref().sagas.is_empty(), "something was accepted");
    shop.assert_integrity(&[]).await;
}

#[tokio::test]
async fn a_business_key_is_one_saga_for_ever() {
    let shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", 1, MUG);
    shop.authenticate(&order).await;
    let first = shop.start(&order).await.unwrap();
    let again = shop.start(&order).await.unwrap();
    assert!(!first.existed && again.existed);
    let id = |it: saga_proto::saga::v1::StartSagaResponse| it.saga.unwrap().saga_id;
    let first_id = id(first);
    assert_eq!(first_id, id(again));

    let other = Order { qty: 2, ..order.clone() };
    let told = shop.start(&other).await.unwrap_err();
    assert_eq!((told.code(), reason(&told).as_str()), (Code::AlreadyExists, "BUSINESS_KEY_REUSED"));
    assert!(told.message().contains(&first_id), "{told}");
    assert!(told.message().contains("use another key"), "{told}");

    shop.ended("order-1").await;
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn a_participant_that_is_down_at_start_is_waited_for() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    shop.orchestrator.start().await;
    let order = Order::of("order-1", 1, MUG);

    let told = shop.start(&order).await.unwrap_err();
    assert_eq!((told.code(), reason(&told).as_str()), (Code::NotFound, "DEFINITION_NOT_FOUND"));
    shop.orchestrator.process().says("a definition waits for its participants").await;

    shop.open_services().await;
    shop.authenticate(&order).await;
    shop.orchestrator.process().says(r#""definition":"place-order""#).await;
    let saga = shop.place(&order).await;
    assert_eq!(saga.state(), saga_proto::saga::v1::SagaState::Completed, "{}", saga.why);
    shop.assert_integrity(&[order]).await;
}
