//! Says that this node lives, and finds nodes that do not.
//!
//! A node is dead when its count of beats stands still while *ours* goes on: silence is
//! measured in our own beats, as they are found beside the others' in the same look at the
//! same table. A watcher that cannot write or read, because the database is away, stands
//! still or lets nobody write, has no beats of its own to count, and takes nobody for dead.
//! No two clocks are compared, and nothing depends on being right: whoever is taken for dead
//! by mistake is fenced by the log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use saga_core::NodeId;
use saga_log::{NodeRow, StoreError};

use crate::engine::{Limits, Shared};

/// Beats for as long as sagas are driven here, so also while this node drains: who is silent
/// is taken for dead, and the answers of the calls that are out would come too late.
pub(super) async fn beat(shared: Arc<Shared>) {
    let every = Duration::from_millis(shared.limits.heartbeat_ms);
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(every) => {}
            () = shared.drained.cancelled() => return,
        }
        let beaten = beat_once(&shared).await;
        shared.continuity.answered(beaten.is_ok());
        if let Err(error) = beaten {
            tracing::debug!(%error, "no heartbeat");
        }
    }
}

async fn beat_once(shared: &Shared) -> Result<(), StoreError> {
    shared.follow_clocks().await?;
    let (store, now_ms) = (shared.log.store(), shared.clock.now_ms());
    if !store.beat(shared.node, now_ms).await? {
        tracing::warn!(node.id = %shared.node, "this node was taken for dead");
        store.register_node(shared.node, now_ms).await?;
    }
    shared.metrics.beaten();
    shared.mark_log(now_ms).await
}

/// Watches the beats of the other nodes.
#[derive(Debug)]
pub(super) struct DeathWatch {
    /// Beats of ours without one of another's, after which that one is dead.
    patience: u64,
    ours: u64,
    seen: BTreeMap<NodeId, Seen>,
}

/// The beats of another node, and how many we had when they were last seen to grow.
#[derive(Debug)]
struct Seen {
    beats: u64,
    ours: u64,
}

impl DeathWatch {
    pub(super) fn new(limits: &Limits) -> Self {
        // Less than two could lie between two beats of a node that is well.
        let patience = limits.dead_after_ms.div_ceil(limits.heartbeat_ms.max(1)).max(2);
        Self { patience, ours: 0, seen: BTreeMap::new() }
    }

    /// The nodes that are taken for dead now. A node that was seen silent for too long
    /// is forgotten, so that it learns of it, should it live.
    pub(super) async fn dead(&mut self, shared: &Shared) -> Result<Vec<NodeId>, StoreError> {
        let store = shared.log.store();
        let rows = store.nodes().await?;
        let others = rows.iter().filter(|row| row.node != shared.node);
        let mut dead: Vec<NodeId> =
            others.filter(|row| row.beats.is_none()).map(|row| row.node).collect();
        for node in self.silent(shared.node, &rows) {
            tracing::warn!(node.id = %node, "a node is silent; its sagas are taken over");
            store.forget_node(node).await?;
            self.seen.remove(&node);
            dead.push(node);
        }
        let (place, nodes) = self.place(shared.node);
        shared.governor.share(place, nodes);
        Ok(dead)
    }

    /// Which of how many living nodes this one is, by the order of their ids.
    fn place(&self, this: NodeId) -> (usize, usize) {
        (self.seen.keys().filter(|node| **node < this).count(), self.seen.len() + 1)
    }

    /// Compares what is seen now with what was seen before.
    fn silent(&mut self, this: NodeId, rows: &[NodeRow]) -> Vec<NodeId> {
        let beats = |row: &NodeRow| row.beats.map(|beats| (row.node, beats));
        let rows: BTreeMap<NodeId, u64> = rows.iter().filter_map(beats).collect();
        let ours = rows.get(&this).copied().unwrap_or(0);
        if ours < self.ours {
            // We were taken for dead ourselves: what was seen until then proves nothing.
            self.seen.clear();
        }
        self.ours = ours;
        self.seen.retain(|node, _| rows.contains_key(node));
        let mut silent = Vec::new();
        for (node, beats) in rows.into_iter().filter(|(node, _)| *node != this) {
            let seen = self.seen.entry(node).or_insert(Seen { beats, ours });
            if seen.beats != beats {
                *seen = Seen { beats, ours };
            } else if seen.ours.saturating_add(self.patience) <= ours {
                silent.push(node);
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const OURS: NodeId = NodeId(Uuid::from_u128(1));
    const THEIRS: NodeId = NodeId(Uuid::from_u128(2));

    fn rows(ours: u64, theirs: u64) -> [NodeRow; 2] {
        [(OURS, ours), (THEIRS, theirs)].map(|(node, beats)| NodeRow { node, beats: Some(beats) })
    }

    fn watch() -> DeathWatch {
        DeathWatch::new(&Limits { heartbeat_ms: 500, dead_after_ms: 3_000, ..Limits::default() })
    }

    #[test]
    fn a_node_that_is_silent_for_six_of_our_beats_is_dead() {
        let mut watch = watch();
        let silent_at = (10..).find(|ours| !watch.silent(OURS, &rows(*ours, 7)).is_empty());
        assert_eq!(silent_at, Some(16));
    }

    #[test]
    fn a_node_that_beats_lives_however_late() {
        let mut watch = watch();
        for ours in 0..100 {
            assert_eq!(watch.silent(OURS, &rows(ours, ours / 5)), []);
        }
    }

    /// The database was away, or let nobody write: there is no beat of ours either.
    #[test]
    fn a_watcher_that_cannot_beat_takes_nobody_for_dead() {
        let mut watch = watch();
        for _ in 0..1_000 {
            assert_eq!(watch.silent(OURS, &rows(3, 3)), []);
        }
        assert_eq!(watch.silent(OURS, &rows(4, 3)), []);
        assert_eq!(watch.silent(OURS, &rows(5, 4)), []);
    }

    #[test]
    fn a_watcher_that_was_taken_for_dead_begins_anew() {
        let mut watch = watch();
        assert_eq!(watch.silent(OURS, &rows(100, 7)), []);
        assert_eq!(watch.silent(OURS, &rows(105, 7)), []);
        assert_eq!(watch.silent(OURS, &rows(0, 7)), []);
        assert_eq!(watch.silent(OURS, &rows(5, 7)), []);
        assert_eq!(watch.silent(OURS, &rows(6, 7)), [THEIRS]);
    }
}
