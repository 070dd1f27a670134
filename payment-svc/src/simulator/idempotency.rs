//! First responses, kept for replay.
//!
//! The identity of a request is its idempotency key, the API key, the URL and the
//! method. The body is *not* part of it: another body under the same key is answered
//! with the first response.

use axum::body::Bytes;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::exchange::Reply;

/// A response is replayed for this long.
pub(super) const KEPT_MS: i64 = 15 * 24 * 60 * 60 * 1000;

/// Names a request. A hash, so that no API key is stored.
pub(super) fn identity(key: &str, authorization: &str, method: &str, url: &str) -> String {
    let mut hash = Sha256::new();
    for part in [key, authorization, method, url] {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) async fn stored(
    connection: &mut SqliteConnection,
    identity: &str,
    now_ms: i64,
) -> Result<Option<Reply>, sqlx::Error> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "/* idempotency::stored */
        select status, body from idempotency where identity = ? and ? < at_ms + ?",
    )
    .bind(identity)
    .bind(now_ms)
    .bind(KEPT_MS)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(status, body)| Reply {
        status: u16::try_from(status).unwrap_or(500),
        body: Bytes::from(body),
    }))
}

/// Keeps the first response. One that is too old to be replayed gives way.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    identity: &str,
    reply: &Reply,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "/* idempotency::keep */
        insert into idempotency (identity, status, body, at_ms) values (?, ?, ?, ?)
        on conflict (identity) do update
        set status = excluded.status, body = excluded.body, at_ms = excluded.at_ms",
    )
    .bind(identity)
    .bind(i64::from(reply.status))
    .bind(reply.body.as_ref())
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(())
}
