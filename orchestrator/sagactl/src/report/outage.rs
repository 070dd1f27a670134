//! Participants that nobody calls now, each with all that waits for it: whatever sagas met it,
//! an outage is one thing.

use saga_proto::saga::v1::StuckGroup;

use crate::{
    look::Look,
    report::{causes::told, words::count},
};

/// What waits for one participant that is held back or paused.
pub(crate) struct Outage<'g> {
    groups: Vec<&'g StuckGroup>,
}

/// The participants that are held back, and the groups that have another cause.
pub(crate) fn outages(waiting: &[StuckGroup]) -> (Vec<Outage<'_>>, Vec<&StuckGroup>) {
    let mut outages: Vec<Outage<'_>> = Vec::new();
    let mut others = Vec::new();
    for group in waiting {
        if group.participant.is_empty() || !(group.paused || group.held_since.is_some()) {
            others.push(group);
            continue;
        }
        let known = outages.iter_mut().find(|it| it.participant() == group.participant);
        match known {
            Some(outage) => outage.groups.push(group),
            None => outages.push(Outage { groups: vec![group] }),
        }
    }
    (outages, others)
}

impl Outage<'_> {
    fn participant(&self) -> &str {
        &self.groups[0].participant
    }

    /// What says most: a call that was made tells more than those that were not.
    fn met(&self) -> &StuckGroup {
        let called = self.groups.iter().find(|it| it.code != "HELD_BACK");
        called.unwrap_or(&self.groups[0])
    }

    pub(crate) fn sagas(&self) -> u64 {
        self.groups.iter().map(|it| it.sagas).sum()
    }

    pub(crate) fn oldest(&self) -> Option<prost_types::Timestamp> {
        let since = self.groups.iter().filter_map(|it| it.since);
        since.min_by_key(|it| (it.seconds, it.nanos))
    }

    /// When it is asked again whether it answers. A pause has no such time.
    pub(crate) fn next_probe(&self) -> Option<prost_types::Timestamp> {
        if self.groups[0].paused { None } else { self.groups[0].next_probe_at }
    }

    /// `payment refused the connection since 18:09`.
    pub(crate) fn cause(&self, look: &Look) -> String {
        let (whom, met) = (self.participant(), self.met());
        let what = match met.code.as_str() {
            _ if met.paused => return format!("{whom} is paused by a person"),
            "NOT_SENT" if met.message.contains("refused") => {
                format!("{whom} refused the connection")
            }
            "NOT_SENT" | "CONNECTION_LOST" => format!("{whom} cannot be reached ({})", met.message),
            "TIMED_OUT" | "DEADLINE_EXCEEDED" => format!("{whom} does not answer in time"),
            "HELD_BACK" => format!("{whom} does not answer"),
            _ => told(met),
        };
        match met.held_since {
            Some(_) => format!("{what} since {}", look.clock(met.held_since)),
            None => what,
        }
    }

    /// `212 sagas of 3 definitions`.
    pub(crate) fn whose(&self) -> String {
        let places = self.groups.iter().flat_map(|it| &it.places);
        let mut names: Vec<&str> = places.map(|it| it.definition.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let of = match names.as_slice() {
            [] => self.groups[0].definition.clone(),
            [one] => (*one).to_owned(),
            [one, other] => format!("{one} and {other}"),
            more => count(u64::try_from(more.len()).unwrap_or(u64::MAX), "definition"),
        };
        format!("{} of {of}", count(self.sagas(), "saga"))
    }
}
