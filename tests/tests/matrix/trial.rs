//! One saga over a fresh shop, from its start to the moment when nothing is under way any
//! more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use saga_core::{Ending, SagaId};
use saga_tests::sim::{
    audit,
    cluster::{Cluster, unhurried},
    deployed::Deployed,
    fault::{Defect, Fault},
    scenario::{self, Case, ITEMS, Spoil},
    shop::Shop,
    world::{Death, Part, Plan, World},
};
use tokio::time::{Instant, sleep};

/// How long a saga may take, in virtual time: more than any pause of any policy, twice.
const PATIENCE: Duration = Duration::from_secs(40 * 60);

/// What is tried.
pub(crate) struct Trial<'t> {
    pub(crate) deployed: &'static Deployed,
    pub(crate) spoil: Spoil<'t>,
    pub(crate) plan: Box<dyn Plan>,
    pub(crate) defect: Option<Defect>,
    pub(crate) signal: Signal,
}

/// How signals are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// How often.
    pub(crate) times: u32,
    /// How the node dies with the row that holds it.
    pub(crate) death: Option<Death>,
}

/// Given once, to a node that lives.
pub(crate) const GIVEN: Signal = Signal { times: 1, death: None };

/// What came of it.
pub(crate) struct Report {
    pub(crate) ending: Option<Ending>,
    pub(crate) fired: BTreeMap<Fault, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    /// Steps whose messages left, and which.
    pub(crate) left: BTreeSet<(String, Part)>,
}

impl Report {
    /// The whole story, for whoever has to find out why.
    pub(crate) fn story(&self) -> String {
        let Self { ending, violations, trace, .. } = self;
        format!("{ending:?}\n{}\n{}", violations.join("\n"), trace.join("\n"))
    }
}

/// A runtime whose clock stands still while anything can be done.
pub(crate) fn virtual_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Tries it. `None`: this definition cannot be spoiled like that.
pub(crate) fn run(trial: Trial<'_>) -> Option<Report> {
    virtual_time().block_on(tried(trial))
}

async fn tried(trial: Trial<'_>) -> Option<Report> {
    let Trial { deployed, spoil, plan, defect, signal } = trial;
    let mut shop = Shop::selling(&ITEMS);
    let bought = scenario::bought("order-1", &[3, 0, 1], 2);
    let case = scenario::of(deployed).prepare(&mut shop, &bought, spoil)?;
    let world = World::new(1, shop, plan, defect);
    let cluster = Cluster::new(world.clone(), unhurried()).await;
    cluster.add_node().await;
    let saga = cluster.start(&case, 0).await;
    give_signals(&cluster, saga, &case, signal);
    let ended = until_end(&cluster, saga).await;
    // What is late comes now.
    sleep(Duration::from_secs(20)).await;
    let mut inside = world.lock();
    let inside = &mut *inside;
    if ended {
        let wrong = audit::at_rest(&inside.shop, &inside.journal);
        inside.violated(wrong);
    } else if inside.violations.is_empty() {
        let stuck = inside.journal.sagas[&saga].stuck.clone();
        inside.violated([format!("V1: it has not ended; stuck: {stuck:?}")]);
    }
    Some(Report {
        ending: inside.journal.sagas[&saga].ended,
        fired: inside.fired.clone(),
        violations: inside.violations.clone(),
        trace: inside.trace.clone(),
        left: inside.left.clone(),
    })
}

fn give_signals(cluster: &Arc<Cluster>, saga: SagaId, case: &Case, signal: Signal) {
    let (cluster, case) = (Arc::clone(cluster), case.clone());
    tokio::spawn(async move {
        // By now the saga waits for it, in the log and not in memory.
        sleep(Duration::from_secs(10)).await;
        for (name, json) in &case.signals {
            if let (Some(death), [node, ..]) = (signal.death, &cluster.living()[..]) {
                node.control.arm(death, saga);
            }
            for _ in 0..signal.times {
                // A saga that has turned back does not take it.
                let _ = cluster.signal(saga, &case, name, json).await;
            }
        }
    });
}

/// Waits for the end, with a new node wherever the last one died.
async fn until_end(cluster: &Arc<Cluster>, saga: SagaId) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if cluster.living().is_empty() {
            cluster.add_node().await;
        }
        if cluster.ends_within(saga, Duration::from_secs(1)).await {
            return true;
        }
        if !cluster.world.lock().violations.is_empty() {
            return false;
        }
    }
    false
}
