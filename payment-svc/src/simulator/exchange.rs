//! One request and what becomes of it, faults included. It knows no wire format, so
//! that every wire meets the same faults.

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, http::StatusCode, response::Response};

use super::{
    Shared,
    connection::Scissors,
    fault::{self, Fault, Operation},
    lane::{BoxFuture, LaneError},
};

/// What is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Reply {
    /// The response that carries this reply, with the headers that the wire adds.
    pub(super) fn into_response<const N: usize>(
        self,
        headers: [(&'static str, String); N],
    ) -> Response {
        let mut response = Response::new(self.body.into());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What a request is about, as far as faults are concerned.
pub(super) struct Subject {
    pub(super) operation: Operation,
    pub(super) payment_key: String,
    /// Two requests of the same identity do not run at the same time.
    pub(super) identity: Option<String>,
    /// What the wire says with a status and no reason of its own.
    pub(super) error: fn(u16) -> Reply,
}

/// Does what the request asks for, in the way of one wire.
pub(super) type Execute =
    Box<dyn FnOnce(Arc<Shared>) -> BoxFuture<'static, Result<Reply, LaneError>> + Send>;

/// Runs one request. `None`: the connection was cut.
///
/// The request goes on when the client hangs up, as it would at a provider.
pub(super) async fn run(
    shared: Arc<Shared>,
    scissors: &Scissors,
    subject: Subject,
    execute: Execute,
) -> Option<Reply> {
    let error = subject.error;
    let running = match &subject.identity {
        None => None,
        Some(identity) => match Running::begin(&shared, identity) {
            Some(running) => Some(running),
            None => return Some(error(409)),
        },
    };
    let work = tokio::spawn(async move {
        let _running = running;
        meet_fault(shared, subject, execute).await
    });
    let outcome = match work.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(LaneError)) | Err(_) => Some(error(500)),
    };
    if outcome.is_none() {
        scissors.cut();
    }
    outcome
}

async fn meet_fault(
    shared: Arc<Shared>,
    subject: Subject,
    execute: Execute,
) -> Result<Option<Reply>, LaneError> {
    let fault = take_fault(&shared, &subject).await?;
    match fault {
        Some(Fault::DropBeforeCommit) => return Ok(None),
        Some(Fault::ErrorBefore { status }) => return Ok(Some((subject.error)(status))),
        Some(Fault::Conflict409) => return Ok(Some((subject.error)(409))),
        Some(Fault::Delay { before_ms, .. }) => pause(before_ms).await,
        _ => {}
    }
    let reply = execute(shared).await?;
    match fault {
        Some(Fault::DropAfterCommit) => return Ok(None),
        Some(Fault::ErrorAfter { status }) => return Ok(Some((subject.error)(status))),
        Some(Fault::Delay { after_commit_ms, .. }) => pause(after_commit_ms).await,
        _ => {}
    }
    Ok(Some(reply))
}

async fn take_fault(shared: &Shared, subject: &Subject) -> Result<Option<Fault>, LaneError> {
    let operation = subject.operation;
    // Most requests meet no fault, and a look costs less than a write.
    let waiting = fault::next(&shared.reads, &subject.payment_key, operation).await;
    if matches!(waiting, Ok(None)) {
        return Ok(None);
    }
    let payment_key = subject.payment_key.clone();
    let now_ms = shared.clock.now_ms();
    shared
        .lane
        .run(move |connection| {
            Box::pin(async move {
                fault::take_before_execution(connection, &payment_key, operation, now_ms).await
            })
        })
        .await
}

async fn pause(ms: u64) {
    if 0 < ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Marks an identity as running for as long as it lives.
struct Running {
    shared: Arc<Shared>,
    identity: String,
}

impl Running {
    fn begin(shared: &Arc<Shared>, identity: &str) -> Option<Self> {
        let mut running = shared.running.lock().ok()?;
        running
            .insert(identity.to_owned())
            .then(|| Self { shared: shared.clone(), identity: identity.to_owned() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(mut running) = self.shared.running.lock() {
            running.remove(&self.identity);
        }
    }
}
