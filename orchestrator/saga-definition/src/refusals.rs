//! The status codes that a definition takes for refusals.

/// A set of gRPC status codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusalCodes(u32);

impl RefusalCodes {
    /// No code.
    pub const NONE: Self = Self(0);

    /// This set and `code`.
    #[must_use]
    pub fn with(self, code: impl Into<i32>) -> Self {
        Self(self.0 | bit(code.into()))
    }

    /// Whether `code` is in this set.
    #[must_use]
    pub fn contains(self, code: impl Into<i32>) -> bool {
        self.0 & bit(code.into()) != 0
    }

    /// Whether no code is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A number that is no gRPC status code has no bit.
fn bit(code: i32) -> u32 {
    u32::try_from(code).ok().and_then(|it| 1_u32.checked_shl(it)).unwrap_or(0)
}
