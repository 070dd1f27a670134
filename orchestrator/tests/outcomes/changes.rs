//! Types that change while sagas are on their way: the participant comes back, and the bytes of a
//! call would mean something else there.

use std::net::SocketAddr;

use orchestrator::definition::CallSpec;
use prost::Message as _;
use prost_types::{FieldDescriptorProto, FileDescriptorSet};
use saga_core::Outcome;
use shop_proto::inventory::v1::ReserveResponse;
use tokio::{net::TcpListener, sync::oneshot};
use tonic::transport::{Server, server::TcpIncoming};
use tonic_reflection::server::Builder;

use super::server::{PATIENCE, Participant, RESERVE, call, participants, shown, spec};

/// The call that is made, with time for it.
fn reserve() -> CallSpec {
    CallSpec { timeout: PATIENCE, ..spec(RESERVE) }
}

/// The fields of `ReserveRequest`, as somebody has changed them.
type Change = fn(&mut Vec<FieldDescriptorProto>);

fn same(_: &mut Vec<FieldDescriptorProto>) {}

#[expect(clippy::ptr_arg, reason = "one of several changes, some of which add fields")]
fn swapped(fields: &mut Vec<FieldDescriptorProto>) {
    let numbers = (fields[0].number, fields[1].number);
    (fields[1].number, fields[0].number) = numbers;
}

fn more(fields: &mut Vec<FieldDescriptorProto>) {
    let (name, number) = (Some("note".to_owned()), Some(99));
    fields.push(FieldDescriptorProto { name, number, json_name: None, ..fields[0].clone() });
}

fn fewer(fields: &mut Vec<FieldDescriptorProto>) {
    fields.remove(0);
}

fn types(change: Change) -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    let mut changed = 0;
    for message in messages.filter(|it| it.name() == "ReserveRequest") {
        change(&mut message.field);
        changed += 1;
    }
    assert_eq!(changed, 1, "the change was made");
    set
}

/// Serves until it is told to stop, and until then has executed nothing.
async fn serving(listener: TcpListener, change: Change) -> (Participant, oneshot::Sender<()>) {
    let participant = Participant::new(|_| Ok(ReserveResponse::default()));
    let reflection = Builder::configure().register_file_descriptor_set(types(change));
    let router = Server::builder()
        .add_service(participant.service())
        .add_service(reflection.build_v1().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = router.serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
        // An error says that the test has ended.
        let _ = stopped.await;
    });
    tokio::spawn(served);
    (participant, stop)
}

async fn listening(at: SocketAddr) -> TcpListener {
    let bound = async {
        loop {
            match TcpListener::bind(at).await {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, bound).await.expect("the port stays in use")
}

#[tokio::test]
async fn a_call_whose_types_mean_something_else_now_is_not_made() {
    for (change, expected) in [
        (same as Change, "applied"),
        (more, "applied"),
        (swapped, "fault TYPES_CHANGED"),
        (fewer, "fault TYPES_CHANGED"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (participant, _stop) = serving(listener, change).await;
        let outcome = call(&participants(address), &reserve(), "x").await;
        assert_eq!(shown(&outcome), expected, "{outcome:?}");
        let executed = participant.executed.available_permits();
        assert_eq!(executed, usize::from(expected == "applied"));
        if let Outcome::Fault { message, .. } = outcome {
            assert!(message.contains("shop.inventory.v1.ReserveRequest."), "{message}");
        }
    }
}

#[tokio::test]
async fn a_participant_that_comes_back_with_other_types_is_not_called_and_later_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = participants(address);
    let mut listener = Some(listener);
    for (change, expected) in
        [(same as Change, "applied"), (swapped, "fault TYPES_CHANGED"), (same, "applied")]
    {
        let bound = match listener.take() {
            Some(listener) => listener,
            None => listening(address).await,
        };
        let (participant, stop) = serving(bound, change).await;
        let until = async {
            // It may take a try or two until the old connections are known to be gone.
            while shown(&call(&client, &reserve(), "x").await) != expected {}
        };
        tokio::time::timeout(PATIENCE * 3, until).await.expect("it stays at something else");
        let executed = participant.executed.available_permits();
        assert_eq!(0 < executed, expected == "applied");
        stop.send(()).unwrap();
    }
}
