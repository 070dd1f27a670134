//! A lane: operations of one kind that share a transaction.
//!
//! Where many calls want the same rows, each waits for the others' commits. A lane takes
//! all that wait, performs them in one transaction, and meanwhile the next ones gather: no
//! timer, no added delay, and the busier it is the more a commit carries. Each member has
//! its own row in the operation log, written in that transaction; a refusal touches only
//! its own member.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::join_all;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::{
    database::Tx,
    error::{OperationError, Overload},
    op_log::{
        self, Answered, State,
        batch::{claim_all, unclaim},
        record::{Record, record_all},
    },
    operation::{OperationMeta, ServiceOperation},
    participant::{Call, Ended, Participant},
    repeat::{Concluded, repeat},
    telemetry,
};

/// An operation that can be performed together with others of its kind. It undoes none.
pub trait BatchOperation<S>: ServiceOperation<S> + Sync {
    /// Makes the changes of all members that are not refused. Returns for each, in their
    /// order, what [`ServiceOperation::apply`] would have; what is refused has changed
    /// nothing.
    ///
    /// # Errors
    ///
    /// Those that cannot be told apart by member, such as the database's. All is taken
    /// back, and each member is tried in a transaction of its own.
    fn apply_all(
        members: &[Member<Self>],
        service: &S,
        tx: &mut Tx,
    ) -> impl Future<Output = Result<Vec<Result<Self::Reply, OperationError>>, OperationError>> + Send;
}

/// One of the operations that share a transaction.
#[derive(Clone, Debug)]
pub struct Member<O> {
    /// What is asked.
    pub request: O,
    /// What else is known of the call.
    pub op: OperationMeta,
}

/// How much a lane takes.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// Operations in one transaction, at least 1.
    pub batch_max: u32,
    /// Operations that may wait for the next one. Further calls are refused.
    pub waiting_max: u32,
}

/// Where operations wait to be performed together. Clones are the same lane.
pub struct Lane<O> {
    queue: Arc<Mutex<Queue<O>>>,
    limits: LaneLimits,
}

impl<O> Clone for Lane<O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), limits: self.limits }
    }
}

impl<O> fmt::Debug for Lane<O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lane({} wait)", self.queue().waiting.len())
    }
}

struct Queue<O> {
    waiting: VecDeque<Waiting<O>>,
    /// Whether a task is taking from it.
    drained: bool,
}

struct Waiting<O> {
    call: Call<O>,
    answer: oneshot::Sender<Ended>,
}

/// Who has to take from the queue.
#[derive(Debug, PartialEq, Eq)]
enum Joined {
    /// The task that is at it.
    Behind,
    /// A new task: nobody is at it.
    First,
}

impl<O> Lane<O> {
    /// An empty lane.
    pub fn new(limits: LaneLimits) -> Self {
        let queue = Queue { waiting: VecDeque::new(), drained: false };
        Self { queue: Arc::new(Mutex::new(queue)), limits }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<O>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, member: Waiting<O>) -> Result<Joined, OperationError> {
        let LaneLimits { waiting_max, .. } = self.limits;
        let mut queue = self.queue();
        if waiting_max as usize <= queue.waiting.len() {
            return Err(OperationError::Overloaded(Overload::Full { waiting_max }));
        }
        queue.waiting.push_back(member);
        let drained = std::mem::replace(&mut queue.drained, true);
        Ok(if drained { Joined::Behind } else { Joined::First })
    }

    /// The members that go next; `None` where nobody waits, and then nobody is at it.
    fn next_batch(&self) -> Option<Vec<Waiting<O>>> {
        let mut queue = self.queue();
        // Who left before it began is not begun.
        queue.waiting.retain(|it| !it.answer.is_closed());
        let mut op_ids = HashSet::new();
        let mut batch = Vec::new();
        let mut later = VecDeque::new();
        while let Some(member) = queue.waiting.pop_front() {
            let fits = batch.len() < self.limits.batch_max.max(1) as usize;
            // A second call of an operation waits for the answer of the first.
            if fits && op_ids.insert(member.call.op.op_id) {
                batch.push(member);
            } else {
                later.push_back(member);
            }
        }
        queue.waiting = later;
        queue.drained = !batch.is_empty();
        queue.drained.then_some(batch)
    }
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// As [`Participant::apply`], in one transaction with the calls that wait in `lane`.
    ///
    /// # Errors
    ///
    /// As of [`Participant::apply`]. RESOURCE_EXHAUSTED/OVERLOADED: too many wait.
    pub async fn apply_together<O: BatchOperation<S>>(
        &self,
        lane: &Lane<O>,
        request: Request<O>,
    ) -> Result<Response<O::Reply>, Status> {
        self.hear_log(request.metadata());
        let ended = match Call::<O>::read::<S>(request) {
            Ok(call) => self.join(lane, call).await,
            Err(error) => Err(error),
        };
        self.response(ended.map_err(|it| self.status(&it))??)
    }

    async fn join<O: BatchOperation<S>>(&self, lane: &Lane<O>, call: Call<O>) -> Ended {
        let (answer, answered) = oneshot::channel();
        if lane.join(Waiting { call, answer })? == Joined::First {
            let drain = drain(self.clone(), lane.clone());
            self.shared.database.tasks().spawn(drain);
        }
        // The answer is dropped only where the batch ended in a panic.
        answered.await.unwrap_or_else(|_| Err(OperationError::broken()))
    }

    /// Performs a batch. Where it cannot be done as a whole, each member goes alone: so
    /// one that the database cannot take does not stop the others.
    async fn apply_batch<O: BatchOperation<S>>(&self, batch: Vec<Waiting<O>>) {
        let (calls, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|it| (it.call, it.answer)).unzip();
        let ended = match self.apply_calls(&calls).await {
            Ok(ended) => {
                for (call, ended) in calls.iter().zip(&ended) {
                    telemetry::operation_span(O::KIND, &call.op)
                        .in_scope(|| telemetry::ended(ended));
                }
                ended
            }
            Err(error) => {
                tracing::debug!(%error, members = calls.len(), "a batch goes one by one");
                join_all(calls.into_iter().map(|call| self.apply_call(call))).await
            }
        };
        for (answer, ended) in answers.into_iter().zip(ended) {
            // A caller that is gone asks again.
            let _: Result<(), Ended> = answer.send(ended);
        }
    }

    async fn apply_calls<O: BatchOperation<S>>(
        &self,
        calls: &[Call<O>],
    ) -> Result<Vec<Ended>, OperationError> {
        let database = &self.shared.database;
        let mut tx = database.begin_write(database.enter_promised_write().await).await?;
        let claims: Vec<_> = calls.iter().map(Call::claim::<S>).collect();
        let ours = claim_all(&mut tx, &claims).await.map_err(OperationError::before_claim)?;
        let fresh = calls.iter().filter(|it| ours.contains(&it.op.op_id));
        let fresh: Vec<Member<O>> =
            fresh.map(|it| Member { request: it.request.clone(), op: it.op.clone() }).collect();

        let outcomes = O::apply_all(&fresh, &self.shared.service, &mut tx).await?;
        if outcomes.len() != fresh.len() {
            tracing::error!(kind = O::KIND, "a batch was answered for too few or too many");
            return Err(OperationError::broken());
        }
        let mut decided = self.record_outcomes(&mut tx, &fresh, outcomes).await?.into_iter();
        let mut ended = Vec::with_capacity(calls.len());
        for (call, claim) in calls.iter().zip(&claims) {
            ended.push(if ours.contains(&call.op.op_id) {
                decided.next().unwrap_or_else(|| Err(OperationError::broken()))
            } else {
                match op_log::meet(&mut tx, call.op.op_id, &call.op).await {
                    Ok(met) => recorded(claim, met.map(|it| it.stored)),
                    Err(error @ OperationError::TooOld { .. }) => Err(error),
                    Err(error) => return Err(error),
                }
            });
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Records how the members ended; what is neither applied nor refused is not recorded.
    async fn record_outcomes<O, R: prost::Message>(
        &self,
        tx: &mut Tx,
        members: &[Member<O>],
        outcomes: Vec<Result<R, OperationError>>,
    ) -> Result<Vec<Ended>, OperationError> {
        let mut ended = Vec::with_capacity(outcomes.len());
        let mut records = Vec::with_capacity(outcomes.len());
        for (member, outcome) in members.iter().zip(outcomes) {
            let op_id = member.op.op_id;
            ended.push(match outcome {
                Ok(reply) => {
                    let (state, reply) = (State::Applied, reply.encode_to_vec());
                    let (reason, message) = ("", String::new());
                    records.push(Record { op_id, state, result: reply.clone(), reason, message });
                    Ok(Ok(Answered { reply, nothing_to_undo: false }))
                }
                Err(OperationError::Rejected(refusal)) => {
                    let status = refusal.recorded_status(self.shared.domain);
                    records.push(Record {
                        op_id,
                        state: State::Rejected,
                        result: status.details().to_vec(),
                        reason: refusal.reason,
                        message: status.message().to_owned(),
                    });
                    Ok(Err(status))
                }
                Err(error) => {
                    unclaim(tx, op_id).await?;
                    Err(error)
                }
            });
        }
        let horizon = record_all(tx, &records).await?;
        // Where one is too old, each goes alone.
        for Member { op, .. } in members {
            horizon.admit(op.op_id, op.start())?;
        }
        Ok(ended)
    }
}

/// The answer of an operation that was decided before.
fn recorded(claim: &op_log::Claim<'_>, stored: Option<op_log::Stored>) -> Ended {
    match repeat(claim, stored.ok_or_else(OperationError::broken)?)? {
        Concluded::Ended(ended) => Ok(ended),
        Concluded::Fresh(_) | Concluded::Intended(_) => Err(OperationError::broken()),
    }
}

/// Takes from the lane until nobody waits. Each batch is a task of its own, so that one
/// that panics does not close the lane.
async fn drain<S: Send + Sync + 'static, O: BatchOperation<S>>(
    participant: Participant<S>,
    lane: Lane<O>,
) {
    while let Some(batch) = lane.next_batch() {
        let worker = participant.clone();
        let work = async move {
            worker.apply_batch(batch).await;
            Ok(())
        };
        // A panic is logged there, and answered by the members' ends.
        let _: Result<(), OperationError> = participant.shared.database.finish(work).await;
    }
}
