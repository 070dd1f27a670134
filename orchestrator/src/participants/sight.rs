//! What a participant serves now: looked at whenever a connection to it is new, because another
//! program may answer there. A call whose types have changed meanwhile is not made: two fields
//! that were swapped would book one amount as the other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    DescriptorError,
    channels::Channel,
    reflection::{self, Reflected},
};
use crate::definition::{CallSpec, ServedTypes};

/// Time for one look: longer than for one question of it.
const PATIENCE: Duration = Duration::from_secs(8);

/// Looks that may end without an answer while there is a connection.
const LOOKS_MAX: u32 = 3;

/// Methods, in the types of one definition each, whose comparison is kept.
const JUDGED_MAX: usize = 4_096;

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Its bytes mean there what they were made for, as far as anybody can say.
    Same,
    /// They would mean something else: names the fields.
    Changed(String),
    /// There is no connection, and none is made by the call itself.
    Unreached(String),
}

/// What is known of one participant.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Held by whoever looks.
    looking: tokio::sync::Mutex<()>,
    /// Looks in a row that nobody answered.
    unanswered: AtomicU32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// `None`: it was not looked at, or does not tell.
    types: Option<Arc<ServedTypes>>,
    /// How calls have changed, by their types and paths.
    judged: HashMap<(u64, String), Option<String>>,
}

impl Sight {
    /// Whether a call may be made over `channel`, going by the types that are served there. A
    /// participant that does not tell its types is called as it was registered.
    pub(super) async fn judge(&self, channel: &Channel, call: &CallSpec) -> Judged {
        if channel.is_new() {
            let look = async {
                let _looking = self.looking.lock().await;
                if channel.is_new() { self.look(channel, &call.participant).await } else { Ok(()) }
            };
            match tokio::time::timeout(PATIENCE, look).await {
                Ok(Ok(())) => {}
                // Made by the call, a connection would carry it before anybody has looked.
                Ok(Err(message)) => return Judged::Unreached(message),
                // One that never tells is called as it was registered, but not at once: it may
                // be slow, and the first thing that it is told may be the wrong one.
                Err(_) if channel.is_connected() && self.has_waited_enough() => {
                    channel.look_done();
                }
                Err(_) => {
                    return Judged::Unreached(format!(
                        "its types were not told within {PATIENCE:?}"
                    ));
                }
            }
        }
        let mut known = self.known();
        let Some(types) = known.types.clone() else { return Judged::Same };
        let key = (call.types_id, call.path.path().to_owned());
        let change = match known.judged.get(&key) {
            Some(judged) => judged.clone(),
            None => {
                let change = types.change(call);
                if known.judged.len() < JUDGED_MAX {
                    known.judged.insert(key, change.clone());
                }
                change
            }
        };
        change.map_or(Judged::Same, Judged::Changed)
    }

    /// Asks for the types. An error: nobody was reached.
    async fn look(&self, channel: &Channel, participant: &str) -> Result<(), String> {
        match reflection::descriptors(participant, channel).await {
            Ok(Reflected { types, .. }) => {
                let judged = HashMap::new();
                *self.known() = Known { types: Some(Arc::new(types)), judged };
            }
            Err(DescriptorError::Unreached { message, .. }) => return Err(message),
            // It may have been told by the program that was there before.
            Err(error) => {
                tracing::debug!(%error, "the types of a participant were not told");
                *self.known() = Known::default();
            }
        }
        channel.look_done();
        self.unanswered.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn has_waited_enough(&self) -> bool {
        LOOKS_MAX <= self.unanswered.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
