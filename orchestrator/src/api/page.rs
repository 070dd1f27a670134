//! Pages: sizes and opaque tokens (AIP-158).

use sha2::{Digest, Sha256};
use tonic::Status;

use crate::api::error::{echo, invalid};

/// Rows of a page when the client does not say.
const PAGE_SIZE_DEFAULT: u32 = 50;
/// Rows of a page at most.
const PAGE_SIZE_MAX: u32 = 1_000;

/// The size of a page that a client asked for.
pub(super) fn size(asked: i32) -> Result<u32, Status> {
    match u32::try_from(asked) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(asked) => Ok(asked.min(PAGE_SIZE_MAX)),
        Err(_) => {
            let message = format!("{asked} is negative; give 1 to {PAGE_SIZE_MAX}, or 0 for 50");
            Err(invalid("PAGE_SIZE_INVALID", "page_size", message))
        }
    }
}

/// A list, with what was asked for in it: a token of one query is none of another.
pub(super) fn of(list: &str, query: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in query {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let hash: String = hash.finalize().iter().take(8).map(|it| format!("{it:02x}")).collect();
    format!("{list}.{hash}")
}

/// The position behind which a page begins. `None` for the first page.
pub(super) fn position<T: std::str::FromStr>(list: &str, token: &str) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let position = token.strip_prefix(list).and_then(|rest| rest.strip_prefix('.'));
    position.and_then(|position| position.parse().ok()).map(Some).ok_or_else(|| {
        let token = echo(token);
        let message = format!("{token:?} is no token of this list and query; begin without one");
        invalid("PAGE_TOKEN_INVALID", "page_token", message)
    })
}

/// The token of the page behind `position`.
pub(super) fn token(list: &str, position: impl std::fmt::Display) -> String {
    format!("{list}.{position}")
}
