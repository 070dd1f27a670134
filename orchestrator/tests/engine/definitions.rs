//! Definitions that are in the log already.

use std::sync::Arc;

use bytes::Bytes;
use orchestrator::{
    definition::{CompiledDefinition, LANGUAGE_LEVEL, Unreadable},
    definitions::{DefinitionError, RegisterError},
};
use saga_core::Ending;
use saga_log::DefinitionRow;

use super::{
    script::Scripted,
    stores::{Fresh, KINDS, engine, once, start_of},
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
        descriptors: Bytes::from_static(saga_proto::FILE_DESCRIPTOR_SET),
        registered_at_ms: 1,
        language_level: level,
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
