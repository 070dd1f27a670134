//! What a person does to a saga that does not move: says what is true, has a refused call
//! made anew, or ends it as it is.

use bytes::Bytes;
use saga_core::{
    By, Direction, Ending, Event, OperatorAct, Settled, Settlement, StepIndex, StepPhase,
    explain::{self, StepView},
    offer,
};
use saga_proto::saga::v1::{self as pb, SettledOutcome, StepCall};
use tonic::{Code, Status};

use crate::{
    api::{
        error::{invalid, status},
        field,
        saga::{find_row, step_index},
        view,
    },
    definition::InputError,
    engine::{Engine, ReachError, Snapshot},
};

pub(super) async fn force(
    engine: &Engine,
    request: pb::ForceOutcomeRequest,
) -> Result<pb::ForceOutcomeResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    field::name("step", &request.step)?;
    let bytes_max = engine.limits().input_bytes_max;
    field::json("REPLY_INVALID", "reply_json", &request.reply_json, bytes_max)?;
    let settled = match field::known("outcome", request.outcome)? {
        SettledOutcome::Applied => Settled::Applied,
        SettledOutcome::NotApplied => Settled::NotApplied,
        SettledOutcome::Unspecified => {
            return Err(invalid("OUTCOME_MISSING", "outcome", "say applied or not applied"));
        }
    };
    let call = field::known("call", request.call)?;
    let snapshot = looked_at(engine, request.name, request.expected_version).await?;
    let step = step_index(&snapshot, &request.step)?;
    if !offer::may_settle(&snapshot.definition.core, &snapshot.state, step, settled)
        || !is_meant(&snapshot, step, call)
    {
        return Err(nothing_to_settle(&snapshot, step, settled));
    }
    let reply = reply(&snapshot, step, settled, &request.reply_json)?;
    let (by, after) = act(
        engine,
        &snapshot,
        OperatorAct::Settle { step, settled, reply },
        request.actor,
        request.reason,
    )
    .await?;
    // Its driver leaves out what does not fit any more.
    if after.state.step(step).settled.as_ref() != Some(&Settlement { settled, by }) {
        return Err(nothing_to_settle(&after, step, settled));
    }
    Ok(pb::ForceOutcomeResponse { saga: Some(shown(engine, &after)) })
}

pub(super) async fn renew(
    engine: &Engine,
    request: pb::RenewOperationRequest,
) -> Result<pb::RenewOperationResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    field::name("step", &request.step)?;
    let snapshot = looked_at(engine, request.name, request.expected_version).await?;
    let step = step_index(&snapshot, &request.step)?;
    let nothing = || {
        let message = format!(
            "no call of {} is refused for ever where there is no turning back from it; nothing was done",
            request.step
        );
        status(Code::FailedPrecondition, "NOTHING_TO_RENEW", message)
    };
    if !offer::may_renew(&snapshot.definition.core, &snapshot.state, step) {
        return Err(nothing());
    }
    let renewed = OperatorAct::Renew { step };
    let (_, after) = act(engine, &snapshot, renewed, request.actor, request.reason).await?;
    if after.state.step(step).generations == snapshot.state.step(step).generations {
        return Err(nothing());
    }
    Ok(pb::RenewOperationResponse { saga: Some(shown(engine, &after)) })
}

pub(super) async fn close(
    engine: &Engine,
    request: pb::CloseSagaRequest,
) -> Result<pb::CloseSagaResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    let snapshot = looked_at(engine, request.name, request.expected_version).await?;
    let (_, mut after) =
        act(engine, &snapshot, OperatorAct::Close, request.actor, request.reason).await?;
    // A parked saga is ended by whoever takes it up, at once.
    if after.state.ended().is_none() {
        engine.wait_end(after.row.saga, CLOSE_PATIENCE).await?;
        after = engine.snapshot(after.row.saga).await?;
    }
    match after.state.ended() {
        Some(ended) if ended.ending != Ending::Closed => Err(ReachError::DoesNotFit.into()),
        _ => Ok(pb::CloseSagaResponse { saga: Some(shown(engine, &after)) }),
    }
}

/// How long a client waits at most for a saga that it closed to be ended.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The saga, where it has not ended and is still as the person saw it.
async fn looked_at(
    engine: &Engine,
    name: Option<pb::SagaName>,
    expected_version: u64,
) -> Result<Snapshot, Status> {
    let row = find_row(engine, name).await?;
    let snapshot = engine.snapshot_of(row).await?;
    if snapshot.state.ended().is_some() {
        return Err(ReachError::DoesNotFit.into());
    }
    still_at(&snapshot, expected_version)?;
    Ok(snapshot)
}

/// Whether a saga is still as a person saw it.
pub(super) fn still_at(snapshot: &Snapshot, expected_version: u64) -> Result<(), Status> {
    if expected_version != 0 && expected_version != snapshot.version {
        let message = format!(
            "it was looked at in version {expected_version} and is in version {} now; look again; nothing was done",
            snapshot.version
        );
        return Err(status(Code::Aborted, "SAGA_MOVED_ON", message));
    }
    Ok(())
}

/// Records the act. Answers who acted, as it stands in the log, and the saga behind it.
async fn act(
    engine: &Engine,
    snapshot: &Snapshot,
    act: OperatorAct,
    actor: String,
    reason: String,
) -> Result<(By, Snapshot), Status> {
    let at_ms = engine.shared.clock.now_ms();
    let by = By { actor, reason, at_ms };
    let (actor, reason) = (by.actor.clone(), by.reason.clone());
    engine.tell(snapshot.row.saga, Event::OperatorActed { actor, reason, act, at_ms }).await?;
    Ok((by, engine.snapshot(snapshot.row.saga).await?))
}

fn shown(engine: &Engine, snapshot: &Snapshot) -> pb::Saga {
    view::saga(snapshot, engine.shared.clock.now_ms())
}

/// Whether the call that is in question is the one that the person means.
fn is_meant(snapshot: &Snapshot, step: StepIndex, call: StepCall) -> bool {
    let is_undo = matches!(
        snapshot.state.step(step).phase,
        StepPhase::Open { direction: Direction::Backward, .. }
            | StepPhase::Unrenderable { direction: Direction::Backward }
    );
    match call {
        StepCall::Unspecified => true,
        StepCall::Action => !is_undo,
        StepCall::Compensation => is_undo,
    }
}

/// What the action replied, as a person found out.
fn reply(
    snapshot: &Snapshot,
    step: StepIndex,
    settled: Settled,
    json: &str,
) -> Result<Option<Bytes>, Status> {
    if json.is_empty() {
        return Ok(None);
    }
    let is_action = is_meant(snapshot, step, StepCall::Action);
    if settled != Settled::Applied || !is_action {
        let remedy = "only an action that was applied has a reply; leave it out";
        return Err(invalid("REPLY_INVALID", "reply_json", remedy));
    }
    let made = snapshot.definition.encode_reply_json(step, json);
    made.map(Some).map_err(|InputError { field, message, remedy }| {
        let field =
            if field.is_empty() { "reply_json".to_owned() } else { format!("reply_json.{field}") };
        invalid("REPLY_INVALID", &field, format!("{message}; {remedy}"))
    })
}

/// Says what is known of the step instead.
fn nothing_to_settle(snapshot: &Snapshot, step: StepIndex, settled: Settled) -> Status {
    let Snapshot { definition, state, .. } = snapshot;
    let name = &definition.core.step(step).name;
    let known = match explain::step_view(state, step) {
        StepView::NotBegun => "is not begun",
        StepView::Skipped => "was skipped",
        StepView::Waiting => "waits for its signal",
        StepView::Calling => "is being called",
        StepView::Retrying | StepView::Faulted => "surely was not done so far",
        StepView::Unknown => "is being asked about",
        StepView::Applied => "is applied",
        StepView::Rejected => "was refused",
        StepView::NotDone => "surely was not done",
        StepView::Undoing => "is being undone",
        StepView::Undone => "is compensated",
        StepView::Kept => "is kept",
    };
    let other = match settled {
        Settled::Applied => Settled::NotApplied,
        Settled::NotApplied => Settled::Applied,
    };
    let may = if offer::may_settle(&definition.core, state, step, other) {
        "only the other outcome can be settled here"
    } else {
        "only a step whose outcome is in question can be settled"
    };
    let message = format!("{name} {known}; {may}; nothing was done");
    status(Code::FailedPrecondition, "NOTHING_TO_SETTLE", message)
}
