//! Orchestrators by name, and who we are there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use insta::assert_snapshot;

use super::fake::Fake;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// Somebody at a machine of their own.
struct Person {
    home: tempfile::TempDir,
}

impl Person {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("sagactl/contexts.json")
    }

    fn types(&self, words: &str) -> Output {
        self.with(&[], words)
    }

    fn with(&self, variables: &[(&str, &str)], words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagactl"));
        for name in ["SAGACTL_ADDRESS", "SAGACTL_CONTEXT", "SAGACTL_TOKEN_FILE", "COLUMNS"] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.home.path()).env("NO_COLOR", "1");
        command.envs(variables.iter().copied()).current_dir(self.home.path());
        command.args(words.split_whitespace()).output().unwrap()
    }

    #[track_caller]
    fn does(&self, words: &str) -> String {
        let done = self.types(words);
        assert_eq!(done.status.code(), Some(0), "{words}: {}", text(&done.stderr));
        text(&done.stdout)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn contexts_are_kept_in_a_file_of_ones_own() {
    let person = Person::new();
    assert_eq!(person.does("context list"), "no contexts\n");
    let files = "--ca ca.pem --certificate me.pem --certificate-key me.key --server-name saga";
    person.does(&format!("context add prod --address https://saga.internal:7400 {files}"));
    person.does("--address saga.test --token-file token context add test");
    person.does("context add local --address 127.0.0.1");
    assert_eq!(mode(&person.file()), 0o600);
    assert_eq!(mode(&person.path("sagactl")), 0o700);
    let shown = |text: String| text.replace(person.home.path().to_str().unwrap(), "HOME");
    assert_snapshot!(shown(person.does("context list")), @"
      CONTEXT  ADDRESS                     SHOWS
    · local    127.0.0.1                   nothing
    ✔ prod     https://saga.internal:7400  HOME/me.pem
    · test     saga.test                   the token in HOME/token
    ");
    assert_snapshot!(shown(fs::read_to_string(person.file()).unwrap()), @r#"
    {
      "current": "prod",
      "contexts": {
        "local": {
          "address": "127.0.0.1"
        },
        "prod": {
          "address": "https://saga.internal:7400",
          "ca": "HOME/ca.pem",
          "certificate": "HOME/me.pem",
          "certificate_key": "HOME/me.key",
          "server_name": "saga"
        },
        "test": {
          "address": "saga.test",
          "token": {
            "file": "HOME/token"
          }
        }
      }
    }
    "#);
    assert_eq!(person.does("context list -o id"), "local\nprod\ntest\n");

    person.does("context use local");
    assert!(person.does("context ls -o json").contains("\"inUse\": true"));
    person.does("context remove local");
    person.does("context rm prod");
    assert_eq!(person.does("context list -o id"), "test\n");
    assert!(!person.does("context list -o json").contains("true"), "none is in use");
    for (words, exit, told) in [
        ("context use prod", 5, "there are test"),
        ("context remove prod", 5, "no context \"prod\""),
        ("--context prod stuck", 5, "there are test"),
        ("context add test --address x", 2, "sagactl context remove test"),
        ("context add a/b --address x", 2, "a name has letters"),
        ("context add new", 2, "--address"),
        ("context add new --address x --token-file a --token-command b", 2, "cannot be used with"),
        ("context add new --address x --token secret", 2, "--token"),
    ] {
        let refused = person.types(words);
        assert_eq!(refused.status.code(), Some(exit), "{words}");
        assert!(text(&refused.stderr).contains(told), "{words}: {}", text(&refused.stderr));
    }
    assert_eq!(person.does("context list -o id"), "test\n");
}

#[test]
fn a_file_that_others_could_change_is_not_used() {
    let person = Person::new();
    person.does(&format!("context add here --address {NOBODY}"));
    for wrong in [0o640, 0o604, 0o620] {
        fs::set_permissions(person.file(), fs::Permissions::from_mode(wrong)).unwrap();
        let refused = person.types("context list");
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains("chmod 600"), "{}", text(&refused.stderr));
    }
    fs::set_permissions(person.file(), fs::Permissions::from_mode(0o600)).unwrap();
    person.does("context list");
    fs::write(person.file(), "{").unwrap();
    assert_eq!(person.types("context list").status.code(), Some(2));
}

#[test]
fn flags_stand_over_a_context_and_an_address_means_no_other() {
    let (person, fake) = (Person::new(), Fake::start());
    person.does(&format!("context add here --address {}", fake.address));
    person.does(&format!("context add nowhere --address {NOBODY}"));
    let exit = |done: Output| done.status.code();
    assert_eq!(exit(person.types("saga list")), Some(0), "the first is the one in use");
    assert_eq!(exit(person.types("saga list --context nowhere")), Some(7));
    let typed = format!("saga list --context nowhere --address {}", fake.address);
    assert_eq!(exit(person.types(&typed)), Some(0));
    person.does("context use nowhere");
    assert_eq!(exit(person.types("saga list")), Some(7));
    assert_eq!(exit(person.types("saga list --context here")), Some(0));
    let typed = format!("saga list --address {}", fake.address);
    assert_eq!(exit(person.types(&typed)), Some(0));
    let variable = [("SAGACTL_ADDRESS", fake.address.as_str())];
    assert_eq!(exit(person.with(&variable, "saga list")), Some(0));
    assert_eq!(exit(person.with(&variable, "saga list --context nowhere")), Some(7));
    let variable = [("SAGACTL_CONTEXT", "here")];
    assert_eq!(exit(person.with(&variable, "saga list")), Some(0));
}

#[test]
fn a_token_comes_from_a_file_or_a_command_and_goes_to_nobody_else() {
    let (person, fake) = (Person::new(), Fake::start());
    fs::write(person.path("token"), "of.a.file\n").unwrap();
    person.does(&format!("context add file --address {} --token-file token", fake.address));
    let command = "context add command --token-command ./login --address";
    person.does(&format!("{command} {}", fake.address));
    fs::write(person.path("login"), "#!/bin/sh\necho asked >> asked\necho of.a.command\n").unwrap();
    fs::set_permissions(person.path("login"), fs::Permissions::from_mode(0o700)).unwrap();
    for (words, shown) in [
        ("saga list --limit 1", Some("Bearer of.a.file")),
        ("stuck", Some("Bearer of.a.file")),
        ("saga list --limit 1 --context command", Some("Bearer of.a.command")),
        ("saga list --limit 1 --context command --token-file token", Some("Bearer of.a.file")),
    ] {
        person.does(words);
        assert_eq!(fake.login().as_deref(), shown, "{words}");
    }
    person.does(&format!("saga list --limit 1 --address {}", fake.address));
    assert_eq!(fake.login(), None, "who we are at one is not shown to another");
    assert_eq!(fs::read_to_string(person.path("asked")).unwrap(), "asked\n", "once a run");

    // Nobody on the way gets it either.
    let far = person.types("stuck --address http://10.255.255.1:7400 --token-file token");
    assert_eq!(far.status.code(), Some(2));
    assert!(text(&far.stderr).contains("plain text"), "{}", text(&far.stderr));
    for (words, told) in [
        ("--token-file nowhere", "nowhere"),
        ("--token-file empty", "not one word"),
        ("--token-command false", "exit status: 1"),
    ] {
        fs::write(person.path("empty"), "\n").unwrap();
        let refused = person.types(&format!("stuck --address {} {words}", fake.address));
        assert_eq!(refused.status.code(), Some(2), "{words}");
        assert!(text(&refused.stderr).contains(told), "{words}: {}", text(&refused.stderr));
    }
}

#[test]
fn help_says_what_is_kept_and_where() {
    let person = Person::new();
    assert_snapshot!(person.does("context --help").split("Options:").next().unwrap(), @"
    Orchestrators by name, and who you are there

    Usage: sagactl context [OPTIONS] <COMMAND>

    Commands:
      add     Keep an orchestrator under a name, as the flags --address, --ca, --certificate, --certificate-key, --server-name and --token-file or --token-command say
      list    List them [alias: ls]
      use     Use one where nothing else is said
      remove  Forget one. Its files stay [alias: rm]
    ");
    assert_snapshot!(person.does("context add --help").split("Options:").next().unwrap(), @"
    Keep an orchestrator under a name, as the flags --address, --ca, --certificate, --certificate-key, --server-name and --token-file or --token-command say.

    They are kept in a file of yours, ~/.config/sagactl/contexts.json, which names files and holds no secret. The first context is the one in use.

    Usage: sagactl context add [OPTIONS] <NAME>

    Arguments:
      <NAME>
              What it is called here
    ");
}
