//! Replies and requests as large as they may be: each fits into a row of the log, whatever
//! else belongs to the same moment, and none stays in memory while a call is out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use orchestrator::{
    engine::{Engine, Limits},
    participants::{CallRequest, Caller, OperationOf},
};
use prost::Message;
use saga_core::{Direction, Ending, Outcome, Resolution, SagaId};
use shop_proto::order::v1::{InsertOrderRequest, InsertOrderResponse};

use tokio::{sync::Notify, time::timeout};

use super::stores::{Fresh, KINDS, PATIENCE, engine_with, start_of};

/// Three replies side by side, and a pivot whose request is made of two of them.
const LARGE: &str = r#"
kind: Saga
name: large
version: 1
input: shop.order.v1.PlaceOrderInput
steps:
  - name: a
    after: []
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no } }
    compensation: none
  - name: b
    after: []
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no } }
    compensation: none
  - name: c
    after: []
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no } }
    compensation: none
  - name: all
    after: [a, b, c]
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: steps.a.reply.order_no + steps.b.reply.order_no } }
"#;

const REPLY_BYTES: usize = 900_000;

/// Replies with as much as it may to everything.
#[derive(Debug)]
struct Talkative;

#[async_trait]
impl Caller for Talkative {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        assert_eq!(request.direction, Direction::Forward);
        let asked = InsertOrderRequest::decode(request.body).unwrap().order_no;
        if request.step == "all" {
            assert_eq!(asked.len(), 2 * REPLY_BYTES, "the whole of two replies");
        }
        let reply = InsertOrderResponse {
            order_no: "x".repeat(REPLY_BYTES),
            ..InsertOrderResponse::default()
        };
        Outcome::Applied { reply: reply.encode_to_vec().into() }
    }

    async fn resolve(&self, _: &str, _: OperationOf, _: Duration) -> Resolution {
        Resolution::Fenced
    }
}

/// A reply that counts itself as long as anybody keeps it.
struct Counted {
    body: Vec<u8>,
    kept: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.kept.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Replies as much to all, and to the pivot only when nobody keeps the replies before it.
#[derive(Debug, Default)]
struct Forgotten {
    kept: Arc<AtomicUsize>,
}

#[async_trait]
impl Caller for Forgotten {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        while request.step == "all" && self.kept.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        let Outcome::Applied { reply } = Talkative.call(request).await else { unreachable!() };
        self.kept.fetch_add(1, Ordering::SeqCst);
        let counted = Counted { body: reply.to_vec(), kept: Arc::clone(&self.kept) };
        Outcome::Applied { reply: Bytes::from_owner(counted) }
    }

    async fn resolve(&self, _: &str, _: OperationOf, _: Duration) -> Resolution {
        Resolution::Fenced
    }
}

#[tokio::test]
async fn no_large_reply_stays_in_memory_while_a_call_is_out() {
    let fresh = Fresh::open(KINDS[0]).await;
    let caller = Arc::new(Forgotten::default());
    let engine = engine_with(Arc::clone(&fresh.store), caller, Limits::default()).await;
    engine.register(LARGE, "large.yaml").await.unwrap();
    let saga = start_of(&engine, "large", "key").await;
    assert!(engine.wait_end(saga, PATIENCE).await.unwrap(), "the pivot waits for that");
    engine.stop(PATIENCE).await;
}

/// Replies with less than is let go by itself, and to the pivots when all of them are out and
/// told to.
#[derive(Debug, Default)]
struct Together {
    kept: Arc<AtomicUsize>,
    out: Arc<AtomicUsize>,
    go: Notify,
}

const MIDDLE_BYTES: usize = 10_000;

#[async_trait]
impl Caller for Together {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        if request.step == "all" {
            let asked = InsertOrderRequest::decode(request.body).unwrap().order_no;
            assert_eq!(asked.len(), 2 * MIDDLE_BYTES, "the whole of two replies");
            let go = self.go.notified();
            self.out.fetch_add(1, Ordering::SeqCst);
            go.await;
        }
        let order_no = "x".repeat(MIDDLE_BYTES);
        let reply = InsertOrderResponse { order_no, ..InsertOrderResponse::default() };
        self.kept.fetch_add(1, Ordering::SeqCst);
        let counted = Counted { body: reply.encode_to_vec(), kept: Arc::clone(&self.kept) };
        Outcome::Applied { reply: Bytes::from_owner(counted) }
    }

    async fn resolve(&self, _: &str, _: OperationOf, _: Duration) -> Resolution {
        Resolution::Fenced
    }
}

#[tokio::test]
async fn all_sagas_together_keep_no_more_than_they_may() {
    const SAGAS: usize = 40;
    // Each keeps three replies and a request made of two.
    let of_one = 5 * MIDDLE_BYTES;
    for (payload_bytes_max, sagas_that_keep) in [(10 * of_one, 10), (1, 0), (usize::MAX, SAGAS)] {
        let fresh = Fresh::open(KINDS[0]).await;
        let caller = Arc::new(Together::default());
        let limits = Limits { payload_bytes_max, ..Limits::default() };
        let store = Arc::clone(&fresh.store);
        let engine = engine_with(store, Arc::<Together>::clone(&caller), limits).await;
        engine.register(LARGE, "large.yaml").await.unwrap();
        let mut sagas = Vec::new();
        for key in 0..SAGAS {
            sagas.push(start_of(&engine, "large", &key.to_string()).await);
        }
        let settled = async {
            while caller.out.load(Ordering::SeqCst) < SAGAS
                || caller.kept.load(Ordering::SeqCst) > 3 * sagas_that_keep
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let kept = &caller.kept;
        timeout(PATIENCE, settled).await.unwrap_or_else(|_| panic!("{kept:?} replies are kept"));
        assert!(kept.load(Ordering::SeqCst) >= 2 * sagas_that_keep, "{kept:?}");
        caller.go.notify_waiters();
        for saga in sagas {
            assert!(engine.wait_end(saga, PATIENCE).await.unwrap());
            let ended = engine.snapshot(saga).await.unwrap().state.ended().unwrap();
            assert_eq!(ended.ending, Ending::Completed);
        }
        engine.stop(PATIENCE).await;
    }
}

#[tokio::test]
async fn what_is_within_its_limit_never_stops_a_saga() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let (engine, saga) = driven(&fresh, Limits::default()).await;
        let ended = engine.snapshot(saga).await.unwrap().state.ended().unwrap();
        assert_eq!(ended.ending, Ending::Completed, "{kind:?}");

        let rows = engine.rows(saga, 0, 100).await.unwrap();
        let large = rows.iter().filter(|row| row.events.len() > REPLY_BYTES).count();
        // Three replies, the request that is made of two of them, and the last reply.
        assert_eq!(large, 5, "{kind:?}: what is large has a row of its own");
        engine.stop(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_one_that_cannot_be_made() {
    let fresh = Fresh::open(KINDS[0]).await;
    let limits = Limits { request_bytes_max: 1_000_000, ..Limits::default() };
    let (engine, saga) = driven(&fresh, limits).await;
    let snapshot = engine.snapshot(saga).await.unwrap();
    assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Compensated);
    assert_eq!(snapshot.state.turned_back().unwrap().code(), "UNRENDERABLE");
    let told = snapshot.state.steps()[3].last_trouble.as_ref().unwrap();
    assert!(told.message.contains("1800004 bytes; at most 1000000"), "{told:?}");
    engine.stop(PATIENCE).await;
}

async fn driven(fresh: &Fresh, limits: Limits) -> (Engine, SagaId) {
    let engine = engine_with(Arc::clone(&fresh.store), Arc::new(Talkative), limits).await;
    engine.register(LARGE, "large.yaml").await.unwrap();
    let saga = start_of(&engine, "large", "key").await;
    assert!(engine.wait_end(saga, PATIENCE).await.unwrap());
    (engine, saga)
}
