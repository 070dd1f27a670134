//! Definitions and what the check found in them.

use saga_proto::saga::v1::{
    CheckDefinitionResponse, Finding, ListDefinitionsResponse, RegisterDefinitionResponse, Severity,
};

use crate::{
    look::{Look, Mark},
    report::table::{Row, table},
};

/// The definition that is stored now, and warnings.
pub(crate) fn applied(reply: &RegisterDefinitionResponse, look: &Look) -> String {
    let Some(definition) = &reply.definition else { return String::new() };
    let sign = look.paint(Mark::Good, look.sign(Mark::Good));
    let (name, version) = (&definition.name, definition.version);
    let hash: String = definition.content_hash.chars().take(12).collect();
    let mut text = format!("{sign} {name}@{version} is stored, content {hash}\n");
    text.extend(reply.findings.iter().map(|it| finding(it, look)));
    text
}

/// The server's report, or what can be said without one.
pub(crate) fn checked(reply: &CheckDefinitionResponse, look: &Look) -> String {
    if reply.findings.is_empty() {
        let sign = look.paint(Mark::Good, look.sign(Mark::Good));
        let gap = if reply.report.is_empty() { "" } else { "\n\n" };
        return format!("{}{gap}{sign} nothing to complain about\n", reply.report.trim_end());
    }
    if reply.report.is_empty() {
        return reply.findings.iter().map(|it| finding(it, look)).collect();
    }
    reply.report.clone()
}

/// The newest version of each definition.
pub(crate) fn list(reply: &ListDefinitionsResponse, look: &Look) -> String {
    if reply.definitions.is_empty() {
        return "no definitions\n".to_owned();
    }
    let row = |it: &saga_proto::saga::v1::Definition| -> Row {
        let hash = it.content_hash.chars().take(12).collect();
        let at = look.at(it.registered_at);
        (Mark::Good, vec![it.name.clone(), it.version.to_string(), at, hash])
    };
    let rows: Vec<Row> = reply.definitions.iter().map(row).collect();
    table(&["DEFINITION", "VERSION", "STORED", "CONTENT"], &rows, look)
}

fn finding(finding: &Finding, look: &Look) -> String {
    let (mark, word) = match finding.severity() {
        Severity::Error => (Mark::Trouble, "error"),
        Severity::Warning | Severity::Unspecified => (Mark::Unknown, "warning"),
    };
    let place = match finding.line {
        0 => String::new(),
        line => format!("{line}:{}: ", finding.column),
    };
    let mut text = format!(
        "{} {place}{word} {}: {}\n",
        look.paint(mark, look.sign(mark)),
        finding.rule,
        finding.message
    );
    if !finding.remedy.is_empty() {
        text.push_str(&format!("  try: {}\n", finding.remedy));
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use saga_proto::saga::v1::Definition;

    use super::*;
    use crate::report::example::{ago, look};

    fn definition() -> Definition {
        Definition {
            name: "place-order".to_owned(),
            version: 3,
            content_hash: "8f0c70cde94d8f0c70cde901a1ff65".to_owned(),
            registered_at: ago(7_200),
            ..Definition::default()
        }
    }

    fn findings() -> Vec<Finding> {
        vec![
            Finding {
                rule: "compensation-missing".to_owned(),
                severity: Severity::Error.into(),
                line: 12,
                column: 5,
                message: "step verify_payment has no compensation before the pivot".to_owned(),
                remedy: "add `compensation:`, or move the pivot up".to_owned(),
            },
            Finding {
                rule: "budget-over-deadline".to_owned(),
                severity: Severity::Warning.into(),
                message: "the retries of reserve_stock outlast the deadline".to_owned(),
                ..Finding::default()
            },
        ]
    }

    #[test]
    fn findings_name_line_rule_and_remedy() {
        let reply =
            RegisterDefinitionResponse { definition: Some(definition()), findings: findings() };
        assert_snapshot!(applied(&reply, &look()), @"
        ✔ place-order@3 is stored, content 8f0c70cde94d
        ! 12:5: error compensation-missing: step verify_payment has no compensation before the pivot
          try: add `compensation:`, or move the pivot up
        ? warning budget-over-deadline: the retries of reserve_stock outlast the deadline
        ");
    }

    #[test]
    fn a_check_prefers_the_servers_report() {
        let mut reply = CheckDefinitionResponse { findings: findings(), report: String::new() };
        assert!(checked(&reply, &look()).starts_with("! 12:5: error compensation-missing"));
        reply.report = "lines of the file\n".to_owned();
        assert_eq!(checked(&reply, &look()), "lines of the file\n");
        reply.findings.clear();
        assert!(checked(&reply, &look()).ends_with("✔ nothing to complain about\n"));
    }

    #[test]
    fn a_list_shows_the_newest_versions() {
        let reply =
            ListDefinitionsResponse { definitions: vec![definition()], ..Default::default() };
        assert_snapshot!(list(&reply, &look()), @"
          DEFINITION   VERSION  STORED  CONTENT
        ✔ place-order  3        2h ago  8f0c70cde94d
        ");
    }
}
