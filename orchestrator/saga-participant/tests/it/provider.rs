//! Operations that ask a provider: the books of the provider are the judge.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use saga_participant::{
    Participant, RawRequest, on_both_databases,
    testkit::{Scratch, certify, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tokio::sync::Notify;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::{
    charge::{Charge, ChargeSubject, Fate, Provider, Refund, SCHEMA, participant},
    counter::resolve,
};

on_both_databases!(
    the_suite_holds,
    an_unknown_outcome_stays_open_and_is_settled_with_the_same_key,
    an_inquiry_settles_an_open_operation,
    an_undo_settles_the_original_first,
    a_refused_key_leaves_the_operation_in_doubt,
    calls_at_once_make_one_call_at_the_provider,
    another_body_gets_no_answer_of_a_call_under_way,
    a_decline_keeps_the_rows_of_the_attempt,
    what_needs_no_call_makes_none,
    an_inquiry_finds_a_call_under_way,
    a_call_that_is_dropped_is_finished,
    an_operation_is_finished_by_another_process,
    a_repeat_is_the_same_bytes_whatever_their_order,
    a_call_that_was_undone_is_refused_by_whoever_is_late,
    what_is_being_undone_is_in_progress_until_the_undo_is_known,
);

struct Shop {
    participant: Participant<Arc<Provider>>,
    provider: Arc<Provider>,
    _scratch: Scratch,
}

impl Shop {
    async fn open(scratch: Scratch, fates: impl IntoIterator<Item = Fate>) -> Self {
        let provider = Arc::new(Provider::default());
        provider.fates.lock().unwrap().extend(fates);
        let participant = participant(scratch.open(&SCHEMA).await, &provider);
        Self { participant, provider, _scratch: scratch }
    }

    fn calls(&self) -> usize {
        self.provider.calls.lock().unwrap().len()
    }
}

fn charge(amount: i64) -> Charge {
    Charge { amount, labels: HashMap::new() }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.unwrap()
}

async fn the_suite_holds(scratch: Scratch) {
    let shop = Shop::open(scratch, []).await;
    let subject =
        ChargeSubject { participant: shop.participant.clone(), provider: shop.provider.clone() };
    certify(Arc::new(subject)).await.assert_all_hold();
    assert_eq!(*shop.provider.open_max.lock().unwrap(), 1);
}

async fn an_unknown_outcome_stays_open_and_is_settled_with_the_same_key(scratch: Scratch) {
    let shop = Shop::open(scratch, [Fate::AnswerLost, Fate::RequestLost]).await;
    let op_id = new_op_id();
    for _ in 0..2 {
        let status = shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(reason_of(&status), "PROVIDER_OUTCOME_UNKNOWN");
        let peek = resolve(&shop.participant, op_id, ResolveMode::Peek).await.unwrap();
        assert!(matches!(peek, Resolution::InProgress(_)), "{peek:?}");
    }
    shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap();
    shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap();
    assert_eq!(*shop.provider.calls.lock().unwrap(), [(op_id, 5); 3]);
    assert_eq!(shop.provider.balance(), 5);
}

async fn an_inquiry_settles_an_open_operation(scratch: Scratch) {
    let fates = [Fate::AnswerLost, Fate::RequestLost];
    let shop = Shop::open(scratch, fates).await;
    let op_id = new_op_id();
    shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap_err();
    let still = resolve(&shop.participant, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(still, Resolution::InProgress(_)), "{still:?}");
    let looked = resolve(&shop.participant, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(looked, Resolution::InProgress(_)), "{looked:?}");
    assert_eq!(shop.calls(), 2, "a peek calls nobody");
    let settled = resolve(&shop.participant, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(settled, Resolution::Applied(_)), "{settled:?}");
    assert_eq!(shop.provider.balance(), 5);
}

async fn an_undo_settles_the_original_first(scratch: Scratch) {
    let shop = Shop::open(scratch, [Fate::AnswerLost, Fate::RequestLost]).await;
    let (op_id, undo_id) = (new_op_id(), new_op_id());
    shop.participant.perform(with_op_id(op_id, charge(1))).await.unwrap_err();
    let refund = Refund { op_id: op_id.to_string() };
    let status = shop.participant.perform(with_op_id(undo_id, refund.clone())).await.unwrap_err();
    assert_eq!(reason_of(&status), "PROVIDER_OUTCOME_UNKNOWN");
    assert_eq!(shop.provider.balance(), 1);
    let undone = shop.participant.perform(with_op_id(undo_id, refund)).await.unwrap();
    assert!(!undone.metadata().contains_key("saga-nothing-to-undo"));
    assert_eq!(shop.provider.balance(), 0);
}

async fn a_refused_key_leaves_the_operation_in_doubt(scratch: Scratch) {
    let shop = Shop::open(scratch, [Fate::KeyRefused, Fate::KeyRefused]).await;
    let op_id = new_op_id();
    let status = shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "never that nothing was done");
    assert_eq!(reason_of(&status), "PROVIDER_CONFIGURATION");
    let asked = resolve(&shop.participant, op_id, ResolveMode::Fence).await.unwrap_err();
    assert_eq!(reason_of(&asked), "PROVIDER_CONFIGURATION");
    shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap();
    assert_eq!(shop.provider.balance(), 5);
}

async fn calls_at_once_make_one_call_at_the_provider(scratch: Scratch) {
    let release = Arc::new(Notify::new());
    let shop = Shop::open(scratch, [Fate::Held(release.clone())]).await;
    let op_id = new_op_id();
    let call = || {
        let participant = shop.participant.clone();
        tokio::spawn(async move { participant.perform(with_op_id(op_id, charge(5))).await })
    };
    let first = call();
    within(shop.provider.called.notified()).await;
    let others: Vec<_> = (0..8).map(|_| call()).collect();
    release.notify_one();
    let first = within(first).await.unwrap().unwrap().into_inner();
    for other in others {
        assert_eq!(within(other).await.unwrap().unwrap().into_inner(), first);
    }
    assert_eq!(shop.calls(), 1);
}

async fn another_body_gets_no_answer_of_a_call_under_way(scratch: Scratch) {
    let release = Arc::new(Notify::new());
    let shop = Shop::open(scratch, [Fate::Held(release.clone())]).await;
    let op_id = new_op_id();
    let participant = shop.participant.clone();
    let first =
        tokio::spawn(async move { participant.perform(with_op_id(op_id, charge(5))).await });
    within(shop.provider.called.notified()).await;
    let status = shop.participant.perform(with_op_id(op_id, charge(6))).await.unwrap_err();
    assert_eq!(reason_of(&status), "OP_ID_REUSED");
    release.notify_one();
    within(first).await.unwrap().unwrap();
    assert_eq!(shop.provider.balance(), 5);
}

async fn a_decline_keeps_the_rows_of_the_attempt(scratch: Scratch) {
    let shop = Shop::open(scratch, []).await;
    let op_id = new_op_id();
    let first = shop.participant.perform(with_op_id(op_id, charge(666))).await.unwrap_err();
    assert_eq!(reason_of(&first), "DECLINED");
    let again = shop.participant.perform(with_op_id(op_id, charge(666))).await.unwrap_err();
    assert_eq!(again.details(), first.details());
    assert_eq!(shop.calls(), 1);
    assert_eq!(attempts(&shop).await, [Some("DECLINED".to_owned())]);
}

async fn attempts(shop: &Shop) -> Vec<Option<String>> {
    let database = shop.participant.database();
    let read = database.read(|mut tx| async move {
        let rows = tx.rows("select outcome from attempt", &[]).await?;
        Ok(rows.iter().map(|row| row.optional_text(0)).collect::<Result<Vec<_>, _>>()?)
    });
    read.await.unwrap()
}

async fn what_needs_no_call_makes_none(scratch: Scratch) {
    let shop = Shop::open(scratch, []).await;
    shop.participant.perform(with_op_id(new_op_id(), charge(0))).await.unwrap();
    let refused = new_op_id();
    let status = shop.participant.perform(with_op_id(refused, charge(-1))).await.unwrap_err();
    assert_eq!(reason_of(&status), "DECLINED");
    let told = resolve(&shop.participant, refused, ResolveMode::Peek).await.unwrap();
    assert!(matches!(told, Resolution::Rejected(_)), "{told:?}");
    assert_eq!(shop.calls(), 0);
    assert_eq!(attempts(&shop).await, [None]);
}

async fn an_inquiry_finds_a_call_under_way(scratch: Scratch) {
    let release = Arc::new(Notify::new());
    let shop = Shop::open(scratch, [Fate::Held(release.clone())]).await;
    let op_id = new_op_id();
    let participant = shop.participant.clone();
    let call = tokio::spawn(async move { participant.perform(with_op_id(op_id, charge(5))).await });
    within(shop.provider.called.notified()).await;
    let participant = shop.participant.clone();
    let asking =
        tokio::spawn(async move { resolve(&participant, op_id, ResolveMode::Fence).await });
    release.notify_one();
    let told = within(asking).await.unwrap().unwrap();
    assert!(matches!(told, Resolution::Applied(_)), "{told:?}");
    within(call).await.unwrap().unwrap();
    assert_eq!(shop.calls(), 1);
}

async fn a_call_that_is_dropped_is_finished(scratch: Scratch) {
    let release = Arc::new(Notify::new());
    let shop = Shop::open(scratch, [Fate::Held(release.clone())]).await;
    let op_id = new_op_id();
    let participant = shop.participant.clone();
    let call = tokio::spawn(async move { participant.perform(with_op_id(op_id, charge(5))).await });
    within(shop.provider.called.notified()).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    release.notify_one();
    // Closing waits for whatever is under way.
    within(shop.participant.database().close()).await;
    assert_eq!((shop.calls(), shop.provider.balance()), (1, 5));
}

/// The first process loses the answer and dies; the second has the same database.
async fn an_operation_is_finished_by_another_process(scratch: Scratch) {
    let provider = Arc::new(Provider::default());
    provider.fates.lock().unwrap().push_back(Fate::AnswerLost);
    let op_id = new_op_id();
    let first = participant(scratch.open(&SCHEMA).await, &provider);
    first.perform(with_op_id(op_id, charge(5))).await.unwrap_err();
    first.database().close().await;

    let second = participant(scratch.open(&SCHEMA).await, &provider);
    let told = resolve(&second, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(told, Resolution::Applied(_)), "{told:?}");
    assert_eq!(*provider.calls.lock().unwrap(), [(op_id, 5), (op_id, 5)]);
    assert_eq!(provider.balance(), 5);
}

/// A call as it comes over the wire: what is decoded is in another order each time.
fn sent(op_id: Uuid, bytes: &Bytes) -> Request<Charge> {
    let mut request = with_op_id(op_id, Charge::decode(bytes.clone()).unwrap());
    request.extensions_mut().insert(RawRequest::of(bytes));
    request
}

async fn a_repeat_is_the_same_bytes_whatever_their_order(scratch: Scratch) {
    let shop = Shop::open(scratch, [Fate::AnswerLost, Fate::RequestLost, Fate::RequestLost]).await;
    let labels = (0..8).map(|number| (format!("label-{number}"), number)).collect();
    let mut bytes = Charge { amount: 5, labels }.encode_to_vec();
    // A field that this build does not know.
    prost::encoding::string::encode(1_000, &"later".to_owned(), &mut bytes);
    let (op_id, bytes) = (new_op_id(), Bytes::from(bytes));
    for _ in 0..2 {
        let status = shop.participant.perform(sent(op_id, &bytes)).await.unwrap_err();
        assert_eq!(reason_of(&status), "PROVIDER_OUTCOME_UNKNOWN");
    }
    let still = resolve(&shop.participant, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(still, Resolution::InProgress(_)), "{still:?}");
    for _ in 0..8 {
        shop.participant.perform(sent(op_id, &bytes)).await.unwrap();
    }
    assert_eq!(*shop.provider.calls.lock().unwrap(), [(op_id, 5); 4]);
    let other = shop.participant.perform(with_op_id(op_id, charge(5))).await.unwrap_err();
    assert_eq!(reason_of(&other), "OP_ID_REUSED");
}

/// Two processes ask the provider; the quicker one's operation is undone before the
/// slower one has written what it heard.
async fn a_call_that_was_undone_is_refused_by_whoever_is_late(scratch: Scratch) {
    let release = Arc::new(Notify::new());
    let shop = Shop::open(scratch, [Fate::Held(release.clone())]).await;
    let quick = participant(shop._scratch.open(&SCHEMA).await, &shop.provider);
    let op_id = new_op_id();
    let slow = shop.participant.clone();
    let slow = tokio::spawn(async move { slow.perform(with_op_id(op_id, charge(1))).await });
    within(shop.provider.called.notified()).await;
    quick.perform(with_op_id(op_id, charge(1))).await.unwrap();
    let refund = Refund { op_id: op_id.to_string() };
    quick.perform(with_op_id(new_op_id(), refund)).await.unwrap();
    release.notify_one();
    let late = within(slow).await.unwrap().unwrap_err();
    assert_eq!((late.code(), reason_of(&late).as_str()), (Code::FailedPrecondition, "OP_REVERSED"));
    assert!(late.metadata().get("saga-refusal").is_none());
    assert_eq!(shop.provider.balance(), 0);
}

async fn what_is_being_undone_is_in_progress_until_the_undo_is_known(scratch: Scratch) {
    let shop = Shop::open(scratch, []).await;
    let op_id = new_op_id();
    shop.participant.perform(with_op_id(op_id, charge(1))).await.unwrap();
    shop.provider.fates.lock().unwrap().push_back(Fate::AnswerLost);
    let (undo_id, refund) = (new_op_id(), Refund { op_id: op_id.to_string() });
    shop.participant.perform(with_op_id(undo_id, refund.clone())).await.unwrap_err();
    // The provider has given it back already, which only the answer that was lost says.
    let again = shop.participant.perform(with_op_id(op_id, charge(1))).await.unwrap_err();
    assert_eq!((again.code(), &*reason_of(&again)), (Code::Aborted, "OPERATION_IN_PROGRESS"));
    let told = resolve(&shop.participant, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(told, Resolution::InProgress(_)), "{told:?}");

    shop.participant.perform(with_op_id(undo_id, refund)).await.unwrap();
    let late = shop.participant.perform(with_op_id(op_id, charge(1))).await.unwrap_err();
    assert_eq!(reason_of(&late), "OP_REVERSED");
    let told = resolve(&shop.participant, op_id, ResolveMode::Peek).await.unwrap();
    assert!(matches!(told, Resolution::Reversed(_)), "{told:?}");
}
