//! The log as a whole, and whether the log of one saga is as it was written.

use saga_proto::saga::v1::{
    AcknowledgeRestoreResponse, GetServerInfoResponse, LogBreak, LogBreakKind,
    VerifySagaLogResponse,
};

use crate::{fake::Fake, run, sagactl};

/// A log whose second row was changed.
pub(crate) fn verified() -> VerifySagaLogResponse {
    let breaks = vec![LogBreak { version: 2, kind: LogBreakKind::Changed.into() }];
    VerifySagaLogResponse { rows: 3, rows_unchained: 0, breaks }
}

pub(crate) fn server() -> GetServerInfoResponse {
    GetServerInfoResponse {
        version: "0.1.0".to_owned(),
        node_id: "node-1".to_owned(),
        log: "memory".to_owned(),
        sagas_in_flight: 3,
        sagas_in_flight_max: 100,
        log_available: true,
        ..GetServerInfoResponse::default()
    }
}

pub(crate) fn acknowledged() -> AcknowledgeRestoreResponse {
    AcknowledgeRestoreResponse { epoch: 2, behind_ms: 61_500 }
}

#[test]
fn a_log_that_is_not_as_it_was_written_is_an_error() {
    let fake = Fake::start();
    let verified = sagactl(&fake, "saga log order/stuck --verify");
    assert_eq!(verified.exit, 1, "{verified:?}");
    assert!(verified.data.contains("row 2"), "{verified:?}");
}

#[test]
fn a_restore_is_acknowledged_by_a_person_with_a_reason() {
    let fake = Fake::start();
    let silent = sagactl(&fake, "log acknowledge-restore --actor ann --reason backup");
    assert_eq!(silent.exit, 3, "{silent:?}");
    let words = ["log", "acknowledge-restore", "--actor", "ann", "--reason", " ", "--yes"];
    assert_eq!(run(&fake.address, &words, "").exit, 2);
    let done = sagactl(&fake, "log acknowledge-restore --actor ann --reason backup --yes");
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(done.data.contains("epoch 2 begins"), "{done:?}");
    let silent = "log acknowledge-restore --actor ann --reason backup --unnoticed --yes";
    assert_eq!(sagactl(&fake, silent).exit, 0);
    let said = |unnoticed| format!("acknowledge {:?}", ("ann", "backup", unnoticed));
    assert_eq!(fake.changes(), [said(false), said(true)]);
}
