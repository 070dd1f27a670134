//! Which requests from outside a saga's log holds, so that each of them acts once however
//! often it is sent, and to whichever nodes.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::event::Event;

/// The requests of one log. What each of them says is in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard(BTreeSet<Uuid>);

impl Heard {
    pub(super) fn holds(&self, request_id: &str) -> bool {
        self.0.contains(&short(request_id))
    }

    /// Whether the event comes of a request that is in the log. Signals are left to their
    /// steps, of which each takes one: logs of before may hold two under the same id.
    pub(super) fn repeats(&self, event: &Event) -> bool {
        let is_signal = matches!(event, Event::Signalled { .. });
        !is_signal && event.request_id().is_some_and(|it| self.holds(it))
    }

    pub(super) fn remember(&mut self, event: &Event) {
        if let Some(request_id) = event.request_id() {
            self.0.insert(short(request_id));
        }
    }
}

/// However long an id is, it takes as much memory as a UUID.
fn short(request_id: &str) -> Uuid {
    /// Of this project, and of nothing else.
    const REQUEST_IDS: Uuid = Uuid::from_u128(0x8c44_91d2_3f6e_4d0a_b1c7_05e9_7a62_d3b4);

    Uuid::new_v5(&REQUEST_IDS, request_id.as_bytes())
}
