//! Who may take which saga.

use std::sync::Arc;

use saga_core::{NodeId, SagaId};
use uuid::Uuid;

use super::sample::{
    append_ids, ended, rival, running, saga, standing, start, step_to, stuck, write, write_new,
};
use crate::store::{
    Append, CLOCKS_APART_MS, ClaimQuery, IndexChange, Standing, Status, Store, Written,
};

const ALIVE: NodeId = NodeId(Uuid::from_u128(0xa));
const DEAD: NodeId = NodeId(Uuid::from_u128(0xd));
const ALSO_DEAD: NodeId = NodeId(Uuid::from_u128(0xdd));

fn due_at(wake_at_ms: u64) -> Standing {
    Standing { wake_at_ms: Some(wake_at_ms), ..running(None) }
}

async fn claimable(store: &dyn Store, dead: &[NodeId], now_ms: u64, max: u32) -> Vec<SagaId> {
    let query = ClaimQuery { dead, due_ms: Some(now_ms), sagas_max: max };
    store.claimable(&query).await.expect("claimable")
}

pub async fn due_sagas_without_owner_are_claimable(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let batch = [
        start(1, due_at(1_000)),
        start(2, due_at(1_001)),
        start(3, running(Some(ALIVE))),
        start(4, ended(Status::Completed)),
        start(5, stuck("no-reply", "ship", 10)),
        start(6, Standing { wake_at_ms: Some(500), ..stuck("no-reply", "ship", 10) }),
        start(7, Standing { wake_at_ms: Some(1), ..ended(Status::Closed) }),
    ];
    write_new(&*first, &batch).await;
    assert_eq!(claimable(&*second, &[], 1_000, 10).await, [saga(6), saga(1)]);
    assert_eq!(claimable(&*second, &[], 1_001, 10).await, [saga(6), saga(1), saga(2)]);
    assert_eq!(claimable(&*second, &[], 499, 10).await, []);
    assert_eq!(claimable(&*second, &[], u64::MAX, 10).await.len(), 3);
}

/// A clock that goes back leaves wake-ups that are as far away as it went.
pub async fn a_wake_up_that_was_set_in_the_future_is_due(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    const HOUR_MS: u64 = 3_600_000;
    let set_at = |n: u64, set_at_ms: u64, standing: Standing| {
        let append = start(n, standing);
        Append { at_ms: set_at_ms, ..append }
    };
    let now_ms = 10 * HOUR_MS;
    let batch = [
        set_at(1, now_ms - 1, due_at(now_ms + HOUR_MS)),
        set_at(2, now_ms + HOUR_MS, due_at(now_ms + HOUR_MS + 200)),
        set_at(3, now_ms + HOUR_MS, Standing { owner: Some(ALIVE), ..due_at(now_ms + HOUR_MS) }),
        set_at(4, now_ms + HOUR_MS, stuck("no-reply", "ship", 10)),
        // As far ahead as the clocks of two nodes may be apart.
        set_at(5, now_ms + CLOCKS_APART_MS, due_at(now_ms + HOUR_MS)),
    ];
    write_new(&*first, &batch).await;
    assert_eq!(claimable(&*second, &[], now_ms, 10).await, [saga(2)]);
    // Whoever took it has set it anew.
    let again = Append { at_ms: now_ms, ..step_to(2, 2, due_at(now_ms + 200)) };
    write(&*first, &[again]).await;
    assert_eq!(claimable(&*second, &[], now_ms, 10).await, []);
    assert_eq!(claimable(&*second, &[], now_ms + 200, 10).await, [saga(2)]);
}

pub async fn sagas_of_dead_nodes_are_claimable(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let waits =
        Standing { wake_at_ms: None, waiting_on: Some("signal".to_owned()), ..running(Some(DEAD)) };
    let batch = [
        start(1, running(Some(ALIVE))),
        start(2, running(Some(DEAD))),
        // Not due, but nobody else will ever look at it.
        start(3, Standing { wake_at_ms: Some(99_000), ..running(Some(DEAD)) }),
        start(4, Standing { owner: Some(DEAD), ..ended(Status::Completed) }),
        start(5, running(Some(ALSO_DEAD))),
        start(6, waits),
    ];
    write_new(&*first, &batch).await;
    assert_eq!(claimable(&*second, &[], 2_000, 10).await, []);
    let of_one = claimable(&*second, &[DEAD], 2_000, 10).await;
    assert_eq!(of_one, [saga(6), saga(2), saga(3)]);
    let of_both = claimable(&*second, &[DEAD, ALSO_DEAD, DEAD], 0, 10).await;
    assert_eq!(of_both, [saga(6), saga(2), saga(5), saga(3)]);
}

/// What is parked is nobody's, whenever it is due and by whatever clock that was said.
pub async fn what_a_node_owns_is_asked_for_alone(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let ahead = Append { at_ms: 2 * CLOCKS_APART_MS + 1, ..start(3, due_at(99_000)) };
    let batch = [start(1, running(Some(ALIVE))), start(2, due_at(1)), ahead];
    write_new(&*first, &batch).await;
    let query = ClaimQuery { dead: &[ALIVE], due_ms: None, sagas_max: 10 };
    assert_eq!(second.claimable(&query).await.expect("claimable"), [saga(1)]);
    assert_eq!(claimable(&*second, &[], 1, 10).await.len(), 2, "both are due by a clock");
}

pub async fn the_longest_due_comes_first(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let batch: Vec<_> = (1..=30).map(|n| start(n, due_at(1_000 - n * 10))).collect();
    write_new(&*first, &batch).await;
    write_new(&*first, &[start(31, Standing { wake_at_ms: Some(1), ..running(Some(DEAD)) })]).await;
    assert_eq!(claimable(&*second, &[], 2_000, 3).await, [saga(30), saga(29), saga(28)]);
    assert_eq!(claimable(&*second, &[DEAD], 2_000, 2).await, [saga(31), saga(30)]);
    assert_eq!(claimable(&*second, &[DEAD], 2_000, 0).await, []);
}

pub async fn those_that_wait_for_a_participant_come_by_rank_and_age(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let waits = |name: &str, rank| {
        let waiting_on = Some(format!("participant {name}"));
        Standing { waiting_on, rank: Some(rank), ..due_at(9_000) }
    };
    let aged = |n, started_at_ms, standing| {
        let mut start = start(n, standing);
        if let IndexChange::Create(new) = &mut start.index {
            new.started_at_ms = started_at_ms;
        }
        start
    };
    let batch = [
        aged(1, 40, waits("a", 2)),
        aged(2, 10, waits("a", 2)),
        aged(3, 90, waits("a", 0)),
        aged(4, 80, waits("a", 1)),
        aged(5, 10, waits("b", 2)),
        aged(6, 10, Standing { owner: Some(ALIVE), ..waits("a", 2) }),
        aged(7, 10, Standing { ended_at_ms: Some(1), ..waits("a", 2) }),
        aged(8, 10, Standing { rank: None, ..waits("a", 2) }),
    ];
    write_new(&*first, &batch).await;
    let held = async |name, max| second.held(name, max).await.expect("held");
    assert_eq!(held("participant a", 10).await, [saga(3), saga(4), saga(2), saga(1)]);
    assert_eq!(held("participant a", 2).await, [saga(3), saga(4)]);
    assert_eq!(held("participant b", 10).await, [saga(5)]);
    assert_eq!(held("participant", 10).await, []);
    // Who is taken up waits no more.
    write_new(&*first, &[step_to(3, 2, running(Some(ALIVE)))]).await;
    assert_eq!(held("participant a", 10).await, [saga(4), saga(2), saga(1)]);
    assert_eq!(standing(&*second, 4).await, waits("a", 1));
}

pub async fn the_next_wake_is_that_of_an_unowned_live_saga(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    assert_eq!(second.next_wake_at_ms().await.expect("next"), None);
    let batch = [
        start(1, Standing { wake_at_ms: Some(5), ..running(Some(ALIVE)) }),
        start(2, Standing { wake_at_ms: Some(6), ..ended(Status::Completed) }),
        start(3, stuck("no-reply", "ship", 10)),
    ];
    write_new(&*first, &batch).await;
    assert_eq!(second.next_wake_at_ms().await.expect("next"), None);
    write_new(&*first, &[start(4, due_at(70)), start(5, due_at(60))]).await;
    assert_eq!(second.next_wake_at_ms().await.expect("next"), Some(60));
}

pub async fn of_two_that_take_a_saga_one_owns_it(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    write_new(&*first, &[start(1, due_at(1))]).await;
    let (us, they) =
        (step_to(1, 2, running(Some(ALIVE))), rival(step_to(1, 2, running(Some(DEAD)))));
    let (us_id, they_id) = (us.append_id, they.append_id);
    let us = tokio::spawn({
        let first = first.clone();
        async move { write(&*first, &[us]).await.remove(0) }
    });
    let they = tokio::spawn({
        let second = second.clone();
        async move { write(&*second, &[they]).await.remove(0) }
    });
    let (owner, append_id) = match (us.await.expect("no panic"), they.await.expect("no panic")) {
        (Written::Done, Written::Superseded) => (ALIVE, us_id),
        (Written::Superseded, Written::Done) => (DEAD, they_id),
        both => panic!("{both:?}"),
    };
    assert_eq!(append_ids(&*first, 1).await[1..], [append_id]);
    assert_eq!(standing(&*second, 1).await.owner, Some(owner));
    assert_eq!(claimable(&*first, &[], 1_000, 10).await, []);
}
