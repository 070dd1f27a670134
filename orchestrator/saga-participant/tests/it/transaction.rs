//! An operation cannot end the transaction that it shares with its row in the log.

use saga_participant::{
    Arg, BatchOperation, Lane, LaneLimits, Member, Operation, OperationError, OperationMeta,
    Participant, Sql, Tx, on_both_databases,
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tonic::{Code, Request};

use crate::counter::{Bump, Counter, SCHEMA, Standing, participant, resolve};

on_both_databases!(
    no_statement_ends_the_transaction_of_an_operation,
    no_statement_ends_the_transaction_of_a_batch,
    a_transaction_that_the_database_rolled_back_is_noticed,
);

/// What an operation tries beside its effect.
const TRICKS: [&str; 10] = [
    "commit",
    "ROLLBACK",
    "begin",
    "end",
    "savepoint effect",
    "release savepoint effect",
    "rollback to savepoint effect",
    "/* a comment */ -- and another\n\tCommit;",
    "select 1; commit",
    "select ';' ; rollback; begin",
];

/// Writes a row, runs a trick, and says that all went well.
#[derive(Clone, PartialEq, prost::Message)]
struct Trick {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(bool, tag = "2")]
    script: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Done {}

async fn play(trick: &Trick, tx: &mut Tx, op: &OperationMeta) -> Result<Done, OperationError> {
    let insert = "insert into bump (op_id, amount) values ($1, 1)";
    tx.execute(insert, &[Arg::Uuid(op.op_id)]).await?;
    let text = TRICKS[trick.number as usize];
    // It is swallowed, as a careless service would.
    let _: Result<(), _> = match trick.script {
        true => tx.script(text).await,
        false => tx.rows(text, &[]).await.map(drop),
    };
    Ok(Done {})
}

impl Operation<Counter> for Trick {
    const KIND: &'static str = "Trick";
    type Reply = Done;

    async fn apply(self, tx: &mut Tx, op: &OperationMeta) -> Result<Done, OperationError> {
        play(&self, tx, op).await
    }
}

impl BatchOperation<Counter> for Trick {
    async fn apply_all(
        members: &[Member<Self>],
        _: &Counter,
        tx: &mut Tx,
    ) -> Result<Vec<Result<Done, OperationError>>, OperationError> {
        for Member { request, op } in members {
            play(request, tx, op).await?;
        }
        Ok(members.iter().map(|_| Ok(Done {})).collect())
    }
}

/// Nothing was done, nothing is on record, and the next operation works.
async fn nothing_happened(participant: &Participant<Counter>, op_id: uuid::Uuid, before: i64) {
    let told = resolve(participant, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(told, Resolution::Absent(_)), "{told:?}");
    assert_eq!(standing(participant).await, before);
    let bump = Bump { amount: 1, hold: String::new() };
    participant.apply(with_op_id(new_op_id(), bump)).await.unwrap();
    assert_eq!(standing(participant).await, before + 1);
}

async fn standing(participant: &Participant<Counter>) -> i64 {
    participant.answer(Request::new(Standing)).await.unwrap().into_inner()
}

fn tricks() -> impl Iterator<Item = Trick> {
    let numbers = (0..).zip(TRICKS).map(|(number, _)| number);
    numbers.flat_map(|number| [false, true].map(|script| Trick { number, script }))
}

async fn no_statement_ends_the_transaction_of_an_operation(scratch: Scratch) {
    let participant = participant(scratch.open(&SCHEMA).await);
    for (before, trick) in (0..).zip(tricks()) {
        let op_id = new_op_id();
        let status = participant.apply(with_op_id(op_id, trick.clone())).await.unwrap_err();
        let found = (status.code(), reason_of(&status));
        assert_eq!(found, (Code::Internal, "INTERNAL_FAULT".to_owned()), "{trick:?}");
        nothing_happened(&participant, op_id, before).await;
    }
}

async fn no_statement_ends_the_transaction_of_a_batch(scratch: Scratch) {
    let participant = participant(scratch.open(&SCHEMA).await);
    let lane = Lane::new(LaneLimits { batch_max: 8, waiting_max: 8 });
    for (before, trick) in (0..).zip(tricks()) {
        let op_id = new_op_id();
        let call = participant.apply_together(&lane, with_op_id(op_id, trick.clone()));
        assert_eq!(reason_of(&call.await.unwrap_err()), "INTERNAL_FAULT", "{trick:?}");
        nothing_happened(&participant, op_id, before).await;
    }
}

/// A conflict clause or a trigger can roll back a whole transaction of SQLite, and no text
/// of an operation tells so. In PostgreSQL the same insert breaks a statement.
#[derive(Clone, PartialEq, prost::Message)]
struct Clash {
    #[prost(bool, tag = "1")]
    swallow: bool,
}

impl Operation<Counter> for Clash {
    const KIND: &'static str = "Clash";
    type Reply = Done;

    async fn apply(self, tx: &mut Tx, op: &OperationMeta) -> Result<Done, OperationError> {
        let insert = Sql {
            postgres: "insert into bump (op_id, amount) values ($1, 1)",
            sqlite: "insert or rollback into bump (op_id, amount) values ($1, 1)",
        };
        tx.execute(insert, &[Arg::Uuid(op.op_id)]).await?;
        let clash = tx.execute(insert, &[Arg::Uuid(op.op_id)]).await;
        if !self.swallow {
            clash?;
        }
        Ok(Done {})
    }
}

async fn a_transaction_that_the_database_rolled_back_is_noticed(scratch: Scratch) {
    let participant = participant(scratch.open(&SCHEMA).await);
    for (before, swallow) in [false, true, false].into_iter().enumerate() {
        let op_id = new_op_id();
        let status = participant.apply(with_op_id(op_id, Clash { swallow })).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status}");
        nothing_happened(&participant, op_id, before as i64).await;
    }
}
