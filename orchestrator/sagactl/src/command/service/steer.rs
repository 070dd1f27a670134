//! Participants as a node sees them, and what people decide about them.

use saga_proto::saga::v1::{
    LimitParticipantRequest, Participant, PauseParticipantRequest, ResumeParticipantRequest,
};
use uuid::Uuid;

use crate::{
    cli::{ServiceAct, ServiceLimit},
    client::Client,
    exit::Exit,
    failure::Failure,
    permit::{Terminal, WritePermit, permit},
    reply::escaped,
    report::participant,
    session::Session,
};

pub(super) async fn list(session: &Session) -> Result<Exit, Failure> {
    let reply = session.client().await?.participants().await?;
    session.print(&reply, participant::list)?;
    Ok(Exit::Ok)
}

pub(super) async fn describe(session: &Session, name: &str) -> Result<Exit, Failure> {
    let reply = session.client().await?.participant(name).await?;
    session.print(&reply, participant::describe)?;
    Ok(Exit::Ok)
}

pub(super) async fn pause(session: &Session, act: ServiceAct) -> Result<Exit, Failure> {
    let client = session.client().await?;
    let (seen, permit) = asked(&client, &act, participant::pause_preview).await?;
    let doing = format!("pause {}", act.participant);
    let request = PauseParticipantRequest {
        name: act.participant.clone(),
        request_id: request_id(&act),
        expected_version: expected_version(&act, &seen),
        actor: act.actor.actor,
        reason: act.reason,
    };
    let request_id = request.request_id.clone();
    let reply = client.pause_participant(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&request_id))?;
    session.print(&reply, |reply, look| participant::one(reply.participant.as_ref(), look))?;
    let name = &act.participant;
    session.say(&format!("{name} is paused. To resume it: sagactl service resume {name}"));
    Ok(Exit::Ok)
}

pub(super) async fn resume(session: &Session, act: ServiceAct) -> Result<Exit, Failure> {
    let client = session.client().await?;
    let (seen, permit) = asked(&client, &act, participant::resume_preview).await?;
    let doing = format!("resume {}", act.participant);
    let request = ResumeParticipantRequest {
        name: act.participant.clone(),
        request_id: request_id(&act),
        expected_version: expected_version(&act, &seen),
        actor: act.actor.actor,
        reason: act.reason,
    };
    let request_id = request.request_id.clone();
    let reply = client.resume_participant(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&request_id))?;
    session.print(&reply, |reply, look| participant::one(reply.participant.as_ref(), look))?;
    session.say(&format!("{} is called again", act.participant));
    Ok(Exit::Ok)
}

pub(super) async fn limit(session: &Session, arguments: ServiceLimit) -> Result<Exit, Failure> {
    let ServiceLimit { act, calls, as_configured: _ } = arguments;
    let client = session.client().await?;
    let preview = |seen: &Participant| participant::limit_preview(seen, calls);
    let (seen, permit) = asked(&client, &act, preview).await?;
    let doing = format!("limit {}", act.participant);
    let request = LimitParticipantRequest {
        name: act.participant.clone(),
        request_id: request_id(&act),
        expected_version: expected_version(&act, &seen),
        actor: act.actor.actor,
        reason: act.reason,
        in_flight_max: calls.unwrap_or(0),
    };
    let request_id = request.request_id.clone();
    let reply = client.limit_participant(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&request_id))?;
    session.print(&reply, |reply, look| participant::one(reply.participant.as_ref(), look))?;
    let limit = reply.participant.as_ref().map_or(0, |it| it.in_flight_max);
    session.say(&format!("{} gets {limit} calls at the same time at most", act.participant));
    Ok(Exit::Ok)
}

/// Shows what would be done to the participant as it is, and asks.
async fn asked(
    client: &Client,
    act: &ServiceAct,
    preview: impl FnOnce(&Participant) -> String,
) -> Result<(Participant, WritePermit), Failure> {
    if act.reason.trim().is_empty() {
        return Err(Failure::usage("a reason is missing", "--reason \"why\""));
    }
    let seen = escaped(&client.participant(&act.participant).await?);
    let seen = seen.participant.unwrap_or_default();
    let permit = permit(act.consent.yes, &preview(&seen), &mut Terminal)?;
    Ok((seen, permit))
}

fn request_id(act: &ServiceAct) -> String {
    act.request_id.clone().unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// With `--yes` nobody was shown anything.
fn expected_version(act: &ServiceAct, seen: &Participant) -> u64 {
    act.expected_version.unwrap_or(if act.consent.yes { 0 } else { seen.version })
}
