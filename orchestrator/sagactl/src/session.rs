//! One run of the program: how it writes, and whom it asks.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    cli::{Color, Global, Login, Output},
    client::Client,
    connection::Connection,
    exit::Exit,
    failure::Failure,
    look::Look,
    reply::{Reply, escaped, json, json_lines, line, pretty, value},
    yaml::yaml,
};

/// How long an answer may take where `--timeout` does not say.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Session {
    look: Look,
    /// `--timeout`, where it was given.
    pub(crate) timeout: Option<Duration>,
    output: Output,
    login: Login,
}

impl Session {
    /// Looks at the terminal, once.
    pub(crate) fn open(global: &Global) -> Self {
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !no_color(),
        };
        let (ascii, utc, width) = (global.ascii, global.utc, terminal_width());
        let wide = global.output == Output::Wide;
        let now = Timestamp::now();
        let offset = now.to_zoned(TimeZone::system()).offset();
        let look = Look { color, ascii, utc, wide, width, now, offset };
        let login = global.login.clone();
        Self { look, timeout: global.timeout, output: global.output, login }
    }

    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// [`Exit::Unavailable`]: nobody answers there. [`Exit::Usage`]: the address is none, or
    /// there is no such context or token.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let timeout = self.timeout.unwrap_or(ANSWER_TIMEOUT);
        Client::connect(&Connection::of(&self.login)?, timeout).await
    }

    /// Which orchestrator is meant, as it was typed.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Writes a reply to standard output, in the form that was asked for.
    ///
    /// # Errors
    ///
    /// Those of standard output. What the server did stays done.
    pub(crate) fn print<R: Reply>(
        &self,
        reply: &R,
        report: impl FnOnce(&R, &Look) -> String,
    ) -> Result<(), Failure> {
        let text = match self.output {
            Output::Table | Output::Wide => {
                let look = Look { now: Timestamp::now(), ..self.look };
                report(&escaped(reply), &look)
            }
            Output::Json => json(reply),
            Output::Jsonl => json_lines(reply).join("\n"),
            Output::Yaml => yaml(&value(reply)),
            Output::Id => escaped(reply).ids().join("\n"),
        };
        self.write(&text)
    }

    /// Writes what is made of several replies to standard output, as [`Self::print`] writes
    /// one. `ids` is what `-o id` shows.
    ///
    /// # Errors
    ///
    /// Those of standard output.
    pub(crate) fn print_value(
        &self,
        value: &serde_json::Value,
        ids: &[String],
        report: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        let text = match self.output {
            Output::Table | Output::Wide => report(&Look { now: Timestamp::now(), ..self.look }),
            Output::Json => pretty(value),
            Output::Jsonl => line(value),
            Output::Yaml => yaml(value),
            Output::Id => ids.join("\n"),
        };
        self.write(&text)
    }

    /// How text for people looks.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// Writes text to standard output, with a line end where it has none. A reader that
    /// has left, as `head` does, is no error.
    ///
    /// # Errors
    ///
    /// Those of standard output.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let mut data = io::stdout().lock();
        match write!(data, "{text}{end}").and_then(|()| data.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure {
                exit: Exit::Error,
                what: "cannot write to standard output".to_owned(),
                code: None,
                why: error.to_string(),
                remedies: Vec::new(),
            }),
            _ => Ok(()),
        }
    }

    /// Says something to the person, on standard error. A program is told by the reply and by
    /// the exit code.
    pub(crate) fn say(&self, text: &str) {
        if matches!(self.output, Output::Table | Output::Wide | Output::Id) {
            tell(text);
        }
    }

    /// Says why the command was not done, on standard error: as JSON where the reply would
    /// have been JSON.
    pub(crate) fn fail(&self, failure: &Failure) {
        tell(&failure.shown(self.output));
    }

    /// Whether the output is for people.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.output, Output::Table | Output::Wide)
    }
}

/// Where standard error is closed there is nobody to tell.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Columns of the terminal that standard output is, or of the one that `COLUMNS` speaks of.
fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    if let Ok(size) = rustix::termios::tcgetwinsize(&stdout)
        && 0 < size.ws_col
    {
        return Some(usize::from(size.ws_col));
    }
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|it| 0 < *it)
}

fn no_color() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|it| !it.is_empty());
    set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|it| it == "dumb")
}
