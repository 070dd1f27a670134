//! What quoted text and comments are: statements, reason codes.

use crate::source::Source;

/// Whether the text is a statement that does not begin with a comment.
pub(crate) fn is_unnamed_sql(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match first {
        "insert" => second == "into",
        "delete" => second == "from",
        "update" => words.next() == Some("set"),
        "select" => text.contains(" from ") || text.contains("\nfrom "),
        "with" => words.next() == Some("("),
        _ => false,
    }
}

/// The text of a line that is a comment.
pub(crate) fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("// ")
}

/// `CODE/REASON, REASON: ..` names reasons, and so does `such as REASON`.
pub(crate) fn reason_codes(comment: &str) -> impl Iterator<Item = String> {
    let listed = comment.split_once('/').filter(|(status, _)| is_code(status));
    let listed = listed.and_then(|(_, rest)| rest.split_once(':')).map_or("", |it| it.0);
    let such = comment.split("such as ").skip(1).filter_map(|it| it.split_whitespace().next());
    let such = such.map(|it| it.trim_end_matches(['.', ',']));
    let codes: Vec<&str> = listed.split(", ").chain(such).filter(|it| is_code(it)).collect();
    codes.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Words in capitals that are no reason codes: gRPC's own, and variables.
const NO_REASONS: [&str; 9] = [
    "ALREADY_EXISTS",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
];

/// Whether quoted text in a program is a reason code.
pub(crate) fn is_reason(text: &str) -> bool {
    let is_variable = text.starts_with("AMENDS_") || text.starts_with("CARGO_");
    // Words without an underscore may be anything: the name of an argument, a status.
    let is_long = text.contains('_') || ["BUSY", "CANCELLED", "FENCED", "STOPPING"].contains(&text);
    is_code(text) && is_long && !is_variable && !NO_REASONS.contains(&text)
}

/// Whether the text has the form of a reason code or of a gRPC status.
pub(crate) fn is_code(text: &str) -> bool {
    3 < text.len() && text.chars().all(|it| it.is_ascii_uppercase() || it == '_')
}

#[test]
fn the_rules_find_what_they_forbid() {
    let text = r##"
        // A comment may say .unwrap().
        fn product() { "so may .unwrap() in quotes"; '"'; x.unwrap(); }
        const SQL: &str = r#"select "a" from t"#;
        /* also /* nested */ todo! */
        #[cfg(test)]
        mod tests { fn f() { y.unwrap(); } }
    "##;
    let source = Source::scan("src/lib.rs".to_owned(), text.to_owned());
    assert_eq!(source.lines_with(&[".unwrap()", "todo!"]).len(), 2);
    let product = source.product().unwrap();
    assert_eq!(
        product.lines_with(&[".unwrap()", "todo!"]),
        [r#"src/lib.rs:3: fn product() { "so may .unwrap() in quotes"; '"'; x.unwrap(); }"#]
    );
    assert!(is_unnamed_sql(&product.literals[1].1), "{:?}", product.literals);
    assert!(is_unnamed_sql("\n insert into t values (1)"));
    assert!(!is_unnamed_sql("/* f */ select a from t"));
    assert!(!is_unnamed_sql("select one of these"));
    let line = "   // INVALID_ARGUMENT/ACTOR_MISSING, REASON_MISSING: say who acts.";
    let codes: Vec<String> = reason_codes(comment(line).unwrap()).collect();
    assert_eq!(codes, ["ACTOR_MISSING", "REASON_MISSING"]);
    assert_eq!(reason_codes("FAILED_PRECONDITION: see S3-14.").count(), 0);
}
