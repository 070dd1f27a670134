//! A value of a configuration that nobody else may see: written there, or kept in a file.
//!
//! What is in an environment is in the process table, in dumps and in every child; what is in a
//! file can be mounted for one user (X24). So wherever a value may hold a password, the
//! configuration may name a file instead: `log = { file = "log-url" }`.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    marker::PhantomData,
    path::Path,
};

use figment::value::magic::RelativePathBuf;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// Longer than any URL, key or token.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Reads a value that is text, or `{ file = PATH }`, the text in that file without the end of its
/// last line. A relative path is beside the configuration file that says it; in a variable or a
/// flag it is where the program was started. The file is read once.
///
/// # Errors
///
/// The file cannot be read, or is empty, is no text or is too large. Names the file, never
/// what is in it.
pub fn text_or_file<'de, T, D>(value: D) -> Result<T, D::Error>
where
    T: From<String>,
    D: Deserializer<'de>,
{
    value.deserialize_any(TextOrFile(PhantomData))
}

struct TextOrFile<T>(PhantomData<T>);

impl<'de, T: From<String>> Visitor<'de> for TextOrFile<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, or { file = \"PATH\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut file = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "file" {
                return Err(de::Error::unknown_field(&key, &["file"]));
            }
            file = Some(map.next_value::<RelativePathBuf>()?.relative());
        }
        let file = file.ok_or_else(|| de::Error::missing_field("file"))?;
        let told = |why: String| de::Error::custom(format!("the file {} {why}", file.display()));
        let text = read(&file).map_err(|error| told(format!("cannot be read: {error}")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(told("is empty".to_owned()));
        }
        Ok(T::from(text.to_owned()))
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format as _, Serialized, Toml},
    };
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Told {
        #[serde(deserialize_with = "text_or_file")]
        key: String,
    }

    fn read_from(folder: &Path, text: &str) -> Result<Told, String> {
        let file = folder.join("a.toml");
        std::fs::write(&file, text).unwrap();
        let figment = Figment::from(Serialized::default("key", "a default"));
        figment.merge(Toml::file_exact(file)).extract().map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_written_down_or_in_a_file_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| read_from(folder.path(), text).unwrap().key;
        std::fs::write(folder.path().join("secret"), " of two words \r\n").unwrap();
        assert_eq!(told(""), "a default");
        assert_eq!(told("key = \"plain\""), "plain");
        assert_eq!(told("key = { file = \"secret\" }"), " of two words ");
        let absolute = folder.path().join("secret");
        let absolute = format!("key.file = \"{}\"", absolute.display());
        assert_eq!(told(&absolute), " of two words ");
    }

    #[test]
    fn a_file_that_holds_no_secret_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        put("empty", b"\n");
        put("bytes", b"canary\xff");
        put("large", &vec![b'c'; 65 << 10]);
        let cases = [
            ("key = { file = \"absent\" }", "absent cannot be read"),
            ("key = { file = \"empty\" }", "empty is empty"),
            ("key = { file = \"bytes\" }", "bytes cannot be read"),
            ("key = { file = \"large\" }", "more than 65536 bytes"),
            ("key = { fill = \"canary\" }", "fill"),
            ("key = {}", "file"),
            ("key = 7", "a text, or { file = \"PATH\" }"),
        ];
        for (text, told) in cases {
            let error = read_from(folder.path(), text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(error.contains("key"), "{text} does not name the key: {error}");
            assert!(!error.contains("canary"), "{text}: {error}");
        }
    }
}
