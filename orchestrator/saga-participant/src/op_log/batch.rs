//! The claims of many operations in one statement, for operations that share a
//! transaction.

use std::collections::HashSet;

use uuid::Uuid;

use super::Claim;
use crate::database::{Arg, Sql, Tx};

/// Stands for null in a list of times.
const NOT_TOLD: i64 = -1;

/// Claims the operations inside the caller's transaction; returns those that are ours. The
/// others were decided before. None of them undoes another. Of those that are ours the caller
/// compares the horizon, when they are recorded.
///
/// Rows are inserted in order of their ids, so that two transactions that claim the same
/// operations wait for each other in one direction only.
///
/// # Errors
///
/// As of [`super::begin`].
pub(crate) async fn claim_all(
    tx: &mut Tx,
    claims: &[Claim<'_>],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    const INSERT: Sql = Sql {
        postgres: "/* claim_all */
            insert into op_log
                (op_id, saga_id, kind, request_hash, hash_form, state, at_ms, started_at_ms)
            select op_id, nullif(saga_id, ''), kind, request_hash, 2, 'APPLIED', at_ms,
                nullif(started_at_ms, -1)
            from unnest(
                    $1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]
                ) as claim (op_id, saga_id, kind, request_hash, at_ms, started_at_ms)
            order by op_id
            on conflict do nothing
            returning op_id",
        sqlite: "/* claim_all */
            with op as materialized (select key, value from json_each($1)),
                saga as materialized (select key, value from json_each($2)),
                kind as materialized (select key, value from json_each($3)),
                hash as materialized (select key, value from json_each($4)),
                at as materialized (select key, value from json_each($5)),
                start as materialized (select key, value from json_each($6))
            insert into op_log
                (op_id, saga_id, kind, request_hash, hash_form, state, at_ms, started_at_ms)
            select unhex(op.value), nullif(saga.value, ''), kind.value, unhex(hash.value), 2,
                'APPLIED', at.value, nullif(start.value, -1)
            from op join saga using (key) join kind using (key) join hash using (key)
                join at using (key) join start using (key)
            where true
            on conflict do nothing
            returning op_id",
    };
    let op_ids: Vec<Uuid> = claims.iter().map(|it| it.op.op_id).collect();
    let saga_ids: Vec<&str> =
        claims.iter().map(|it| it.op.saga_id.as_deref().unwrap_or_default()).collect();
    let kinds: Vec<&str> = claims.iter().map(|it| it.kind).collect();
    let hashes: Vec<&[u8]> = claims.iter().map(|it| it.request_hash).collect();
    let at_ms: Vec<i64> = claims.iter().map(|it| it.op.at_ms).collect();
    let starts: Vec<i64> = claims.iter().map(|it| it.op.start().unwrap_or(NOT_TOLD)).collect();
    let args = [
        Arg::Uuids(&op_ids),
        Arg::Texts(&saga_ids),
        Arg::Texts(&kinds),
        Arg::Blobs(&hashes),
        Arg::Ints(&at_ms),
        Arg::Ints(&starts),
    ];
    tx.rows(INSERT, &args).await?.iter().map(|row| row.uuid(0)).collect()
}

/// Takes back the claim of an operation that ended without being decided.
pub(crate) async fn unclaim(tx: &mut Tx, op_id: Uuid) -> Result<(), sqlx::Error> {
    tx.execute("/* unclaim */ delete from op_log where op_id = $1", &[Arg::Uuid(op_id)])
        .await
        .map(drop)
}
