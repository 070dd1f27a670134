//! Nodes and definitions.

use std::sync::Arc;

use saga_core::NodeId;
use uuid::Uuid;

use super::sample::{definition, ended, running, start, step_to, write_new};
use crate::store::{Asked, DefinitionRow, NodeRow, Status, Store, StoreError};

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

fn known(n: u128, beats: u64) -> NodeRow {
    NodeRow { node: node(n), beats: Some(beats) }
}

pub async fn a_node_beats_until_it_is_forgotten(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    assert!(!first.beat(node(1), 5).await.expect("beat"));
    for n in [2, 1] {
        first.register_node(node(n), 10).await.expect("register");
    }
    for beats in 1..=3 {
        assert!(first.beat(node(1), 10 + beats).await.expect("beat"));
        assert_eq!(second.nodes().await.expect("nodes"), [known(1, beats), known(2, 0)]);
    }
    // Twice is once: nothing is counted anew.
    first.register_node(node(1), 20).await.expect("register");
    assert_eq!(second.nodes().await.expect("nodes"), [known(1, 3), known(2, 0)]);
    for _ in 0..2 {
        second.forget_node(node(1)).await.expect("forget");
    }
    assert!(!first.beat(node(1), 30).await.expect("beat"));
    assert_eq!(second.nodes().await.expect("nodes"), [known(2, 0)]);
}

pub async fn owners_that_are_not_known_are_listed(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    first.register_node(node(2), 10).await.expect("register");
    let batch = [
        start(1, running(Some(node(1)))),
        start(2, running(Some(node(2)))),
        start(3, running(Some(node(3)))),
        start(4, running(Some(node(3)))),
        start(5, running(None)),
    ];
    write_new(&*first, &batch).await;
    let unknown = |n| NodeRow { node: node(n), beats: None };
    let nodes = second.nodes().await.expect("nodes");
    assert_eq!(nodes, [unknown(1), known(2, 0), unknown(3)]);
    write_new(&*first, &[step_to(1, 2, ended(Status::Completed)), step_to(3, 2, running(None))])
        .await;
    assert_eq!(second.nodes().await.expect("nodes"), [known(2, 0), unknown(3)]);
    write_new(&*first, &[step_to(4, 2, running(Some(node(2))))]).await;
    second.forget_node(node(2)).await.expect("forget");
    assert_eq!(second.nodes().await.expect("nodes"), [unknown(2)]);
}

pub async fn a_definition_version_never_changes(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let row = definition("place-order", 1, 1);
    assert_eq!(first.put_definition(&row).await.expect("put"), row);
    let changed = DefinitionRow { yaml: "other".to_owned(), ..definition("place-order", 1, 2) };
    assert_eq!(second.put_definition(&changed).await.expect("put"), row);
    assert_eq!(second.definition("place-order", 1).await.expect("definition"), Some(row));
    for refused in [
        definition("place-order", 0, 1),
        DefinitionRow { language_level: 0, ..definition("place-order", 2, 1) },
        DefinitionRow { retires: 2, ..definition("place-order", 2, 1) },
        definition("a\0b", 1, 1),
        DefinitionRow { yaml: "\0".to_owned(), ..definition("nul", 1, 1) },
    ] {
        let error = first.put_definition(&refused).await;
        assert!(matches!(error, Err(StoreError::Rejected { .. })), "{error:?}");
    }
}

/// However often it is sent, to whichever nodes, and whatever else comes under its id.
pub async fn a_request_stores_one_definition(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let asked = |request_id: &str, name, version| DefinitionRow {
        asked: Asked {
            request_id: request_id.to_owned(),
            actor: "ada".to_owned(),
            reason: "shorter times".to_owned(),
        },
        ..definition(name, version, 1)
    };
    let stored = asked("r-1", "place-order", 1);
    assert_eq!(first.put_definition(&stored).await.expect("put"), stored);
    assert_eq!(second.put_definition(&stored).await.expect("put"), stored);
    // Another one under the same id is answered with what the id stands for.
    for other in [asked("r-1", "place-order", 2), asked("r-1", "refund", 1)] {
        assert_eq!(second.put_definition(&other).await.expect("put"), stored);
        let kept = first.definition(&other.name, other.version).await.expect("definition");
        assert_eq!(kept, None);
    }
    // The version itself comes first: it never changes, whoever asks.
    let of_folder = definition("refund", 1, 1);
    assert_eq!(first.put_definition(&of_folder).await.expect("put"), of_folder);
    let again = asked("r-1", "refund", 1);
    assert_eq!(second.put_definition(&again).await.expect("put"), of_folder);
    let of = async |id: &str| second.definition_of_request(id).await.expect("definition");
    assert_eq!(of("r-1").await, Some(stored));
    // Who gives no id is nobody's repeat.
    first.put_definition(&definition("place-order", 3, 1)).await.expect("put");
    for nobody in ["", "r-2", "r\0"] {
        assert_eq!(of(nobody).await, None);
    }
    let unstorable = asked("r\0", "place-order", 4);
    let error = first.put_definition(&unstorable).await;
    assert!(matches!(error, Err(StoreError::Rejected { .. })), "{error:?}");
}

pub async fn the_newest_definition_is_found(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    assert_eq!(second.definition("a", 0).await.expect("definition"), None);
    let rows = [
        definition("b", 1, 1),
        definition("a", 2, 2),
        definition("a", 10, 3),
        definition("a", 9, 4),
    ];
    for row in &rows {
        first.put_definition(row).await.expect("put");
    }
    let find = async |name: &str, version| second.definition(name, version).await.expect("found");
    assert_eq!(find("a", 0).await.as_ref(), Some(&rows[2]));
    assert_eq!(find("a", 9).await.as_ref(), Some(&rows[3]));
    assert_eq!(find("a", 3).await, None);
    assert_eq!(find("c", 0).await, None);
    let newest = second.definitions().await.expect("definitions");
    assert_eq!(newest, [rows[2].clone(), rows[0].clone()]);
}

pub async fn what_any_version_retires_stays_retired(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    assert_eq!(second.retired().await.expect("retired"), []);
    let retires =
        |name, version, retires| DefinitionRow { retires, ..definition(name, version, 1) };
    for row in [retires("b", 1, 0), retires("c", 9, 8), retires("a", 4, 3), retires("a", 5, 1)] {
        assert_eq!(first.put_definition(&row).await.expect("put"), row);
    }
    // As a newer one says that does not name them again.
    first.put_definition(&retires("a", 6, 0)).await.expect("put");
    let retired = second.retired().await.expect("retired");
    assert_eq!(retired, [("a".to_owned(), 3), ("c".to_owned(), 8)]);
}
