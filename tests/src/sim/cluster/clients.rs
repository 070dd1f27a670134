//! What clients do: start sagas, take them back, give signals; and ask again.

use std::{sync::Arc, time::Duration};

use orchestrator::engine::{
    ReachError, SignalError, Signalled, StartSaga, StartedSaga, StepSignal,
};
use saga_core::{Event, SagaId};

use super::{Cluster, Node};
use crate::sim::{deployed, fault::Fault, scenario::Case};

/// How long a client waits for one answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(8);

/// Its pause before it asks again.
pub(super) const CLIENT_PAUSE: Duration = Duration::from_millis(400);

/// A signal that a client gives.
#[derive(Clone, Debug)]
pub struct Given<'g> {
    /// Name of the definition.
    pub definition: &'g str,
    /// Name of the signal.
    pub name: &'g str,
    /// What it says, in proto-JSON.
    pub json: &'g str,
    /// What makes the request one, however often it is asked.
    pub request_id: String,
}

impl Node {
    /// Gives a signal once. `None`: nobody knows whether the saga has it.
    ///
    /// # Panics
    ///
    /// Where the definition has no such signal.
    pub async fn signal(
        &self,
        saga: SagaId,
        given: &Given<'_>,
        patience: Duration,
    ) -> Option<Result<Signalled, SignalError>> {
        let deployed = deployed::find(given.definition).expect("it was started");
        let spec = deployed.compiled.signals().find(|it| it.name == given.name);
        let spec = spec.expect("the scenario knows the definition's signals");
        let payload = spec.encode_json(given.json).unwrap();
        let request_id = given.request_id.clone();
        let signal = StepSignal {
            step: spec.step,
            request_id,
            payload,
            actor: String::new(),
            reason: String::new(),
            expected_version: 0,
        };
        match tokio::time::timeout(patience, self.engine.signal(saga, signal)).await {
            Ok(Err(SignalError::Reach(_))) | Err(_) => None,
            Ok(told) => Some(told),
        }
    }
}

impl Cluster {
    /// Starts a saga as a client does: asks again, with the same key, whoever answers.
    pub async fn start(&self, case: &Case, first_node: usize) -> SagaId {
        // Compiled once for all seeds: a node that compiles a definition takes longer for it
        // than for everything else.
        let definition = &deployed::find(case.definition).expect("it is deployed").compiled;
        let input = definition.encode_input_json(&case.input);
        let start = StartSaga {
            namespace: String::new(),
            business_key: case.key.clone(),
            definition: Arc::clone(definition),
            request_hash: [1; 32],
            input: input.unwrap_or_else(|error| panic!("{}: {error}", case.definition)),
        };
        for number in first_node.. {
            let node = self.some_node(number).await;
            let started = async {
                match node.engine.start_saga(start.clone()).await {
                    Ok(StartedSaga::New { saga, .. }) => Some(saga),
                    Ok(StartedSaga::Existing(row)) => Some(row.saga),
                    Err(_) => None,
                }
            };
            if let Ok(Some(saga)) = tokio::time::timeout(CLIENT_PATIENCE, started).await {
                self.acknowledged(&case.key, saga);
                return saga;
            }
            tokio::time::sleep(CLIENT_PAUSE).await;
        }
        unreachable!("a client does not give up")
    }

    /// A start that was acknowledged exists for ever, once (L5).
    fn acknowledged(&self, key: &str, saga: SagaId) {
        let mut world = self.world.lock();
        if world.journal.keys.get(key) != Some(&saga) {
            world
                .violated([format!("L5: a start of {key} was acknowledged and is not in the log")]);
        }
    }

    /// Asks a saga to turn back. True where it was told in time.
    pub async fn cancel(&self, saga: SagaId, first_node: usize) -> bool {
        for number in first_node..first_node + 20 {
            let node = self.some_node(number).await;
            let (actor, reason) = ("buyer".to_owned(), "the buyer thinks again".to_owned());
            let cancel =
                Event::CancelRequested { actor, reason, at_ms: 1, request_id: String::new() };
            let told = tokio::time::timeout(CLIENT_PATIENCE, node.engine.tell(saga, cancel)).await;
            match told {
                Ok(Ok(())) => {
                    self.world.lock().happened(Fault::Cancelled, true);
                    return true;
                }
                Ok(Err(ReachError::DoesNotFit)) => return false,
                _ => tokio::time::sleep(CLIENT_PAUSE).await,
            }
        }
        false
    }

    /// Gives a signal, and gives it again, as the same request, until the saga has it or does
    /// not take it.
    pub async fn signal(&self, saga: SagaId, case: &Case, name: &str, json: &str) -> bool {
        let request_id = format!("{}-{name}", case.key);
        let given = Given { definition: case.definition, name, json, request_id };
        for number in 0.. {
            let node = self.some_node(number).await;
            match node.signal(saga, &given, CLIENT_PATIENCE).await {
                Some(Ok(_)) => return true,
                Some(Err(_)) => return false,
                None => tokio::time::sleep(CLIENT_PAUSE).await,
            }
        }
        unreachable!("a client does not give up")
    }
}
