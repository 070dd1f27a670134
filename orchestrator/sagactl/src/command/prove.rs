//! `definition prove`: what sagas may come to, without a server.

use std::{fs, path::Path};

use saga_draft::proof::{certificate, check_certificate, prove, with_certificate};

use super::offline::{cannot, definition_at, read};
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
        let certificate = certificate(&definition, &proof);
        if arguments.certify
            && let Some(certificate) = &certificate
        {
            certify(file, certificate)?;
        }
        all.push(Proved { file: shown, definition, proof, certificate });
    }
    let ids: Vec<String> = all.iter().map(Proved::name).collect();
    session.print_value(&proof::value(&all), &ids, |look| proof::report(&all, look))?;
    let is_complete = all.iter().all(|it| it.proof.is_complete);
    Ok(if is_complete { Exit::Ok } else { Exit::Error })
}

fn certify(file: &Path, certificate: &str) -> Result<(), Failure> {
    let text = read(file)?;
    let certified = with_certificate(&text, certificate);
    if certified == text {
        return Ok(());
    }
    fs::write(file, certified).map_err(|error| cannot("write", file, &error))
}

/// Whether a definition carries a certificate of its own.
///
/// # Errors
///
/// [`Exit::Usage`]: it has none, or another's. Nothing was asked of the server.
pub(super) fn check(file: &str, yaml: &str) -> Result<(), Failure> {
    check_certificate(yaml).map_err(|error| Failure {
        exit: Exit::Usage,
        what: format!("cannot apply {file} with --require-proof"),
        code: None,
        why: error.to_string(),
        remedies: vec![format!("sagactl definition prove --certify {file}")],
    })
}
