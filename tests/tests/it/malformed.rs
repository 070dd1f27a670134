//! Bytes that are no request: of every method of every server, over HTTP/2, and bytes that
//! are not even HTTP. No server panics, and each still serves afterwards.

use std::future::poll_fn;

use bytes::{Buf, BufMut, Bytes};
use http_body_util::{BodyExt as _, Full};
use prost_reflect::DescriptorPool;
use saga_tests::{
    condition::within,
    server::{Server, serves},
    shop::{Database, Shop, with_op_id},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{
    Code, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::{self, uri::PathAndQuery},
};

#[tokio::test]
async fn malformed_requests_are_refused_and_nobody_dies() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let servers = [
        (&mut shop.orchestrator, "saga.v1."),
        (&mut shop.inventory, "shop.inventory.v1."),
        (&mut shop.payment, "shop.payment.v1."),
        (&mut shop.order, "shop.order.v1."),
    ];
    for (server, package) in servers {
        let mut methods = 0;
        for method in methods_of(package) {
            methods += 1;
            for body in bodies() {
                let what = format!("{method} with {body:02x?}");
                let told = within(&what, call(server, &method, body)).await;
                // Bytes of unknown fields may make a legal request, which is then refused
                // for what it lacks, or answered.
                if let Err(told) = told {
                    assert_ne!(told.code(), Code::Unknown, "{what}: {told}");
                    assert!(!told.message().contains("panic"), "{what}: {told}");
                }
            }
            for body in frames() {
                let what = format!("{method} with the frame {body:02x?}");
                within(&what, post(server, &method, body)).await;
            }
        }
        assert!(3 <= methods, "{package} has methods");
        for garbage in [&b"\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..], b"GET / HTTP/1.1\r\n\r\n"] {
            send(server, garbage).await;
        }
        send(server, &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0xff; 64][..]].concat()).await;

        assert!(serves(server.channel(), "").await, "{package} does not serve any more");
        server.process().assert_running().await;
        let said = server.process().output();
        assert!(!said.contains("panicked"), "{package}: {said}");
    }
    shop.assert_integrity(&[]).await;
}

/// Bodies that are not what any method expects.
fn bodies() -> Vec<Bytes> {
    let fixed: [&[u8]; 7] = [
        // A field number without a value, a length beyond the end, a varint without end.
        b"\x08",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        // Text that is not UTF-8, a wire type that does not exist, a group without end.
        b"\x0a\x02\xff\xfe\x12\x02\xff\xfe\x1a\x02\xff\xfe",
        b"\x0f\x0f\x0f",
        b"\x0b\x0b\x0b\x0b",
        // Field number 0.
        b"\x00\x00",
    ];
    let deep = [b"\x0a\x7f".repeat(100), vec![0x0b; 5_000]];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    };
    let random = (1..8).map(|blocks| (0..blocks).flat_map(|_| next()).collect());
    let fixed = fixed.into_iter().map(<[u8]>::to_vec);
    fixed.chain(deep).chain(random).map(|it: Vec<u8>| Bytes::from(it)).collect()
}

/// Bodies that are not even messages: each message has a byte of flags and its length.
fn frames() -> Vec<Bytes> {
    let frames: [&[u8]; 6] = [
        b"\x00\x00",
        b"\x00\x00\x00\x00\x09\x08",
        b"\x00\xff\xff\xff\xff\x08",
        b"\x01\x00\x00\x00\x01\x08",
        b"\xff\x00\x00\x00\x01\x08",
        // Two messages where there may be one.
        b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    frames.map(Bytes::from_static).to_vec()
}

/// All methods of a package, as paths. A service also serves the participant's inquiry.
fn methods_of(package: &str) -> Vec<String> {
    let mut pool = DescriptorPool::decode(saga_proto::FILE_DESCRIPTOR_SET).unwrap();
    pool.decode_file_descriptor_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let is_served = |name: &str| {
        name.starts_with(package)
            || package.starts_with("shop.") && name.starts_with("saga.participant.v1.")
    };
    let services = pool.services().filter(|it| is_served(it.full_name()));
    let paths = services.flat_map(|service| {
        let name = service.full_name().to_owned();
        let paths = service.methods().map(move |it| format!("/{name}/{}", it.name()));
        paths.collect::<Vec<_>>()
    });
    paths.collect()
}

async fn call(server: &Server, path: &str, body: Bytes) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(server.channel());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::try_from(path).unwrap();
    grpc.unary(with_op_id(body), path, Raw).await.map(tonic::Response::into_inner)
}

/// Sends a request whose body is exactly this. The server answers; what is its own affair.
async fn post(server: &Server, path: &str, body: Bytes) {
    let mut channel = server.channel();
    poll_fn(|cx| GrpcService::<Body>::poll_ready(&mut channel, cx)).await.unwrap();
    let request = http::Request::post(format!("{}{path}", server.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(body)))
        .unwrap();
    let reply = GrpcService::call(&mut channel, request).await.unwrap();
    // With its trailers.
    reply.into_body().collect().await.unwrap();
}

/// Sends bytes over a connection and reads until the server has had enough of it.
async fn send(server: &Server, bytes: &[u8]) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // It may answer or cut the connection.
    let _: std::io::Result<usize> = within("it hangs up", stream.read_to_end(&mut answer)).await;
}

/// Sends and takes messages as they are.
#[derive(Clone, Copy)]
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
