//! What a running check tells whoever asked for it, and is told.

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// What a running check tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It tries a rule at a step.
    Tries { step: String, rule: &'static str, tried: u32, total: u32 },
    /// The participant has to be restarted now.
    RestartWanted,
}

/// The two ends meet here. Nobody has to listen.
#[derive(Debug, Default)]
pub struct Talk {
    /// Where news go. `None`: nobody listens, so nobody restarts anything.
    pub news: Option<mpsc::UnboundedSender<News>>,
    /// Told when somebody says that the participant was restarted.
    pub restarted: Notify,
    /// Ends the check early. What is under way is undone.
    pub stop: CancellationToken,
}

impl Talk {
    pub(super) fn tell(&self, news: News) {
        if let Some(listener) = &self.news {
            // One that has left is noticed by whoever reads its messages, and stops the check.
            let _ = listener.send(news);
        }
    }
}
