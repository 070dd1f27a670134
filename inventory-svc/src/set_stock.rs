//! `SetStock`: the owner has counted what is in the house.

use std::collections::BTreeMap;

use saga_participant::{
    OperationError, OperationMeta, Patience, Refusal, RefusalCode, ServiceOperation, Tx, fields,
};
use shop_proto::inventory::v1::{SetStockRequest, SetStockResponse};

use crate::{
    Inventory,
    item::{OWNER_CHARS_MAX, fixed, owner, read_stock},
    reserve::ITEM_ID_CHARS_MAX,
    stock::{self, Movement, Quantities, refusal},
};

const ON_HAND_MAX: i64 = 1_000_000_000;

impl ServiceOperation<Inventory> for SetStockRequest {
    const KIND: &'static str = "SetStock";
    type Reply = SetStockResponse;

    fn patience(service: &Inventory) -> Patience {
        service.stock.set_patience()
    }

    async fn apply(
        self,
        service: &Inventory,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<SetStockResponse, OperationError> {
        let Self { item_id, on_hand, owner_id, expected_version } = self;
        fields::refuse(fields::text("item_id", &item_id, 1..=ITEM_ID_CHARS_MAX))?;
        fields::refuse(fields::text("owner_id", &owner_id, 1..=OWNER_CHARS_MAX))?;
        fields::refuse(fields::within("on_hand", on_hand, 0..=ON_HAND_MAX))?;

        let held = stock::hold(tx, service.stock.guard(), &[&item_id]).await?;
        let (Some(version), Some(owner)) = (held.version(&item_id), owner(tx, &item_id).await?)
        else {
            let (code, what) = (RefusalCode::NotFound, "items that do not exist");
            return Err(refusal(code, "ITEM_NOT_FOUND", what, &[&item_id]));
        };
        if owner != owner_id {
            return Err(fixed("NOT_OWNER", &item_id, "has another owner"));
        }
        if let Some(expected) = expected_version
            && expected != version
        {
            let message = format!("stock of {item_id} is at version {version}, not {expected}");
            return Err(refused("VERSION_MISMATCH", message, ("version", version)));
        }
        let mut stock = read_stock(tx, &[&item_id]).await?;
        let Some(present) = stock.remove(&item_id) else {
            return Err(stock::stock_conflict());
        };
        if on_hand < present.reserved {
            let reserved = present.reserved;
            let message = format!("{reserved} of {item_id} are promised; {on_hand} is less");
            return Err(refused("BELOW_RESERVED", message, ("reserved", reserved)));
        }
        let found = BTreeMap::from([(item_id.clone(), on_hand - present.on_hand)]);
        stock::move_units(tx, &held, Movement::Set, &[(op, &Quantities::from(found))]).await?;
        let stock = read_stock(tx, &[&item_id]).await?.remove(&item_id);
        Ok(SetStockResponse { stock })
    }
}

fn refused(reason: &'static str, message: String, fact: (&'static str, i64)) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason,
        message,
        metadata: vec![(fact.0, fact.1.to_string())],
    })
}
