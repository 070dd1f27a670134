//! The model as the checker sees it, and what one exploration found.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::{
    fold::Course,
    mixer::Mixer,
    properties,
    scope::Scope,
    subject::Subject,
    tally::Tally,
    world::{World, moves::Move},
};

type Keys = HashSet<u64, BuildHasherDefault<Mixer>>;

/// Moves that a healed world needs to its end at most; more is taken for "never".
const HEALING_MOVES_MAX: usize = 400;

/// The protocol of one saga within its bounds.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub scope: Scope,
    pub subject: Subject,
    tally: Arc<Tally>,
    /// Worlds whose end is known to be in reach.
    ending: Arc<Mutex<Keys>>,
}

/// How far an exploration goes.
#[derive(Clone, Debug)]
pub enum Until {
    /// Every state was visited.
    Explored,
    /// These properties were seen broken, or every state was visited.
    Broken(&'static [&'static str]),
    /// As [`Until::Explored`], but no longer than this. Depth first, which needs less memory
    /// and finds longer ways.
    Patience(Duration),
}

/// What an exploration found.
#[derive(Debug)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Moves, also those to states that were known.
    pub moves: usize,
    /// Moves of the longest way from the start that was followed.
    pub depth: usize,
    pub took: Duration,
    /// Whether every state was visited.
    pub is_complete: bool,
    /// Properties that must always hold and do not, each with a way to a state in which it
    /// does not: breadth first, about the shortest.
    pub broken: Vec<Broken>,
    /// Properties that must sometimes hold and never did.
    pub unmet: Vec<&'static str>,
    pub tally: Arc<Tally>,
}

/// A property that was broken.
#[derive(Debug)]
pub struct Broken {
    pub property: &'static str,
    pub moves: Vec<Move>,
    pub world: Box<World>,
}

impl Protocol {
    #[must_use]
    pub fn new(scope: Scope, subject: Subject) -> Self {
        Self { scope, subject, tally: Arc::default(), ending: Arc::default() }
    }

    #[must_use]
    pub fn course(&self) -> Course<'_> {
        Course { scope: &self.scope, subject: &self.subject }
    }

    /// Explores, breadth first unless it says otherwise.
    #[must_use]
    pub fn explore(self, until: &Until, threads: usize) -> Report {
        let began_at = Instant::now();
        let checker = self.checker().threads(threads);
        match until {
            Until::Explored => Report::of(&checker.spawn_bfs().join(), began_at.elapsed(), true),
            Until::Broken(properties) => {
                let properties: BTreeSet<_> = properties.iter().copied().collect();
                let checker = checker.finish_when(HasDiscoveries::AllOf(properties)).spawn_bfs();
                Report::of(&checker.join(), began_at.elapsed(), false)
            }
            Until::Patience(patience) => {
                let done = checker.timeout(*patience).spawn_dfs().join();
                let took = began_at.elapsed();
                Report::of(&done, took, took < *patience)
            }
        }
    }

    /// Whether the saga ends from here by itself, where nothing goes wrong any more.
    pub(crate) fn ends_once_healed(&self, world: &World) -> bool {
        let mut way = Vec::new();
        let mut healed: Option<World> = None;
        loop {
            let here = healed.as_ref().unwrap_or(world);
            let is_over = here.has_ended() || here.is_contradicted();
            if is_over || self.ending().contains(&here.key) {
                self.ending().extend(way);
                return true;
            }
            way.push(here.key);
            let Some(step) = here.healing_move() else { return false };
            if HEALING_MOVES_MAX < way.len() {
                return false;
            }
            healed = Some(here.after(self.course(), step).0);
        }
    }

    fn ending(&self) -> MutexGuard<'_, Keys> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn of(done: &impl Checker<Protocol>, took: Duration, is_complete: bool) -> Self {
        let mut discoveries = done.discoveries();
        let mut broken = Vec::new();
        let mut unmet = Vec::new();
        for Property { expectation, name, .. } in done.model().properties() {
            match (expectation, discoveries.remove(name)) {
                (Expectation::Sometimes, None) => unmet.push(name),
                (Expectation::Always, Some(path)) => broken.push(Broken {
                    property: name,
                    world: Box::new(path.last_state().clone()),
                    moves: path.into_actions(),
                }),
                _ => {}
            }
        }
        Self {
            states: done.unique_state_count(),
            moves: done.state_count(),
            depth: done.max_depth(),
            took,
            is_complete,
            broken,
            unmet,
            tally: done.model().tally.clone(),
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World::first(self.course())]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        world.moves(self.course(), moves);
    }

    fn next_state(&self, world: &World, step: Move) -> Option<World> {
        let (after, happened) = world.after(self.course(), step);
        self.tally.count(happened);
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.scope)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how_far = if self.is_complete { "every state" } else { "not every state" };
        write!(
            f,
            "{how_far} visited: {} states, {} moves, depth {}, {:.1} s\n {}",
            self.states,
            self.moves,
            self.depth,
            self.took.as_secs_f64(),
            self.tally
        )?;
        for Broken { property, moves, world } in &self.broken {
            writeln!(f, "\nbroken: {property}")?;
            moves.iter().try_for_each(|step| writeln!(f, "  {step:?}"))?;
            writeln!(f, "{world}")?;
        }
        Ok(())
    }
}
