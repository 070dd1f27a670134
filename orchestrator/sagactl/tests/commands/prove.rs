//! `definition prove`, `graph` and `diff`: definitions that are looked at without a server.

use std::{fs, path::Path};

use super::run;

const NOBODY: &str = "http://127.0.0.1:1";

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Take(In) returns (In); rpc Back(In) \
                     returns (In); rpc End(In) returns (In); } message In { string id = 1; bool ok = \
                     2; }";

const DEFINITION: &str = "kind: Saga
name: one
version: 1
input: s.In
deadline: 5m
steps:
  - name: look
    compensation: none
    action: { call: p/s.S/Take, request: { id: input.id } }
  - name: take
    on_unknown: park
    compensation: { call: p/s.S/Back, request: { id: op(\"take\") } }
    action: { call: p/s.S/Take, request: { id: input.id } }
  - name: end
    when: input.ok || !input.ok
    action: { call: q/s.S/End, request: { id: input.id } }
    compensation: { call: q/s.S/Back, when: input.ok, request: { id: op(\"end\") } }
";

/// The folder, and the definition in it.
fn written(definition: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.proto"), TYPES).unwrap();
    let file = folder.path().join("one.yaml");
    fs::write(&file, definition).unwrap();
    let file = file.display().to_string();
    (folder, file)
}

/// What a command says, without the name of the folder.
fn said(folder: &tempfile::TempDir, words: &[&str]) -> (i32, String) {
    let types = folder.path().join("s.proto").display().to_string();
    let ran = run(NOBODY, &[words, &["--types", &types]].concat(), "");
    let shown = format!("{}{}", ran.data, ran.talk);
    (ran.exit, shown.replace(&folder.path().display().to_string(), "FOLDER"))
}

#[test]
fn a_proof_says_what_stands_and_the_way_to_it() {
    let (folder, file) = written(DEFINITION);
    let (exit, shown) = said(&folder, &["definition", "prove", &file]);
    insta::assert_snapshot!(shown);
    assert_eq!(exit, 0);
    let (_, json) = said(&folder, &["definition", "prove", &file, "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let proof = &json["definitions"][0];
    assert_eq!(proof["complete"], true);
    let endings = proof["endings"].as_array().unwrap();
    let neither =
        endings.iter().filter(|it| it["whole"] == "neither" && it["ending"] == "compensated");
    for ending in neither {
        assert!(!ending["stands"].as_array().unwrap().is_empty(), "{ending}");
        assert!(!ending["way"].as_array().unwrap().is_empty(), "{ending}");
    }
}

/// What the shop's sagas may come to. A change of it is a change of what the shop promises.
#[test]
fn the_sagas_of_the_shop_are_proved() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/definitions");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|it| {
        let name = it.file_name().and_then(|it| it.to_str()).unwrap();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml")
    });
    files.sort();
    assert_eq!(files.len(), 10);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = file.display().to_string();
        let proved = run(NOBODY, &["definition", "prove", &path], "");
        assert_eq!(proved.exit, 0, "{}{}", proved.data, proved.talk);
        let shown = proved.data.replace(&path, &format!("{name}.yaml"));
        insta::assert_snapshot!(format!("shop-{name}"), shown);
    }
}

#[test]
fn a_definition_is_drawn() {
    let (folder, file) = written(DEFINITION);
    let (exit, shown) = said(&folder, &["definition", "graph", &file]);
    assert_eq!(exit, 0, "{shown}");
    insta::assert_snapshot!(shown);
    let (_, svg) = said(&folder, &["definition", "graph", &file, "--format", "svg"]);
    insta::assert_snapshot!("a_definition_is_drawn_as_svg", svg);
}

#[test]
fn what_changes_for_new_sagas_is_told_and_what_is_only_written_otherwise_is_not() {
    let (folder, old) = written(DEFINITION);
    let new = folder.path().join("new.yaml").display().to_string();
    let same =
        DEFINITION.replace("    on_unknown: park\n", "    # as before\n    on_unknown: park\n");
    let same =
        same.replace("input.id } }\n  - name: end", "\"input.id\" }, timeout: 5s }\n  - name: end");
    fs::write(&new, same).unwrap();
    let (exit, shown) = said(&folder, &["definition", "diff", &old, &new]);
    assert_eq!((exit, shown.as_str()), (0, "one@1 -> one@1\nnew sagas run as before\n"));
    let changed = DEFINITION
        .replace("version: 1", "version: 2")
        .replace("    on_unknown: park\n", "")
        .replace("    when: input.ok || !input.ok\n", "    after: [look]\n")
        .replace("deadline: 5m", "deadline: 1h");
    fs::write(&new, changed).unwrap();
    let (exit, shown) = said(&folder, &["definition", "diff", &old, &new]);
    assert_eq!(exit, 1, "{shown}");
    insta::assert_snapshot!(shown);
}

/// The file that the examples point editors to is what this program writes.
#[test]
fn the_schema_is_the_one_that_examples_begin_with() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let ran = run(NOBODY, &["definition", "schema"], "");
    let json: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
    assert_eq!(json, saga_definition::schema());
    let file = deploy.join("definition.schema.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always") {
        fs::write(&file, &ran.data).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        ran.data,
        "write it anew: sagactl definition schema"
    );
    let mut examples = 0;
    for file in fs::read_dir(deploy.join("definitions")).unwrap().map(|it| it.unwrap().path()) {
        let name = file.display().to_string();
        if !name.ends_with(".yaml") || name.ends_with(".test.yaml") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let line = "# yaml-language-server: $schema=../definition.schema.json\n";
        assert!(text.starts_with(line), "{name} begins with the line that editors read");
        examples += 1;
    }
    assert_eq!(examples, 10);
}

#[test]
fn only_what_carries_its_own_certificate_is_applied_where_one_is_required() {
    let (folder, file) = written(DEFINITION);
    let apply = |what: &str| {
        let ran = run(NOBODY, &["definition", "apply", &file, "--require-proof"], "");
        assert_eq!(ran.exit, 2, "{what}: {}", ran.talk);
        ran.talk
    };
    assert!(apply("none").contains("no line that begins with"));
    let (exit, _) = said(&folder, &["definition", "prove", "--certify", &file]);
    assert_eq!(exit, 0);
    let certified = fs::read_to_string(&file).unwrap();
    assert!(certified.starts_with("# proof 1: "), "{certified}");
    // It is taken: what fails then is that nobody is there.
    let ran = run(NOBODY, &["definition", "apply", &file, "--require-proof"], "");
    assert_eq!(ran.exit, 7, "{}", ran.talk);
    fs::write(&file, certified.replace("on_unknown: park", "on_unknown: retry")).unwrap();
    assert!(apply("changed").contains("before it was changed"));
}

/// The shop's sagas carry their certificates. `INSTA_UPDATE=always` renews them.
#[test]
fn the_sagas_of_the_shop_are_certified() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/definitions");
    let renew = std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always");
    let mut certified = 0;
    for file in fs::read_dir(deploy).unwrap().map(|it| it.unwrap().path()) {
        let name = file.display().to_string();
        if !name.ends_with(".yaml") || name.ends_with(".test.yaml") {
            continue;
        }
        let mut words = vec!["definition", "prove", &name, "-o", "json"];
        if renew {
            words.push("--certify");
        }
        let ran = run(NOBODY, &words, "");
        assert_eq!(ran.exit, 0, "{name}: {}", ran.talk);
        let json: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
        let line = json["definitions"][0]["certificate"].as_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().any(|it| it == line), "{name} says otherwise; it is: {line}");
        certified += 1;
    }
    assert_eq!(certified, 10);
}
