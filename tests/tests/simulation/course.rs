//! The course of one seed.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use orchestrator::engine::Limits;
use saga_core::{Ending, SagaId};
use saga_log::Store;
use saga_tests::sim::{
    audit,
    cluster::{Cluster, unhurried},
    deployed,
    dice::{Dice, mixed},
    fault::{Defect, Fault},
    journal::SagaLog,
    scenario::{self, Case, Scenario, Spoil},
    shop::{Bought, Shop},
    world::World,
};
use tokio::time::{Instant, sleep};

use crate::{
    chaos::Chaos,
    nemesis::{self, NODES},
};

/// How long anything may go wrong, in virtual time.
const RAGE_MS: (u64, u64) = (20_000, 150_000);

/// When everything must have ended after all is mended: the longest pause of any policy (ten
/// minutes) and thrice as much again. However far clocks have jumped, a pause is a span.
const PATIENCE: Duration = Duration::from_secs(40 * 60);

/// Limits of a node that beats and looks for work less often than in the matrix: of the
/// virtual minutes of a seed most are spent with nothing else.
fn leisurely() -> Limits {
    Limits { heartbeat_ms: 2_000, dead_after_ms: 7_000, claim_ms: 1_500, ..unhurried() }
}

/// A node that began by a clock which was wrong by days believes the right one after a minute,
/// and one that is behind the others finds that out with its next beat. Until then what it
/// takes for five minutes may be over: that trouble has not ended with its cause.
const CLOCKS_REST: Duration = Duration::from_secs(75);

/// Sagas that are started when all is over; every one of them completes (V7).
const LAST: usize = 3;

/// What came of a seed.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) fired: BTreeMap<Fault, u64>,
    pub(crate) virtual_ms: u64,
    pub(crate) completed: u64,
    pub(crate) compensated: u64,
    pub(crate) nodes: u64,
    pub(crate) messages: u64,
}

impl Story {
    /// The violations and the last `lines` of what happened.
    pub(crate) fn told(&self, lines: usize) -> String {
        let mut told = format!("seed {}\n", self.seed);
        let from = self.trace.len().saturating_sub(lines);
        for line in &self.trace[from..] {
            writeln!(told, "{line}").unwrap();
        }
        for violation in &self.violations {
            writeln!(told, "VIOLATED {violation}").unwrap();
        }
        told
    }
}

/// Runs a seed, from its first saga to the moment when nothing is under way any more, or to
/// the first violation. Where there is one, it is run again, and tells how it came to that.
pub(crate) fn run(seed: u64, defect: Option<Defect>) -> Story {
    let story = once(seed, defect, false);
    if story.violations.is_empty() { story } else { told(seed, defect) }
}

/// The same, told from its beginning to its end.
pub(crate) fn told(seed: u64, defect: Option<Defect>) -> Story {
    once(seed, defect, true)
}

fn once(seed: u64, defect: Option<Defect>, tells: bool) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(course(seed, defect, tells))
}

async fn course(seed: u64, defect: Option<Defect>, tells: bool) -> Story {
    let begun = Instant::now();
    let mut dice = Dice::of(mixed(seed, &[1]));
    let chaos = Chaos::of(seed, &mut dice);
    let mut shop = Shop::selling(&[
        ("mug", 500, 9),
        ("lamp", 2_000, 7),
        ("tray", 300, 12),
        ("credit-10", 1_000, 12),
    ]);
    let cases = cast(&mut shop, &mut dice);
    let world = World::new(seed, shop, Box::new(chaos.clone()), defect);
    world.lock().tells = tells;
    world.lock().note(format_args!("{:?}", chaos.kinds));
    let cluster = Cluster::new(world.clone(), leisurely()).await;
    for _ in 0..NODES {
        cluster.add_node().await;
    }
    let sagas = cases.len();
    let rage_ms = dice.between(RAGE_MS.0, RAGE_MS.1);
    for (number, case) in cases.into_iter().enumerate() {
        let may_cancel = chaos.may(Fault::Cancelled);
        let dice = Dice::of(mixed(seed, &[2, number as u64]));
        tokio::spawn(client(Arc::clone(&cluster), case, may_cancel, rage_ms, dice));
    }
    let nemesis = Dice::of(mixed(seed, &[3]));
    tokio::spawn(nemesis::rage(Arc::clone(&cluster), chaos.clone(), nemesis));
    tokio::spawn(nemesis::keep_alive(Arc::clone(&cluster), Dice::of(mixed(seed, &[4]))));
    if safe_for(&world, Duration::from_millis(rage_ms)).await {
        heal(&cluster, &chaos);
        let clocks_were_set =
            chaos.may(Fault::ClockJumped) || chaos.may(Fault::DatabaseClockJumped);
        let rest = if clocks_were_set { CLOCKS_REST } else { Duration::ZERO };
        mended(&cluster, sagas, rest).await;
    }
    let mut inside = world.lock();
    let inside = &mut *inside;
    let ended = |ending| {
        let of = inside.journal.sagas.values().filter(|it| it.ended == Some(ending));
        of.count() as u64
    };
    Story {
        seed,
        virtual_ms: u64::try_from(begun.elapsed().as_millis()).unwrap(),
        completed: ended(Ending::Completed),
        compensated: ended(Ending::Compensated),
        violations: std::mem::take(&mut inside.violations),
        trace: std::mem::take(&mut inside.trace),
        fired: std::mem::take(&mut inside.fired),
        nodes: inside.nodes as u64,
        messages: inside.delivered,
    }
}

/// Who does what in this seed: some of it to the same orders, and to the same stock.
fn cast(shop: &mut Shop, dice: &mut Dice) -> Vec<Case> {
    let lines = |dice: &mut Dice| {
        let all: [&[usize]; 5] = [&[0], &[1, 0], &[3, 0], &[2, 1, 0], &[3, 2]];
        (*dice.pick(&all), i64::try_from(dice.between(1, 3)).unwrap())
    };
    let common: Vec<Bought> = (0..dice.between(1, 2))
        .map(|number| {
            let bought = scenario::bought(&format!("common-{number}"), &[3, 0], 1);
            shop.place(&bought);
            bought
        })
        .collect();
    let sagas = dice.between(3, 8);
    let some: Vec<&Scenario> = (0..3).map(|_| dice.pick(scenario::scenarios())).collect();
    let mut cases = Vec::new();
    while (cases.len() as u64) < sagas {
        let scenario = *dice.pick(&some);
        let number = cases.len();
        let spoil = if dice.chance(800) {
            Spoil::Nothing
        } else {
            *dice.pick(&[
                Spoil::Signal,
                Spoil::Method("Confirm"),
                Spoil::Method("Verify"),
                Spoil::Method("InsertOrder"),
                Spoil::Method("Cancel"),
                Spoil::Method("Transition"),
            ])
        };
        let mut case = if scenario.of_placed_order && scenario.definition != "restock" {
            scenario.case(dice.pick(&common), spoil)
        } else {
            let (items, units) = lines(dice);
            // Only what there is can have been sold before.
            let (items, units) =
                if scenario.of_placed_order { (&[2][..], 1) } else { (items, units) };
            let bought = scenario::bought(&format!("order-{number}"), items, units);
            let Some(case) = scenario.prepare(shop, &bought, spoil) else { continue };
            case
        };
        case.key = format!("{}-{number}", case.key);
        if dice.chance(500) {
            for (_, json) in &mut case.signals {
                *json = json.replace(r#""goods_returned":true"#, r#""goods_returned":false"#);
            }
        }
        cases.push(case);
    }
    cases
}

/// One client: starts its saga at some time, perhaps takes it back, gives its signals.
async fn client(cluster: Arc<Cluster>, case: Case, may_cancel: bool, rage_ms: u64, mut dice: Dice) {
    sleep(Duration::from_millis(dice.between(0, rage_ms / 2))).await;
    let node = usize::try_from(dice.between(0, 1)).unwrap();
    let saga = cluster.start(&case, node).await;
    if may_cancel && dice.chance(300) {
        let cluster = Arc::clone(&cluster);
        let after = Duration::from_millis(dice.between(0, 5_000));
        tokio::spawn(async move {
            sleep(after).await;
            cluster.cancel(saga, node).await;
        });
    }
    for (name, json) in &case.signals {
        sleep(Duration::from_millis(dice.between(0, rage_ms))).await;
        cluster.signal(saga, &case, name, json).await;
    }
}

fn is_safe(world: &World) -> bool {
    world.lock().violations.is_empty()
}

/// Waits, and looks now and then. False where something is wrong.
async fn safe_for(world: &World, span: Duration) -> bool {
    let until = Instant::now() + span;
    while Instant::now() < until {
        if !is_safe(world) {
            return false;
        }
        sleep(Duration::from_millis(1_000)).await;
    }
    is_safe(world)
}

fn heal(cluster: &Cluster, chaos: &Chaos) {
    chaos.heal();
    cluster.world.lock().database_ahead_ms = 0;
    for node in cluster.living() {
        node.control.heal();
    }
    let mut world = cluster.world.lock();
    world.note(format_args!("all is mended"));
    world.bring_up();
    world.shop.payments.books.provider.ill = None;
}

/// What has not ended, and what each node knows of the participants that may hold it up.
async fn say_what_is_open(cluster: &Cluster) {
    let open: Vec<(SagaId, String)> = {
        let world = cluster.world.lock();
        let told = |(id, log): (&SagaId, &SagaLog)| {
            (*id, format!("V1: saga {} ({}) has not ended", log.label, log.deployed.name))
        };
        let open = world.journal.sagas.iter().filter(|(_, log)| log.ended.is_none());
        open.map(told).collect()
    };
    for (saga, what) in open {
        let row = cluster.store.saga(saga).await.unwrap();
        let mut world = cluster.world.lock();
        world.note(format_args!("{what}: {:?}", row.map(|row| row.standing)));
        world.violated([what]);
    }
    for node in cluster.living() {
        let views = node.engine.participants();
        cluster.world.lock().note(format_args!("node {}: {views:?}", node.control.number));
    }
}

/// Everything ends, and what is started `rest` later completes.
async fn mended(cluster: &Arc<Cluster>, sagas: usize, rest: Duration) {
    let world = &cluster.world;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (started, open) = {
            let world = world.lock();
            (world.journal.sagas.len(), world.journal.open().count())
        };
        if started == sagas && open == 0 {
            break;
        }
        if !is_safe(world) {
            return;
        }
        if deadline < Instant::now() {
            say_what_is_open(cluster).await;
            let taken = (started < sagas).then(|| "V1: a start is not taken".to_owned());
            world.lock().violated(taken);
            return;
        }
        sleep(Duration::from_secs(2)).await;
    }
    sleep(rest).await;
    for number in 0..LAST {
        last_order(cluster, number).await;
    }
    // What is late comes now.
    sleep(Duration::from_secs(20)).await;
    let mut world = world.lock();
    let world = &mut *world;
    let wrong = audit::at_rest(&world.shop, &world.journal);
    world.violated(wrong);
}

/// V7: an order of something that nobody else wanted is placed.
async fn last_order(cluster: &Arc<Cluster>, number: usize) {
    let deployed = deployed::find("place-order").unwrap();
    let bought = scenario::bought(&format!("last-{number}"), &[2], 1);
    let case = {
        let mut world = cluster.world.lock();
        let item = world.shop.inventory.books.items.get_mut("tray").unwrap();
        // The owner finds some more.
        item.on_hand += 1;
        item.initial += 1;
        scenario::of(deployed).prepare(&mut world.shop, &bought, Spoil::Nothing).unwrap()
    };
    let saga = cluster.start(&case, number).await;
    let ended = cluster.ends_within(saga, Duration::from_secs(30)).await;
    let mut world = cluster.world.lock();
    let ending = world.journal.sagas[&saga].ended;
    if !ended || ending != Some(Ending::Completed) {
        world.violated([format!("V7: order {number} after the end of all trouble: {ending:?}")]);
    }
}
