//! The gRPC services of the orchestrator. Protobuf types stay in here.
//!
//! Every call but a start does its work in a task of its own, so that a client that goes
//! away cancels nothing half-way. What a start has begun, the engine finishes.

use std::future::Future;

use tonic::Status;

mod acts;
mod cancel;
mod check;
mod definition;
mod error;
mod events;
mod field;
mod log;
mod operator;
mod page;
mod request;
mod saga;
mod signal;
mod view;
mod why;

pub(crate) use definition::DefinitionApi;
pub(crate) use operator::OperatorApi;
pub(crate) use saga::SagaApi;

/// Does `work` to its end, whether or not anybody still waits for it.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let task = tokio::spawn(work);
    match task.await {
        Ok(done) => done,
        Err(_panic) => Err(Status::internal("the call crashed; the log holds what was done")),
    }
}
