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
    horizon::Horizon,
};

/// Records that the operation took effect. Returns the horizon, as do all here, read behind the
/// claim: whoever has claimed the operation in this transaction compares it.
///
/// # Errors
///
/// Those of the database, and that the transaction is not the one of the claim. It must be
/// rolled back. So of all here.
pub(crate) async fn record_applied(
    tx: &mut Tx,
    op_id: Uuid,
    answered: &Answered,
) -> Result<Horizon, OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_applied */
            update op_log
            set state = 'APPLIED', result = $2, reason = $3, request = null, plan = null
            where op_id = $1 and xmin = pg_current_xact_id()::xid
            returning op_id, (select before_ms from op_log_horizon)",
        sqlite: "/* record_applied */
            release savepoint operation;
            update op_log
            set state = 'APPLIED', result = $2, reason = $3, request = null, plan = null
            where op_id = $1
            returning op_id, (select before_ms from op_log_horizon)",
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
) -> Result<Horizon, OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_rejected */
            update op_log
            set state = 'REJECTED', result = $2, reason = $3, message = $4, reverses = null,
                request = null, plan = null
            where op_id = $1 and xmin = pg_current_xact_id()::xid
            returning op_id, (select before_ms from op_log_horizon)",
        sqlite: "/* record_rejected */
            release savepoint operation;
            update op_log
            set state = 'REJECTED', result = $2, reason = $3, message = $4, reverses = null,
                request = null, plan = null
            where op_id = $1
            returning op_id, (select before_ms from op_log_horizon)",
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
) -> Result<Horizon, OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_plan */
            update op_log set plan = $2
            where op_id = $1 and xmin = pg_current_xact_id()::xid
            returning op_id, (select before_ms from op_log_horizon)",
        sqlite: "/* record_plan */
            release savepoint operation;
            update op_log set plan = $2 where op_id = $1
            returning op_id, (select before_ms from op_log_horizon)",
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
pub(crate) async fn record_all(tx: &mut Tx, records: &[Record]) -> Result<Horizon, OperationError> {
    const UPDATE: Sql = Sql {
        postgres: "/* record_all */
            update op_log
            set state = record.state, result = record.result,
                reason = nullif(record.reason, ''), message = nullif(record.message, '')
            from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::text[])
                as record (op_id, state, result, reason, message)
            where op_log.op_id = record.op_id and op_log.xmin = pg_current_xact_id()::xid
            returning op_log.op_id, (select before_ms from op_log_horizon)",
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
            returning op_log.op_id, (select before_ms from op_log_horizon)",
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
) -> Result<Horizon, OperationError> {
    let recorded = tx.record(update, args).await?;
    if recorded.len() != rows {
        let recorded = recorded.len();
        tracing::error!(recorded, rows, "the statements of an operation ended its transaction");
        return Err(OperationError::broken());
    }
    Ok(Horizon(recorded.first().map_or(Ok(0), |row| row.int(1))?))
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;
    use crate::{
        Limits, Schema,
        op_log::{Begun, Claim, begin, find},
        operation::OperationMeta,
        schema::migrate,
        testkit::{Scratch, new_op_id},
    };

    crate::on_both_databases!(a_record_outside_the_transaction_of_its_claim_is_refused);

    /// Ends the transaction as no text of an operation can, but a later database might.
    async fn a_record_outside_the_transaction_of_its_claim_is_refused(scratch: Scratch) {
        let database = scratch.connect(Limits::default()).await;
        migrate(&database, &Schema { component: "none", migrations: &[] }).await.unwrap();
        for text in ["", "commit", "rollback", "commit; begin", "rollback; begin"] {
            let op_id = new_op_id();
            let op = OperationMeta::of_inquiry(&MetadataMap::new(), op_id, 1).unwrap();
            let mut tx = database.begin_write(database.enter_promised_write().await).await.unwrap();
            let claim = Claim {
                op: &op,
                kind: "None",
                request_hash: &[0; 32],
                decoded: &(),
                reverses: None,
                request: None,
            };
            assert!(matches!(begin(&mut tx, &claim).await.unwrap(), Begun::Fresh));
            tx.control(text).await.unwrap();
            let answered = Answered { reply: b"reply".to_vec(), nothing_to_undo: false };
            let recorded = record_applied(&mut tx, op_id, &answered).await;
            assert_eq!(recorded.is_ok(), text.is_empty(), "{text}: {recorded:?}");
            drop(tx);
            let look = move |mut tx: Tx| async move { Ok(find(&mut tx, op_id).await?) };
            let replies = database.read(look).await.unwrap().stored.map(|it| it.result);
            assert!(replies.is_none_or(|it| it.is_empty()), "{text}: a reply without an effect");
        }
    }
}
