//! What operators do to a saga, and to the log.

use saga_proto::saga::v1::{
    AcknowledgeRestoreRequest, AcknowledgeRestoreResponse, CloseSagaRequest, CloseSagaResponse,
    ForceOutcomeRequest, ForceOutcomeResponse, RenewOperationRequest, RenewOperationResponse,
    RetrySagaRequest, RetrySagaResponse, SagaName, VerifySagaLogRequest, VerifySagaLogResponse,
};

use super::Client;
use crate::{failure::Failure, name::shown, permit::WritePermit};

impl Client {
    /// Has a saga try now.
    pub(crate) async fn retry(
        &self,
        doing: &str,
        request: RetrySagaRequest,
        _: &WritePermit,
    ) -> Result<RetrySagaResponse, Failure> {
        self.change(doing, self.operator().retry_saga(request)).await
    }

    /// Settles a call. Repeated, it is refused with NOTHING_TO_SETTLE.
    pub(crate) async fn settle(
        &self,
        doing: &str,
        request: ForceOutcomeRequest,
        _: &WritePermit,
    ) -> Result<ForceOutcomeResponse, Failure> {
        self.change(doing, self.operator().force_outcome(request)).await
    }

    /// Has a refused call made again under another id. Repeated, it is refused with
    /// NOTHING_TO_RENEW.
    pub(crate) async fn renew(
        &self,
        doing: &str,
        request: RenewOperationRequest,
        _: &WritePermit,
    ) -> Result<RenewOperationResponse, Failure> {
        self.change(doing, self.operator().renew_operation(request)).await
    }

    /// Ends a saga as it is. Repeated, it is refused with SAGA_ENDED.
    pub(crate) async fn close(
        &self,
        doing: &str,
        request: CloseSagaRequest,
        _: &WritePermit,
    ) -> Result<CloseSagaResponse, Failure> {
        self.change(doing, self.operator().close_saga(request)).await
    }

    /// Checks whether the log of a saga is as it was written.
    pub(crate) async fn verify(&self, name: &SagaName) -> Result<VerifySagaLogResponse, Failure> {
        let doing = format!("check the log of {}", shown(name));
        let request = VerifySagaLogRequest { name: Some(name.clone()) };
        self.read(&doing, self.operator().verify_saga_log(request)).await
    }

    /// Goes on with a log that went back in time.
    pub(crate) async fn acknowledge(
        &self,
        request: AcknowledgeRestoreRequest,
        _: &WritePermit,
    ) -> Result<AcknowledgeRestoreResponse, Failure> {
        self.change("acknowledge the restore", self.operator().acknowledge_restore(request)).await
    }
}
