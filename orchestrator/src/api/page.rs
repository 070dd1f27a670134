//! Pages: sizes and opaque tokens (AIP-158).

use tonic::Status;

use crate::api::error::invalid;

/// Rows of a page when the client does not say.
const PAGE_SIZE_DEFAULT: u32 = 50;
/// Rows of a page at most.
const PAGE_SIZE_MAX: u32 = 1_000;

/// The size of a page that a client asked for.
pub(super) fn size(asked: u32) -> u32 {
    if asked == 0 { PAGE_SIZE_DEFAULT } else { asked.min(PAGE_SIZE_MAX) }
}

/// The position behind which a page begins. `None` for the first page.
pub(super) fn position<T: std::str::FromStr>(list: &str, token: &str) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let position = token.strip_prefix(list).and_then(|rest| rest.strip_prefix('.'));
    position.and_then(|position| position.parse().ok()).map(Some).ok_or_else(|| {
        invalid("PAGE_TOKEN_INVALID", "page_token", "not a token of this list; begin without one")
    })
}

/// The token of the page behind `position`.
pub(super) fn token(list: &str, position: impl std::fmt::Display) -> String {
    format!("{list}.{position}")
}
