//! `ListStuck`: what holds sagas up, by cause.

use std::{fmt, str::FromStr};

use saga_log::{CauseGroup, Held, HeldQuery};
use saga_proto::saga::v1 as pb;
use tonic::Status;

use crate::{
    access::Principal,
    api::{error::invalid, list, page, view},
    engine::{Engine, ReachError},
};

/// Examples of a group when the operator does not say, and at most.
const EXAMPLES: (u32, u32) = (10, 100);

pub(super) async fn list(
    engine: &Engine,
    principal: &Principal,
    request: &pb::ListStuckRequest,
) -> Result<pb::ListStuckResponse, Status> {
    let pb::ListStuckRequest { examples_max, page_size, page_token, filter } = request;
    let list = page::of("causes", &[filter]);
    let after: Option<Place> = page::position(&list, page_token)?;
    let groups_max = page::size(*page_size)? as usize;
    let examples_max = examples(*examples_max)?;
    let filter = list::of_filter(engine, principal, filter)?;
    let mut all = Vec::new();
    let mut totals = [0, 0];
    for (at, held) in [Held::Stuck, Held::Waiting].into_iter().enumerate() {
        let query = HeldQuery { held, filter: filter.clone(), examples_max };
        let groups = engine.shared.log.store().cause_groups(&query).await;
        let groups = groups.map_err(ReachError::from)?;
        totals[at] = groups.iter().map(|group| group.sagas).sum();
        all.extend(groups.into_iter().map(|group| (held, group)));
    }
    all.sort_by_cached_key(|(held, group)| Place::of(*held, group));
    let is_behind = |(held, group): &(Held, CauseGroup)| {
        after.as_ref().is_none_or(|after| *after < Place::of(*held, group))
    };
    let mut behind = all.iter().filter(|it| is_behind(it)).peekable();
    let page: Vec<_> = behind.by_ref().take(groups_max).collect();
    let next_page_token = match page.last() {
        Some((held, last)) if behind.peek().is_some() => page::token(&list, Place::of(*held, last)),
        _ => String::new(),
    };
    let of = |wanted: Held| {
        let groups = page.iter().filter(|(held, _)| *held == wanted);
        groups.map(|(_, group)| stuck_group(group)).collect()
    };
    Ok(pb::ListStuckResponse {
        groups: of(Held::Stuck),
        total: totals[0],
        waiting: of(Held::Waiting),
        total_waiting: totals[1],
        next_page_token,
    })
}

fn examples(asked: u32) -> Result<u32, Status> {
    if EXAMPLES.1 < asked {
        let message = format!(
            "{asked}; give 1 to {}, or 0 for {}; ListSagas has all of a cause, by a filter such as \
             cause.participant == 'payment' && cause.code == 'UNAVAILABLE'",
            EXAMPLES.1, EXAMPLES.0
        );
        return Err(invalid("EXAMPLES_INVALID", "examples_max", message));
    }
    Ok(if asked == 0 { EXAMPLES.0 } else { asked })
}

/// Where a group is in the list: stuck ones first, of each the largest, and then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    waits: bool,
    /// The largest has the smallest.
    smaller_than: u64,
    name: String,
}

impl Place {
    fn of(held: Held, group: &CauseGroup) -> Self {
        let CauseGroup { reason, cause, .. } = group;
        let name = [reason, &cause.participant, &cause.method, &cause.code];
        Self {
            waits: held == Held::Waiting,
            smaller_than: u64::MAX - group.sagas,
            name: name.map(String::as_str).join("\n"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", u8::from(self.waits), self.smaller_than)?;
        self.name.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        let mut parts = token.splitn(3, '.');
        let mut part = || parts.next().ok_or(());
        let waits = part()? == "1";
        let smaller_than = part()?.parse().map_err(drop)?;
        let hex = part()?.as_bytes();
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).map_err(drop)?;
            u8::from_str_radix(pair, 16).map_err(drop)
        };
        let name = hex.chunks(2).map(byte).collect::<Result<_, ()>>()?;
        Ok(Self { waits, smaller_than, name: String::from_utf8(name).map_err(drop)? })
    }
}

fn stuck_group(group: &CauseGroup) -> pb::StuckGroup {
    let place = |it: &saga_log::CausePlace| pb::StuckPlace {
        definition: it.definition.clone(),
        step: it.step.clone(),
        sagas: it.sagas,
    };
    let places: Vec<_> = group.places.iter().map(place).collect();
    let (definition, step) =
        places.first().map(|it| (it.definition.clone(), it.step.clone())).unwrap_or_default();
    pb::StuckGroup {
        reason: group.reason.clone(),
        definition,
        step,
        message: group.cause.message.clone(),
        sagas: group.sagas,
        since: Some(view::timestamp(group.since_ms)),
        examples: group.examples.iter().map(view::saga_of_row).collect(),
        participant: group.cause.participant.clone(),
        method: group.cause.method.clone(),
        code: group.cause.code.clone(),
        places,
        wake_at: group.wake_at_ms.map(view::timestamp),
    }
}
