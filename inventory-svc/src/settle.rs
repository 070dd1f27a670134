//! `Commit` and `Release`: a reservation is sold or given back.

use saga_participant::{
    OperationError, OperationMeta, Patience, Refusal, RefusalCode, ServiceOperation, Tx,
    operation::parse_op_id,
};
use shop_proto::inventory::v1::{CommitRequest, CommitResponse, ReleaseRequest, ReleaseResponse};
use uuid::Uuid;

use crate::{
    Inventory,
    reservation::{self, State},
    stock::{self, Guard, Movement, Quantities},
};

impl ServiceOperation<Inventory> for CommitRequest {
    const KIND: &'static str = "Commit";
    type Reply = CommitResponse;

    fn patience(service: &Inventory) -> Patience {
        service.stock.order_patience()
    }

    async fn apply(
        self,
        service: &Inventory,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<CommitResponse, OperationError> {
        let reserve_op_id = parse_op_id("reserve_op_id", &self.reserve_op_id)?;
        let state = reservation::lock(tx, reserve_op_id).await?;
        let lines = reservation::lines(tx, reserve_op_id).await?;
        match state {
            State::Held => {
                let (to, by) = (State::Committed, Movement::Commit);
                let settling = Settling { reserve_op_id, to, by, guard: service.stock.guard() };
                settle(tx, op, settling, &lines).await?;
            }
            // Sold by another operation. There is nothing left to do.
            State::Committed => {}
            State::Released => {
                return Err(not_held(reserve_op_id, "RESERVATION_NOT_HELD", "was released"));
            }
        }
        Ok(CommitResponse { units: lines.units() })
    }
}

impl ServiceOperation<Inventory> for ReleaseRequest {
    const KIND: &'static str = "Release";
    type Reply = ReleaseResponse;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("reserve_op_id", &self.reserve_op_id).map(Some)
    }

    fn patience(service: &Inventory) -> Patience {
        service.stock.set_patience()
    }

    async fn apply(
        self,
        service: &Inventory,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<ReleaseResponse, OperationError> {
        let reserve_op_id = parse_op_id("reserve_op_id", &self.reserve_op_id)?;
        if reservation::lock(tx, reserve_op_id).await? != State::Held {
            return Err(not_held(reserve_op_id, "RESERVATION_COMMITTED", "is sold; use Restock"));
        }
        let lines = reservation::lines(tx, reserve_op_id).await?;
        let (to, by) = (State::Released, Movement::Release);
        let settling = Settling { reserve_op_id, to, by, guard: service.stock.guard() };
        settle(tx, op, settling, &lines).await?;
        Ok(ReleaseResponse { units: lines.units() })
    }
}

/// Where a reservation goes, and how.
#[derive(Clone, Copy)]
struct Settling {
    reserve_op_id: Uuid,
    to: State,
    by: Movement,
    guard: Guard,
}

async fn settle(
    tx: &mut Tx,
    op: &OperationMeta,
    settling: Settling,
    lines: &Quantities,
) -> Result<(), OperationError> {
    let Settling { reserve_op_id, to, by, guard } = settling;
    let held = stock::hold(tx, guard, &lines.item_ids()).await?;
    stock::move_units(tx, &held, by, &[(op, lines)]).await?;
    reservation::change(tx, reserve_op_id, to).await
}

fn not_held(reserve_op_id: Uuid, reason: &'static str, what: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason,
        message: format!("reservation {reserve_op_id} {what}"),
        metadata: vec![("reserve_op_id", reserve_op_id.to_string())],
    })
}
