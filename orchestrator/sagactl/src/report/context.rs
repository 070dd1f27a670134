//! Contexts, a line each.

use serde_json::{Value, json};

use crate::{
    context::{Context, Contexts, TokenSource},
    look::{Look, Mark, plain},
    report::table::{Row, table},
};

/// All contexts; the one in use is marked.
pub(crate) fn report(all: &Contexts, look: &Look) -> String {
    if all.contexts.is_empty() {
        return "no contexts\n".to_owned();
    }
    let rows: Vec<Row> = all.contexts.iter().map(|(name, it)| row(all, name, it)).collect();
    table(&["CONTEXT", "ADDRESS", "SHOWS"], &rows, look)
}

/// The same, for programs.
pub(crate) fn value(all: &Contexts) -> Value {
    let context = |(name, it): (&String, &Context)| {
        let mut value = json!(it);
        value["name"] = json!(name);
        value["inUse"] = json!(all.current.as_ref() == Some(name));
        value
    };
    json!({ "contexts": all.contexts.iter().map(context).collect::<Vec<_>>() })
}

fn row(all: &Contexts, name: &str, context: &Context) -> Row {
    let in_use = all.current.as_deref() == Some(name);
    let mark = if in_use { Mark::Good } else { Mark::Waiting };
    (mark, vec![plain(name), plain(&context.address), plain(&shows(context))])
}

/// What says who we are there.
fn shows(context: &Context) -> String {
    let certificate = context.certificate.as_ref().map(|it| it.display().to_string());
    let token = context.token.as_ref().map(|it| match it {
        TokenSource::File(path) => format!("the token in {}", path.display()),
        TokenSource::Command(command) => format!("the token of {command:?}"),
    });
    let all: Vec<String> = certificate.into_iter().chain(token).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}
