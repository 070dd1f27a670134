//! How replies and errors are written, for people and for programs.

use crate::{
    Run,
    fake::{self, Fake, STUCK_ID},
    run, run_in, sagactl,
};

/// The same on a terminal of so many columns.
fn sagactl_in(fake: &Fake, words: &str, columns: usize) -> Run {
    let words: Vec<&str> = words.split_whitespace().collect();
    run_in(&fake.address, &words, "", columns)
}

/// Everything that the table is made of, and what `saga get` says under the same name.
#[test]
fn a_description_as_json_has_what_the_table_says() {
    let fake = Fake::start();
    let of = |words: &str| -> serde_json::Value {
        serde_json::from_str(&sagactl(&fake, words).data).unwrap()
    };
    let described = of("saga describe order/stuck -o json");
    assert_eq!(described["saga"], of("saga get order/stuck -o json")["saga"]);
    assert_eq!(described["events"], of("saga log order/stuck -o json")["events"]);
    assert_eq!(described["sameCause"]["sagas"], "12");
    assert_eq!(of("saga describe order/running -o json")["sameCause"], serde_json::Value::Null);
    let id = sagactl(&fake, "saga describe order/stuck -o id");
    assert_eq!(id.data.trim(), STUCK_ID);
}

#[test]
fn what_holds_nothing_is_written_too() {
    let fake = Fake::start_empty();
    for (words, field, empty) in
        [("saga list", "sagas", "[]"), ("stuck", "groups", "[]"), ("stuck", "total", "\"0\"")]
    {
        let json = sagactl(&fake, &format!("{words} -o json")).data;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json[field].to_string(), empty, "{words}");
        let yaml = sagactl(&fake, &format!("{words} -o yaml")).data;
        assert!(yaml.contains(&format!("{field}: {empty}\n")), "{yaml}");
    }
    let found = sagactl(&Fake::start(), "saga get order/stuck -o yaml").data;
    assert!(found.contains("  state: SAGA_STATE_STUCK\n"), "{found}");
}

#[test]
fn an_error_is_json_where_the_reply_would_be() {
    let fake = Fake::start();
    for (words, exit, reason) in [
        ("saga get absent -o json", 5, "SAGA_NOT_FOUND"),
        ("saga get absent -o jsonl", 5, "SAGA_NOT_FOUND"),
        ("saga gte absent -o json", 2, ""),
        ("saga list --server x --output=json", 2, ""),
    ] {
        let refused = sagactl(&fake, words);
        assert_eq!((refused.exit, refused.data.as_str()), (exit, ""), "{words}: {refused:?}");
        let told: serde_json::Value = serde_json::from_str(&refused.talk).unwrap();
        assert_eq!(told["error"]["reason"], reason, "{words}: {told}");
        assert_eq!(told["error"]["exit"], exit, "{words}: {told}");
        assert_ne!(told["error"]["message"], "", "{words}: {told}");
    }
    let unreachable = run("127.0.0.1:1", &["stuck", "-o", "json"], "");
    let told: serde_json::Value = serde_json::from_str(&unreachable.talk).unwrap();
    assert_eq!((unreachable.exit, &told["error"]["exit"]), (7, &7.into()), "{told}");
}

/// What the narrowest usual terminal shows has no line that it would break.
#[test]
fn nothing_is_wider_than_the_terminal() {
    let fake = Fake::start();
    for words in [
        "saga list",
        "saga get order/stuck",
        "saga describe order/running",
        "saga log order/stuck",
        "stuck",
        "causes",
        "definition list",
        "server info",
    ] {
        let shown = sagactl_in(&fake, words, 80);
        assert_eq!(shown.exit, 0, "{words}");
        // Commands are never broken: they are there to be pasted.
        let lines = shown.data.lines().filter(|line| !line.contains("sagactl "));
        let longest = lines.max_by_key(|line| line.chars().count()).unwrap_or_default();
        assert!(longest.chars().count() <= 80, "{words}: {longest}");
    }
}

#[test]
fn a_word_of_another_tool_is_answered_with_ours() {
    let fake = Fake::start();
    for (words, meant) in [
        ("saga ls --server x", "tip: --server is --address HOST:PORT"),
        ("get order/stuck", "sagactl saga .., as in sagactl saga get NAME"),
    ] {
        let answered = sagactl(&fake, words);
        assert_eq!(answered.exit, 2, "{answered:?}");
        assert!(answered.talk.contains(meant), "{answered:?}");
    }
}

/// It has a health too, and knows nothing of sagas.
#[test]
fn another_grpc_server_is_no_healthy_orchestrator() {
    let other = fake::another_server();
    for words in ["server health", "server info", "stuck", "saga get x", "saga list -o json"] {
        let words: Vec<&str> = words.split(' ').collect();
        let told = run(&other, &words, "");
        assert_eq!(told.exit, 1, "{words:?}: {told:?}");
        assert!(told.talk.contains("is a gRPC server, but no orchestrator"), "{told:?}");
        assert_eq!(told.data, "");
    }
}

/// Far back, a page at a time, and it says how far it is.
#[test]
fn sagas_are_counted_over_all_pages() {
    let fake = Fake::start();
    let all = sagactl(&fake, "saga list -o id").data.lines().count();
    let counted = sagactl(&fake, "saga list --count");
    assert_eq!((counted.exit, counted.data.as_str()), (0, format!("{all} sagas\n").as_str()));
    assert!(counted.talk.contains("2 sagas since 1970-01-01T00:00:00Z, and counting"));
    let json = sagactl(&fake, "saga list --count -o json").data;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sagas"], all.to_string());
    let both = sagactl(&fake, "saga list --count --limit 3");
    assert_eq!(both.exit, 2, "{both:?}");
}
