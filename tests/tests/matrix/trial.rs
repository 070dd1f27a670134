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
    cluster::Cluster,
    deployed::Deployed,
    fault::{Defect, Fault},
    journal::StepFacts,
    scenario::{self, ITEMS, Spoil},
    shop::{Bought, Shop},
    world::{Part, Plan, World},
};
use tokio::time::{Instant, sleep};

use crate::waits::{Heard, Wait};

/// How long a saga may take, in virtual time: more than any pause of any policy, twice, and
/// more than the nodes of those who wait for a week need to miss one another.
const PATIENCE: Duration = Duration::from_secs(3 * 3_600);

/// What is tried.
pub(crate) struct Trial<'t> {
    pub(crate) deployed: &'static Deployed,
    pub(crate) spoil: Spoil<'t>,
    pub(crate) plan: Box<dyn Plan>,
    pub(crate) defect: Option<Defect>,
    pub(crate) wait: Wait,
}

/// What came of it.
pub(crate) struct Report {
    pub(crate) ending: Option<Ending>,
    pub(crate) fired: BTreeMap<Fault, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    /// Steps whose messages left, and which.
    pub(crate) left: BTreeSet<(String, Part)>,
    /// What the log tells of each step.
    pub(crate) steps: Vec<StepFacts>,
    /// The reason code for which it turned back.
    pub(crate) turned_back: Option<&'static str>,
    /// What the clients heard who gave signals or took the saga back.
    pub(crate) heard: Vec<Heard>,
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

/// What is bought in every trial.
pub(crate) fn bought() -> Bought {
    scenario::bought("order-1", &[3, 0, 1], 2)
}

/// Tries it. `None`: this definition cannot be spoiled like that.
pub(crate) fn run(trial: Trial<'_>) -> Option<Report> {
    virtual_time().block_on(tried(trial))
}

async fn tried(trial: Trial<'_>) -> Option<Report> {
    let Trial { deployed, spoil, plan, defect, wait } = trial;
    let mut shop = Shop::selling(&ITEMS);
    let bought = bought();
    let case = scenario::of(deployed).prepare(&mut shop, &bought, spoil)?;
    let world = World::new(1, shop, plan, defect);
    let cluster = Cluster::new(world.clone(), wait.limits()).await;
    for _ in 0..wait.nodes() {
        cluster.add_node().await;
    }
    let saga = cluster.start(&case, 0).await;
    let outside = tokio::spawn(wait.happens(Arc::clone(&cluster), saga, deployed, case));
    sleep(wait.unattended(deployed)).await;
    let ended = until_end(&cluster, saga).await;
    let heard = if ended { outside.await.unwrap() } else { Vec::new() };
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
    let log = &inside.journal.sagas[&saga];
    Some(Report {
        ending: log.ended,
        steps: log.steps.clone(),
        turned_back: log.turned_back,
        heard,
        fired: inside.fired.clone(),
        violations: inside.violations.clone(),
        trace: inside.trace.clone(),
        left: inside.left.clone(),
    })
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
