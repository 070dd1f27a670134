//! Tells two requests under one id apart, by a hash that names what it is made of.

use sha2::{Digest as _, Sha256};

use crate::op_log::{Claim, Stored};

/// What a stored hash is made of. Stored as its number, which never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashForm {
    /// The request as the service encoded it after it had decoded it. No row is written so
    /// any more; rows of before are.
    EncodedAnew,
    /// The bytes that came over the wire.
    Wire,
}

impl HashForm {
    pub(crate) fn parse(number: i64) -> Result<Self, sqlx::Error> {
        match number {
            1 => Ok(Self::EncodedAnew),
            2 => Ok(Self::Wire),
            other => Err(sqlx::Error::Decode(format!("op_log: unknown hash form {other}").into())),
        }
    }
}

/// The hash of `request`, the bytes that came over the wire.
pub(crate) fn request_hash(kind: &str, request: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(request);
    hash.finalize().into()
}

/// What a repeat is to the row that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// The same request.
    Same,
    /// Another request.
    Other,
    /// Nobody can tell: the row is of before, and the request has more encodings than were
    /// tried.
    Uncertain,
}

/// A decoded request that can be encoded as it was for rows of before.
pub(crate) trait Anew: Send + Sync {
    /// Decoded and encoded once more: a map comes out in another order each time.
    fn encoded_anew(&self) -> Vec<u8>;
}

impl<O: prost::Message + Default> Anew for O {
    fn encoded_anew(&self) -> Vec<u8> {
        let encoded = self.encode_to_vec();
        O::decode(encoded.as_slice()).map_or(encoded, |decoded| decoded.encode_to_vec())
    }
}

/// Encodings that are tried before a request counts as one that has only one.
const ALIKE_MAX: u32 = 64;
/// Encodings that are tried of a request that has several. Enough for maps of six entries.
const ENCODINGS_MAX: u32 = 8_192;

/// Compares a claim with the row that it meets, by the form of the row's hash.
pub(crate) fn compare(claim: &Claim<'_>, stored: &Stored) -> Sameness {
    if stored.kind != claim.kind {
        return Sameness::Other;
    }
    // Of a row of before it says as much: what was encoded anew had these very bytes.
    if stored.request_hash == claim.request_hash {
        return Sameness::Same;
    }
    match stored.hash_form {
        HashForm::Wire => Sameness::Other,
        HashForm::EncodedAnew => compare_encodings(claim, &stored.request_hash),
    }
}

fn compare_encodings(claim: &Claim<'_>, stored_hash: &[u8]) -> Sameness {
    let first = claim.decoded.encoded_anew();
    let mut several = false;
    for tried in 0..ENCODINGS_MAX {
        let encoded = claim.decoded.encoded_anew();
        if stored_hash == request_hash(claim.kind, &encoded) {
            return Sameness::Same;
        }
        several |= encoded != first;
        if !several && ALIKE_MAX <= tried {
            return Sameness::Other;
        }
    }
    Sameness::Uncertain
}
