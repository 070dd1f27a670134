//! The gRPC services of the orchestrator. Protobuf types stay in here.
//!
//! Every call but a start does its work in a task of its own, so that a client that goes
//! away cancels nothing half-way. What a start has begun, the engine finishes.

use std::{future::Future, sync::Arc};

use tonic::Status;

use crate::engine::Engine;

mod acts;
mod admit;
mod cancel;
mod causes;
mod check;
mod definition;
pub(crate) mod error;
mod events;
mod field;
mod filter;
mod list;
mod log;
mod operator;
mod page;
mod participant;
pub(crate) mod reason;
mod repeat;
mod request;
mod saga;
mod signal;
mod start;
mod view;
mod why;

/// The domain of all reasons of the engine.
pub(crate) const DOMAIN: &str = "saga.v1";

pub(crate) use definition::DefinitionApi;
pub(crate) use operator::OperatorApi;
pub(crate) use saga::SagaApi;

/// A read, which waits for its turn among all of them, and is dropped where whoever asked has
/// gone before that: however many ask, the engine's own reads find the log free.
async fn in_turn<T: Send + 'static>(
    engine: &Engine,
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let turn = Arc::clone(&engine.shared.visits).acquire_owned().await;
    let turn = turn.expect("nobody closes it");
    detached(async move {
        let _turn = turn;
        work.await
    })
    .await
}

/// Does `work` to its end, whether or not anybody still waits for it.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let task = tokio::spawn(work);
    match task.await {
        Ok(done) => done,
        Err(_panic) => Err(error::crashed("the call crashed; the log holds what was done")),
    }
}
