//! What people see of the desks, and what they decide about participants.

use std::sync::Arc;

use saga_log::ParticipantAct;

use super::{Counter, Governor, Told, tell};

/// What a person has decided about a participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) version: u64,
    pub(super) is_paused: bool,
    /// `None`: as configured.
    pub(super) limit: Option<u32>,
}

/// What people are told of a participant, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantView {
    pub participant: String,
    /// Where it answers. Empty: that is not known here.
    pub addresses: Vec<String>,
    /// Calls at the same time, of all nodes together.
    pub limit: u32,
    /// The same, as this node's configuration has it.
    pub limit_configured: u32,
    /// This node's part of it.
    pub limit_here: u32,
    pub calls_out: u32,
    /// Sagas in memory that wait for a place.
    pub in_line: u32,
    /// Whether a person lets nobody call it.
    pub is_paused: bool,
    /// For how long calls have been held back, all or some.
    pub held_for_ms: Option<u64>,
    /// When it is asked again whether it answers.
    pub next_ping_in_ms: Option<u64>,
}

impl Governor {
    /// Does from now on what people have decided about participants: the newest act of each. One
    /// that is older than what is known here already was read before that.
    pub(crate) fn obey(self: &Arc<Self>, acts: &[ParticipantAct]) {
        let mut desks = self.lock();
        let share = desks.share;
        let (mut told, mut is_news) = (Told::new(), false);
        for act in acts {
            let ParticipantAct { participant, version, is_paused, in_flight_max, .. } = act;
            let rule = Rule { version: *version, is_paused: *is_paused, limit: *in_flight_max };
            if desks.rules.get(participant).is_some_and(|known| rule.version <= known.version) {
                continue;
            }
            desks.rules.insert(participant.clone(), rule);
            is_news = true;
            let Some((name, counter)) = desks.of(participant) else { continue };
            counter.limit = rule.limit.unwrap_or_else(|| self.caller.in_flight_max(participant));
            counter.desk.limit(share.of(counter.limit));
            counter.desk.pause(rule.is_paused);
            counter.has_parked = true;
            told.extend(self.turns(&name, counter));
        }
        drop(desks);
        tell(told);
        if is_news {
            self.changed.notify_one();
        }
    }

    /// What people are told of each participant.
    pub(crate) fn views(&self) -> Vec<ParticipantView> {
        let now_ms = self.now_ms();
        let mut desks = self.lock();
        for participant in self.caller.participants() {
            self.open(&mut desks, &participant);
        }
        let view = |(name, counter): (&Arc<str>, &Counter)| {
            let view = counter.desk.view(now_ms);
            ParticipantView {
                participant: name.to_string(),
                addresses: self.caller.addresses(name),
                limit: counter.limit,
                limit_configured: self.caller.in_flight_max(name),
                limit_here: view.limit,
                calls_out: view.out,
                in_line: view.in_line,
                is_paused: view.is_paused,
                held_for_ms: view.held_since_ms.map(|it| now_ms.saturating_sub(it)),
                next_ping_in_ms: view.ping_at_ms.map(|it| it.saturating_sub(now_ms)),
            }
        };
        desks.by_name.iter().map(view).collect()
    }
}
