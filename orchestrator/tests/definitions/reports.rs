//! Every rule of the check, with a definition that breaks it and the report it gets.
//!
//! `cases/<rule>.yaml` is shop-typed; other names are about several rules; where it begins with `# types: kinds`, the types of
//! `sample` are used. Reports are snapshots beside it: `INSTA_UPDATE=always` writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use orchestrator::definition::{CompiledDefinition, Contracts, Inquiry, RULES, Severity, Sizes};
use prost_reflect::DescriptorPool;

use super::sample::{broken, kinds, pool, required};

/// What the participants serve, and how large their replies may be: `stranger` says that it answers no inquiries, of `unknown`
/// nobody says it.
pub(crate) fn contracts(pool: DescriptorPool) -> Contracts {
    let inquiry = BTreeMap::from([
        ("stranger".to_owned(), Inquiry::NotAnswered),
        ("unknown".to_owned(), Inquiry::Unknown),
    ]);
    let mib = 1024 * 1024;
    let replies = ["echo", "stranger"].map(|it| (it.to_owned(), mib));
    let sizes = Sizes {
        input_bytes_max: mib / 4,
        reply_bytes_max: BTreeMap::from(replies),
        request_bytes_max: 2 * mib,
    };
    Contracts { inquiry, sizes: Some(sizes), ..Contracts::from(pool) }
}

#[test]
fn every_rule_has_a_report() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions/cases");
    let (shop, kinds) = (contracts(pool()), contracts(kinds()));
    let (broken, required) = (Contracts::from(broken()), Contracts::from(required()));
    let mut seen = BTreeSet::new();
    let mut files: Vec<_> = fs::read_dir(&cases).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|it| it.extension().is_some_and(|it| it == "yaml"));
    files.sort();
    for file in files {
        let yaml = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let rule = name.trim_end_matches(".yaml");
        let types = match yaml.lines().next() {
            Some("# types: kinds") => &kinds,
            Some("# types: broken") => &broken,
            Some("# types: required") => &required,
            _ => &shop,
        };
        let (findings, rendered) = match CompiledDefinition::check(&yaml, name, types) {
            Ok(compiled) => (compiled.warnings, compiled.rendered),
            Err(report) => {
                let errors = report.findings.iter().any(|it| it.severity == Severity::Error);
                assert!(errors, "{rule}: refused without an error");
                (report.findings, report.rendered)
            }
        };
        let named = !RULES.contains(&rule) || findings.iter().any(|it| it.rule == rule);
        assert!(named, "{rule} is not reported:\n{rendered}");
        assert!(findings.iter().all(|it| !it.remedy.is_empty()), "{rule}: a remedy is missing");
        seen.extend(findings.iter().map(|it| it.rule));
        insta::with_settings!({
            snapshot_path => "cases", prepend_module_to_snapshot => false, omit_expression => true
        }, {
            insta::assert_snapshot!(rule, rendered);
        });
    }
    let unseen: Vec<_> = RULES.iter().filter(|it| !seen.contains(*it)).collect();
    // Too large to keep as a file: tested in `hostile`.
    assert_eq!(unseen, [&"too-large"]);
    assert!(seen.iter().all(|it| RULES.contains(it)), "{seen:?}");
}

#[test]
fn all_findings_come_at_once_in_the_order_of_the_file() {
    let yaml = "kind: Saga\nname: Bad Name\nversion: 1\ninput: shop.order.v1.Nothing\nsteps:\n  \
                - name: one\n    colour: red\n    action: { call: order/shop.order.v1.OrderService/\
                Insert }\n";
    let report = CompiledDefinition::check(yaml, "bad.yaml", &pool().into()).unwrap_err();
    let found: Vec<_> = report.findings.iter().map(|it| (it.line, it.rule)).collect();
    let expected = [
        (2, "name"),
        (4, "unknown-input"),
        (6, "compensation-missing"),
        (7, "unknown-key"),
        (8, "unknown-method"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_unreadable_file_names_no_participants() {
    assert!(CompiledDefinition::participants_of("steps: [", "bad.yaml").is_err());
    assert!(CompiledDefinition::participants_of("", "empty.yaml").is_err());
}
