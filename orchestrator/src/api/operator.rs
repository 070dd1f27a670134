//! `OperatorService`: what needs a person, and what a person can do about it.

use saga_proto::saga::v1::{self as pb, operator_service_server::OperatorService};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    access::Principal,
    api::{
        acts,
        admit::{self, admitted, admitted_act},
        causes, check, detached, in_turn, log, participant,
    },
    engine::Engine,
};

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
        in_turn(&self.engine, async move {
            let principal = Principal::of(&request)?;
            causes::list(&engine, &principal, &request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn retry_saga(
        &self,
        request: Request<pb::RetrySagaRequest>,
    ) -> Result<Response<pb::RetrySagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            acts::retry(&engine, admitted_act(&engine, request).await?).await.map(Response::new)
        })
        .await
    }

    async fn force_outcome(
        &self,
        request: Request<pb::ForceOutcomeRequest>,
    ) -> Result<Response<pb::ForceOutcomeResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            acts::force(&engine, admitted_act(&engine, request).await?).await.map(Response::new)
        })
        .await
    }

    async fn renew_operation(
        &self,
        request: Request<pb::RenewOperationRequest>,
    ) -> Result<Response<pb::RenewOperationResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            acts::renew(&engine, admitted_act(&engine, request).await?).await.map(Response::new)
        })
        .await
    }

    async fn close_saga(
        &self,
        request: Request<pb::CloseSagaRequest>,
    ) -> Result<Response<pb::CloseSagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            acts::close(&engine, admitted_act(&engine, request).await?).await.map(Response::new)
        })
        .await
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

    async fn list_participants(
        &self,
        request: Request<pb::ListParticipantsRequest>,
    ) -> Result<Response<pb::ListParticipantsResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            participant::list(&engine, request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn get_participant(
        &self,
        request: Request<pb::GetParticipantRequest>,
    ) -> Result<Response<pb::GetParticipantResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            participant::get(&engine, request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn pause_participant(
        &self,
        request: Request<pb::PauseParticipantRequest>,
    ) -> Result<Response<pb::PauseParticipantResponse>, Status> {
        let (engine, wanted) = (self.engine.clone(), admit::act(request)?);
        detached(async move { participant::pause(&engine, wanted).await.map(Response::new) }).await
    }

    async fn resume_participant(
        &self,
        request: Request<pb::ResumeParticipantRequest>,
    ) -> Result<Response<pb::ResumeParticipantResponse>, Status> {
        let (engine, wanted) = (self.engine.clone(), admit::act(request)?);
        detached(async move { participant::resume(&engine, wanted).await.map(Response::new) }).await
    }

    async fn limit_participant(
        &self,
        request: Request<pb::LimitParticipantRequest>,
    ) -> Result<Response<pb::LimitParticipantResponse>, Status> {
        let (engine, wanted) = (self.engine.clone(), admit::act(request)?);
        detached(async move { participant::limit(&engine, wanted).await.map(Response::new) }).await
    }

    async fn verify_saga_log(
        &self,
        request: Request<pb::VerifySagaLogRequest>,
    ) -> Result<Response<pb::VerifySagaLogResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            log::verify(&engine, admitted(&engine, request).await?).await.map(Response::new)
        })
        .await
    }

    async fn acknowledge_restore(
        &self,
        request: Request<pb::AcknowledgeRestoreRequest>,
    ) -> Result<Response<pb::AcknowledgeRestoreResponse>, Status> {
        let engine = self.engine.clone();
        let request = admit::act(request)?;
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
            definitions_refused: engine.definitions_refused(),
        }))
    }
}
