//! What is claimed of operations whose rows were pruned (F33).

use saga_proto::saga::participant::v1::ResolveMode;
use tonic::{Code, Status};

use super::{
    super::{Body, new_op_id, reason_of},
    Claim, On, REFUSAL_KEY, reason, standing, unwanted,
};

/// Nothing that was done is called absent, refused or applied once it is forgotten.
pub(super) async fn what_was_forgotten_is_not_done_again(on: On) -> Claim {
    let [applied, refused, fenced, never] = std::array::from_fn(|_| new_op_id());
    on.act(applied, Body::Plain).await.map_err(|it| unwanted(&it))?;
    ensure!(on.act(refused, Body::Refused).await.is_err(), "it was to be refused");
    on.resolve(fenced, ResolveMode::Fence).await.map_err(|it| unwanted(&it))?;
    let before = on.standing().await;
    if !on.forget().await.map_err(|it| unwanted(&it))? {
        return Ok(());
    }
    for (op_id, body) in [
        (applied, Body::Plain),
        (applied, Body::Other),
        (refused, Body::Refused),
        (fenced, Body::Plain),
        // As old, and nobody can tell it from the others any more.
        (never, Body::Plain),
    ] {
        too_old(on.act(op_id, body).await)?;
        too_old(on.resolve(op_id, ResolveMode::Peek).await)?;
        too_old(on.resolve(op_id, ResolveMode::Fence).await)?;
        standing(&on, before).await?;
    }
    on.act(new_op_id(), Body::Plain).await.map_err(|it| unwanted(&it))?;
    standing(&on, before + 1).await
}

pub(super) async fn an_undo_of_what_was_forgotten_does_not_say_that_nothing_stood(on: On) -> Claim {
    let [stands, undone, undo, old] = std::array::from_fn(|_| new_op_id());
    for op_id in [stands, undone] {
        on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    }
    on.undo(undo, undone).await.map_err(|it| unwanted(&it))?;
    let before = on.standing().await;
    if !on.forget().await.map_err(|it| unwanted(&it))? {
        return Ok(());
    }
    for (undo, original) in
        [(old, stands), (new_op_id(), stands), (undo, undone), (new_op_id(), undone)]
    {
        too_old(on.undo(undo, original).await)?;
        standing(&on, before).await?;
    }
    too_old(on.act(undone, Body::Plain).await)?;
    standing(&on, before).await
}

fn too_old<T: std::fmt::Debug>(told: Result<T, Status>) -> Claim {
    let status = match told {
        Ok(told) => return Err(format!("{told:?}, of what was forgotten")),
        Err(status) => status,
    };
    let is_so = status.code() == Code::DataLoss && reason_of(&status) == reason::OP_TOO_OLD;
    ensure!(is_so, "{status:?} instead of OP_TOO_OLD");
    ensure!(status.metadata().get(REFUSAL_KEY).is_none(), "it is no refusal that is on record");
    Ok(())
}
