//! Leaves the cluster: hands the sagas over, and says that it lives until that is done.

use std::time::Duration;

use saga_core::SagaId;
use tokio::time::{Instant, timeout, timeout_at};

use crate::engine::{Engine, Shared};

/// How long a node that has nothing more to do waits for the log before it goes.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// Sagas that a line of the program's log names at most.
const NAMED_MAX: usize = 10;

impl Engine {
    /// Takes nothing new from now on, and begins to hand the sagas over. [`Engine::stop`]
    /// waits for the end of it.
    pub fn begin_stop(&self) {
        self.shared.stop.send_if_modified(|began| {
            let is_first = began.is_none();
            began.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// Stops: takes nothing new, records the answers of the calls that are out, and
    /// parks every saga so that other nodes take them at once. It says that it lives until
    /// the last one has left. What is not answered `grace` after the stop began is left to
    /// whoever takes the saga over; neither that nor a database that is away is waited for.
    pub async fn stop(&self, grace: Duration) {
        self.begin_stop();
        let shared = &self.shared;
        let began = shared.stop.borrow().unwrap_or_else(Instant::now);
        shared.tasks.close();
        if timeout_at(began + grace, shared.tasks.wait()).await.is_err() {
            let left = shared.live.sagas();
            let named: Vec<String> = left.iter().take(NAMED_MAX).map(SagaId::to_string).collect();
            tracing::warn!(
                sagas.left = left.len(),
                sagas.first = named.join(" "),
                "calls were out at the end of the grace period; other nodes take their sagas over"
            );
        }
        shared.drained.cancel();
        shared.lasting.close();
        let leave = async {
            shared.lasting.wait().await;
            if let Err(error) = shared.log.store().forget_node(shared.node).await {
                tracing::warn!(
                    %error, "this node is not forgotten; others take it for dead in a while"
                );
            }
            shared.log.close().await;
        };
        if timeout(LEAVE_MAX, leave).await.is_err() {
            tracing::warn!(
                "the log does not answer; what was not written is in doubt and is asked again by \
                 whoever takes the sagas over"
            );
        }
    }
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Ends when the engine is told to stop.
    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`.
        let _ = stop.wait_for(Option::is_some).await;
    }
}
