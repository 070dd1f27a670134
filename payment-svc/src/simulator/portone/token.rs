//! Access tokens. Each tells its own end, so that nothing has to be kept and a token
//! survives the simulator's restart. It guards nothing: this is a simulator.

use std::sync::atomic::Ordering;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::reply::envelope;
use crate::simulator::{Shared, exchange::Reply};

/// How long a token is good for.
const TOKEN_LIFE_MS: i64 = 30 * 60 * 1000;

/// What a token that somebody brings is worth.
pub(super) enum Claimed {
    Valid,
    Expired,
    Foreign,
}

pub(super) fn token_reply(shared: &Shared) -> Reply {
    let now_ms = shared.clock.now_ms();
    let expires_at_ms = now_ms + TOKEN_LIFE_MS;
    shared.tokens.fetch_add(1, Ordering::Relaxed);
    envelope(&json!({
        "access_token": text(expires_at_ms),
        "now": now_ms / 1000,
        "expired_at": expires_at_ms / 1000,
    }))
}

pub(super) fn read(token: &str, now_ms: i64) -> Claimed {
    let expires_at_ms = token.split_once('.').and_then(|(it, _)| it.parse::<i64>().ok());
    match expires_at_ms {
        Some(it) if text(it) != token => Claimed::Foreign,
        Some(it) if now_ms < it => Claimed::Valid,
        Some(_) => Claimed::Expired,
        None => Claimed::Foreign,
    }
}

fn text(expires_at_ms: i64) -> String {
    let hash = Sha256::digest(format!("a token of the simulator until {expires_at_ms}"));
    let seal: String = hash.iter().take(16).map(|it| format!("{it:02x}")).collect();
    format!("{expires_at_ms}.{seal}")
}
