//! `definition prove`: what sagas may come to, without a server.

use saga_draft::proof::prove;

use super::offline::definition_at;
use crate::{
    cli::Prove,
    exit::Exit,
    failure::Failure,
    report::proof::{self, Proved},
    session::Session,
};

pub(super) fn run(session: &Session, arguments: &Prove) -> Result<Exit, Failure> {
    let mut all = Vec::with_capacity(arguments.files.len());
    for file in &arguments.files {
        let definition = definition_at(file, &arguments.types)?.definition;
        let shown = file.display().to_string();
        let proof = prove(&definition).map_err(|error| Failure {
            exit: Exit::Error,
            what: format!("cannot prove {shown}"),
            code: None,
            why: error.to_string(),
            remedies: Vec::new(),
        })?;
        all.push(Proved { file: shown, definition, proof });
    }
    let ids: Vec<String> = all.iter().map(Proved::name).collect();
    session.print_value(&proof::value(&all), &ids, |look| proof::report(&all, look))?;
    let is_complete = all.iter().all(|it| it.proof.is_complete);
    Ok(if is_complete { Exit::Ok } else { Exit::Error })
}
