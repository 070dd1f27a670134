//! The operations manual: its commands work, and it has a section for whatever can happen.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use saga_core::StuckReason;
use saga_tests::{
    postgres::Cluster,
    process::run,
    programs::{command, folder, repository},
};
use tokio::process::Command;

/// What is not here, in words that are checked: a cluster of Kubernetes, and systemd as the first
/// process. An overlay that is applied is rendered; other commands must be ones that kubectl
/// understands, and fail only for want of a cluster. A unit must be one that we have.
const PRELUDE: &str = r#"
set -euo pipefail
kubectl() {
    local said
    if [[ $1 == apply ]]; then
        [[ $2 == -k && $# == 3 ]] || { echo "not understood here: $*" >&2; return 1; }
        command kubectl kustomize "$3" > rendered.yaml && test -s rendered.yaml
        return
    fi
    if said=$(command kubectl --server=http://127.0.0.1:1 "$@" 2>&1); then return; fi
    grep -q 'refused' <<<"$said" || { echo "$said" >&2; return 1; }
}
systemctl() {
    local unit=${!#}
    test -f "deploy/systemd/$unit.service" || { echo "there is no unit $unit" >&2; return 1; }
}
"#;

fn manual() -> String {
    fs::read_to_string(repository().join("orchestrator/docs/operations.md")).unwrap()
}

/// The blocks that are marked to be run.
fn blocks(text: &str) -> Vec<String> {
    let parts = text.split("```sh run\n").skip(1);
    parts.map(|it| it.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_block_of_the_manual_works_in_its_order() {
    let work = tempfile::tempdir().unwrap();
    for entry in ["deploy", "orchestrator"] {
        symlink(repository().join(entry), work.path().join(entry)).unwrap();
    }
    let cluster = Cluster::start();
    // A log on SQLite, for what is said of one.
    let mut migrate = command("orchestrator");
    migrate.args(["migrate", "--log", "sqlite:amends.db"]).current_dir(work.path());
    assert_eq!(run(migrate).await.code, Some(0));
    let tools = env::var("AMENDS_TEST_TOOLS").unwrap_or_else(|_| panic!("run tests/run"));
    // pg_wrapper's own choice is a cluster of Debian's; these are the server's.
    let paths = [folder().to_owned(), tools.into(), cluster.programs()];
    let inherited = env::var_os("PATH").unwrap();
    let path = paths.into_iter().chain(env::split_paths(&inherited));
    let blocks = blocks(&manual());
    assert!(8 < blocks.len(), "{} blocks", blocks.len());

    let mut script = PRELUDE.to_owned();
    for block in &blocks {
        script.push_str("echo BLOCK >&2\n");
        script.push_str(block);
    }
    let mut shell = Command::new("bash");
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("AMENDS_") {
            shell.env_remove(variable);
        }
    }
    shell
        .args(["-c", &script])
        .env("PATH", env::join_paths(path).unwrap())
        .envs([("PGHOST", "127.0.0.1"), ("PGUSER", "postgres")])
        .env("PGPORT", cluster.port().to_string())
        .current_dir(work.path());
    let done = run(shell).await;

    let last = done.stderr.matches("BLOCK").count();
    let block = blocks.get(last.saturating_sub(1));
    assert_eq!(done.code, Some(0), "{}\n{}\nin {block:?}", done.stdout, done.stderr);
    assert_eq!(last, blocks.len());
    let mode = fs::metadata(work.path().join("log-url")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the password");
}

/// Commands in the text cannot be run, as their sagas are somebody else's. What can be wrong
/// with them is what they are called with.
#[tokio::test]
async fn every_command_of_the_text_is_one_that_sagactl_takes() {
    let text = manual();
    let commands: BTreeSet<&str> =
        text.split('`').filter(|it| it.starts_with("sagactl ")).collect();
    assert!(15 < commands.len(), "{commands:?}");
    let work = tempfile::tempdir().unwrap();
    fs::write(work.path().join("reply.json"), "{}").unwrap();
    for line in commands {
        let script = format!("{line} </dev/null");
        let mut shell = Command::new("bash");
        let inherited = env::var_os("PATH").unwrap();
        let path = [folder().to_owned()].into_iter().chain(env::split_paths(&inherited));
        shell
            .args(["-c", &script])
            .env("PATH", env::join_paths(path).unwrap())
            .env("SAGACTL_ADDRESS", "127.0.0.1:1")
            .current_dir(work.path());
        let done = run(shell).await;
        // 2 is a mistake in the command line; 7 is that nobody answers.
        let is_understood = matches!(done.code, Some(0 | 3 | 7));
        assert!(is_understood, "{line}: {:?}: {}", done.code, done.stderr);
    }
}

#[test]
fn every_reason_to_be_stuck_has_a_section() {
    let text = manual();
    let reasons = [
        StuckReason::WiringFault,
        StuckReason::OutcomeUnknown,
        StuckReason::InquiryUnsupported,
        StuckReason::CompensationFailing,
        StuckReason::CompensationRejected,
        StuckReason::RejectedAfterPivot,
        StuckReason::ForwardFailing,
        StuckReason::Unrenderable,
        StuckReason::Contradiction,
        StuckReason::ReplyUnread,
    ];
    let source = repository().join("orchestrator/saga-core/src/stuck.rs");
    let listed = fs::read_to_string(source).unwrap().matches("=> \"").count();
    assert_eq!(reasons.len(), listed, "a reason is missing here");
    for reason in reasons {
        let section = text.split(&format!("\n### {}\n", reason.code())).nth(1);
        let section = section.unwrap_or_else(|| panic!("no section of {}", reason.code()));
        let section = section.split("\n#").next().unwrap();
        assert!(section.contains("sagactl ") || section.contains("settle"), "{section}");
    }
}

/// A figure that nobody measured is a promise that nobody keeps.
#[test]
fn every_figure_of_its_table_was_measured() {
    let measured =
        fs::read_to_string(repository().join("orchestrator/docs/performance.md")).unwrap();
    let text = manual();
    let size = text.split("\n## Size\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut figures = 0;
    for row in size.lines().filter(|line| line.starts_with("| ")).skip(1) {
        for cell in row.trim_matches('|').split('|').skip(1) {
            for figure in
                cell.split([' ', ';']).filter(|it| it.starts_with(|c: char| c.is_ascii_digit()))
            {
                assert!(measured.contains(figure), "{figure} of {row}");
                figures += 1;
            }
        }
    }
    assert!(20 < figures, "{figures}");
}
