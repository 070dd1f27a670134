//! `Commit` and `Release`: a reservation is sold or given back.

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Refusal, RefusalCode, Sql, Tx,
    operation::parse_op_id,
};
use saga_proto::shop::inventory::v1::{
    CommitRequest, CommitResponse, ReleaseRequest, ReleaseResponse,
};
use uuid::Uuid;

use crate::{
    Inventory,
    stock::{self, Movement, Quantities},
};

impl Operation<Inventory> for CommitRequest {
    const KIND: &'static str = "Commit";
    type Reply = CommitResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<CommitResponse, OperationError> {
        let reserve_op_id = parse_op_id("reserve_op_id", &self.reserve_op_id)?;
        let state = lock_reservation(tx, reserve_op_id).await?;
        let lines = read_lines(tx, reserve_op_id).await?;
        match state.as_str() {
            "HELD" => {
                let settling = Settling { reserve_op_id, to: "COMMITTED", by: Movement::Commit };
                settle(tx, op, settling, &lines).await?;
            }
            // Sold by another operation. There is nothing left to do.
            "COMMITTED" => {}
            _ => return Err(not_held(reserve_op_id, "RESERVATION_NOT_HELD", "was released")),
        }
        Ok(CommitResponse { units: lines.units() })
    }
}

impl Operation<Inventory> for ReleaseRequest {
    const KIND: &'static str = "Release";
    type Reply = ReleaseResponse;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("reserve_op_id", &self.reserve_op_id).map(Some)
    }

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<ReleaseResponse, OperationError> {
        let reserve_op_id = parse_op_id("reserve_op_id", &self.reserve_op_id)?;
        let state = lock_reservation(tx, reserve_op_id).await?;
        if state != "HELD" {
            return Err(not_held(reserve_op_id, "RESERVATION_COMMITTED", "is sold; use Restock"));
        }
        let lines = read_lines(tx, reserve_op_id).await?;
        let settling = Settling { reserve_op_id, to: "RELEASED", by: Movement::Release };
        settle(tx, op, settling, &lines).await?;
        Ok(ReleaseResponse { units: lines.units() })
    }
}

/// Locks the reservation and tells its state. Whoever holds locks of stock never asks for
/// one of a reservation, so this order cannot deadlock.
async fn lock_reservation(tx: &mut Tx, reserve_op_id: Uuid) -> Result<String, OperationError> {
    const LOCK: Sql = Sql {
        postgres: "/* lock_reservation */
            select state from reservations where op_id = $1 for update",
        sqlite: "/* lock_reservation */ select state from reservations where op_id = $1",
    };
    match tx.row(LOCK, &[Arg::Uuid(reserve_op_id)]).await? {
        Some(row) => Ok(row.text(0)?),
        None => Err(OperationError::Rejected(Refusal {
            code: RefusalCode::NotFound,
            reason: "RESERVATION_NOT_FOUND",
            message: format!("no operation {reserve_op_id} has reserved anything"),
            metadata: vec![("reserve_op_id", reserve_op_id.to_string())],
        })),
    }
}

async fn read_lines(tx: &mut Tx, reserve_op_id: Uuid) -> Result<Quantities, OperationError> {
    let rows = tx
        .rows(
            "/* read_reservation_lines */
            select item_id, qty from reservation_lines where op_id = $1 order by item_id",
            &[Arg::Uuid(reserve_op_id)],
        )
        .await?;
    let lines = rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?)));
    Ok(lines.collect::<Result<Quantities, sqlx::Error>>()?)
}

/// Where a reservation goes, and how.
#[derive(Clone, Copy)]
struct Settling {
    reserve_op_id: Uuid,
    to: &'static str,
    by: Movement,
}

async fn settle(
    tx: &mut Tx,
    op: &OperationMeta,
    settling: Settling,
    lines: &Quantities,
) -> Result<(), OperationError> {
    stock::lock(tx, &lines.item_ids()).await?;
    stock::move_units(tx, op, settling.by, lines).await?;
    tx.execute(
        "/* settle_reservation */ update reservations set state = $2 where op_id = $1",
        &[Arg::Uuid(settling.reserve_op_id), Arg::Text(settling.to)],
    )
    .await?;
    Ok(())
}

fn not_held(reserve_op_id: Uuid, reason: &'static str, what: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason,
        message: format!("reservation {reserve_op_id} {what}"),
        metadata: vec![("reserve_op_id", reserve_op_id.to_string())],
    })
}
