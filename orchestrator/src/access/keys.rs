//! The keys with which tokens are signed: a JSON Web Key Set in a file, read again when it
//! changes.

use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};

/// How often the file is looked at. Contents are compared: a link may be turned to a file of the
/// same age and size.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a key set.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys by their ids, as they are now.
#[derive(Debug)]
pub(super) struct Keys {
    file: PathBuf,
    now: RwLock<Arc<KeySet>>,
    /// What was in the file at the last look.
    seen: Mutex<Result<String, String>>,
}

/// Each key has one algorithm: what a token says of its own is only compared with it.
type KeySet = HashMap<String, (Algorithm, DecodingKey)>;

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// What is the matter with it.
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        let text = read(file)?;
        let keys = parse(&text)?;
        let now = RwLock::new(Arc::new(keys));
        Ok(Self { file: file.to_owned(), now, seen: Mutex::new(Ok(text)) })
    }

    /// The key of this id. Where there is none, nobody is asked for one: a token names no file
    /// and no address.
    pub(super) fn of(&self, id: &str) -> Option<(Algorithm, DecodingKey)> {
        let now = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner));
        now.get(id).cloned()
    }

    /// Looks at the file from now on, for as long as this is there. Must be called inside a
    /// runtime.
    pub(super) fn look_after(self: &Arc<Self>) {
        tokio::spawn(look_after(Arc::downgrade(self)));
    }

    fn look(&self) {
        let text = read(&self.file);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == text {
            return;
        }
        let file = self.file.display();
        match text.clone().and_then(|text| parse(&text)) {
            Ok(keys) => {
                tracing::info!(%file, keys = keys.len(), "the keys of tokens have changed");
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => tracing::warn!(
                %file,
                error,
                "the keys of tokens have changed and cannot be used; those of before are used on"
            ),
        }
        *seen = text;
    }
}

async fn look_after(keys: Weak<Keys>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(keys) = keys.upgrade() else { return };
        // Reading a file may take as long as its disk likes.
        if tokio::task::spawn_blocking(move || keys.look()).await.is_err() {
            tracing::error!("looking at the keys of tokens has crashed; it is tried again");
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let opened = File::open(file).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = String::new();
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if FILE_BYTES_MAX < text.len() as u64 {
        return Err(format!("has more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<KeySet, String> {
    let set: JwkSet =
        serde_json::from_str(text).map_err(|error| format!("is no JSON Web Key Set: {error}"))?;
    let mut keys = KeySet::new();
    for jwk in &set.keys {
        let Some((id, algorithm)) = meant(jwk) else { continue };
        let key = DecodingKey::from_jwk(jwk);
        let key = key.map_err(|error| format!("holds a broken key, {id:?}: {error}"))?;
        if keys.insert(id.to_owned(), (algorithm, key)).is_some() {
            return Err(format!("holds two keys of the id {id:?}"));
        }
    }
    if keys.is_empty() {
        return Err("holds no key with an id (`kid`) for RS256, ES256 or EdDSA".to_owned());
    }
    Ok(keys)
}

/// What a key is for, where that is the signature of a token, and its id.
fn meant(jwk: &Jwk) -> Option<(&str, Algorithm)> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let said = match jwk.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(_) => false,
    };
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let id = jwk.common.key_id.as_deref()?;
    (said && signs).then_some((id, algorithm))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    const ED: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn set(keys: &[String]) -> String {
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    #[test]
    fn a_key_is_taken_for_the_one_algorithm_that_it_has() {
        let text = set(&[
            format!("{{{EC},\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"ES256\"}}"),
            format!("{{{ED},\"kid\":\"b\"}}"),
            format!("{{{EC},\"kid\":\"for encryption\",\"use\":\"enc\"}}"),
            format!("{{{EC},\"kid\":\"of another algorithm\",\"alg\":\"ES384\"}}"),
            format!("{{{ED}}}"),
            r#"{"kty":"oct","kid":"secret","k":"AAAA","alg":"HS256"}"#.to_owned(),
            r#"{"kty":"new","kid":"of tomorrow"}"#.to_owned(),
        ]);
        let keys = parse(&text).unwrap();
        let mut found: Vec<_> = keys.iter().map(|(id, (it, _))| (id.as_str(), *it)).collect();
        found.sort_by_key(|it| it.0);
        assert_eq!(found, [("a", Algorithm::ES256), ("b", Algorithm::EdDSA)]);
    }

    #[test]
    fn a_set_that_cannot_be_meant_is_refused_and_the_old_one_stays() {
        let secret = r#"{"kty":"oct","kid":"s","k":"AAAA","alg":"HS256"}"#.to_owned();
        let twice = [format!("{{{EC},\"kid\":\"a\"}}"), format!("{{{ED},\"kid\":\"a\"}}")];
        let good = set(&[format!("{{{EC},\"kid\":\"a\"}}")]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        assert!(Keys::open(&file).unwrap_err().contains("cannot be read"));
        std::fs::write(&file, &good).unwrap();
        let keys = Keys::open(&file).unwrap();
        for (text, told) in [
            ("", "no JSON Web Key Set"),
            (&good[1..], "no JSON Web Key Set"),
            (&set(&[]), "holds no key"),
            (&set(&[secret]), "holds no key"),
            (&set(&twice), "two keys of the id \"a\""),
            (&" ".repeat(1 << 21), "bytes"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(Keys::open(&file).unwrap_err().contains(told), "{told}");
            keys.look();
            assert!(keys.of("a").is_some(), "{told}");
        }
        std::fs::write(&file, set(&[format!("{{{ED},\"kid\":\"b\"}}")])).unwrap();
        keys.look();
        assert!(keys.of("a").is_none() && keys.of("b").is_some());
        std::fs::remove_file(&file).unwrap();
        keys.look();
        assert!(keys.of("b").is_some());
    }
}
