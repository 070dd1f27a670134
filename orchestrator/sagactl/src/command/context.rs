//! Orchestrators by name. No server is asked.

use std::path::{Path, PathBuf};

use crate::{
    cli::{ContextCommand, Login, Tls},
    context::{Context, Contexts, TokenSource},
    exit::Exit,
    failure::Failure,
    report::context,
    session::Session,
};

pub(super) fn run(session: &Session, command: ContextCommand) -> Result<Exit, Failure> {
    let mut all = Contexts::read()?;
    match command {
        ContextCommand::Add { name } => {
            if all.contexts.contains_key(&name) {
                let remedy = format!("sagactl context remove {name}");
                return Err(Failure::usage(format!("there is a context {name} already"), &remedy));
            }
            all.contexts.insert(name.clone(), said(session.login().clone())?);
            let is_first = all.current.is_none();
            if is_first {
                all.current = Some(name.clone());
            }
            all.write()?;
            let used = if is_first { ", and used where nothing else is said" } else { "" };
            session.say(&format!("{name} is kept{used}"));
        }
        ContextCommand::List => {
            let names: Vec<String> = all.contexts.keys().cloned().collect();
            let value = context::value(&all);
            session.print_value(&value, &names, |look| context::report(&all, look))?;
        }
        ContextCommand::Use { name } => {
            all.named(&name)?;
            all.current = Some(name.clone());
            all.write()?;
            session.say(&format!("{name} is used where nothing else is said"));
        }
        ContextCommand::Remove { name } => {
            all.named(&name)?;
            all.contexts.remove(&name);
            if all.current.as_ref() == Some(&name) {
                all.current = None;
                session.say("no context is used now where nothing else is said");
            }
            all.write()?;
            session.say(&format!("{name} is forgotten"));
        }
    }
    Ok(Exit::Ok)
}

/// What flags say, for another day and another folder.
fn said(login: Login) -> Result<Context, Failure> {
    let Login { address, tls, token_file, token_command, .. } = login;
    let Tls { ca, certificate, certificate_key, server_name } = tls;
    let address = address.ok_or_else(|| {
        Failure::usage("the address of the orchestrator is missing", "--address https://HOST:PORT")
    })?;
    let token = token_file.as_deref().map(whole).transpose()?.map(TokenSource::File);
    Ok(Context {
        address,
        ca: ca.as_deref().map(whole).transpose()?,
        certificate: certificate.as_deref().map(whole).transpose()?,
        certificate_key: certificate_key.as_deref().map(whole).transpose()?,
        server_name,
        token: token.or_else(|| token_command.map(TokenSource::Command)),
    })
}

fn whole(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        let what = format!("{} cannot be told from here: {error}", path.display());
        Failure::usage(what, "a path that begins with /")
    })
}
