//! Whom the services of the shop believe: every method of each, called as an engine calls it,
//! by the engine and by somebody else (X03, X17).

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use prost_reflect::DescriptorPool;
use saga_proto::saga::v1::SagaState;
use saga_tests::{
    order::{MUG, Order},
    secured::Files,
    server::{Server, channel_with},
    shop::{Database, Shop},
};
use tonic::{Status, body::Body, codegen::http::Request, transport::Channel};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;
use uuid::Uuid;

/// What only an engine may ask.
const INQUIRIES: &str = "/saga.participant.v1.ParticipantService/";

/// The methods of a service, with those that every participant serves.
fn methods(package: &str) -> Vec<String> {
    let pool = DescriptorPool::decode(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mine = |name: &str| name == package || name == "saga.participant.v1";
    let services = pool.services().filter(|it| mine(it.package_name()));
    let paths = services.flat_map(|service| {
        let path = |name: &str| format!("/{}/{name}", service.full_name());
        service.methods().map(|it| path(it.name())).collect::<Vec<_>>()
    });
    let health = "/grpc.health.v1.Health/Check".to_owned();
    paths.chain([health]).collect()
}

/// The reason with which a call is refused. Nothing it carries could be done.
async fn reason(channel: Channel, path: &str, says_what_it_is: bool) -> Option<String> {
    let mut request = Request::post(format!("https://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if says_what_it_is {
        request = request.header("saga-op-id", Uuid::now_v7().to_string());
    }
    // A message without a field.
    let body = Full::new(Bytes::from_static(&[0; 5])).map_err(|it| match it {});
    let response = channel.oneshot(request.body(Body::new(body)).unwrap()).await.unwrap();
    let status = Status::from_header_map(response.headers())?;
    Some(status.get_details_error_info()?.reason)
}

fn channel(files: &Files, program: &str, server: &Server) -> Channel {
    channel_with(&files.connector(Some(program)), server.address())
}

#[tokio::test]
async fn a_service_takes_the_word_of_its_engines_and_of_nobody_else() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let files = shop.secure();
    files.put("clerk", &files.authority.issue(&["spiffe://shop/clerk"]));
    shop.open_services().await;
    shop.orchestrator.start().await;
    let services = [
        ("shop.inventory.v1", &shop.inventory),
        ("shop.payment.v1", &shop.payment),
        ("shop.order.v1", &shop.order),
    ];
    let unknown = Some("ENGINE_UNKNOWN");
    let mut tried = 0;
    for (package, server) in services {
        for path in methods(package) {
            let (engine, clerk) =
                (channel(&files, "orchestrator", server), channel(&files, "clerk", server));
            for says_what_it_is in [false, true] {
                let told = reason(engine.clone(), &path, says_what_it_is).await;
                assert_ne!(told.as_deref(), unknown, "{path}, called by the engine");
                let told = reason(clerk.clone(), &path, says_what_it_is).await;
                let is_word = says_what_it_is || path.starts_with(INQUIRIES);
                let is_refused = told.as_deref() == unknown;
                assert_eq!(is_refused, is_word, "{path}, called by a clerk: {told:?}");
                tried += 1;
            }
        }
    }
    assert!(60 < tried, "{tried} calls were tried");
    // The engine is believed: what it asks for is done.
    let order = Order::of("order-1", 1, MUG);
    shop.authenticate(&order).await;
    assert_eq!(shop.place(&order).await.state(), SagaState::Completed);
}
