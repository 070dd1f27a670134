//! The inputs in `examples/`: they are those that the demo has goods and payments for, and
//! each of them can be started as it stands.

use std::{collections::BTreeSet, fs, path::PathBuf};

use saga_demo::{
    Demo, Options,
    definition::SHIPPED,
    example::{examples, order_no},
    faults::Faults,
};
use saga_proto::saga::v1::{
    Saga, SagaName, SagaState, SignalSagaRequest, StartSagaRequest, saga_name::Name,
    saga_service_client::SagaServiceClient, signal_saga_request::Payload,
    start_saga_request::Input,
};
use tonic::transport::Channel;

use crate::runs::options;

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_files_are_what_the_demo_has_goods_for() {
    // It wants a buyer who has paid at the provider: money that no order has until then.
    let mut shown = BTreeSet::from(["settle-paid-order.yaml".to_owned()]);
    for example in examples().unwrap() {
        let name = format!("{}.json", example.definition);
        assert_eq!(file(&name), example.input, "examples/{name}");
        shown.insert(format!("{}.yaml", example.definition));
    }
    let shipped = SHIPPED.map(|(file, _)| file.to_owned());
    assert_eq!(shown, BTreeSet::from(shipped), "a shipped saga has no example");
}

async fn start(
    client: &mut SagaServiceClient<Channel>,
    definition: &str,
    key: &str,
    json: String,
    wait_s: i64,
) -> Saga {
    let request = StartSagaRequest {
        definition: definition.to_owned(),
        business_key: key.to_owned(),
        input: Some(Input::Json(json)),
        wait: Some(prost_types::Duration { seconds: wait_s, nanos: 0 }),
        ..StartSagaRequest::default()
    };
    client.start_saga(request).await.unwrap().into_inner().saga.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_can_be_started_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Options { limit: Some(1), faults: Faults::None, ..options(folder.path()) };
    let demo = Demo::start(plain).await.unwrap();
    let address = format!("http://{}", demo.listen());
    let mut client = SagaServiceClient::connect(address).await.unwrap();
    for number in 1..=4 {
        let order_no = order_no(number);
        let input = file("place-order.json").replace("example-1", &order_no);
        let placed = start(&mut client, "place-order", &order_no, input, 30).await;
        assert_eq!(placed.state(), SagaState::Completed, "{order_no}: {placed:?}");
    }
    let done = examples().unwrap().into_iter().filter(|it| it.definition != "place-order");
    for (number, example) in done.enumerate() {
        let key = format!("by-hand-{number}");
        let is_refund = example.definition == "refund";
        let wait_s = if is_refund { 0 } else { 30 };
        let saga = start(&mut client, example.definition, &key, example.input, wait_s).await;
        if !is_refund {
            assert_eq!(saga.state(), SagaState::Completed, "{}: {saga:?}", example.definition);
            continue;
        }
        let name = Name::BusinessKey(key);
        let signal = SignalSagaRequest {
            name: Some(SagaName { name: Some(name), namespace: String::new() }),
            signal: "approval".to_owned(),
            payload: Some(Payload::Json(file("refund-approval.json"))),
            request_id: "1".to_owned(),
            ..SignalSagaRequest::default()
        };
        client.signal_saga(signal).await.unwrap();
    }
    demo.stop().await.unwrap();
}
