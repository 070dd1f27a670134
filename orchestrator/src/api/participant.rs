//! Participants: how this node sees them, and what people decide about them.

use std::collections::{BTreeMap, HashMap};

use saga_log::{Filter, Held, HeldQuery, ParticipantAct};
use saga_proto::saga::v1 as pb;
use tonic::{Code, Status};

use crate::{
    api::{
        error::{contended, echo, invalid, log_unavailable, status, told},
        field, page, view,
    },
    engine::{Change, Engine, ParticipantChange, ReachError, SteerError},
    governor::ParticipantView,
};

/// Acts that are shown of a participant.
const ACTS_SHOWN: u32 = 20;

/// Calls at the same time that a person may allow: more is a typing mistake.
const LIMIT_MAX: u32 = 1_000_000;

pub(super) async fn list(
    engine: &Engine,
    request: pb::ListParticipantsRequest,
) -> Result<pb::ListParticipantsResponse, Status> {
    let list = page::of("participants", &[]);
    let after: Option<String> = page::position(&list, &request.page_token)?;
    let rows_max = page::size(request.page_size)? as usize;
    let views = engine.participants();
    let from = views.partition_point(|it| Some(&it.participant) <= after.as_ref());
    let (of_page, behind) = views[from..].split_at(rows_max.min(views.len() - from));
    let next_page_token = match of_page.last() {
        Some(last) if !behind.is_empty() => page::token(&list, &last.participant),
        _ => String::new(),
    };
    let (held_up, versions) = (held_up(engine).await?, versions(engine).await?);
    let participant = |it| participant(engine, it, &held_up, &versions);
    Ok(pb::ListParticipantsResponse {
        participants: of_page.iter().map(participant).collect(),
        next_page_token,
        node_id: engine.node().to_string(),
    })
}

pub(super) async fn get(
    engine: &Engine,
    request: pb::GetParticipantRequest,
) -> Result<pb::GetParticipantResponse, Status> {
    field::name("name", &request.name)?;
    let participant = seen(engine, &request.name).await?;
    let store = engine.shared.log.store();
    let acts = store.participant_acts(&request.name, ACTS_SHOWN).await.map_err(ReachError::from)?;
    Ok(pb::GetParticipantResponse {
        participant: Some(participant),
        acts: acts.iter().map(act).collect(),
        node_id: engine.node().to_string(),
    })
}

pub(super) async fn pause(
    engine: &Engine,
    request: pb::PauseParticipantRequest,
) -> Result<pb::PauseParticipantResponse, Status> {
    let pb::PauseParticipantRequest { name, request_id, actor, reason, expected_version } = request;
    let change = Change::Pause;
    let participant = name;
    let wanted =
        ParticipantChange { participant, change, request_id, expected_version, actor, reason };
    let (participant, act) = steer(engine, wanted).await?;
    Ok(pb::PauseParticipantResponse { participant: Some(participant), act: Some(act) })
}

pub(super) async fn resume(
    engine: &Engine,
    request: pb::ResumeParticipantRequest,
) -> Result<pb::ResumeParticipantResponse, Status> {
    let pb::ResumeParticipantRequest { name, request_id, actor, reason, expected_version } =
        request;
    let change = Change::Resume;
    let participant = name;
    let wanted =
        ParticipantChange { participant, change, request_id, expected_version, actor, reason };
    let (participant, act) = steer(engine, wanted).await?;
    Ok(pb::ResumeParticipantResponse { participant: Some(participant), act: Some(act) })
}

pub(super) async fn limit(
    engine: &Engine,
    request: pb::LimitParticipantRequest,
) -> Result<pb::LimitParticipantResponse, Status> {
    let pb::LimitParticipantRequest {
        name: participant,
        request_id,
        actor,
        reason,
        expected_version,
        in_flight_max,
    } = request;
    if LIMIT_MAX < in_flight_max {
        let wanted = format!("{in_flight_max}; give 1 to {LIMIT_MAX}, or 0 for what is configured");
        return Err(invalid("LIMIT_INVALID", "in_flight_max", wanted));
    }
    let change = Change::Limit(Some(in_flight_max).filter(|it| *it != 0));
    let wanted =
        ParticipantChange { participant, change, request_id, expected_version, actor, reason };
    let (participant, act) = steer(engine, wanted).await?;
    Ok(pb::LimitParticipantResponse { participant: Some(participant), act: Some(act) })
}

async fn steer(
    engine: &Engine,
    wanted: ParticipantChange,
) -> Result<(pb::Participant, pb::ParticipantAct), Status> {
    field::name("name", &wanted.participant)?;
    field::request_id(&wanted.request_id)?;
    field::signed(&wanted.actor, &wanted.reason)?;
    let recorded = engine.steer(&wanted).await?;
    Ok((seen(engine, &wanted.participant).await?, act(&recorded)))
}

impl From<SteerError> for Status {
    fn from(error: SteerError) -> Self {
        match error {
            SteerError::NotConfigured { participant } => not_configured(&participant),
            SteerError::MovedOn { expected, version, last } => {
                moved_on(expected, version, last.as_deref())
            }
            SteerError::Contended => contended("others decided about it at every try"),
            SteerError::RequestIdReused { version } => status(
                Code::AlreadyExists,
                "REQUEST_ID_REUSED",
                format!(
                    "the request id is that of version {version}, which says something else; take \
                     another one; nothing was done"
                ),
            ),
            SteerError::Log(_) => log_unavailable(
                "the log cannot be asked or written now; it may have been recorded, try again with \
                 the same request id",
            ),
        }
    }
}

fn moved_on(expected: u64, version: u64, last: Option<&ParticipantAct>) -> Status {
    let now = match last {
        None => "nobody has decided anything".to_owned(),
        Some(act) => {
            let limit = match act.in_flight_max {
                None => "with its configured limit".to_owned(),
                Some(limit) => format!("with a limit of {limit}"),
            };
            let state = if act.is_paused { "paused" } else { "not paused" };
            format!("since {} it is {state}, {limit}: {}", echo(&act.actor), echo(&act.reason))
        }
    };
    let message = format!(
        "it was looked at in version {expected} and is in version {version} now: {now}; look \
         again; nothing was done"
    );
    let values = [("expected_version", expected.to_string()), ("version", version.to_string())];
    told(Code::Aborted, "PARTICIPANT_MOVED_ON", message, values)
}

fn not_configured(participant: &str) -> Status {
    let message = format!(
        "participant {participant:?} is not in the configuration of this node; sagactl service \
         list shows those that are"
    );
    status(Code::NotFound, "PARTICIPANT_NOT_CONFIGURED", message)
}

async fn seen(engine: &Engine, name: &str) -> Result<pb::Participant, Status> {
    if !engine.shared.caller.knows(name) {
        return Err(not_configured(name));
    }
    let views = engine.participants();
    let view =
        views.iter().find(|it| it.participant == name).ok_or_else(|| not_configured(name))?;
    Ok(participant(engine, view, &held_up(engine).await?, &versions(engine).await?))
}

/// Sagas that each participant holds up, whether or not they need a person yet.
async fn held_up(engine: &Engine) -> Result<HashMap<String, u64>, Status> {
    let mut held_up: HashMap<String, u64> = HashMap::new();
    for held in [Held::Stuck, Held::Waiting] {
        let query = HeldQuery { held, filter: Filter::default(), examples_max: 0 };
        let groups = engine.shared.log.store().cause_groups(&query).await;
        for group in groups.map_err(ReachError::from)? {
            *held_up.entry(group.cause.participant).or_default() += group.sagas;
        }
    }
    Ok(held_up)
}

async fn versions(engine: &Engine) -> Result<BTreeMap<String, u64>, Status> {
    let acts = engine.shared.log.store().newest_participant_acts().await;
    let acts = acts.map_err(ReachError::from)?.into_iter();
    Ok(acts.map(|act| (act.participant, act.version)).collect())
}

fn participant(
    engine: &Engine,
    it: &ParticipantView,
    held_up: &HashMap<String, u64>,
    versions: &BTreeMap<String, u64>,
) -> pb::Participant {
    let now_ms = engine.shared.clock.now_ms();
    pb::Participant {
        name: it.participant.clone(),
        addresses: it.addresses.clone(),
        paused: it.is_paused,
        in_flight_max: it.limit,
        in_flight_max_configured: it.limit_configured,
        in_flight_max_here: it.limit_here,
        calls_out: it.calls_out,
        sagas_in_line: it.in_line,
        sagas_held_up: held_up.get(&it.participant).copied().unwrap_or(0),
        held_since: it.held_for_ms.map(|for_ms| view::timestamp(now_ms.saturating_sub(for_ms))),
        next_probe_at: it.next_ping_in_ms.map(|in_ms| view::timestamp(now_ms + in_ms)),
        version: versions.get(&it.participant).copied().unwrap_or(0),
    }
}

fn act(it: &ParticipantAct) -> pb::ParticipantAct {
    pb::ParticipantAct {
        version: it.version,
        paused: it.is_paused,
        in_flight_max: it.in_flight_max.unwrap_or(0),
        actor: it.actor.clone(),
        reason: it.reason.clone(),
        acted_at: Some(view::timestamp(it.at_ms)),
        request_id: it.request_id.clone(),
    }
}
