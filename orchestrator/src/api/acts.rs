//! What a person does to a saga that does not move: has it try, says what is true, has a refused
//! call made anew, or ends it as it is.

use bytes::Bytes;
use saga_core::{
    Direction, Ending, Event, OperatorAct, Settled, StepIndex,
    explain::{self, StepView},
    offer,
};
use saga_proto::saga::v1::{self as pb, SettledOutcome, StepCall};
use tonic::{Code, Status};

use crate::{
    api::{
        error::{invalid, status},
        field, repeat,
        saga::{find_row, step_index},
        view,
        why::why,
    },
    definition::InputError,
    engine::{Engine, ReachError, Snapshot},
};

pub(super) async fn retry(
    engine: &Engine,
    request: pb::RetrySagaRequest,
) -> Result<pb::RetrySagaResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    let request_id = field::own_request_id(engine, request.request_id)?;
    let snapshot = look(engine, request.name).await?;
    let signature = Signature { actor: request.actor, reason: request.reason, request_id };
    let act = signature.act(engine, OperatorAct::Retry);
    if !repeat::is_done(engine, &snapshot, &act).await? {
        ready(engine, &snapshot, request.expected_version).await?;
        let now_ms = engine.shared.clock.now_ms();
        let may = offer::may_retry(&snapshot.definition.core, &snapshot.state, now_ms);
        if !may && !view::is_set_aside(&snapshot.row) {
            let message = format!("nothing waits for a try: {}", why(&snapshot, now_ms));
            return Err(status(Code::FailedPrecondition, "NOTHING_TO_RETRY", message));
        }
        do_once(engine, &snapshot, &act, request.expected_version)
            .await?
            .ok_or(ReachError::DoesNotFit)?;
    }
    let after = engine.snapshot(snapshot.row.saga).await?;
    Ok(pb::RetrySagaResponse { saga: Some(shown(engine, &after)) })
}

pub(super) async fn force(
    engine: &Engine,
    request: pb::ForceOutcomeRequest,
) -> Result<pb::ForceOutcomeResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    let request_id = field::own_request_id(engine, request.request_id)?;
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
    let call = match field::known("call", request.call)? {
        StepCall::Unspecified => None,
        StepCall::Action => Some(Direction::Forward),
        StepCall::Compensation => Some(Direction::Backward),
    };
    let snapshot = look(engine, request.name).await?;
    let step = step_index(&snapshot, &request.step)?;
    let reply = reply(&snapshot, step, settled, &request.reply_json)?;
    let has_reply = reply.is_some();
    let signature = Signature { actor: request.actor, reason: request.reason, request_id };
    // Whoever does not say which call is meant, means the one that is in question now, and no
    // other that may be by the time that this is written.
    let open = snapshot.state.call_in_question(step, has_reply);
    let settle = |call| OperatorAct::Settle { step, call, settled, reply: reply.clone() };
    let asked = signature.act(engine, settle(call));
    let mut after = snapshot;
    if !repeat::is_done(engine, &after, &asked).await? {
        ready(engine, &after, request.expected_version).await?;
        let is_meant = call.is_none() || call == open;
        if !offer::may_settle(&after.definition.core, &after.state, step, settled) || !is_meant {
            return Err(nothing_to_settle(&after, step, settled));
        }
        if has_reply && open != Some(Direction::Forward) {
            return Err(no_reply());
        }
        let act = with_act(asked, settle(open));
        // Its driver leaves out what does not fit any more.
        let done = do_once(engine, &after, &act, request.expected_version).await?;
        let now = engine.snapshot(after.row.saga).await?;
        if done.is_none() {
            return Err(nothing_to_settle(&now, step, settled));
        }
        after = now;
    }
    Ok(pb::ForceOutcomeResponse { saga: Some(shown(engine, &after)) })
}

pub(super) async fn renew(
    engine: &Engine,
    request: pb::RenewOperationRequest,
) -> Result<pb::RenewOperationResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    let request_id = field::own_request_id(engine, request.request_id)?;
    field::name("step", &request.step)?;
    let snapshot = look(engine, request.name).await?;
    let step = step_index(&snapshot, &request.step)?;
    let nothing = || {
        let message = format!(
            "no call of {} is refused for ever where there is no turning back from it; nothing was done",
            request.step
        );
        status(Code::FailedPrecondition, "NOTHING_TO_RENEW", message)
    };
    let signature = Signature { actor: request.actor, reason: request.reason, request_id };
    let act = signature.act(engine, OperatorAct::Renew { step });
    if !repeat::is_done(engine, &snapshot, &act).await? {
        ready(engine, &snapshot, request.expected_version).await?;
        if !offer::may_renew(&snapshot.definition.core, &snapshot.state, step) {
            return Err(nothing());
        }
        do_once(engine, &snapshot, &act, request.expected_version).await?.ok_or_else(nothing)?;
    }
    let after = engine.snapshot(snapshot.row.saga).await?;
    Ok(pb::RenewOperationResponse { saga: Some(shown(engine, &after)) })
}

pub(super) async fn close(
    engine: &Engine,
    request: pb::CloseSagaRequest,
) -> Result<pb::CloseSagaResponse, Status> {
    field::signed(&request.actor, &request.reason)?;
    let request_id = field::own_request_id(engine, request.request_id)?;
    let snapshot = look(engine, request.name).await?;
    let signature = Signature { actor: request.actor, reason: request.reason, request_id };
    let act = signature.act(engine, OperatorAct::Close);
    if !repeat::is_done(engine, &snapshot, &act).await? {
        ready(engine, &snapshot, request.expected_version).await?;
        do_once(engine, &snapshot, &act, request.expected_version)
            .await?
            .ok_or(ReachError::DoesNotFit)?;
    }
    let mut after = engine.snapshot(snapshot.row.saga).await?;
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

/// The saga, as it stands.
async fn look(engine: &Engine, name: Option<pb::SagaName>) -> Result<Snapshot, Status> {
    let row = find_row(engine, name).await?;
    Ok(engine.snapshot_of(row).await?)
}

/// Whether a saga has not ended and is still as the person saw it.
async fn ready(engine: &Engine, snapshot: &Snapshot, expected_version: u64) -> Result<(), Status> {
    if snapshot.state.ended().is_some() {
        let message = format!("it has ended: {}; nothing was done", how(snapshot));
        return Err(status(Code::FailedPrecondition, "SAGA_ENDED", message));
    }
    repeat::still_at(engine, snapshot, expected_version).await
}

/// How a saga has ended.
fn how(snapshot: &Snapshot) -> &'static str {
    match snapshot.state.ended().map(|it| it.ending) {
        Some(Ending::Completed) => "every step is done",
        Some(Ending::Compensated) => "it turned back",
        Some(Ending::Closed) => "an operator closed it",
        None => "it has not",
    }
}

/// Who acts, why, and by which request.
struct Signature {
    actor: String,
    reason: String,
    request_id: String,
}

impl Signature {
    fn act(self, engine: &Engine, act: OperatorAct) -> Event {
        let Self { actor, reason, request_id } = self;
        let at_ms = engine.shared.clock.now_ms();
        Event::OperatorActed { actor, reason, act, request_id, at_ms }
    }
}

/// The same of the same person, and this is what is done.
fn with_act(mut asked: Event, what: OperatorAct) -> Event {
    if let Event::OperatorActed { act, .. } = &mut asked {
        *act = what;
    }
    asked
}

/// Records an act, where the saga is in this version still (0: in any). `None`: it does not fit
/// the saga any more, and was left out.
async fn do_once(
    engine: &Engine,
    before: &Snapshot,
    act: &Event,
    expected_version: u64,
) -> Result<Option<()>, Status> {
    match engine.tell_at(before.row.saga, act.clone(), expected_version).await {
        // The log says whether it is there: told here, or by the same request elsewhere.
        Ok(()) | Err(ReachError::DoesNotFit) => {}
        Err(error) => return Err(error.into()),
    }
    let after = engine.snapshot(before.row.saga).await?;
    if repeat::is_done_behind(engine, &after, before.version, act).await? {
        return Ok(Some(()));
    }
    repeat::still_at(engine, &after, expected_version).await?;
    Ok(None)
}

fn shown(engine: &Engine, snapshot: &Snapshot) -> pb::Saga {
    view::saga(snapshot, engine.shared.clock.now_ms())
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
    if settled != Settled::Applied {
        return Err(no_reply());
    }
    let made = snapshot.definition.encode_reply_json(step, json);
    made.map(Some).map_err(|InputError { field, message, remedy }| {
        let field =
            if field.is_empty() { "reply_json".to_owned() } else { format!("reply_json.{field}") };
        invalid("REPLY_INVALID", &field, format!("{message}; {remedy}"))
    })
}

fn no_reply() -> Status {
    let remedy = "only an action that was applied has a reply; leave it out";
    invalid("REPLY_INVALID", "reply_json", remedy)
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
