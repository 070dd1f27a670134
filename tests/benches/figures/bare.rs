//! The calls of the measured saga, made by a client with nothing in between.

use saga_proto::saga::v1::SagaState;
use shop_proto::inventory::v1::{
    CommitRequest, ReleaseRequest, ReserveRequest, inventory_service_client::InventoryServiceClient,
};
use tonic::{Code, Status, transport::Channel};

/// Makes the three calls, and the two that undo the first ones where the third is refused.
///
/// # Errors
///
/// What the participant says, beside a refusal of the third call.
pub(crate) async fn calls(
    client: impl Fn() -> InventoryServiceClient<Channel>,
    order_no: String,
) -> Result<SagaState, Status> {
    let release = ReleaseRequest { reserve_op_id: order_no.clone() };
    let reserve = ReserveRequest { order_no: order_no.clone(), ..ReserveRequest::default() };
    client().reserve(reserve).await?;
    client().release(release.clone()).await?;
    match client().commit(CommitRequest { reserve_op_id: order_no }).await {
        Ok(_) => Ok(SagaState::Completed),
        Err(status) if status.code() == Code::FailedPrecondition => {
            client().release(release.clone()).await?;
            client().release(release).await?;
            Ok(SagaState::Compensated)
        }
        Err(status) => Err(status),
    }
}
