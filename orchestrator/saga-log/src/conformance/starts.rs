//! The first append of a saga: business keys, and what no store takes.

use std::sync::Arc;

use super::sample::{
    append_id, append_ids, ended, rival, running, saga, start, start_with_key, step, step_to,
    stuck, write, write_new,
};
use crate::plan::{BUSINESS_KEY_BYTES_MAX, NAME_BYTES_MAX};
use crate::store::{
    Append, Held, IndexChange, NewSaga, SagaRow, Standing, Status, Store, StoreError, Written,
};

fn index_row(append: &Append) -> SagaRow {
    let IndexChange::Create(new) = &append.index else {
        panic!("not a start: {append:?}");
    };
    let new = (**new).clone();
    SagaRow {
        saga: append.saga,
        namespace: new.namespace,
        business_key: new.business_key,
        definition: new.definition,
        definition_version: new.definition_version,
        request_hash: new.request_hash,
        started_at_ms: new.started_at_ms,
        standing: new.standing,
    }
}

fn changed(mut append: Append, change: impl FnOnce(&mut NewSaga)) -> Append {
    let IndexChange::Create(new) = &mut append.index else {
        panic!("not a start: {append:?}");
    };
    change(new);
    append
}

pub async fn a_start_makes_its_index_row(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let mut whole = stuck("undo-refused", "take money", 1_500);
    whole.owner = Some(super::sample::NODE);
    whole.wake_at_ms = Some(7);
    whole.turned_back = Some("step-refused".to_owned());
    let starts = [start(1, running(None)), start(2, whole), start(3, ended(Status::Closed))];
    write_new(&*first, &starts).await;
    for start in &starts {
        let row = index_row(start);
        assert_eq!(second.saga(row.saga).await.expect("saga"), Some(row.clone()));
        let by_key = second.saga_by_key("shop", &row.business_key).await.expect("saga");
        assert_eq!(by_key, Some(row));
    }
    assert_eq!(second.saga(saga(4)).await.expect("saga"), None);
    assert_eq!(second.saga_by_key("shop", "order-4").await.expect("saga"), None);
}

pub async fn a_used_key_is_answered_with_its_saga(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let holder = start_with_key(1, "order", running(None));
    write_new(&*first, std::slice::from_ref(&holder)).await;
    let again = start_with_key(2, "order", running(None));
    let in_use = Written::KeyInUse(Box::new(index_row(&holder)));
    assert_eq!(write(&*second, &[again]).await, [in_use]);
    // Also for a saga that has ended, and with the row as it is now.
    write_new(&*first, &[step_to(1, 2, ended(Status::Completed))]).await;
    let row = SagaRow { standing: ended(Status::Completed), ..index_row(&holder) };
    let again = start_with_key(3, "order", running(None));
    assert_eq!(write(&*second, &[again]).await, [Written::KeyInUse(Box::new(row))]);
}

pub async fn the_loser_of_a_key_writes_no_event(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    write_new(&*first, &[start_with_key(1, "order", running(None))]).await;
    let batch = [
        start_with_key(2, "order", running(None)),
        step(2, 2),
        start_with_key(3, "another order", running(None)),
    ];
    let written = write(&*second, &batch).await;
    assert!(matches!(written[0], Written::KeyInUse(_)), "{written:?}");
    assert_eq!(written[1..], [Written::Missing, Written::Done]);
    assert_eq!(append_ids(&*first, 2).await.len(), 0);
    assert_eq!(first.saga(saga(2)).await.expect("saga"), None);
    assert_eq!(append_ids(&*first, 3).await.len(), 1);
}

pub async fn of_many_concurrent_starts_with_one_key_one_wins(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let mut tasks = Vec::new();
    for n in 0..16 {
        let store = if n % 2 == 0 { first.clone() } else { second.clone() };
        tasks.push(tokio::spawn(async move {
            write(&*store, &[start_with_key(n, "order", running(None))]).await.remove(0)
        }));
    }
    let mut winners = Vec::new();
    let mut holders = Vec::new();
    for (n, task) in (0..).zip(tasks) {
        match task.await.expect("no panic") {
            Written::Done => winners.push(saga(n)),
            Written::KeyInUse(row) => holders.push(row.saga),
            other => panic!("saga {n} is its own: {other:?}"),
        }
    }
    assert_eq!((winners.len(), holders.len()), (1, 15));
    assert!(holders.iter().all(|holder| *holder == winners[0]), "{holders:?}");
}

pub async fn nodes_that_start_the_same_sagas_in_any_order_agree(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    const KEYS: u64 = 40;
    // Keys in the order of the ids here, against it there.
    let key = |n: u64| format!("order-{n:02}");
    let ours: Vec<Append> = (0..KEYS).map(|n| start_with_key(n, &key(n), running(None))).collect();
    let theirs: Vec<Append> =
        (0..KEYS).map(|n| start_with_key(KEYS + n, &key(KEYS - 1 - n), running(None))).collect();
    let us = tokio::spawn(async move { write(&*first, &ours).await });
    let they = tokio::spawn({
        let second = second.clone();
        async move { write(&*second, &theirs).await }
    });
    let written = [us.await.expect("no panic"), they.await.expect("no panic")].concat();
    let started = written.iter().filter(|it| **it == Written::Done).count() as u64;
    assert_eq!(started, KEYS, "{written:?}");
    for n in 0..KEYS {
        let row = second.saga_by_key("shop", &key(n)).await.expect("saga").expect("started");
        assert_eq!(second.load(row.saga, 0, 10).await.expect("load").len(), 1);
    }
}

pub async fn a_start_that_is_written_again_is_done(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let starts: Vec<Append> = (1..=3).map(|n| start(n, running(None))).collect();
    write_new(&*first, &starts).await;
    write_new(&*first, &[step_to(2, 2, ended(Status::Completed))]).await;
    write_new(&*second, &starts).await;
    assert_eq!(append_ids(&*first, 2).await.len(), 2);
    let row = first.saga(saga(2)).await.expect("saga").expect("started");
    assert_eq!(row.standing, ended(Status::Completed));
}

pub async fn a_saga_id_is_used_once(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    write_new(&*first, &[start_with_key(1, "one", running(None))]).await;
    let other = rival(start_with_key(1, "other", running(None)));
    assert_eq!(write(&*second, &[other]).await, [Written::Superseded]);
    assert_eq!(second.saga_by_key("shop", "other").await.expect("saga"), None);
    assert_eq!(append_ids(&*first, 1).await.len(), 1);
}

pub async fn a_key_belongs_to_its_namespace(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let here = start_with_key(1, "order", running(None));
    let there = changed(start_with_key(2, "order", running(None)), |new| {
        new.namespace = "another shop".to_owned();
    });
    write_new(&*first, &[here, there]).await;
    let found = second.saga_by_key("another shop", "order").await.expect("saga");
    assert_eq!(found.map(|row| row.saga), Some(saga(2)));
}

pub async fn no_saga_is_in_limbo(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let limbo = Standing { wake_at_ms: None, ..running(None) };
    let error = first.write(&[start(1, limbo.clone())]).await;
    assert!(matches!(error, Err(StoreError::Rejected { .. })), "{error:?}");
    write_new(&*first, &[start(1, running(None))]).await;
    let error = first.write(&[step_to(1, 2, limbo)]).await;
    assert!(matches!(error, Err(StoreError::Rejected { .. })), "{error:?}");
    assert_eq!(append_ids(&*second, 1).await.len(), 1);
}

pub async fn what_no_store_can_hold_is_rejected(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let text = |bytes: usize| "x".repeat(bytes);
    let started = || start(1, running(None));
    let mut to_a_nul = stuck("reason", "step", 1);
    if let Some(stuck) = &mut to_a_nul.stuck {
        stuck.message.push('\0');
    }
    let refused = [
        changed(started(), |new| new.namespace = "a\0b".to_owned()),
        changed(started(), |new| new.namespace = text(NAME_BYTES_MAX + 1)),
        changed(started(), |new| new.business_key = "\0".to_owned()),
        changed(started(), |new| new.business_key = text(BUSINESS_KEY_BYTES_MAX + 1)),
        changed(started(), |new| new.definition = "a\0".to_owned()),
        changed(started(), |new| new.standing.turned_back = Some("\0".to_owned())),
        changed(started(), |new| new.standing.waiting_on = Some("\0".to_owned())),
        changed(started(), |new| new.standing = to_a_nul.clone()),
        changed(started(), |new| new.started_at_ms = u64::MAX),
        Append { at_ms: u64::MAX, ..started() },
        Append { version: 2, ..started() },
        Append { index: IndexChange::Keep, ..started() },
        Append { index: IndexChange::Set(Box::new(running(None))), ..started() },
        step(1, 0),
        Append { after: None, ..step(1, 2) },
        Append { after: Some(append_id(1, 1)), ..started() },
    ];
    for append in refused {
        // Nothing of a batch with such an append is written.
        let error = first.write(&[start(2, running(None)), append.clone()]).await;
        assert!(matches!(error, Err(StoreError::Rejected { .. })), "{append:?}: {error:?}");
    }
    assert_eq!(second.saga(saga(1)).await.expect("saga"), None);
    assert_eq!(second.saga(saga(2)).await.expect("saga"), None);
    // Looking for what cannot be stored finds nothing.
    assert_eq!(second.saga_by_key("a\0b", "order").await.expect("saga"), None);
    assert_eq!(second.definition("a\0", 0).await.expect("definition"), None);
}

pub async fn any_text_comes_back_as_it_was(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let longest = "\u{fffd}".repeat(NAME_BYTES_MAX / 3);
    let texts = [
        "",
        " ",
        "'; drop table saga; --",
        "$1 %s {} \\ \\x00 \" ` ? :name @name",
        "null",
        "\u{202e}right to left",
        "line\nbreak\ttab\r\u{1b}[31m",
        "결제 취소 💸 e\u{301}",
        longest.as_str(),
    ];
    for (n, text) in (1..).zip(texts) {
        let standing = Standing {
            waiting_on: Some(text.to_owned()),
            turned_back: Some(text.to_owned()),
            ..stuck(text, text, n)
        };
        let append = changed(start_with_key(n, text, standing), |new| {
            new.namespace = text.to_owned();
            new.definition = text.to_owned();
        });
        write_new(&*first, std::slice::from_ref(&append)).await;
        let row = index_row(&append);
        assert_eq!(second.saga_by_key(text, text).await.expect("saga"), Some(row.clone()));
        let query = crate::ListQuery {
            filter: crate::Filter::is(crate::TextColumn::Definition, text),
            rows_max: 10,
            ..crate::ListQuery::default()
        };
        assert_eq!(second.list(&query).await.expect("list").rows, std::slice::from_ref(&row));
        let groups = second
            .cause_groups(&crate::HeldQuery {
                held: Held::Stuck,
                filter: crate::Filter::default(),
                examples_max: 1,
            })
            .await
            .expect("cause_groups");
        let group = groups.iter().find(|group| group.examples == [row.clone()]);
        assert_eq!(group.map(|group| group.reason.as_str()), Some(text));
    }
}
