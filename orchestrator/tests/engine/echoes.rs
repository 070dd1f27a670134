//! Replies to something else (F28): whoever brings one, a call or an inquiry, it is not
//! recorded as an effect, and a saga that met one goes on when the right one comes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use orchestrator::{
    engine::Snapshot,
    participants::{CallRequest, Caller, OperationOf},
};
use prost::Message;
use saga_core::{Ending, Outcome, Resolution, SagaId, UnknownCause};
use shop_proto::order::v1::InsertOrderResponse;

use super::stores::{Fresh, KINDS, Kind, engine, once, start_of};

const YAML: &str = r#"
kind: Saga
name: echoes
version: 1
input: shop.order.v1.PlaceOrderInput
steps:
  - name: insert
    pivot: true
    action:
      call: order/shop.order.v1.OrderService/InsertOrder
      request: { order_no: input.order_no }
      expect: { order_no: input.order_no }
      timeout: 1s
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
"#;

/// A participant that mixes its replies up until it is mended.
#[derive(Debug, Default)]
struct Mixed {
    mended: AtomicBool,
    /// Whether the answers to calls are lost, so that only inquiries bring replies.
    loses: bool,
    calls: AtomicU32,
    inquiries: AtomicU32,
    /// One reply that cannot be read, before all others.
    garbage: Mutex<Option<Bytes>>,
}

impl Mixed {
    fn reply(&self) -> Bytes {
        if let Some(garbage) = self.garbage.lock().unwrap().take() {
            return garbage;
        }
        let right = self.mended.load(Ordering::Relaxed);
        let order_no = if right { "order-1" } else { "order-2" };
        let reply = InsertOrderResponse { order_no: order_no.to_owned(), ..Default::default() };
        reply.encode_to_vec().into()
    }
}

#[async_trait]
impl Caller for Mixed {
    async fn call(&self, _: CallRequest<'_>) -> Outcome {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.loses {
            let message = "lost".to_owned();
            return Outcome::Unknown { cause: UnknownCause::ConnectionLost, message };
        }
        Outcome::Applied { reply: self.reply() }
    }

    async fn resolve(&self, _: &str, _: OperationOf, _: Duration) -> Resolution {
        self.inquiries.fetch_add(1, Ordering::Relaxed);
        Resolution::Applied { reply: self.reply() }
    }
}

fn is_stuck(snapshot: &Snapshot) -> bool {
    snapshot.row.standing.stuck.is_some()
}

/// Sees it stuck and nothing recorded, mends the participant, and sees it complete.
async fn stuck_until_mended(
    engine: &orchestrator::engine::Engine,
    saga: SagaId,
    participant: &Mixed,
) -> String {
    let stuck = once(engine, saga, is_stuck).await;
    assert!(stuck.state.ended().is_none());
    let known = stuck.state.step(saga_core::StepIndex(0)).reply.clone();
    assert_eq!(known, None, "the reply to something else is nobody's");
    participant.mended.store(true, Ordering::Relaxed);
    let ended = once(engine, saga, |it| it.state.ended().is_some()).await;
    assert_eq!(ended.state.ended().map(|it| it.ending), Some(Ending::Completed));
    let reply = ended.state.step(saga_core::StepIndex(0)).reply.clone().unwrap();
    assert_eq!(InsertOrderResponse::decode(reply).unwrap().order_no, "order-1");
    stuck.row.standing.stuck.unwrap().message
}

#[tokio::test]
async fn a_reply_to_another_operation_is_no_effect_of_this_one() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participant = Arc::new(Mixed::default());
        let engine = engine(Arc::clone(&fresh.store), participant.clone()).await;
        engine.register(YAML, "echoes.yaml").await.unwrap();
        let saga = start_of(&engine, "echoes", "key").await;
        let message = stuck_until_mended(&engine, saga, &participant).await;
        assert!(message.contains("order_no is \"order-2\", and \"order-1\""), "{message}");
        assert!(0 < participant.calls.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn what_an_inquiry_returns_is_checked_like_what_a_call_returns() {
    for garbage in [None, Some(Bytes::from_static(&[0x0a]))] {
        let fresh = Fresh::open(Kind::Memory).await;
        let participant =
            Arc::new(Mixed { loses: true, garbage: Mutex::new(garbage), ..Mixed::default() });
        let engine = engine(Arc::clone(&fresh.store), participant.clone()).await;
        engine.register(YAML, "echoes.yaml").await.unwrap();
        let saga = start_of(&engine, "echoes", "key").await;
        stuck_until_mended(&engine, saga, &participant).await;
        assert!(1 < participant.inquiries.load(Ordering::Relaxed));
    }
}

/// What is expected is made from the log, so a node that takes a saga over expects the same.
#[tokio::test]
async fn a_node_that_takes_a_saga_over_expects_the_same() {
    let fresh = Fresh::open(Kind::Memory).await;
    let participant = Arc::new(Mixed::default());
    let first = engine(Arc::clone(&fresh.store), participant.clone()).await;
    first.register(YAML, "echoes.yaml").await.unwrap();
    let saga = start_of(&first, "echoes", "key").await;
    once(&first, saga, is_stuck).await;
    first.stop(Duration::from_secs(5)).await;
    let before =
        participant.calls.load(Ordering::Relaxed) + participant.inquiries.load(Ordering::Relaxed);

    let second = engine(Arc::clone(&fresh.store), participant.clone()).await;
    once(&second, saga, |_| {
        let all = participant.calls.load(Ordering::Relaxed)
            + participant.inquiries.load(Ordering::Relaxed);
        before + 2 < all
    })
    .await;
    stuck_until_mended(&second, saga, &participant).await;
}
