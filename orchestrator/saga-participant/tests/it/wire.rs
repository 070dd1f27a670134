//! Requests as they come over the wire: a repeat is the same bytes, whatever this build of
//! the service knows of them and in whatever order it would encode them.

use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message as _;
use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Participant, ParticipantApi, on_both_databases,
    serve::App,
    testkit::{Scratch, connect, new_op_id, reason_of, resolve, serve},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{BoxFuture, Service, http},
    server::{NamedService, UnaryService},
    service::Routes,
    transport::{Channel, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::{
    counter::{Counter, SCHEMA, Standing, Total, participant},
    random::Dice,
};

on_both_databases!(
    any_bytes_are_the_same_again_and_others_are_not,
    two_builds_of_a_service_agree_about_the_same_bytes,
    a_stored_reply_is_sent_as_it_is_stored,
    limits_on_requests_and_replies_hold,
    a_server_that_keeps_no_bytes_is_told_so_at_the_first_call,
);

/// What the older build of the service knows.
#[derive(Clone, PartialEq, prost::Message)]
struct Old {
    #[prost(int64, tag = "1")]
    amount: i64,
    #[prost(map = "string, int64", tag = "2")]
    shares: HashMap<String, i64>,
    #[prost(oneof = "How", tags = "3, 4")]
    how: Option<How>,
    #[prost(message, repeated, tag = "5")]
    parts: Vec<Old>,
    #[prost(group, optional, tag = "8")]
    grouped: Option<Total>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum How {
    #[prost(string, tag = "3")]
    Card(String),
    #[prost(message, tag = "4")]
    Split(Box<Old>),
}

/// What the newer build knows: a field more.
#[derive(Clone, PartialEq, prost::Message)]
struct New {
    #[prost(int64, tag = "1")]
    amount: i64,
    #[prost(map = "string, int64", tag = "2")]
    shares: HashMap<String, i64>,
    #[prost(string, tag = "6")]
    note: String,
    #[prost(map = "int32, bytes", tag = "7")]
    more: HashMap<i32, Vec<u8>>,
}

/// A reply whose encoding has no fixed order.
#[derive(Clone, PartialEq, prost::Message)]
struct Shares {
    #[prost(map = "string, int64", tag = "1")]
    shares: HashMap<String, i64>,
}

async fn write(
    tx: &mut saga_participant::Tx,
    op: &OperationMeta,
    shares: HashMap<String, i64>,
) -> Result<Shares, OperationError> {
    let sql = "/* share */ insert into bump (op_id, amount) values ($1, 1)";
    tx.execute(sql, &[Arg::Uuid(op.op_id)]).await?;
    Ok(Shares { shares })
}

impl Operation<Counter> for Old {
    const KIND: &'static str = "Share";
    type Reply = Shares;

    async fn apply(
        self,
        tx: &mut saga_participant::Tx,
        op: &OperationMeta,
    ) -> Result<Shares, OperationError> {
        write(tx, op, self.shares).await
    }
}

impl Operation<Counter> for New {
    const KIND: &'static str = "Share";
    type Reply = Shares;

    async fn apply(
        self,
        tx: &mut saga_participant::Tx,
        op: &OperationMeta,
    ) -> Result<Shares, OperationError> {
        write(tx, op, self.shares).await
    }
}

/// A server as tonic generates it, for both builds.
#[derive(Clone)]
struct Generated(Participant<Counter>);

struct Handler<O>(Participant<Counter>, std::marker::PhantomData<O>);

impl<O: Operation<Counter, Reply = Shares>> UnaryService<O> for Handler<O> {
    type Response = Shares;
    type Future = BoxFuture<Response<Shares>, Status>;

    fn call(&mut self, request: Request<O>) -> Self::Future {
        let participant = self.0.clone();
        Box::pin(async move { participant.apply(request).await })
    }
}

impl NamedService for Generated {
    const NAME: &'static str = "test.Shares";
}

const MESSAGE_BYTES_MAX: usize = 64 << 10;

impl Service<http::Request<Body>> for Generated {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let participant = self.0.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Shares/Old" => unary::<Old>(participant, request).await,
                _ => unary::<New>(participant, request).await,
            })
        })
    }
}

async fn unary<O: Operation<Counter, Reply = Shares>>(
    participant: Participant<Counter>,
    request: http::Request<Body>,
) -> http::Response<Body> {
    tonic::server::Grpc::new(ProstCodec::<Shares, O>::default())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
        .unary(Handler(participant, std::marker::PhantomData), request)
        .await
}

/// Sends and takes bytes as they are.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

struct Server {
    participant: Participant<Counter>,
    channel: Channel,
}

impl Server {
    async fn open(scratch: &Scratch) -> Self {
        let database = scratch.open(&SCHEMA).await;
        let participant = participant(database.clone());
        let routes = Routes::new(Generated(participant.clone()))
            .add_service(ParticipantApi::server(participant.clone()));
        let channel = serve(App { routes, service_names: &[], database }).await;
        Self { participant, channel }
    }

    async fn call(&self, build: &'static str, op_id: Uuid, bytes: &Bytes) -> Result<Bytes, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let mut request = Request::new(bytes.clone());
        request.metadata_mut().insert("saga-op-id", op_id.to_string().parse().unwrap());
        let path = http::uri::PathAndQuery::from_static(build);
        grpc.unary(request, path, Raw).await.map(Response::into_inner)
    }

    async fn standing(&self) -> i64 {
        self.participant.answer(Request::new(Standing)).await.unwrap().into_inner()
    }
}

const OLD: &str = "/test.Shares/Old";
const NEW: &str = "/test.Shares/New";

fn shares(entries: i64) -> HashMap<String, i64> {
    (0..entries).map(|number| (format!("account-{number}"), number)).collect()
}

/// A request of either build in the form of the wire, which no encoder needs to have made:
/// fields in any order, maps with equal keys, both arms of a oneof, unknown fields, groups.
fn any_request(dice: &mut Dice) -> Bytes {
    let mut bytes = Vec::new();
    for _ in 0..dice.below(8) {
        any_field(dice, &mut bytes, 2);
    }
    bytes.into()
}

fn any_field(dice: &mut Dice, bytes: &mut Vec<u8>, depth: u32) {
    use prost::encoding::{WireType, encode_key, encode_varint};
    match dice.below(8) {
        0 => prost::encoding::int64::encode(1, &(dice.next() as i64), bytes),
        1 | 2 => {
            let entries = HashMap::from([(format!("k{}", dice.below(3)), dice.next() as i64)]);
            let one = Old { shares: entries, ..Old::default() };
            bytes.extend(one.encode_to_vec());
        }
        3 => {
            prost::encoding::string::encode(3, &"card"[..dice.below(5) as usize].to_owned(), bytes)
        }
        4 | 5 if 0 < depth => {
            let mut inner = Vec::new();
            any_field(dice, &mut inner, depth - 1);
            prost::encoding::bytes::encode(4 + dice.below(2), &inner, bytes);
        }
        6 => {
            // A group that the older build knows, or nobody.
            let tag = [8, 900][dice.below(2) as usize];
            encode_key(tag, WireType::StartGroup, bytes);
            encode_key(1, WireType::Varint, bytes);
            encode_varint(dice.next(), bytes);
            encode_key(tag, WireType::EndGroup, bytes);
        }
        _ => {
            // Fields of which one or no build knows.
            prost::encoding::string::encode(6, &"note".to_owned(), bytes);
            prost::encoding::uint64::encode(1_000, &dice.next(), bytes);
        }
    }
}

async fn any_bytes_are_the_same_again_and_others_are_not(scratch: Scratch) {
    let server = Server::open(&scratch).await;
    let mut applied = 0;
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let (bytes, other) = (any_request(&mut dice), any_request(&mut dice));
        let op_id = new_op_id();
        let first = server.call(OLD, op_id, &bytes).await.unwrap();
        applied += 1;
        for _ in 0..3 {
            let again = server.call(OLD, op_id, &bytes).await;
            assert_eq!(again.unwrap(), first, "seed {seed}: {bytes:?}");
        }
        if other != bytes {
            let status = server.call(OLD, op_id, &other).await.unwrap_err();
            assert_eq!(reason_of(&status), "OP_ID_REUSED", "seed {seed}: {bytes:?} {other:?}");
        }
    }
    assert_eq!(server.standing().await, applied);
}

async fn two_builds_of_a_service_agree_about_the_same_bytes(scratch: Scratch) {
    let server = Server::open(&scratch).await;
    for seed in 0..40 {
        let bytes = any_request(&mut Dice::new(seed));
        for (first, second) in [(OLD, NEW), (NEW, OLD)] {
            let op_id = new_op_id();
            let applied = server.call(first, op_id, &bytes).await.unwrap();
            let again = server.call(second, op_id, &bytes).await;
            assert_eq!(again.unwrap(), applied, "seed {seed}: {bytes:?}");
        }
    }
    assert_eq!(server.standing().await, 80);
}

async fn a_stored_reply_is_sent_as_it_is_stored(scratch: Scratch) {
    let server = Server::open(&scratch).await;
    let bytes = Bytes::from(Old { shares: shares(12), ..Old::default() }.encode_to_vec());
    let op_id = new_op_id();
    let first = server.call(OLD, op_id, &bytes).await.unwrap();
    assert_eq!(Shares::decode(first.clone()).unwrap().shares, shares(12));
    for _ in 0..10 {
        assert_eq!(server.call(OLD, op_id, &bytes).await.unwrap(), first);
    }
    match resolve(&server.channel, op_id, ResolveMode::Peek).await.unwrap() {
        Resolution::Applied(applied) => assert_eq!(applied.reply, first),
        other => panic!("{other:?}"),
    }
}

async fn limits_on_requests_and_replies_hold(scratch: Scratch) {
    let server = Server::open(&scratch).await;
    let request = |bytes: usize| {
        let how = Some(How::Card("x".repeat(bytes)));
        Bytes::from(Old { how, ..Old::default() }.encode_to_vec())
    };
    let status = server.call(OLD, new_op_id(), &request(MESSAGE_BYTES_MAX)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(server.standing().await, 0);
    // It comes in several frames, and empty ones are messages too.
    let large = request(MESSAGE_BYTES_MAX - 100);
    for bytes in [large, Bytes::new()] {
        let op_id = new_op_id();
        server.call(OLD, op_id, &bytes).await.unwrap();
        server.call(OLD, op_id, &bytes).await.unwrap();
    }
    assert_eq!(server.standing().await, 2);
}

async fn a_server_that_keeps_no_bytes_is_told_so_at_the_first_call(scratch: Scratch) {
    let mut server = Server::open(&scratch).await;
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = incoming.local_addr().unwrap();
    let routes = Routes::new(Generated(server.participant.clone()));
    let bare = tonic::transport::Server::builder().add_routes(routes);
    tokio::spawn(bare.serve_with_incoming(incoming));
    server.channel = connect(address).await;
    let status = server.call(OLD, new_op_id(), &Bytes::new()).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, "INTERNAL_FAULT"));
    assert!(status.message().contains("add saga_participant::RawLayer"), "{status}");
    assert_eq!(server.standing().await, 0);
}
