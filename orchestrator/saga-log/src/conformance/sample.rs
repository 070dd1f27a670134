//! Appends and rows to test with.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use saga_core::{NodeId, SagaId};
use uuid::Uuid;

use crate::store::{
    Append, Asked, CauseRow, DefinitionRow, IndexChange, NewSaga, Standing, Status, Store,
    StuckRow, Written,
};

/// The node that writes where it does not matter who does.
pub const NODE: NodeId = NodeId(Uuid::from_u128(1));

/// Saga number `n`. A larger number is a newer saga.
#[must_use]
pub fn saga(n: u64) -> SagaId {
    // Version 7 and the variant, so that it is an id like those of real sagas.
    SagaId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(n)))
}

/// The append id of the row that [`step`] makes: one history that all appends of a test are
/// on, unless it says otherwise.
#[must_use]
pub fn append_id(n: u64, version: u64) -> Uuid {
    Uuid::from_u64_pair(n + 1, version)
}

/// The same append by somebody else: of the two at most one is written.
#[must_use]
pub fn rival(append: Append) -> Append {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let append_id = Uuid::from_u64_pair(u64::MAX, LAST.fetch_add(1, Ordering::Relaxed));
    Append { append_id, ..append }
}

/// The same append, on another row than that of the one history.
#[must_use]
pub fn behind(append: Append, before: &Append) -> Append {
    Append { after: Some(before.append_id), ..append }
}

/// Where a saga stands that `owner` drives.
#[must_use]
pub fn running(owner: Option<NodeId>) -> Standing {
    Standing {
        status: Status::Running,
        wake_at_ms: Some(1_000),
        waiting_on: None,
        rank: None,
        owner,
        stuck: None,
        turned_back: None,
        ended_at_ms: None,
        cause: None,
    }
}

/// Where a saga stands that has ended with `status`.
#[must_use]
pub fn ended(status: Status) -> Standing {
    Standing { status, wake_at_ms: None, ended_at_ms: Some(9_000), ..running(None) }
}

/// The same saga, held up by this since `since_ms`.
#[must_use]
pub fn held_up(standing: Standing, participant: &str, code: &str, since_ms: u64) -> Standing {
    let cause = CauseRow {
        participant: participant.to_owned(),
        method: "shop.v1.Shop/Do".to_owned(),
        code: code.to_owned(),
        message: format!("{participant} says {code}"),
        since_ms,
    };
    Standing { cause: Some(cause), ..standing }
}

/// Where a saga stands that needs a person since `since_ms`.
#[must_use]
pub fn stuck(reason: &str, step: &str, since_ms: u64) -> Standing {
    let message = format!("{step} cannot go on");
    Standing {
        wake_at_ms: None,
        waiting_on: Some("operator".to_owned()),
        stuck: Some(StuckRow {
            reason: reason.to_owned(),
            step: step.to_owned(),
            message,
            since_ms,
        }),
        ..running(None)
    }
}

/// The start of saga number `n`, with a key of its own.
#[must_use]
pub fn start(n: u64, standing: Standing) -> Append {
    start_with_key(n, &format!("order-{n}"), standing)
}

/// The start of saga number `n` with this business key.
#[must_use]
pub fn start_with_key(n: u64, business_key: &str, standing: Standing) -> Append {
    let new = NewSaga {
        namespace: "shop".to_owned(),
        business_key: business_key.to_owned(),
        definition: "place-order".to_owned(),
        definition_version: 3,
        request_hash: [7; 32],
        started_at_ms: 900 + n,
        labels: vec![("customer".to_owned(), format!("c-{}", n % 3))],
        standing,
    };
    Append { index: IndexChange::Create(Box::new(new)), ..step(n, 1) }
}

/// An append to saga number `n` that leaves the index as it is. Made again, it is the same
/// append: [`rival`] makes another one.
#[must_use]
pub fn step(n: u64, version: u64) -> Append {
    Append {
        saga: saga(n),
        version,
        after: (version > 1).then(|| append_id(n, version - 1)),
        writer: NODE,
        append_id: append_id(n, version),
        log_epoch: u64::from(1 < version),
        at_ms: 1_000 + version,
        events: Bytes::from(format!("events of saga {n}, version {version}")),
        index: IndexChange::Keep,
    }
}

/// An append to saga number `n` that changes where it stands.
#[must_use]
pub fn step_to(n: u64, version: u64, standing: Standing) -> Append {
    Append { index: IndexChange::Set(Box::new(standing)), ..step(n, version) }
}

/// Writes a batch that the store must not refuse.
pub async fn write(store: &dyn Store, batch: &[Append]) -> Vec<Written> {
    store.write(batch).await.expect("the database is there and the batch is valid")
}

/// Writes a batch of which all must be new.
pub async fn write_new(store: &dyn Store, batch: &[Append]) {
    assert_eq!(write(store, batch).await, vec![Written::Done; batch.len()]);
}

/// The ids of the appends in the log of saga number `n`, in order.
pub async fn append_ids(store: &dyn Store, n: u64) -> Vec<Uuid> {
    let rows = store.load(saga(n), 0, u32::MAX).await.expect("the database is there");
    rows.into_iter().map(|row| row.append_id).collect()
}

/// Where saga number `n` stands. It must exist.
pub async fn standing(store: &dyn Store, n: u64) -> Standing {
    let row = store.saga(saga(n)).await.expect("the database is there");
    row.expect("the saga was started").standing
}

/// A definition with what is hard to store.
#[must_use]
pub fn definition(name: &str, version: u32, hash: u8) -> DefinitionRow {
    DefinitionRow {
        name: name.to_owned(),
        version,
        hash: [hash; 32],
        yaml: format!("name: {name}\nnote: '\u{1f4b8}; drop table definition'\n"),
        descriptors: Bytes::from_static(&[0, 1, 255, 0]),
        registered_at_ms: 77,
        language_level: 3,
        retires: 0,
        asked: Asked::default(),
    }
}
