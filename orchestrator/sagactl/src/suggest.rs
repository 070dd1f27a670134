//! What a person may have meant who typed a word of another tool.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{cli::Output, exit::Exit, failure::Failure};

/// Words that people try, and what they are called here.
const KNOWN_AS: &[(&[&str], &str)] = &[
    (&["--server", "--host", "--url", "--endpoint", "--target", "-s"], "--address HOST:PORT"),
    (&["--json"], "-o json"),
    (&["--yaml"], "-o yaml"),
    (&["--format", "--template"], "-o table|wide|json|jsonl|yaml|id"),
    (&["-q", "--quiet", "--no-headers"], "-o id"),
    (&["--no-color", "--no-colour"], "--color never"),
    (&["--namespace", "-n"], "the key as NAMESPACE/KEY"),
    (&["--business-key", "--id", "--workflow-id", "--saga"], "NAME, as in sagactl saga get NAME"),
    (&["--force", "-y", "--confirm"], "--yes"),
    (&["--why", "--message", "-m"], "--reason"),
    (&["--data", "--payload", "--json-input", "-d"], "--input"),
    (&["--user", "--as"], "--actor"),
    (&["--status"], "--state"),
    (&["--page-size", "--max"], "--limit"),
    (&["--watch", "-w", "--follow"], "sagactl saga wait NAME, or watch -n 2 sagactl .."),
    (&["--labels", "--selector", "-l", "--query", "--where"], "--label NAME=VALUE, or --filter"),
    (
        &["--since", "--until", "--after", "--before"],
        "--older-than, or --filter \"started_at > timestamp('2026-01-02T15:04:05Z')\"",
    ),
    (&["resolve", "complete", "force"], "sagactl saga settle"),
    (&["terminate", "stop", "kill", "delete", "rm"], "sagactl saga cancel, or close"),
    (&["workflow", "workflows", "sagas", "run", "runs"], "sagactl saga"),
    (&["ps", "ls", "list", "top"], "sagactl saga list, sagactl causes"),
    (
        &["get", "describe", "wait", "start", "cancel", "retry", "signal", "settle", "close"],
        "sagactl saga .., as in sagactl saga get NAME",
    ),
    (&["logs", "history", "events", "show"], "sagactl saga log NAME"),
    (
        &["apply", "check", "lint", "validate"],
        "sagactl definition .., as in sagactl definition check FILE",
    ),
    (&["definitions", "def"], "sagactl definition"),
    (&["services", "participant", "participants"], "sagactl service"),
    (
        &["health", "info", "status", "doctor", "ping", "version"],
        "sagactl server health, sagactl server info",
    ),
    (&["cause", "incidents", "problems"], "sagactl causes"),
    (&["explain", "man"], "sagactl help"),
];

/// `sagactl help saga start` of `sagactl saga help start`, as other tools take it.
pub(crate) fn help_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_noun = |word: &OsString| word.to_str().is_some_and(|word| NOUNS.contains(&word));
    if arguments.get(1).is_some_and(is_noun) && arguments.get(2).is_some_and(|it| it == "help") {
        arguments.swap(1, 2);
    }
    arguments
}

/// Words that have words of their own behind them.
const NOUNS: &[&str] = &["saga", "definition", "service", "log", "server", "context"];

/// A line that says what the word is called here.
pub(crate) fn tip(error: &clap::Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return None,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else { return None };
    let word = word.split('=').next().unwrap_or(word);
    let (_, meant) = KNOWN_AS.iter().find(|(words, _)| words.contains(&word))?;
    Some(format!("\n  tip: {word} is {meant}"))
}

/// The form in which replies were asked for, where it is one for programs.
pub(crate) fn wants_json(arguments: &[OsString]) -> Option<Output> {
    let words: Vec<&str> = arguments.iter().filter_map(|it| it.to_str()).collect();
    let after = |flag: &str| words.windows(2).find(|two| two[0] == flag).map(|two| two[1]);
    let joined =
        || words.iter().find_map(|it| it.strip_prefix("--output=").or(it.strip_prefix("-o")));
    match after("-o").or_else(|| after("--output")).or_else(joined)? {
        "json" => Some(Output::Json),
        "jsonl" => Some(Output::Jsonl),
        "yaml" => Some(Output::Yaml),
        _ => None,
    }
}

/// The same error, for a program.
pub(crate) fn failure(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or_default();
    let tip = tip(error);
    let remedies = lines.chain(tip.as_deref().map(str::trim)).map(str::to_owned).collect();
    Failure {
        exit: Exit::Usage,
        what: what.strip_prefix("error: ").unwrap_or(what).to_owned(),
        code: None,
        why: String::new(),
        remedies,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    fn tip_of(words: &str) -> Option<String> {
        tip(&Cli::try_parse_from(words.split(' ')).unwrap_err())
    }

    #[test]
    fn a_word_of_another_tool_is_answered_with_ours() {
        for (words, meant) in [
            ("sagactl saga ls --server 127.0.0.1:7400", "--address"),
            ("sagactl --host=h stuck", "--address"),
            ("sagactl saga get k --json", "-o json"),
            ("sagactl get k", "sagactl saga get"),
            ("sagactl workflow list", "sagactl saga"),
            ("sagactl saga terminate k", "cancel, or close"),
            ("sagactl apply f.yaml", "sagactl definition"),
        ] {
            let told = tip_of(words).unwrap_or_default();
            assert!(told.contains(meant), "{words}: {told:?}");
        }
        assert_eq!(tip_of("sagactl frobnicate"), None);
    }

    /// A word that we have ourselves needs no tip, and one that a tip names is there.
    #[test]
    fn no_tip_is_about_a_word_of_ours() {
        let command = Cli::command();
        for (words, _) in KNOWN_AS {
            for word in *words {
                assert!(command.find_subcommand(word).is_none(), "{word}");
            }
        }
    }

    #[test]
    fn who_reads_json_gets_errors_as_json() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(wants_json(&words("sagactl -o json nothing")), Some(Output::Json));
        assert_eq!(wants_json(&words("sagactl --output=yaml nothing")), Some(Output::Yaml));
        assert_eq!(wants_json(&words("sagactl nothing")), None);
        let error = Cli::try_parse_from(["sagactl", "get"]).unwrap_err();
        let told: serde_json::Value =
            serde_json::from_str(&failure(&error).shown(Output::Json)).unwrap();
        assert_eq!(told["error"]["exit"], 2, "{told}");
    }
}
