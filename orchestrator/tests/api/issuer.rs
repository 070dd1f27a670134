//! Somebody who signs tokens, as good or as bad as a test needs them.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use orchestrator::clock::{Clock as _, SystemClock};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://login.shop.example";
pub(crate) const AUDIENCE: &str = "amends";

pub(crate) struct Issuer {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(kind, ec.as_ref(), &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ed = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap();
        Self { ec, ed, random }
    }

    /// The public key of ES256: a point, uncompressed.
    pub(crate) fn point(&self) -> &[u8] {
        self.ec.public_key().as_ref()
    }

    /// The same as a JSON Web Key.
    pub(crate) fn key(&self, id: &str) -> Value {
        let (x, y) = self.point()[1..].split_at(32);
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": x, "y": y })
    }

    /// Both keys, in a file.
    pub(crate) fn publish(&self, file: &Path) {
        let x = BASE64.encode(self.ed.public_key().as_ref());
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": x });
        let set = json!({ "keys": [self.key("ec"), ed] });
        // As a rename: nobody reads half of a file.
        let beside = file.with_extension("new");
        std::fs::write(&beside, set.to_string()).unwrap();
        std::fs::rename(beside, file).unwrap();
    }

    pub(crate) fn es256(&self, text: &[u8]) -> Vec<u8> {
        self.ec.sign(&self.random, text).unwrap().as_ref().to_vec()
    }

    pub(crate) fn ed25519(&self, text: &[u8]) -> Vec<u8> {
        self.ed.sign(text).as_ref().to_vec()
    }

    /// A token as it should be, with `claims` beside or instead of its own.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "ec" });
        signed(&header, &claimed(claims), |text| self.es256(text))
    }
}

/// Seconds, from now.
pub(crate) fn from_now(seconds: i64) -> i64 {
    i64::try_from(SystemClock.now_ms() / 1_000).unwrap() + seconds
}

/// What a token needs to be taken, with `claims` beside or instead. Null: without.
pub(crate) fn claimed(claims: &Value) -> Value {
    let mut all = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "kim", "exp": from_now(7_200), "iat": from_now(0),
    });
    for (claim, value) in claims.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(claim)),
            value => all[claim] = value.clone(),
        }
    }
    all
}

pub(crate) fn signed(
    header: &Value,
    claims: &Value,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let part = |it: &Value| BASE64.encode(it.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = BASE64.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}
