//! Whether sagas can be started here, and why not.

use crate::engine::{Engine, continuity::Known};

impl Engine {
    /// Whether the log can be written, as far as the last write knows.
    #[must_use]
    pub fn log_available(&self) -> bool {
        *self.shared.log.available().borrow()
    }

    /// Whether sagas can be started here: the log can be written, answers, and is what it was.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.unready().is_none()
    }

    /// Why sagas cannot be started here now, and what to do where it does not pass by itself.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        let Known { answers, went_back, is_another, .. } = self.shared.continuity.known();
        if is_another {
            let why = "another log was put in the place of the one that was opened; restart this \
                       node";
            return Some(why.to_owned());
        }
        if let Some(went_back) = went_back {
            return Some(format!(
                "the log went back in time by {} ms; nothing is started or taken over before \
                 `sagactl log acknowledge-restore`",
                went_back.behind_ms
            ));
        }
        if !answers {
            return Some("the log does not answer".to_owned());
        }
        (!self.log_available()).then(|| "the log cannot be written".to_owned())
    }
}
