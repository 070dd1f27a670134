//! One call at a time for each operation at its provider. Calls that come while one is
//! under way wait for its end and get the same answer.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt as _, future::BoxFuture, future::Shared};
use tokio_util::task::TaskTracker;
use tonic::Status;
use uuid::Uuid;

use crate::op_log::Answered;

/// An operation and its request: another request under the same id must not get its answer.
pub(crate) type Key = (Uuid, [u8; 32]);
type Call = Shared<BoxFuture<'static, Result<Answered, Status>>>;

#[derive(Clone, Default)]
pub(crate) struct InFlight {
    calls: Arc<Mutex<HashMap<Key, Call>>>,
}

impl fmt::Debug for InFlight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InFlight({})", self.calls().len())
    }
}

impl InFlight {
    /// The call that is under way for `key`, or else `work`, begun in a task of its own.
    pub(crate) async fn join_or_start(
        &self,
        key: Key,
        tasks: &TaskTracker,
        work: impl Future<Output = Result<Answered, Status>> + Send + 'static,
    ) -> Result<Answered, Status> {
        let call = {
            let mut calls = self.calls();
            match calls.get(&key) {
                Some(call) => call.clone(),
                None => {
                    let ended = Ended { in_flight: self.clone(), key };
                    let task = tasks.spawn(async move {
                        let _ended = ended;
                        work.await
                    });
                    let call = async move {
                        task.await.unwrap_or_else(|source| {
                            tracing::error!(error = %source, "an operation ended in a panic");
                            Err(Status::internal("a fault of this service; its log tells more"))
                        })
                    };
                    let call = call.boxed().shared();
                    calls.insert(key, call.clone());
                    call
                }
            }
        };
        call.await
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Key, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the call off the list, also when it panics.
struct Ended {
    in_flight: InFlight,
    key: Key,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.in_flight.calls().remove(&self.key);
    }
}
