//! The question before a change.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::{exit::Exit, failure::Failure};

/// Proof that a person wants the change. A call that changes a saga takes one.
#[derive(Debug)]
#[must_use]
pub(crate) struct WritePermit(());

/// Where the question goes.
pub(crate) trait Asks {
    /// Whether there is a person to ask.
    fn present(&self) -> bool;
    /// Shows the preview and the question, and reads the answer.
    ///
    /// # Errors
    ///
    /// Those of the terminal. Nothing was changed.
    fn ask(&mut self, preview: &str) -> io::Result<String>;
}

/// Asks on the terminal: the question on standard error, so that standard output stays
/// free for data.
#[derive(Debug)]
pub(crate) struct Terminal;

impl Asks for Terminal {
    fn present(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn ask(&mut self, preview: &str) -> io::Result<String> {
        let mut talk = io::stderr().lock();
        write!(talk, "{preview}\nGo on? [y/N] ")?;
        talk.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer)
    }
}

/// The only way to a [`WritePermit`]. `yes` is `--yes`: the preview is not shown then.
///
/// # Errors
///
/// [`Exit::Declined`]: the person declined, or there is none. Nothing was changed.
pub(crate) fn permit(
    yes: bool,
    preview: &str,
    asks: &mut impl Asks,
) -> Result<WritePermit, Failure> {
    if yes {
        return Ok(WritePermit(()));
    }
    if !asks.present() {
        return Err(Failure {
            exit: Exit::Declined,
            what: "needs --yes: standard input is no terminal to ask on".to_owned(),
            code: None,
            why: preview.to_owned(),
            remedies: vec!["add --yes to allow it".to_owned()],
        });
    }
    let answer = asks.ask(preview).map_err(|error| Failure {
        exit: Exit::Declined,
        what: "the question could not be asked".to_owned(),
        code: None,
        why: error.to_string(),
        remedies: vec!["add --yes to allow it".to_owned()],
    })?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(WritePermit(()));
    }
    Err(Failure {
        exit: Exit::Declined,
        what: "declined; nothing was changed".to_owned(),
        code: None,
        why: String::new(),
        remedies: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Person {
        present: bool,
        answer: &'static str,
        asked: u32,
    }

    impl Asks for Person {
        fn present(&self) -> bool {
            self.present
        }

        fn ask(&mut self, _: &str) -> io::Result<String> {
            self.asked += 1;
            Ok(self.answer.to_owned())
        }
    }

    #[test]
    fn only_a_clear_yes_is_a_permit() {
        for (answer, permitted) in [
            ("y\n", true),
            ("Yes\n", true),
            ("n\n", false),
            ("\n", false),
            ("", false),
            ("yeah no\n", false),
        ] {
            let mut person = Person { present: true, answer, asked: 0 };
            assert_eq!(permit(false, "", &mut person).is_ok(), permitted, "{answer:?}");
            assert_eq!(person.asked, 1);
        }
    }

    #[test]
    fn yes_asks_nobody() {
        let mut person = Person { present: true, answer: "n\n", asked: 0 };
        assert!(permit(true, "", &mut person).is_ok());
        assert_eq!(person.asked, 0);
    }

    #[test]
    fn nobody_is_not_a_yes() {
        let mut person = Person { present: false, answer: "y\n", asked: 0 };
        let failure = permit(false, "undoes 1 step", &mut person).unwrap_err();
        assert_eq!(failure.exit, Exit::Declined);
        assert!(failure.to_string().contains("add --yes"));
        assert_eq!(person.asked, 0);
    }
}
