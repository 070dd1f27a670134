//! A database that the version before has written, under this one.

use std::{collections::HashMap, sync::Arc};

use prost::Message as _;
use saga_participant::{
    Arg, Database, Limits, Participant, Sql, on_both_databases,
    schema::{self, PARTICIPANT_SCHEMA},
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use crate::{
    charge::{Charge, Fate, Plan, Provider, Receipt, SCHEMA, participant},
    counter::resolve,
};

on_both_databases!(
    a_request_that_was_stored_before_is_the_same_again,
    a_request_with_more_encodings_than_can_be_tried_is_left_to_an_inquiry,
    an_intent_of_before_is_gone_on_with_by_one_at_a_time,
    what_was_undone_before_is_not_answered_as_if_it_stood,
    a_refusal_of_before_fits_into_headers_too,
    a_fence_of_before_holds,
);

const MIGRATIONS: Sql = Sql {
    postgres: "create table schema_migration (
            component text not null, version bigint not null, name text not null,
            sha256 bytea not null, applied_at_ms bigint not null, primary key (component, version)
        )",
    sqlite: "create table schema_migration (
            component text not null, version integer not null, name text not null,
            sha256 blob not null, applied_at_ms integer not null,
            primary key (component, version)
        ) strict",
};

/// A row, as the version before wrote it.
#[derive(Default)]
struct Before {
    op_id: Uuid,
    state: &'static str,
    request: Charge,
    reverses: Option<Uuid>,
    result: Option<Vec<u8>>,
}

impl Before {
    async fn write(self, tx: &mut saga_participant::Tx) {
        let Self { op_id, state, request, reverses, result } = self;
        let encoded = request.encode_to_vec();
        let (kind, hash) = match state {
            "FENCED" => ("", Vec::new()),
            _ => ("Charge", Sha256::digest([b"Charge\0", &*encoded].concat()).to_vec()),
        };
        let plan = Plan { amount: request.amount }.encode_to_vec();
        let intended = state == "INTENDED";
        let args = [
            Arg::Uuid(op_id),
            Arg::Text(kind),
            Arg::Bytes(&hash),
            Arg::Text(state),
            reverses.into(),
            intended.then_some(&*encoded).into(),
            intended.then_some(&*plan).into(),
            result.as_deref().into(),
        ];
        let sql = "insert into op_log
                (op_id, kind, request_hash, state, reverses, request, plan, result, at_ms)
            values ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
        tx.execute(sql, &args).await.unwrap();
    }
}

/// The database as the version before left it, then brought up to date.
async fn upgraded(scratch: &Scratch, rows: Vec<Before>) -> Database {
    let database = scratch.connect(Limits::default()).await;
    let postgres = database.is_postgres();
    let write = move |mut tx: saga_participant::Tx| async move {
        tx.script(MIGRATIONS).await?;
        let tables = [("saga_participant", PARTICIPANT_SCHEMA), (SCHEMA.component, SCHEMA)];
        for (component, schema) in tables {
            let first = schema.migrations[0];
            tx.script(first.script).await?;
            let text = if postgres { first.script.postgres } else { first.script.sqlite };
            let hash = Sha256::digest(text).to_vec();
            let args = [Arg::Text(component), Arg::Text(first.name), Arg::Bytes(&hash)];
            tx.execute("insert into schema_migration values ($1, 1, $2, $3, 1)", &args).await?;
        }
        for row in rows {
            row.write(&mut tx).await;
        }
        tx.commit().await
    };
    database.write(write).await.unwrap();
    let missing = PARTICIPANT_SCHEMA.migrations.len() - 1;
    assert_eq!(schema::migrate(&database, &SCHEMA).await.unwrap(), missing);
    database
}

fn labelled(labels: i64) -> Charge {
    let labels = (0..labels).map(|number| (format!("label-{number}"), number)).collect();
    Charge { amount: 5, labels }
}

/// The request as a client sends it again: in an order of its own.
fn again(op_id: Uuid, charge: &Charge) -> Request<Charge> {
    with_op_id(op_id, Charge::decode(charge.encode_to_vec().as_slice()).unwrap())
}

fn receipt(op_id: Uuid) -> Receipt {
    Receipt { op_id: op_id.to_string() }
}

fn applied(op_id: Uuid, request: Charge) -> Before {
    let result = Some(receipt(op_id).encode_to_vec());
    Before { op_id, state: "APPLIED", request, result, ..Before::default() }
}

async fn a_request_that_was_stored_before_is_the_same_again(scratch: Scratch) {
    let rows: Vec<_> = (0..=5).map(|labels| (new_op_id(), labelled(labels))).collect();
    let before = rows.iter().map(|(op_id, charge)| applied(*op_id, charge.clone()));
    let database = upgraded(&scratch, before.collect()).await;
    let provider = Arc::new(Provider::default());
    let on = participant(database, &provider);
    for (op_id, charge) in rows {
        for _ in 0..4 {
            let reply = on.perform(again(op_id, &charge)).await.unwrap().into_inner();
            assert_eq!(reply, receipt(op_id));
        }
        // One that has one encoding only is surely another.
        let other = Charge { amount: 6, labels: HashMap::new() };
        let status = on.perform(again(op_id, &other)).await.unwrap_err();
        assert_eq!(reason_of(&status), "OP_ID_REUSED");
    }
    assert!(provider.calls.lock().unwrap().is_empty());
}

async fn a_request_with_more_encodings_than_can_be_tried_is_left_to_an_inquiry(scratch: Scratch) {
    let (op_id, charge) = (new_op_id(), labelled(20));
    let database = upgraded(&scratch, vec![applied(op_id, charge.clone())]).await;
    let on = participant(database, &Arc::default());
    let status = on.perform(again(op_id, &charge)).await.unwrap_err();
    let found = (status.code(), reason_of(&status));
    assert_eq!(found, (Code::Unavailable, "OP_REQUEST_UNCERTAIN".to_owned()), "never a refusal");
    match resolve(&on, op_id, ResolveMode::Fence).await.unwrap() {
        Resolution::Applied(it) => assert_eq!(it.reply, receipt(op_id).encode_to_vec()),
        other => panic!("{other:?}"),
    }
}

async fn an_intent_of_before_is_gone_on_with_by_one_at_a_time(scratch: Scratch) {
    let (op_id, request) = (new_op_id(), labelled(3));
    let intended =
        Before { op_id, state: "INTENDED", request: request.clone(), ..Before::default() };
    let database = upgraded(&scratch, vec![intended]).await;
    let (provider, release) = (Arc::new(Provider::default()), Arc::new(Notify::new()));
    provider.fates.lock().unwrap().push_back(Fate::Held(release.clone()));
    let on = participant(database, &provider);
    let call = || {
        let (on, call) = (on.clone(), again(op_id, &request));
        tokio::spawn(async move { on.perform(call).await.map(|_| ()) })
    };
    let mut calls = vec![call()];
    provider.called.notified().await;
    calls.extend((0..8).map(|_| call()));
    let asking = on.clone();
    calls.push(tokio::spawn(async move {
        resolve(&asking, op_id, ResolveMode::Fence).await.map(|_| ())
    }));
    // Whoever would go on by himself has come to it when all these are through.
    for _ in 0..20 {
        on.perform(again(new_op_id(), &labelled(0))).await.unwrap();
    }
    release.notify_one();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let calls = provider.calls.lock().unwrap().iter().filter(|it| it.0 == op_id).count();
    assert_eq!(calls, 1);
    let told = resolve(&on, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(told, Resolution::Applied(_)), "{told:?}");
}

async fn what_was_undone_before_is_not_answered_as_if_it_stood(scratch: Scratch) {
    let (op_id, undo_id) = (new_op_id(), new_op_id());
    let undo = Before { reverses: Some(op_id), ..applied(undo_id, labelled(0)) };
    let database = upgraded(&scratch, vec![applied(op_id, labelled(1)), undo]).await;
    let on: Participant<_> = participant(database, &Arc::default());
    let status = on.perform(again(op_id, &labelled(1))).await.unwrap_err();
    assert_eq!(reason_of(&status), "OP_REVERSED");
    let told = resolve(&on, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(told, Resolution::Reversed(_)), "{told:?}");
}

async fn a_refusal_of_before_fits_into_headers_too(scratch: Scratch) {
    let op_id = new_op_id();
    let details = ErrorDetails::with_error_info("DECLINED", "charge.test", HashMap::new());
    let long = "한도를 넘었습니다 ".repeat(500);
    let refused = Status::with_error_details(Code::FailedPrecondition, long.clone(), details);
    let result = Some(refused.details().to_vec());
    let row =
        Before { op_id, state: "REJECTED", request: labelled(0), result, ..Before::default() };
    let database = upgraded(&scratch, vec![row]).await;
    let on = participant(database, &Arc::default());
    let status = on.perform(again(op_id, &labelled(0))).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::FailedPrecondition, "DECLINED")
    );
    assert!(long.starts_with(status.message()) && status.message().len() < 1_000);
    assert_eq!(status.metadata().get("saga-refusal").unwrap(), "recorded");
}

async fn a_fence_of_before_holds(scratch: Scratch) {
    let op_id = new_op_id();
    let fenced = Before { op_id, state: "FENCED", ..Before::default() };
    let database = upgraded(&scratch, vec![fenced]).await;
    let on = participant(database, &Arc::default());
    let status = on.perform(again(op_id, &labelled(2))).await.unwrap_err();
    assert_eq!(reason_of(&status), "OP_FENCED");
}
