//! The tools of others, from the Python environment that `tests/run` makes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use saga_tests::programs::repository;

use crate::manifests::{OVERLAYS, kustomize};

/// Resources of operators, whose schemas Kubernetes does not have.
const FOREIGN: [&str; 2] = ["Certificate", "PodMonitor"];

/// A tool of that environment.
pub(crate) fn tool(name: &str) -> Command {
    let folder = env::var("AMENDS_TEST_TOOLS")
        .unwrap_or_else(|_| panic!("no {name}: run tests/run, or set AMENDS_TEST_TOOLS"));
    Command::new(Path::new(&folder).join(name))
}

/// Everything that a tool says.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it)).concat()
}

fn rendered(folder: &Path) -> Vec<PathBuf> {
    let write = |overlay: &&str| {
        let file = folder.join(format!("{overlay}.yaml"));
        fs::write(&file, kustomize(overlay)).unwrap();
        file
    };
    OVERLAYS.iter().map(write).collect()
}

#[test]
fn every_manifest_is_what_kubernetes_knows() {
    let folder = tempfile::tempdir().unwrap();
    for file in rendered(folder.path()) {
        let output = tool("kubernetes-validate").arg("--strict").arg(&file).output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        let unknown = said.lines().filter(|line| line.contains("Couldn't find schema"));
        for line in unknown {
            let is_foreign = FOREIGN.iter().any(|it| line.contains(&format!("kind {it} ")));
            assert!(is_foreign, "{line}");
        }
        // It would be content with a file that it cannot read anything in.
        assert!(
            said.contains("resource deployment/orchestrator "),
            "nothing was looked at: {said}"
        );

        let broken =
            fs::read_to_string(&file).unwrap().replace("imagePullPolicy", "imagePullPolice");
        let wrong = folder.path().join("wrong.yaml");
        fs::write(&wrong, broken).unwrap();
        let output = tool("kubernetes-validate").arg("--strict").arg(&wrong).output().unwrap();
        assert!(!output.status.success(), "it takes what it does not know");
    }
}

#[test]
fn a_scanner_of_strangers_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = repository().join("deploy/kubernetes/checkov.yaml");
    let skipped = fs::read_to_string(&config).unwrap();
    for line in skipped.lines().filter(|line| line.contains("CKV")) {
        let reason = line.split_once(" # ").map(|(_, reason)| reason.split(' ').count());
        assert!(reason.is_some_and(|words| 5 < words), "why not? {line}");
    }
    let mut checkov = tool("checkov");
    checkov.args(["--skip-download", "--output", "json", "--config-file"]).arg(&config);
    for file in rendered(folder.path()) {
        checkov.arg("--file").arg(file);
    }
    let output = checkov.current_dir(folder.path()).output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let passed = found["summary"]["passed"].as_u64();
    assert!(passed.is_some_and(|passed| 500 < passed), "little was looked at: {said}");
    assert_eq!(found["summary"]["failed"], 0, "{said}");
}
