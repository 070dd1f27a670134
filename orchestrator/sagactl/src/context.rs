//! Contexts: orchestrators by name, with how each is reached, in a file of the person's own. The
//! file names certificates, keys and tokens, and holds none; nobody else may read or change it,
//! as it says which command is run.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{exit::Exit, failure::Failure};

/// Longer than any token that a server takes.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// An orchestrator, and who we are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    pub(crate) address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenSource>,
}

/// Where a token comes from. Never from the command line, which everybody on the machine can
/// read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenSource {
    /// It is in this file.
    File(PathBuf),
    /// This command of the shell writes it to its standard output.
    Command(String),
}

/// All contexts of the person.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is used where nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file. None at all where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is none of ours, or others may read or change it.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unusable(&path, &error.to_string(), "see who owns it")),
        };
        let shown = path.display();
        let found = file.metadata();
        let found = found.map_err(|error| unusable(&path, &error.to_string(), "see who owns it"));
        let mode = found?.permissions().mode();
        if mode & 0o077 != 0 {
            let why = format!("others may read or change it (mode {:o})", mode & 0o777);
            return Err(unusable(&path, &why, &format!("chmod 600 {shown}")));
        }
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        read.map_err(|error| unusable(&path, &error.to_string(), "see who owns it"))?;
        let remedy = format!("mend it, or remove it: rm {shown}");
        serde_json::from_str(&text).map_err(|error| unusable(&path, &error.to_string(), &remedy))
    }

    /// Writes the file anew, for the person alone. Whoever reads meanwhile sees the old one.
    ///
    /// # Errors
    ///
    /// There is no folder for it, or it cannot be written. The old one stays.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let path = path().ok_or_else(|| {
            Failure::usage("there is no folder for contexts", "set HOME or XDG_CONFIG_HOME")
        })?;
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        written(&path, &text).map_err(|error| Failure {
            exit: Exit::Error,
            what: format!("{} cannot be written", path.display()),
            code: None,
            why: error.to_string(),
            remedies: Vec::new(),
        })
    }

    /// The context of this name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| Failure {
            exit: Exit::NotFound,
            what: format!("there is no context {name:?}"),
            code: None,
            why: match self.contexts.keys().map(String::as_str).collect::<Vec<_>>().join(", ") {
                names if names.is_empty() => "there is none at all".to_owned(),
                names => format!("there are {names}"),
            },
            remedies: vec!["sagactl context list".to_owned()],
        })
    }
}

/// Where the file is.
fn path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("sagactl/contexts.json"))
}

fn written(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = path.with_extension(format!("json.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let done = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let done = done.and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        // Nothing is to be done where even that does not go.
        let _ = fs::remove_file(&beside);
    }
    done
}

fn unusable(path: &Path, why: &str, remedy: &str) -> Failure {
    let what = format!("the contexts in {} cannot be used", path.display());
    Failure { why: why.to_owned(), ..Failure::usage(what, remedy) }
}

impl TokenSource {
    /// The token, now.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn token(&self) -> Result<String, Failure> {
        let (from, read) = match self {
            Self::File(path) => (path.display().to_string(), from_file(path)),
            Self::Command(command) => (format!("{command:?}"), from_command(command)),
        };
        let no_token = |why: String| {
            let what = format!("there is no token in {from}");
            Failure { why, ..Failure::usage(what, "log in again where it comes from") }
        };
        let text = read.map_err(|error| no_token(error.to_string()))?;
        let token = text.trim();
        let is_one = !token.is_empty() && token.bytes().all(|it| it.is_ascii_graphic());
        if !is_one {
            return Err(no_token("not one word of ASCII".to_owned()));
        }
        Ok(token.to_owned())
    }
}

fn from_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// What it says on standard error, the person sees; it may ask them something.
fn from_command(command: &str) -> io::Result<String> {
    let mut shell = Command::new("/bin/sh");
    let output =
        shell.args(["-c", command]).stdin(Stdio::inherit()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("it ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| io::Error::other("it wrote no text"))
}
