//! Why a configuration does not fit, in the words of whoever wrote it.

use figment::{Error, Source, error::Kind};

use crate::definition::suggest;

/// `a.toml: there is no key listne; did you mean `listen`?`
pub(super) fn in_words(error: &Error) -> String {
    let said_in = error.metadata.as_ref().map_or_else(
        || "flags".to_owned(),
        |it| match &it.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ => it.name.to_string(),
        },
    );
    let key = error.path.join(".");
    let at = if key.is_empty() { said_in.clone() } else { format!("{said_in}: {key}") };
    match &error.kind {
        Kind::UnknownField(name, known) => {
            // It is named among the keys beside it, which are what it may have been meant for.
            let above = key.strip_suffix(name.as_str()).unwrap_or(&key).trim_end_matches('.');
            let within = if above.is_empty() { String::new() } else { format!(" in {above}") };
            format!("{said_in}: there is no key {name}{within}; {}", suggest(name, known))
        }
        Kind::MissingField(name) => format!("{at}: {name} is missing"),
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            format!("{at} is {found}; {} is wanted", in_plain_words(&wanted.to_string()))
        }
        other => format!("{at}: {other}"),
    }
}

/// What was expected, without the names of our types.
fn in_plain_words(wanted: &str) -> &str {
    let is_number = ["usize", "u8", "u16", "u32", "u64", "i32", "i64", "a nonzero usize"];
    match wanted {
        _ if wanted.starts_with("struct ") || wanted == "a map" => "a table",
        _ if is_number.contains(&wanted) => "a whole number",
        "bool" | "a boolean" => "true or false",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::Config;

    fn told(toml: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, toml).unwrap();
        let told =
            Config::load(Some(&file), BTreeMap::<String, u8>::new()).unwrap_err().to_string();
        told.replace(&folder.path().display().to_string(), "..")
    }

    #[test]
    fn a_mistake_is_told_by_file_and_key_with_what_was_meant() {
        for (toml, words) in [
            (
                "listne = '127.0.0.1:0'",
                "configuration: ../a.toml: there is no key listne; did you mean `listen`?",
            ),
            (
                "[limits]\nsaga_max = 1",
                "configuration: ../a.toml: there is no key saga_max in limits; did you mean \
                 `sagas_max`?",
            ),
            (
                "limits = 'many'",
                "configuration: ../a.toml: limits is string \"many\"; a table is wanted",
            ),
            (
                "[limits]\nsagas_max = 'many'",
                "configuration: ../a.toml: limits.sagas_max is string \"many\"; a whole number is \
                 wanted",
            ),
        ] {
            assert_eq!(told(toml), words);
        }
    }
}
