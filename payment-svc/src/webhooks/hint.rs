//! What a webhook says, as far as we listen, and the queue of those that wait.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use tokio::sync::Notify;

use crate::{
    limits::is_provider_key,
    provider::{portone, toss},
};

/// Something may have happened to this payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hint {
    pub(crate) provider: &'static str,
    pub(crate) provider_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TossBody {
    event_type: String,
    data: TossData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TossData {
    payment_key: String,
}

#[derive(Deserialize)]
struct PortOneBody {
    imp_uid: String,
}

impl Hint {
    /// Reads a PAYMENT_STATUS_CHANGED of Toss. `None`: it is none.
    pub(super) fn of_toss(body: &[u8]) -> Option<Self> {
        let body: TossBody = serde_json::from_slice(body).ok()?;
        let is_status = body.event_type == "PAYMENT_STATUS_CHANGED";
        is_status.then(|| Self::of(toss::NAME, body.data.payment_key)).flatten()
    }

    /// Reads a webhook of PortOne V1. `None`: it is none.
    pub(super) fn of_portone(body: &[u8]) -> Option<Self> {
        let body: PortOneBody = serde_json::from_slice(body).ok()?;
        Self::of(portone::NAME, body.imp_uid)
    }

    pub(crate) fn of(provider: &'static str, provider_key: String) -> Option<Self> {
        is_provider_key(&provider_key).then_some(Self { provider, provider_key })
    }
}

/// Hints that wait, each payment once, in the order in which they came.
#[derive(Debug)]
pub(super) struct Hints {
    waiting: Mutex<Waiting>,
    waiting_max: usize,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Hint>,
    known: HashSet<Hint>,
}

impl Hints {
    pub(super) fn new(waiting_max: u32) -> Self {
        let waiting_max = usize::try_from(waiting_max).unwrap_or(usize::MAX);
        Self { waiting: Mutex::default(), waiting_max, came: Notify::new() }
    }

    /// Puts a hint into the queue, where it is not in it. False: the queue is full.
    pub(super) fn put(&self, hint: Hint) -> bool {
        let mut waiting = self.waiting();
        if waiting.known.contains(&hint) {
            return true;
        }
        if self.waiting_max <= waiting.queue.len() {
            return false;
        }
        waiting.known.insert(hint.clone());
        waiting.queue.push_back(hint);
        self.came.notify_one();
        true
    }

    /// The next hint. One that comes from now on for the same payment counts again.
    pub(super) async fn next(&self) -> Hint {
        loop {
            if let Some(hint) = self.take() {
                return hint;
            }
            self.came.notified().await;
        }
    }

    fn take(&self) -> Option<Hint> {
        let mut waiting = self.waiting();
        let hint = waiting.queue.pop_front()?;
        waiting.known.remove(&hint);
        Some(hint)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(key: &str) -> Hint {
        Hint::of(toss::NAME, key.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn f79_the_queue_holds_each_payment_once_and_has_an_end() {
        let hints = Hints::new(2);
        for _ in 0..7 {
            assert!(hints.put(hint("a")));
        }
        assert!(hints.put(hint("b")));
        assert!(!hints.put(hint("c")));
        assert_eq!(hints.next().await, hint("a"));
        assert!(hints.put(hint("c")));
        assert_eq!((hints.next().await, hints.next().await), (hint("b"), hint("c")));
    }

    #[test]
    fn only_the_key_is_read_and_only_a_key_that_is_one() {
        let toss = br#"{ "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "now",
            "data": { "paymentKey": "pay-1", "status": "DONE", "totalAmount": 1 } }"#;
        assert_eq!(Hint::of_toss(toss), Some(hint("pay-1")));
        for body in [
            "",
            "[]",
            r#"{ "eventType": "DEPOSIT_CALLBACK", "data": { "paymentKey": "pay-1" } }"#,
            r#"{ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "paymentKey": ".." } }"#,
            r#"{ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "paymentKey": "" } }"#,
            r#"{ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "paymentKey": 7 } }"#,
        ] {
            assert_eq!(Hint::of_toss(body.as_bytes()), None, "{body}");
        }
        assert!(Hint::of_portone(br#"{ "imp_uid": "imp-1", "status": "paid" }"#).is_some());
        assert_eq!(Hint::of_portone(b"imp_uid=imp-1"), None);
    }
}
