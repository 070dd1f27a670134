//! `OperatorService`: what needs a person, and what a person can do about it.

use saga_core::{
    By, Event, OperatorAct, Settled, Settlement, StepIndex,
    explain::{self, StepView},
    offer,
};
use saga_proto::saga::v1::{self as pb, SettledOutcome, operator_service_server::OperatorService};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{
    api::{
        check, detached,
        error::{check_lengths, invalid, status},
        saga::{find_row, step_index},
        view,
        why::why,
    },
    engine::{Engine, ReachError, Snapshot},
};

/// Examples of a group when the operator does not say, and at most.
const EXAMPLES: (u32, u32) = (10, 100);

/// Serves `OperatorService`.
#[derive(Clone, Debug)]
pub(crate) struct OperatorApi {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl OperatorService for OperatorApi {
    async fn list_stuck(
        &self,
        request: Request<pb::ListStuckRequest>,
    ) -> Result<Response<pb::ListStuckResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            let asked = request.into_inner().examples_max;
            let examples_max = if asked == 0 { EXAMPLES.0 } else { asked.min(EXAMPLES.1) };
            let store = engine.shared.log.store();
            let groups = store.stuck_groups(examples_max).await.map_err(ReachError::from)?;
            let total = groups.iter().map(|group| group.sagas).sum();
            let groups = groups.iter().map(stuck_group).collect();
            Ok(Response::new(pb::ListStuckResponse { groups, total }))
        })
        .await
    }

    async fn retry_saga(
        &self,
        request: Request<pb::RetrySagaRequest>,
    ) -> Result<Response<pb::RetrySagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move { retry(&engine, request.into_inner()).await.map(Response::new) }).await
    }

    async fn force_outcome(
        &self,
        request: Request<pb::ForceOutcomeRequest>,
    ) -> Result<Response<pb::ForceOutcomeResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move { force(&engine, request.into_inner()).await.map(Response::new) }).await
    }

    async fn check_participant(
        &self,
        request: Request<pb::CheckParticipantRequest>,
    ) -> Result<Response<pb::CheckParticipantResponse>, Status> {
        let engine = self.engine.clone();
        detached(
            async move { check::check(&engine, request.into_inner()).await.map(Response::new) },
        )
        .await
    }

    type RunParticipantCheckStream = check::run::Run;

    async fn run_participant_check(
        &self,
        request: Request<Streaming<pb::RunParticipantCheckRequest>>,
    ) -> Result<Response<Self::RunParticipantCheckStream>, Status> {
        check::run::run(&self.engine, request).await.map(Response::new)
    }

    async fn get_server_info(
        &self,
        _request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let engine = &self.engine;
        Ok(Response::new(pb::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: engine.node().to_string(),
            log: engine.shared.log.store().kind().to_owned(),
            sagas_in_flight: u64::try_from(engine.sagas_in_flight()).unwrap_or(u64::MAX),
            sagas_in_flight_max: u64::try_from(engine.limits().sagas_max).unwrap_or(u64::MAX),
            log_available: engine.log_available(),
        }))
    }
}

async fn retry(
    engine: &Engine,
    request: pb::RetrySagaRequest,
) -> Result<pb::RetrySagaResponse, Status> {
    check_words(&request.actor, &request.reason)?;
    let row = find_row(engine, request.name).await?;
    let saga = row.saga;
    let snapshot = engine.snapshot_of(row).await?;
    let now_ms = engine.shared.clock.now_ms();
    if snapshot.state.ended().is_some() {
        return Err(ReachError::DoesNotFit.into());
    }
    let may = offer::may_retry(&snapshot.definition.core, &snapshot.state, now_ms);
    if !may && !view::is_set_aside(&snapshot.row) {
        let message = format!("nothing waits for a try: {}", why(&snapshot, now_ms));
        return Err(status(Code::FailedPrecondition, "NOTHING_TO_RETRY", message));
    }
    let (actor, reason) = (request.actor, request.reason);
    let acted = Event::OperatorActed { actor, reason, act: OperatorAct::Retry, at_ms: now_ms };
    engine.tell(saga, acted).await?;
    let saga = Some(view::saga(&engine.snapshot(saga).await?, now_ms));
    Ok(pb::RetrySagaResponse { saga })
}

async fn force(
    engine: &Engine,
    request: pb::ForceOutcomeRequest,
) -> Result<pb::ForceOutcomeResponse, Status> {
    check_words(&request.actor, &request.reason)?;
    let settled = match request.outcome() {
        SettledOutcome::Applied => Settled::Applied,
        SettledOutcome::NotApplied => Settled::NotApplied,
        SettledOutcome::Unspecified => {
            return Err(invalid("OUTCOME_MISSING", "outcome", "say applied or not applied"));
        }
    };
    let row = find_row(engine, request.name).await?;
    let saga = row.saga;
    let snapshot = engine.snapshot_of(row).await?;
    let step = step_index(&snapshot, &request.step)?;
    if !offer::may_settle(&snapshot.definition.core, &snapshot.state, step, settled) {
        return Err(nothing_to_settle(&snapshot, step, settled));
    }
    let at_ms = engine.shared.clock.now_ms();
    let by = By { actor: request.actor, reason: request.reason, at_ms };
    let acted = Event::OperatorActed {
        actor: by.actor.clone(),
        reason: by.reason.clone(),
        act: OperatorAct::Settle { step, settled, reply: None },
        at_ms,
    };
    engine.tell(saga, acted).await?;
    let after = engine.snapshot(saga).await?;
    // Its driver leaves out what does not fit any more.
    if after.state.step(step).settled.as_ref() != Some(&Settlement { settled, by }) {
        return Err(nothing_to_settle(&after, step, settled));
    }
    let saga = Some(view::saga(&after, engine.shared.clock.now_ms()));
    Ok(pb::ForceOutcomeResponse { saga })
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

fn check_words(actor: &str, reason: &str) -> Result<(), Status> {
    for (code, field, words) in
        [("ACTOR_MISSING", "actor", actor), ("REASON_MISSING", "reason", reason)]
    {
        if words.trim().is_empty() {
            return Err(invalid(code, field, "missing; it is kept in the saga's log"));
        }
    }
    check_lengths(actor, reason)
}

fn stuck_group(group: &saga_log::StuckGroup) -> pb::StuckGroup {
    let oldest = group.examples.first().and_then(|row| row.standing.stuck.as_ref());
    pb::StuckGroup {
        reason: group.reason.clone(),
        definition: group.definition.clone(),
        step: group.step.clone(),
        message: oldest.map(|stuck| stuck.message.clone()).unwrap_or_default(),
        sagas: group.sagas,
        since: Some(view::timestamp(group.since_ms)),
        examples: group.examples.iter().map(view::saga_of_row).collect(),
    }
}
