//! `definition test`: scenarios that are played without a server.

use std::{fs, path::Path};

use super::run;

const NOBODY: &str = "http://127.0.0.1:1";

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (In); } message In { \
                     string id = 1; }";

const DEFINITION: &str = "kind: Saga
name: one
version: 1
input: s.In
steps:
  - name: take
    compensation: { call: p/s.S/Do, request: { id: op(\"take\") } }
    action: { call: p/s.S/Do, request: { id: input.id } }
  - name: end
    pivot: true
    action: { call: p/s.S/Do, request: { id: input.id } }
";

const SCENARIOS: &str = "types: [s.proto]
scenarios:
  - name: all is well
    input: { id: a }
    expect: { ending: completed, calls: [take: { id: a }, end] }
  - name: the end says <no> & all is undone
    answers: { end: { refused: NO } }
    expect: { ending: completed }
";

fn written(folder: &Path) -> String {
    for (name, text) in [("s.proto", TYPES), ("one.yaml", DEFINITION), ("one.test.yaml", SCENARIOS)]
    {
        fs::write(folder.join(name), text).unwrap();
    }
    folder.join("one.yaml").display().to_string()
}

#[test]
fn a_scenario_that_goes_otherwise_fails_with_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path());
    let junit = folder.path().join("junit.xml");
    let junit_word = junit.display().to_string();
    let words = ["definition", "test", &file, "--coverage", "--junit", &junit_word];
    let tested = run(NOBODY, &words, "");
    assert_eq!(tested.exit, 1, "{tested:?}");
    let shown = tested.data.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(shown, @"
    FOLDER/one.test.yaml
      ✔ all is well
      ✖ the end says <no> & all is undone
          ending: completed is expected, compensated came
        line 6; what happened:
                0 ms  take: call 1
                1 ms  take: done
                1 ms  end: call 1
                2 ms  end: NO
                2 ms  turns back: STEP_REJECTED
                2 ms  undo take: call 1
                3 ms  undo take: done
                3 ms  ends: compensated
      · no scenario: take refused
    1 as expected, 1 not
    ");
    let junit = fs::read_to_string(junit).unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    assert!(junit.contains("name=\"the end says &lt;no&gt; &amp; all is undone\""), "{junit}");

    let failed = run(NOBODY, &["definition", "test", &file, "-o", "id"], "");
    assert!(failed.data.trim().ends_with("one.test.yaml:6"), "{failed:?}");
    let none = run(NOBODY, &["definition", "test", "nowhere.test.yaml"], "");
    assert_eq!(none.exit, 2, "{none:?}");
}

#[test]
fn the_scenarios_of_the_shop_go_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/definitions");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path().display().to_string())
        .filter(|it| it.ends_with(".test.yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the shop has scenarios");
    for file in files {
        let tested = run(NOBODY, &["definition", "test", &file, "--coverage"], "");
        assert_eq!(tested.exit, 0, "{}{}", tested.data, tested.talk);
    }
}
