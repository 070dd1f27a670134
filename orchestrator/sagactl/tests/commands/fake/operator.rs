//! The operator's part of the fake.

use saga_proto::saga::v1::{operator_service_server::OperatorService, *};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Fake, participant, refusal, service};

#[tonic::async_trait]
impl OperatorService for Fake {
    async fn list_stuck(
        &self,
        request: Request<ListStuckRequest>,
    ) -> Result<Response<ListStuckResponse>, Status> {
        let stuck = self.sagas().into_iter().filter(|it| it.stuck.is_some());
        let group = |it: Saga| StuckGroup {
            reason: "OUTCOME_UNKNOWN".to_owned(),
            definition: it.definition.clone(),
            step: "verify_payment".to_owned(),
            sagas: 12,
            places: vec![StuckPlace {
                definition: it.definition.clone(),
                step: "verify_payment".to_owned(),
                sagas: 12,
            }],
            examples: vec![it; request.get_ref().examples_max.min(1) as usize],
            ..StuckGroup::default()
        };
        let waiting = StuckGroup {
            participant: "payment".to_owned(),
            method: "shop.payment.v1.PaymentService/Confirm".to_owned(),
            code: "NOT_SENT".to_owned(),
            message: "connection refused".to_owned(),
            sagas: 30,
            ..StuckGroup::default()
        };
        let waiting = if self.sagas_max == 0 { vec![] } else { vec![waiting] };
        let groups: Vec<StuckGroup> = stuck.map(group).collect();
        let total = groups.iter().map(|it| it.sagas).sum();
        let total_waiting = waiting.iter().map(|it| it.sagas).sum();
        Ok(Response::new(ListStuckResponse {
            groups,
            total,
            waiting,
            total_waiting,
            ..ListStuckResponse::default()
        }))
    }

    async fn retry_saga(
        &self,
        request: Request<RetrySagaRequest>,
    ) -> Result<Response<RetrySagaResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        if saga.state() == SagaState::Completed {
            return Err(refusal(Code::FailedPrecondition, "SAGA_ENDED", "it is completed"));
        }
        self.note(format!("retry {} {} {:?}", saga.business_key, request.actor, request.reason));
        Ok(Response::new(RetrySagaResponse { saga: Some(saga) }))
    }

    async fn force_outcome(
        &self,
        request: Request<ForceOutcomeRequest>,
    ) -> Result<Response<ForceOutcomeResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        if request.step != "verify_payment" {
            return Err(refusal(Code::NotFound, "STEP_NOT_FOUND", "no such step"));
        }
        self.note(format!(
            "settle {} {:?} {} {:?}",
            saga.business_key,
            request.outcome(),
            request.actor,
            request.reason
        ));
        Ok(Response::new(ForceOutcomeResponse { saga: Some(saga) }))
    }

    async fn renew_operation(
        &self,
        request: Request<RenewOperationRequest>,
    ) -> Result<Response<RenewOperationResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        self.note(format!("renew {} {} {:?}", saga.business_key, request.step, request.reason));
        Ok(Response::new(RenewOperationResponse { saga: Some(saga) }))
    }

    async fn close_saga(
        &self,
        request: Request<CloseSagaRequest>,
    ) -> Result<Response<CloseSagaResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        self.note(format!("close {} {:?}", saga.business_key, request.reason));
        Ok(Response::new(CloseSagaResponse { saga: Some(saga) }))
    }

    async fn check_participant(
        &self,
        request: Request<CheckParticipantRequest>,
    ) -> Result<Response<CheckParticipantResponse>, Status> {
        service::check(self, request.into_inner()).map(Response::new)
    }

    type RunParticipantCheckStream = service::Run;

    async fn run_participant_check(
        &self,
        request: Request<Streaming<RunParticipantCheckRequest>>,
    ) -> Result<Response<Self::RunParticipantCheckStream>, Status> {
        service::run(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_participants(
        &self,
        request: Request<ListParticipantsRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        Ok(Response::new(participant::page(&request.into_inner())))
    }

    async fn get_participant(
        &self,
        request: Request<GetParticipantRequest>,
    ) -> Result<Response<GetParticipantResponse>, Status> {
        let participant = Some(participant::found(&request.into_inner().name)?);
        Ok(Response::new(GetParticipantResponse { participant, ..Default::default() }))
    }

    async fn pause_participant(
        &self,
        request: Request<PauseParticipantRequest>,
    ) -> Result<Response<PauseParticipantResponse>, Status> {
        let it = request.into_inner();
        let participant = Some(participant::found(&it.name)?);
        let said = (&it.name, it.request_id.len(), it.expected_version, &it.actor, &it.reason);
        self.note(format!("pause {said:?}"));
        Ok(Response::new(PauseParticipantResponse { participant, act: None }))
    }

    async fn resume_participant(
        &self,
        request: Request<ResumeParticipantRequest>,
    ) -> Result<Response<ResumeParticipantResponse>, Status> {
        let it = request.into_inner();
        let participant = Some(participant::found(&it.name)?);
        let said = (&it.name, it.request_id.len(), it.expected_version, &it.actor, &it.reason);
        self.note(format!("resume {said:?}"));
        Ok(Response::new(ResumeParticipantResponse { participant, act: None }))
    }

    async fn limit_participant(
        &self,
        request: Request<LimitParticipantRequest>,
    ) -> Result<Response<LimitParticipantResponse>, Status> {
        let it = request.into_inner();
        let participant = Some(participant::found(&it.name)?);
        let said = (&it.name, it.in_flight_max, it.expected_version, &it.actor, &it.reason);
        self.note(format!("limit {said:?}"));
        Ok(Response::new(LimitParticipantResponse { participant, act: None }))
    }

    async fn verify_saga_log(
        &self,
        _: Request<VerifySagaLogRequest>,
    ) -> Result<Response<VerifySagaLogResponse>, Status> {
        Ok(Response::new(crate::log::verified()))
    }

    async fn acknowledge_restore(
        &self,
        request: Request<AcknowledgeRestoreRequest>,
    ) -> Result<Response<AcknowledgeRestoreResponse>, Status> {
        let it = request.into_inner();
        self.note(format!("acknowledge {:?}", (&it.actor, &it.reason, it.unnoticed)));
        Ok(Response::new(crate::log::acknowledged()))
    }

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        Ok(Response::new(crate::log::server()))
    }
}
