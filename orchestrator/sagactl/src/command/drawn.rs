//! `definition graph` and `definition diff`: what a definition is, and what changes, without a
//! server.

use std::path::Path;

use super::offline::definition_at;
use crate::{
    cli::{Diff, Graph, GraphFormat},
    exit::Exit,
    failure::Failure,
    report::{
        changes::{self, Change},
        graph,
    },
    session::Session,
};

pub(super) fn draw(session: &Session, arguments: &Graph) -> Result<Exit, Failure> {
    let definition = definition_at(&arguments.file, &arguments.types)?.definition;
    let text = match arguments.format {
        GraphFormat::Text => graph::text(&definition, session.look()),
        GraphFormat::Svg => graph::svg(&definition),
    };
    session.write(&text)?;
    Ok(Exit::Ok)
}

/// Exits with 1 where sagas would run otherwise.
pub(super) fn compare(session: &Session, arguments: &Diff) -> Result<Exit, Failure> {
    let told = |file: &Path, types: &[std::path::PathBuf]| {
        definition_at(file, types).map(|it| it.definition)
    };
    let old_types =
        if arguments.old_types.is_empty() { &arguments.types } else { &arguments.old_types };
    let (old, new) = (told(&arguments.old, old_types)?, told(&arguments.new, &arguments.types)?);
    let found = changes::between(&old.told(), &new.told());
    let names = [&old, &new].map(|it| format!("{}@{}", it.core.name, it.core.version));
    let ids: Vec<String> = found.iter().map(|it: &Change| it.path.clone()).collect();
    session.print_value(&changes::value(&names, &found), &ids, |look| {
        changes::report(&names, &found, look)
    })?;
    Ok(if found.is_empty() { Exit::Ok } else { Exit::Error })
}
