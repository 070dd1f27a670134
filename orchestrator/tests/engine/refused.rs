//! Replies that are OK on the wire and say no.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use orchestrator::participants::{CallRequest, Caller, OperationOf};
use prost::Message;
use saga_core::{Ending, Outcome, Resolution, StepIndex, TurnBackReason, UnknownCause};
use shop_proto::order::v1::InsertOrderResponse;

use super::stores::{Fresh, Kind, engine, once, start_of};

const YAML: &str = r#"
kind: Saga
name: refused
version: 1
input: shop.order.v1.PlaceOrderInput
steps:
  - name: insert
    action:
      call: order/shop.order.v1.OrderService/InsertOrder
      request: { order_no: input.order_no }
      headers: { idempotency-key: op("insert") }
      refused_when: reply.order_no != input.order_no
      refused_reason: "'NOT_' + input.order_no"
      timeout: 1s
    compensation: none
    retry: { first: 10ms, factor: 2, max: 40ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 40ms, attempts: 3 }
  - name: again
    pivot: true
    action:
      call: order/shop.order.v1.OrderService/InsertOrder
      request: { order_no: input.order_no }
"#;

/// Says no in its reply.
#[derive(Debug, Default)]
struct SaysNo {
    /// Whether the answers to calls are lost, so that only inquiries bring replies.
    loses: bool,
    calls: AtomicU32,
    inquiries: AtomicU32,
    keys: AtomicU32,
}

fn no() -> bytes::Bytes {
    InsertOrderResponse { order_no: "no".to_owned(), ..Default::default() }.encode_to_vec().into()
}

#[async_trait]
impl Caller for SaysNo {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let key = ("idempotency-key".to_owned(), request.operation.to_string());
        self.keys.fetch_add(u32::from(request.headers == [key]), Ordering::Relaxed);
        if self.loses {
            let message = "lost".to_owned();
            return Outcome::Unknown { cause: UnknownCause::ConnectionLost, message };
        }
        Outcome::Applied { reply: no() }
    }

    async fn resolve(&self, _: &str, _: OperationOf, _: Duration) -> Resolution {
        self.inquiries.fetch_add(1, Ordering::Relaxed);
        Resolution::Applied { reply: no() }
    }
}

/// Without `refused_when` both would complete.
#[tokio::test]
async fn a_reply_that_says_no_turns_the_saga_back_whoever_brings_it() {
    for loses in [false, true] {
        let fresh = Fresh::open(Kind::Memory).await;
        let participant = Arc::new(SaysNo { loses, ..SaysNo::default() });
        let engine = engine(Arc::clone(&fresh.store), participant.clone()).await;
        engine.register(YAML, "refused.yaml").await.unwrap();
        let saga = start_of(&engine, "refused", "key").await;
        let ended = once(&engine, saga, |it| it.state.ended().is_some()).await;
        assert_eq!(ended.state.ended().map(|it| it.ending), Some(Ending::Compensated));
        let Some(TurnBackReason::StepRejected { step, reason, .. }) = ended.state.turned_back()
        else {
            panic!("{:?}", ended.state.turned_back());
        };
        assert_eq!((*step, reason.as_str()), (StepIndex(0), "NOT_order-1"));
        let calls = participant.calls.load(Ordering::Relaxed);
        assert_eq!(participant.keys.load(Ordering::Relaxed), calls, "each with its key");
        assert_eq!(0 < participant.inquiries.load(Ordering::Relaxed), loses);
    }
}
