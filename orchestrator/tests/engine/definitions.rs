//! Definitions that are in the log already.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use orchestrator::{
    definition::{CompiledDefinition, LANGUAGE_LEVEL, Unreadable},
    definitions::{DefinitionError, RegisterError},
    engine::{Engine, StartError, StartSaga, StartedSaga},
};
use saga_core::Ending;
use saga_log::DefinitionRow;

use super::{
    script::Scripted,
    stores::{Fresh, KINDS, PATIENCE, SAGA, engine, insist, once, order_of, start_of},
};

/// Nothing undoes its first step, which today's check refuses.
const REFUSED: &str = r#"
kind: Saga
name: of-old
version: 4
input: shop.order.v1.PlaceOrderInput
steps:
  - name: reserve
    action: { call: inventory/shop.inventory.v1.InventoryService/Reserve, request: { order_no: input.order_no } }
  - name: insert
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no } }
"#;

/// The row of an earlier program, in whose time there was no such rule.
fn stored(level: u32) -> DefinitionRow {
    let identity = CompiledDefinition::identity(REFUSED).unwrap();
    DefinitionRow {
        name: identity.name,
        version: identity.version,
        hash: identity.hash,
        yaml: REFUSED.to_owned(),
        descriptors: Bytes::from_static(shop_proto::FILE_DESCRIPTOR_SET),
        registered_at_ms: 1,
        language_level: level,
        retires: 0,
        asked: saga_log::Asked::default(),
    }
}

#[tokio::test]
async fn what_is_stored_runs_and_is_answered_as_stored_whatever_todays_rules_say() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        fresh.store.put_definition(&stored(1)).await.unwrap();
        let engine = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let saga = start_of(&engine, "of-old", "key").await;
        let ended = once(&engine, saga, |snapshot| snapshot.state.ended().is_some()).await;
        let ending = ended.state.ended().map(|it| it.ending);
        assert_eq!(ending, Some(Ending::Completed), "{kind:?}");

        // As at each start of a node whose folder holds it, and formatted in another way.
        for text in [REFUSED.to_owned(), format!("# A comment.\n{REFUSED}")] {
            let again = engine.register(&text, "of-old.yaml").await.unwrap();
            assert_eq!(again.row, stored(1), "{kind:?}");
        }
        let changed = REFUSED.replace("version: 4", "version: 5");
        let refused = engine.register(&changed, "of-old.yaml").await.unwrap_err();
        assert!(matches!(refused, RegisterError::Invalid(_)), "{kind:?}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_stored_now_is_stored_with_todays_language() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let _engine = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let row = fresh.store.definition("test", 1).await.unwrap().unwrap();
        assert_eq!(row.language_level, LANGUAGE_LEVEL, "{kind:?}");
    }
}

#[tokio::test]
async fn what_a_newer_program_has_stored_is_refused_with_what_to_do() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        fresh.store.put_definition(&stored(LANGUAGE_LEVEL + 1)).await.unwrap();
        let engine = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let unusable = engine.definition("of-old", 0).await.unwrap_err();
        let newer = matches!(
            &unusable,
            DefinitionError::Unusable { why: Unreadable::Newer { level }, .. }
                if *level == LANGUAGE_LEVEL + 1
        );
        assert!(newer, "{kind:?}: {unusable:?}");
        assert!(unusable.to_string().contains("upgrade"), "{unusable}");
    }
}

/// A start that names the first version of the test's definition.
async fn by_the_first(engine: &Engine, key: &str) -> StartSaga {
    let order = order_of(engine, "test", key).await;
    let definition = engine.definition("test", 1).await.unwrap();
    StartSaga { definition, ..order }
}

#[tokio::test]
async fn a_retired_version_starts_nothing_and_goes_on_with_what_it_has_started() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let caller = Scripted::new(&[]);
        let engine = engine(Arc::clone(&fresh.store), caller).await;
        let before = by_the_first(&engine, "before").await;
        let first = insist(&engine, before.clone()).await.unwrap();
        let StartedSaga::New { saga, .. } = first else { panic!("{kind:?}: it is new") };

        let newer = SAGA.replace("version: 1", "version: 3\nretires: 1");
        let registered = engine.register(&newer, "test.yaml").await.unwrap();
        assert_eq!(registered.row.retires, 1, "{kind:?}");

        let itself = SAGA.replace("version: 1", "version: 4\nretires: 4");
        let invalid = engine.register(&itself, "test.yaml").await.unwrap_err();
        assert!(invalid.to_string().contains("a version before this one"), "{invalid}");

        let late = insist(&engine, by_the_first(&engine, "late").await).await.unwrap_err();
        let is_retired = |it: &StartError| matches!(it, StartError::Retired { name, version: 1 } if name == "test");
        assert!(is_retired(&late), "{kind:?}: {late:?}");
        let (again, other) = (before.clone(), StartSaga { request_hash: [2; 32], ..before });
        let StartedSaga::Existing(row) = insist(&engine, again).await.unwrap() else {
            panic!("{kind:?}: the same start finds the same saga")
        };
        assert_eq!(row.saga, saga, "{kind:?}");
        let reused = insist(&engine, other).await.unwrap_err();
        assert!(matches!(reused, StartError::KeyReused { .. }), "{kind:?}: {reused:?}");
        let ended = once(&engine, saga, |snapshot| snapshot.state.ended().is_some()).await;
        assert_eq!(ended.state.ended().map(|it| it.ending), Some(Ending::Completed), "{kind:?}");

        // A version between the two is not named, and the newest starts.
        let between = SAGA.replace("version: 1", "version: 2");
        engine.register(&between, "test.yaml").await.unwrap();
        let definition = engine.definition("test", 2).await.unwrap();
        let order = order_of(&engine, "test", "between").await;
        insist(&engine, StartSaga { definition, ..order }).await.unwrap();
        insist(&engine, order_of(&engine, "test", "newest").await).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_learns_of_what_another_has_retired_and_of_what_was_retired_before_it() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let one = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let two = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let newer = SAGA.replace("version: 1", "version: 2\nretires: 1");
        one.register(&newer, "test.yaml").await.unwrap();
        // One that forgets to say it again takes nothing back.
        one.register(&SAGA.replace("version: 1", "version: 3"), "test.yaml").await.unwrap();
        let three = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let refused = insist(&three, by_the_first(&three, "three").await).await.unwrap_err();
        assert!(matches!(refused, StartError::Retired { .. }), "{kind:?}: {refused:?}");
        let deadline = Instant::now() + PATIENCE;
        for n in 0.. {
            match insist(&two, by_the_first(&two, &format!("two-{n}")).await).await {
                Err(StartError::Retired { .. }) => break,
                Err(error) => panic!("{kind:?}: {error:?}"),
                Ok(_) => assert!(Instant::now() < deadline, "{kind:?}: it never hears of it"),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// What an upgraded log holds: the place-order that believed the customer's prices.
#[tokio::test]
async fn the_shops_definitions_start_nothing_by_those_that_believed_the_client() {
    const BEFORE: &str = include_str!("../definitions/stored/level-1/place-order.yaml");
    const NOW: &str = include_str!("../../../deploy/definitions/place-order.yaml");
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let identity = CompiledDefinition::identity(BEFORE).unwrap();
        let (name, version) = (identity.name, identity.version);
        let types = include_bytes!("../definitions/stored/level-1/place-order.binpb");
        let before = DefinitionRow {
            name,
            version,
            hash: identity.hash,
            yaml: BEFORE.to_owned(),
            descriptors: Bytes::from_static(types),
            ..stored(1)
        };
        fresh.store.put_definition(&before).await.unwrap();
        let engine = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        engine.register(NOW, "place-order.yaml").await.unwrap();
        let order = order_of(&engine, "place-order", "key").await;
        let definition = engine.definition("place-order", version).await.unwrap();
        let refused = insist(&engine, StartSaga { definition, ..order }).await.unwrap_err();
        assert!(matches!(refused, StartError::Retired { .. }), "{kind:?}: {refused:?}");
    }
}
