//! What happens to nodes, links and clocks while nobody looks.

use std::{sync::Arc, time::Duration};

use saga_tests::sim::{
    cluster::{Cluster, Cut, Node},
    dice::Dice,
    fault::Fault,
    shop::PARTICIPANTS,
};
use tokio::time::{Instant, sleep};

use crate::chaos::Chaos;

/// Nodes that live as long as nothing happens to them.
pub(crate) const NODES: usize = 2;

/// Does one thing after the other until all is mended.
pub(crate) async fn rage(cluster: Arc<Cluster>, chaos: Chaos, mut dice: Dice) {
    let acts = [
        Fault::Killed,
        Fault::Stalled,
        Fault::RequestsCut,
        Fault::RepliesCut,
        Fault::ClockJumped,
        Fault::DatabaseClockJumped,
        Fault::ParticipantRestarted,
        Fault::LogUnavailable,
    ];
    let acts: Vec<Fault> = acts.into_iter().filter(|it| chaos.may(*it)).collect();
    while !acts.is_empty() {
        sleep(Duration::from_millis(dice.between(100, 6_000))).await;
        if chaos.is_healed() {
            return;
        }
        let living = cluster.living();
        if living.is_empty() {
            continue;
        }
        let node = dice.pick(&living);
        let fault = *dice.pick(&acts);
        strike(&cluster, &chaos, node, fault, &mut dice);
    }
}

fn strike(cluster: &Arc<Cluster>, chaos: &Chaos, node: &Node, fault: Fault, dice: &mut Dice) {
    let number = node.control.number;
    let participant = *dice.pick(&PARTICIPANTS);
    let span_ms = dice.between(500, 20_000);
    match fault {
        Fault::Killed => cluster.kill(node),
        // Longer than the others believe in it, often enough.
        Fault::Stalled => {
            cluster.world.lock().note(format_args!("node {number} stands still for {span_ms} ms"));
            cluster.world.lock().happened(fault, true);
            node.control.stall(span_ms);
        }
        Fault::RequestsCut | Fault::RepliesCut => {
            let cut = if fault == Fault::RequestsCut { Cut::Requests } else { Cut::Replies };
            let what = format!("node {number} and {participant}: {cut:?} cut for {span_ms} ms");
            cluster.world.lock().note(format_args!("{what}"));
            node.control.cut(participant, Some(cut));
            let control = Arc::clone(&node.control);
            tokio::spawn(async move {
                sleep(Duration::from_millis(span_ms)).await;
                control.cut(participant, None);
            });
        }
        Fault::ClockJumped => {
            let ahead_ms = jump_ms(dice);
            let what = format!("the clock of node {number} jumps and is {ahead_ms} ms ahead");
            cluster.world.lock().note(format_args!("{what}"));
            cluster.world.lock().happened(fault, true);
            node.control.jump(ahead_ms);
        }
        Fault::DatabaseClockJumped => {
            let ahead_ms = jump_ms(dice);
            let mut world = cluster.world.lock();
            world.note(format_args!("the database's clock jumps and is {ahead_ms} ms ahead"));
            world.happened(fault, true);
            world.database_ahead_ms = ahead_ms;
        }
        Fault::ParticipantRestarted => {
            cluster.world.lock().happened(fault, true);
            cluster.world.lock().take_down(participant, span_ms);
        }
        _ => {
            cluster.world.lock().note(format_args!("the log is away for {span_ms} ms"));
            chaos.take_log_away(Instant::now() + Duration::from_millis(span_ms));
        }
    }
}

/// How far a clock jumps: seconds, minutes, hours or years, forth or back.
fn jump_ms(dice: &mut Dice) -> i64 {
    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    let most_ms = *dice.pick(&[5_000, 600_000, 18_000_000, 10 * YEAR_MS]);
    let span_ms = i64::try_from(dice.between(1, most_ms)).unwrap();
    if dice.chance(500) { span_ms } else { -span_ms }
}

/// Starts a node wherever one is missing, a while later.
pub(crate) async fn keep_alive(cluster: Arc<Cluster>, mut dice: Dice) {
    loop {
        if cluster.living().len() < NODES {
            sleep(Duration::from_millis(dice.between(0, 8_000))).await;
            cluster.add_node().await;
        }
        sleep(Duration::from_millis(500)).await;
    }
}
