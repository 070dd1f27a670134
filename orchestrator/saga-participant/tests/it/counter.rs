//! A service that counts. Its whole effect is in its database.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use saga_participant::{
    Arg, Database, Migration, Operation, OperationError, OperationMeta, Participant,
    ParticipantApi, Query, Refusal, RefusalCode, Schema, Setup, Sql, Tx,
    operation::parse_op_id,
    testkit::{Answer, Body, Subject, answer, with_op_id},
};
use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_server::ParticipantService as _,
    resolve_response::Resolution,
};
use tokio::sync::Notify;
use tonic::{Request, Status, async_trait};
use uuid::Uuid;

pub(crate) const SCHEMA: Schema = Schema {
    component: "counter",
    migrations: &[Migration {
        name: "0001_bump",
        script: Sql {
            postgres: "create table bump (
                op_id uuid primary key, amount bigint not null check (amount <> 666)
            )",
            sqlite: "create table bump (
                op_id blob primary key, amount integer not null check (amount <> 666)
            ) strict",
        },
    }],
};

pub(crate) struct Counter;

/// Adds an amount; a negative one is refused after the row was written.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Bump {
    #[prost(int64, tag = "1")]
    pub(crate) amount: i64,
    /// A hold that keeps the transaction open; empty: none.
    #[prost(string, tag = "2")]
    pub(crate) hold: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Unbump {
    #[prost(string, tag = "1")]
    pub(crate) op_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Total {
    #[prost(int64, tag = "1")]
    pub(crate) total: i64,
}

pub(crate) struct Standing;

/// Keeps a transaction open between two moments of a test.
#[derive(Default)]
pub(crate) struct Hold {
    pub(crate) entered: Notify,
    pub(crate) release: Notify,
}

static HOLDS: LazyLock<Mutex<HashMap<String, Arc<Hold>>>> = LazyLock::new(Mutex::default);

pub(crate) fn hold(name: &str) -> Arc<Hold> {
    HOLDS.lock().unwrap().entry(name.to_owned()).or_default().clone()
}

const TOTAL: &str = "/* total */ select cast(coalesce(sum(amount), 0) as bigint) from bump";

pub(crate) async fn total(tx: &mut Tx) -> Result<Total, OperationError> {
    Ok(Total { total: tx.row(TOTAL, &[]).await?.unwrap().int(0)? })
}

impl Operation<Counter> for Bump {
    const KIND: &'static str = "Bump";
    type Reply = Total;

    async fn apply(self, tx: &mut Tx, op: &OperationMeta) -> Result<Total, OperationError> {
        tx.execute(
            "/* bump */ insert into bump (op_id, amount) values ($1, $2)",
            &[Arg::Uuid(op.op_id), Arg::Int(self.amount)],
        )
        .await?;
        if !self.hold.is_empty() {
            let hold = hold(&self.hold);
            hold.entered.notify_one();
            hold.release.notified().await;
        }
        match self.amount {
            0 => Err(OperationError::invalid("amount", 0, "any number but 0")),
            i64::MIN..0 => Err(OperationError::Rejected(Refusal {
                code: RefusalCode::FailedPrecondition,
                reason: "NEGATIVE",
                message: format!("{} is negative", self.amount),
                metadata: vec![("amount", self.amount.to_string()), ("at", op.op_id.to_string())],
            })),
            _ => total(tx).await,
        }
    }
}

impl Operation<Counter> for Unbump {
    const KIND: &'static str = "Unbump";
    type Reply = Total;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("op_id", &self.op_id).map(Some)
    }

    async fn apply(self, tx: &mut Tx, _: &OperationMeta) -> Result<Total, OperationError> {
        let bump = self.reverses()?.unwrap();
        let row = tx
            .row("/* unbump */ select amount from bump where op_id = $1", &[Arg::Uuid(bump)])
            .await?;
        if row.unwrap().int(0)? == 13 {
            return Err(OperationError::Rejected(Refusal {
                code: RefusalCode::FailedPrecondition,
                reason: "STICKY",
                message: "13 stays".to_owned(),
                metadata: Vec::new(),
            }));
        }
        tx.execute("/* unbump */ delete from bump where op_id = $1", &[Arg::Uuid(bump)]).await?;
        total(tx).await
    }
}

impl Query<Counter> for Standing {
    type Reply = i64;

    async fn answer(self, tx: &mut Tx) -> Result<i64, OperationError> {
        let row = tx.row("/* standing */ select count(*) from bump", &[]).await?;
        Ok(row.unwrap().int(0)?)
    }
}

pub(crate) fn participant(database: Database) -> Participant<Counter> {
    let resumers = Vec::new();
    Participant::new(Setup { database, domain: "counter.test", service: Counter, resumers })
}

#[async_trait]
impl Subject for CounterSubject {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let amount = match body {
            Body::Plain => 1,
            Body::Other => 2,
            Body::Refused => -1,
        };
        let bump = Bump { amount, hold: String::new() };
        answer(self.0.apply(with_op_id(op_id, bump)).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        answer(self.0.apply(with_op_id(op_id, Unbump { op_id: original.to_string() })).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.answer(Request::new(Standing)).await.unwrap().into_inner()
    }
}

/// The subject of the suite.
pub(crate) struct CounterSubject(pub(crate) Participant<Counter>);

pub(crate) async fn resolve<S: Send + Sync + 'static>(
    participant: &Participant<S>,
    op_id: Uuid,
    mode: ResolveMode,
) -> Result<Resolution, Status> {
    let api = ParticipantApi::new(participant.clone());
    let request = ResolveRequest { op_id: op_id.to_string(), mode: mode.into() };
    let response = api.resolve(Request::new(request)).await?;
    Ok(response.into_inner().resolution.unwrap())
}
