//! A service that charges at a provider, and the provider.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use saga_participant::{
    Arg, Database, Intent, Migration, OperationError, OperationMeta, Participant,
    ProviderOperation, Refusal, RefusalCode, Resumer, Schema, Settled, Setup, Sql, Tx, Verdict,
    operation::parse_op_id,
    testkit::{Answer, Body, Subject, answer, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tokio::sync::Notify;
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::counter::resolve;

pub(crate) const SCHEMA: Schema = Schema {
    component: "charge",
    migrations: &[Migration {
        name: "0001_attempt",
        script: Sql {
            postgres: "create table attempt (op_id uuid primary key, outcome text)",
            sqlite: "create table attempt (op_id blob primary key, outcome text) strict",
        },
    }],
};

/// What the provider does with the next call.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Does it, and the answer is lost.
    AnswerLost,
    /// Does not even get it.
    RequestLost,
    /// Does not accept our key.
    KeyRefused,
    /// Waits for `release` first.
    Held(Arc<Notify>),
}

/// The provider. Remembers its answers by key.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) ledger: Mutex<HashMap<Uuid, i64>>,
    pub(crate) fates: Mutex<VecDeque<Fate>>,
    /// Every call: its key and amount.
    pub(crate) calls: Mutex<Vec<(Uuid, i64)>>,
    pub(crate) called: Notify,
    /// Calls that are under way, and the most there ever were of one key.
    open: Mutex<HashMap<Uuid, u32>>,
    pub(crate) open_max: Mutex<u32>,
}

impl Provider {
    async fn transfer(&self, key: Uuid, amount: i64) -> Settled<bool> {
        self.calls.lock().unwrap().push((key, amount));
        {
            let mut open = self.open.lock().unwrap();
            let open = open.entry(key).or_default();
            *open += 1;
            let mut open_max = self.open_max.lock().unwrap();
            *open_max = (*open).max(*open_max);
        }
        // The next fate is this call's, whoever is quicker from here on.
        let fate = self.fates.lock().unwrap().pop_front();
        self.called.notify_one();
        tokio::task::yield_now().await;
        let settled = match fate {
            Some(Fate::RequestLost) => Settled::Unknown { message: "reset".to_owned() },
            Some(Fate::KeyRefused) => Settled::Configuration { message: "bad key".to_owned() },
            Some(Fate::AnswerLost) => {
                self.book(key, amount);
                Settled::Unknown { message: "timeout".to_owned() }
            }
            Some(Fate::Held(release)) => {
                release.notified().await;
                Settled::Definite(self.book(key, amount))
            }
            None => Settled::Definite(self.book(key, amount)),
        };
        *self.open.lock().unwrap().get_mut(&key).unwrap() -= 1;
        settled
    }

    /// Whether it was accepted. Once for each key.
    fn book(&self, key: Uuid, amount: i64) -> bool {
        if amount == 666 {
            return false;
        }
        self.ledger.lock().unwrap().entry(key).or_insert(amount);
        true
    }

    pub(crate) fn balance(&self) -> i64 {
        self.ledger.lock().unwrap().values().sum()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Charge {
    #[prost(int64, tag = "1")]
    pub(crate) amount: i64,
    /// Its encoding has no fixed order.
    #[prost(map = "string, int64", tag = "2")]
    pub(crate) labels: HashMap<String, i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Refund {
    #[prost(string, tag = "1")]
    pub(crate) op_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Plan {
    #[prost(int64, tag = "1")]
    pub(crate) amount: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Receipt {
    #[prost(string, tag = "1")]
    pub(crate) op_id: String,
}

async fn write_attempt(tx: &mut Tx, op_id: Uuid) -> Result<(), sqlx::Error> {
    let sql = "/* write_attempt */ insert into attempt (op_id) values ($1)";
    tx.execute(sql, &[Arg::Uuid(op_id)]).await.map(drop)
}

async fn close_attempt(
    tx: &mut Tx,
    op_id: Uuid,
    accepted: bool,
) -> Result<Verdict<Receipt>, OperationError> {
    let outcome = if accepted { "ACCEPTED" } else { "DECLINED" };
    let sql = "/* close_attempt */ update attempt set outcome = $2 where op_id = $1";
    tx.execute(sql, &[Arg::Uuid(op_id), Arg::Text(outcome)]).await?;
    if accepted {
        return Ok(Verdict::Applied(Receipt { op_id: op_id.to_string() }));
    }
    Ok(Verdict::Rejected(declined()))
}

fn declined() -> Refusal {
    Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "DECLINED",
        message: "the provider declined".to_owned(),
        metadata: vec![("code", "REJECT_CARD".to_owned()), ("by", "issuer".to_owned())],
    }
}

impl ProviderOperation<Arc<Provider>> for Charge {
    const KIND: &'static str = "Charge";
    type Reply = Receipt;
    type Plan = Plan;
    type Answer = bool;

    async fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Intent<Plan, Receipt>, OperationError> {
        write_attempt(tx, op.op_id).await?;
        match self.amount {
            0 => Ok(Intent::Answer(Receipt { op_id: op.op_id.to_string() })),
            i64::MIN..0 => Err(declined().into()),
            amount => Ok(Intent::Call(Plan { amount })),
        }
    }

    async fn call(plan: Plan, provider: &Arc<Provider>, op: &OperationMeta) -> Settled<bool> {
        provider.transfer(op.op_id, plan.amount).await
    }

    async fn record(
        self,
        accepted: bool,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<Receipt>, OperationError> {
        close_attempt(tx, op.op_id, accepted).await
    }
}

impl ProviderOperation<Arc<Provider>> for Refund {
    const KIND: &'static str = "Refund";
    type Reply = Receipt;
    type Plan = Plan;
    type Answer = bool;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("op_id", &self.op_id).map(Some)
    }

    async fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Intent<Plan, Receipt>, OperationError> {
        write_attempt(tx, op.op_id).await?;
        Ok(Intent::Call(Plan { amount: -1 }))
    }

    async fn call(plan: Plan, provider: &Arc<Provider>, op: &OperationMeta) -> Settled<bool> {
        provider.transfer(op.op_id, plan.amount).await
    }

    async fn record(
        self,
        accepted: bool,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<Receipt>, OperationError> {
        close_attempt(tx, op.op_id, accepted).await
    }
}

pub(crate) fn participant(
    database: Database,
    provider: &Arc<Provider>,
) -> Participant<Arc<Provider>> {
    Participant::new(Setup {
        database,
        domain: "charge.test",
        service: provider.clone(),
        resumers: vec![Resumer::of::<Charge>(), Resumer::of::<Refund>()],
    })
}

/// The subject of the suite.
pub(crate) struct ChargeSubject {
    pub(crate) participant: Participant<Arc<Provider>>,
    pub(crate) provider: Arc<Provider>,
}

#[async_trait]
impl Subject for ChargeSubject {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let amount = match body {
            Body::Plain => 1,
            Body::Other => 2,
            Body::Refused => 666,
        };
        answer(
            self.participant
                .perform(with_op_id(op_id, Charge { amount, labels: HashMap::new() }))
                .await,
        )
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let refund = Refund { op_id: original.to_string() };
        answer(self.participant.perform(with_op_id(op_id, refund)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.participant, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.provider.balance()
    }
}
