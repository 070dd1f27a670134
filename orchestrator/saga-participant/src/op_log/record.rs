//! How operations ended, recorded in the transaction that claimed them and in no other.
//!
//! Each statement makes sure of that by itself: in PostgreSQL the row has to be this
//! transaction's own, in SQLite the mark has to be there that every transaction begins
//! with. Where an operation's statements have ended the transaction, nothing is recorded.

use tonic::Status;
use uuid::Uuid;

use super::{Answered, NOTHING_TO_UNDO, State};
use crate::{
    database::{Arg, Sql, Tx},
    error::{OperationError, Refusal},
};

/// Records that the operation took effect.
///
/// # Errors
///
/// Those of the database, and that the transaction is not the one of the claim. It must be
/// rolled back. So of all here.
pub(crate) async fn record_applied(
    tx: &mut Tx,
    op_id: Uuid,
    answered: &Answered,
) -> Result<(), OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_applied */
            update op_log
            set state = 'APPLIED', result = $2, reason = $3, request = null, plan = null
            where op_id = $1 and xmin = pg_current_xact_id()::xid
            returning op_id",
        sqlite: "/* record_applied */
            release savepoint operation;
            update op_log
            set state = 'APPLIED', result = $2, reason = $3, request = null, plan = null
            where op_id = $1
            returning op_id",
    };
    let reason = answered.nothing_to_undo.then_some(NOTHING_TO_UNDO);
    record(tx, UPDATE, &[Arg::Uuid(op_id), Arg::Bytes(&answered.reply), reason.into()], 1).await
}

/// Records that the operation was refused with `status`.
pub(crate) async fn record_rejected(
    tx: &mut Tx,
    op_id: Uuid,
    refusal: &Refusal,
    status: &Status,
) -> Result<(), OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_rejected */
            update op_log
            set state = 'REJECTED', result = $2, reason = $3, message = $4, reverses = null,
                request = null, plan = null
            where op_id = $1 and xmin = pg_current_xact_id()::xid
            returning op_id",
        sqlite: "/* record_rejected */
            release savepoint operation;
            update op_log
            set state = 'REJECTED', result = $2, reason = $3, message = $4, reverses = null,
                request = null, plan = null
            where op_id = $1
            returning op_id",
    };
    let args = [
        Arg::Uuid(op_id),
        Arg::Bytes(status.details()),
        Arg::Text(refusal.reason),
        Arg::Text(status.message()),
    ];
    record(tx, UPDATE, &args, 1).await
}

/// Records the call that the operation is about to make at its provider.
pub(crate) async fn record_plan(
    tx: &mut Tx,
    op_id: Uuid,
    plan: &[u8],
) -> Result<(), OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_plan */
            update op_log set plan = $2
            where op_id = $1 and xmin = pg_current_xact_id()::xid
            returning op_id",
        sqlite: "/* record_plan */
            release savepoint operation;
            update op_log set plan = $2 where op_id = $1 returning op_id",
    };
    record(tx, UPDATE, &[Arg::Uuid(op_id), Arg::Bytes(plan)], 1).await
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) op_id: Uuid,
    /// Applied or rejected.
    pub(crate) state: State,
    /// The encoded reply or status.
    pub(crate) result: Vec<u8>,
    /// Of a refusal; else empty.
    pub(crate) reason: &'static str,
    /// Of a refusal; else empty.
    pub(crate) message: String,
}

/// Records how operations ended that share the transaction.
pub(crate) async fn record_all(tx: &mut Tx, records: &[Record]) -> Result<(), OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_all */
            update op_log
            set state = record.state, result = record.result,
                reason = nullif(record.reason, ''), message = nullif(record.message, '')
            from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::text[])
                as record (op_id, state, result, reason, message)
            where op_log.op_id = record.op_id and op_log.xmin = pg_current_xact_id()::xid
            returning op_log.op_id",
        sqlite: "/* record_all */
            release savepoint operation;
            with op as materialized (select key, value from json_each($1)),
                state as materialized (select key, value from json_each($2)),
                result as materialized (select key, value from json_each($3)),
                reason as materialized (select key, value from json_each($4)),
                message as materialized (select key, value from json_each($5))
            update op_log
            set state = record.state, result = record.result,
                reason = nullif(record.reason, ''), message = nullif(record.message, '')
            from (
                select unhex(op.value) as op_id, state.value as state,
                    unhex(result.value) as result, reason.value as reason,
                    message.value as message
                from op join state using (key) join result using (key)
                    join reason using (key) join message using (key)
            ) as record
            where op_log.op_id = record.op_id
            returning op_log.op_id",
    };
    let op_ids: Vec<Uuid> = records.iter().map(|it| it.op_id).collect();
    let states: Vec<&str> = records.iter().map(|it| it.state.as_str()).collect();
    let results: Vec<&[u8]> = records.iter().map(|it| it.result.as_slice()).collect();
    let reasons: Vec<&str> = records.iter().map(|it| it.reason).collect();
    let messages: Vec<&str> = records.iter().map(|it| it.message.as_str()).collect();
    let args = [
        Arg::Uuids(&op_ids),
        Arg::Texts(&states),
        Arg::Blobs(&results),
        Arg::Texts(&reasons),
        Arg::Texts(&messages),
    ];
    record(tx, UPDATE, &args, records.len()).await
}

async fn record(
    tx: &mut Tx,
    update: Sql,
    args: &[Arg<'_>],
    rows: usize,
) -> Result<(), OperationError> {
    let recorded = tx.record(update, args).await?.len();
    if recorded != rows {
        tracing::error!(recorded, rows, "the statements of an operation ended its transaction");
        return Err(OperationError::broken());
    }
    Ok(())
}
