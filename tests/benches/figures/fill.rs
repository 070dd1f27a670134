//! Fills a log with many sagas through the public API of its store: copies of sagas that
//! an orchestrator really drove, with ids and business keys of their own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use saga_core::SagaId;
use saga_log::{
    Append, DefinitionRow, Draft, IndexChange, LogRow, NewSaga, OpenOptions, SagaRow, Standing,
    Status, Store, StuckRow, Tip, Written,
};
use saga_proto::saga::v1::{GetSagaRequest, StartSagaRequest};
use uuid::Uuid;

use super::{
    load,
    participant::{self, REFUSED},
    program::{patient_definition, sqlite_log},
    subject::InProcess,
};

/// Sagas whose rows go together in one transaction.
const BATCH: usize = 2_000;

/// A saga that waits for a signal for a week, in the log and not in memory.
const PARKED: &str = r#"
kind: Saga
name: parked
version: 1
input: shop.order.v1.PlaceOrderInput
deadline: 30d
steps:
  - name: one
    action: { call: noop/shop.inventory.v1.InventoryService/Reserve, request: { order_no: input.order_no }, timeout: 10s }
    compensation: { call: noop/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: op("one") }, timeout: 10s }
  - name: approval
    wait: { signal: approval, type: shop.order.v1.RefundApproval, accept: signal.approved, refused: DENIED, timeout: 7d, on_timeout: refuse }
  - name: three
    pivot: true
    action: { call: noop/shop.inventory.v1.InventoryService/Commit, request: { reserve_op_id: input.order_no }, timeout: 10s }
"#;

/// A saga as it is in a log.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    saga: SagaRow,
    rows: Vec<LogRow>,
}

/// One saga of each kind.
#[derive(Debug)]
pub(crate) struct Templates {
    pub(crate) completed: Template,
    pub(crate) compensated: Template,
    pub(crate) parked: Template,
    definitions: Vec<DefinitionRow>,
}

/// Opens a log. Nobody else may have it open where it is an SQLite log.
pub(crate) async fn open(log: &str) -> Arc<dyn Store> {
    saga_log::open(log, OpenOptions { migrate: true, ..OpenOptions::default() }).await.unwrap()
}

impl Templates {
    /// Drives one saga of each kind on a log of its own.
    pub(crate) async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = sqlite_log(folder.path());
        let participant = participant::serve().await;
        let definitions = [&*patient_definition(), PARKED];
        let engine = InProcess::start(&log, &[("noop", participant)], &definitions).await;
        let refused = format!("{REFUSED}template");
        let keys = ["template", refused.as_str(), "template-parked"];
        for (key, definition) in keys.iter().zip(["bench", "bench", "parked"]) {
            start_and_rest(&engine, definition, key).await;
        }
        engine.stop().await;

        let store = open(&log).await;
        let mut templates = Vec::new();
        for key in keys {
            let saga = store.saga_by_key("", key).await.unwrap().unwrap();
            let rows = store.load(saga.saga, 0, 1_000).await.unwrap();
            templates.push(Template { saga, rows });
        }
        let definitions = store.definitions().await.unwrap();
        let [completed, compensated, parked] = <[_; 3]>::try_from(templates).unwrap();
        assert_eq!(completed.saga.standing.status, Status::Completed);
        assert_eq!(compensated.saga.standing.status, Status::Compensated);
        assert_eq!(parked.saga.standing.owner, None);
        Self { completed, compensated, parked, definitions }
    }

    /// Stores the definitions of the templates.
    pub(crate) async fn define(&self, store: &dyn Store) {
        for definition in &self.definitions {
            store.put_definition(definition).await.unwrap();
        }
    }

    /// The parked saga, but it needs a person.
    pub(crate) fn stuck(&self) -> Template {
        let mut stuck = self.parked.clone();
        stuck.saga.standing = Standing {
            wake_at_ms: None,
            waiting_on: Some("operator".to_owned()),
            stuck: Some(StuckRow {
                reason: "COMPENSATION_FAILING".to_owned(),
                step: "one".to_owned(),
                message: "as if a compensation failed again and again".to_owned(),
                since_ms: stuck.saga.started_at_ms,
            }),
            ..stuck.saga.standing
        };
        stuck
    }
}

/// Starts a saga, and waits until nobody drives it any more.
async fn start_and_rest(engine: &InProcess, definition: &str, key: &str) {
    let mut client = load::client(&load::channels(engine.address, 1).await, 0);
    let request: StartSagaRequest = load::start(definition, key);
    client.start_saga(request).await.unwrap();
    let by = Instant::now() + Duration::from_secs(20);
    loop {
        let name = Some(load::name(key.to_owned()));
        let saga = client.get_saga(GetSagaRequest { name }).await.unwrap().into_inner().saga;
        let saga = saga.unwrap();
        if saga.owner.is_empty() {
            return;
        }
        assert!(Instant::now() < by, "{saga:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Template {
    /// What a row of a copy is appended with.
    fn append(&self, saga: SagaId, row: usize, key: &str, tip: Option<Tip>) -> Append {
        let is_last = row + 1 == self.rows.len();
        let LogRow { writer, at_ms, ref events, .. } = self.rows[row];
        let standing = match is_last {
            true => self.saga.standing.clone(),
            false => Standing {
                status: Status::Running,
                wake_at_ms: Some(at_ms),
                waiting_on: None,
                rank: None,
                owner: Some(writer),
                stuck: None,
                turned_back: None,
                ended_at_ms: None,
                cause: None,
            },
        };
        let index = match (row, is_last) {
            (0, _) => IndexChange::Create(Box::new(NewSaga {
                namespace: String::new(),
                business_key: key.to_owned(),
                definition: self.saga.definition.clone(),
                definition_version: self.saga.definition_version,
                request_hash: self.saga.request_hash,
                started_at_ms: self.saga.started_at_ms,
                labels: vec![("customer".to_owned(), format!("of-{key}"))],
                standing,
            })),
            (_, true) => IndexChange::Set(Box::new(standing)),
            (_, false) => IndexChange::Keep,
        };
        Draft { saga, writer, log_epoch: 0, at_ms, events: events.clone(), index }.behind(tip)
    }
}

/// Appends copies of the templates, each in its turn, until there are `sagas` of them. Their
/// business keys are `key` and a number, beginning with `first`.
pub(crate) async fn fill(
    store: &dyn Store,
    templates: &[&Template],
    key: &str,
    first: usize,
    sagas: usize,
) {
    let numbers: Vec<usize> = (first..first + sagas).collect();
    for numbers in numbers.chunks(BATCH) {
        let mut copies: Vec<_> = numbers
            .iter()
            .map(|number| {
                let template = templates[number % templates.len()];
                (template, SagaId(Uuid::now_v7()), format!("{key}{number}"), None)
            })
            .collect();
        let rows = copies.iter().map(|(template, ..)| template.rows.len()).max().unwrap_or(0);
        for row in 0..rows {
            let longer = copies.iter_mut().filter(|(template, ..)| row < template.rows.len());
            let next = longer.map(|(template, saga, key, tip)| {
                let append = template.append(*saga, row, key, *tip);
                *tip = Some(append.tip());
                append
            });
            let batch: Vec<Append> = next.collect();
            let written = store.write(&batch).await.unwrap();
            assert!(written.iter().all(|it| *it == Written::Done));
        }
    }
}
