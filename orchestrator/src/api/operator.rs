//! `OperatorService`: what needs a person, and what a person can do about it.

use saga_core::{Direction, Event, OperatorAct, Settled, StepIndex, phase::StepPhase};
use saga_proto::saga::v1::{self as pb, SettledOutcome, operator_service_server::OperatorService};
use tonic::{Code, Request, Response, Status};

use crate::{
    api::{
        check, detached,
        error::{invalid, status},
        log,
        saga::{find, find_row, step_index},
        view,
    },
    engine::{Engine, ReachError, Snapshot},
};

/// Examples of a group when the operator does not say, and at most.
const EXAMPLES: (u32, u32) = (10, 100);
/// Characters of an actor or a reason at most.
const WORDS_CHARS_MAX: usize = 1_000;

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
        detached(async move {
            let request = request.into_inner();
            check_words(&request.actor, &request.reason)?;
            let saga = find(&engine, request.name).await?;
            let acted = Event::OperatorActed {
                actor: request.actor,
                reason: request.reason,
                act: OperatorAct::Retry,
                at_ms: engine.shared.clock.now_ms(),
            };
            engine.tell(saga, acted).await?;
            let saga = Some(view::saga(&engine.snapshot(saga).await?));
            Ok(Response::new(pb::RetrySagaResponse { saga }))
        })
        .await
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

    async fn verify_saga_log(
        &self,
        request: Request<pb::VerifySagaLogRequest>,
    ) -> Result<Response<pb::VerifySagaLogResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move { log::verify(&engine, request.into_inner()).await.map(Response::new) })
            .await
    }

    async fn acknowledge_restore(
        &self,
        request: Request<pb::AcknowledgeRestoreRequest>,
    ) -> Result<Response<pb::AcknowledgeRestoreResponse>, Status> {
        let engine = self.engine.clone();
        let request = request.into_inner();
        detached(async move { log::acknowledge(&engine, request).await.map(Response::new) }).await
    }

    async fn get_server_info(
        &self,
        _request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let engine = &self.engine;
        let (mark, went_back) = (engine.log_mark(), engine.went_back());
        Ok(Response::new(pb::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: engine.node().to_string(),
            log: engine.shared.log.store().kind().to_owned(),
            sagas_in_flight: u64::try_from(engine.sagas_in_flight()).unwrap_or(u64::MAX),
            sagas_in_flight_max: u64::try_from(engine.limits().sagas_max).unwrap_or(u64::MAX),
            log_available: engine.log_available(),
            log_id: mark.log_id.to_string(),
            log_epoch: mark.epoch,
            log_behind_ms: went_back.as_ref().map_or(0, |it| it.behind_ms),
            log_heard_by: went_back.map(|it| it.heard_by).unwrap_or_default(),
        }))
    }
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
    if !is_in_question(&snapshot, step, settled) {
        let message = format!(
            "the outcome of {} is known or nothing is to be settled; see `sagactl saga describe {saga}`",
            request.step
        );
        return Err(status(Code::FailedPrecondition, "NOTHING_TO_SETTLE", message));
    }
    let acted = Event::OperatorActed {
        actor: request.actor,
        reason: request.reason,
        act: OperatorAct::Settle { step, settled },
        at_ms: engine.shared.clock.now_ms(),
    };
    engine.tell(saga, acted).await?;
    let saga = Some(view::saga(&engine.snapshot(saga).await?));
    Ok(pb::ForceOutcomeResponse { saga })
}

/// Whether a person may say what became of the step: only where the engine cannot find
/// out by itself, or has no way on.
fn is_in_question(snapshot: &Snapshot, step: StepIndex, settled: Settled) -> bool {
    let passed_pivot = snapshot.state.passed_pivot(&snapshot.definition.core);
    match snapshot.state.step(step).phase {
        StepPhase::Open { direction: Direction::Forward, tries, .. } => {
            tries.in_doubt || passed_pivot && settled == Settled::Applied
        }
        StepPhase::Open { direction: Direction::Backward, .. }
        | StepPhase::Unrenderable { direction: Direction::Backward } => settled == Settled::Applied,
        StepPhase::Rejected | StepPhase::Fenced | StepPhase::Unrenderable { .. } => {
            passed_pivot && settled == Settled::Applied
        }
        _ => false,
    }
}

pub(super) fn check_words(actor: &str, reason: &str) -> Result<(), Status> {
    for (code, field, words) in
        [("ACTOR_MISSING", "actor", actor), ("REASON_MISSING", "reason", reason)]
    {
        if words.trim().is_empty() {
            return Err(invalid(code, field, "missing; it is kept in the saga's log"));
        }
        if words.chars().count() > WORDS_CHARS_MAX {
            let limit = format!("at most {WORDS_CHARS_MAX} characters");
            return Err(invalid("REASON_TOO_LONG", field, limit));
        }
    }
    Ok(())
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
