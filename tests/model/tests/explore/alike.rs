//! The model under test: worlds with the same key are visited once, so they have to be
//! worlds in which the same can happen. Which slot a node runs in, how long the log is and
//! how often was tried are left out of the key; this walks without it.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use saga_core::StepIndex;
use saga_model::{
    protocol::Protocol,
    scope::{Faults, Pauses, Scope},
    subject::Subject,
    world::World,
};
use stateright::{Expectation, Model};

/// What may come of a world: the keys of its successors, and the properties that it breaks.
type Behaviour = (BTreeSet<u64>, Vec<&'static str>);

#[test]
fn worlds_that_look_alike_behave_alike() {
    let faults = |takeovers, losses, repeats| Faults { takeovers, losses, repeats, tails: 0 };
    let paused = Scope { pauses: Pauses::Open, ..Scope::pay_order(faults(1, 1, 0)) };
    let checked = [StepIndex(1)].into_iter().collect();
    let checked = Scope { checked, ..Scope::pay_order(faults(1, 1, 0)) };
    let losing = |faults: Faults| {
        let faults = Faults { tails: 1, ..faults };
        Scope { tail_rows_max: 2, ..Scope::reserve_pay(faults) }
    };
    for scope in [
        Scope::reserve_pay(faults(1, 1, 0)),
        Scope::reserve_pay(faults(2, 0, 1)),
        Scope::side_by_side(faults(1, 0, 0)),
        paused,
        checked,
        losing(faults(1, 0, 0)),
        losing(faults(0, 1, 1)),
    ] {
        let (worlds, alike) = walk(&Protocol::new(scope, Subject::real()));
        println!("{worlds} worlds, {alike} of them look different");
        assert!(alike < worlds, "nothing was taken for alike");
    }
}

/// Visits the first worlds, none of which is taken for another. Returns how many there
/// were, and how many keys.
fn walk(model: &Protocol) -> (usize, usize) {
    const WORLDS_MAX: usize = 25_000;
    let mut behaviours: HashMap<u64, Behaviour> = HashMap::new();
    let mut seen = HashSet::new();
    let mut rest: VecDeque<World> = model.init_states().into();
    while let Some(world) = rest.pop_front() {
        if seen.len() == WORLDS_MAX || !seen.insert(identity(&world)) {
            continue;
        }
        let successors = model.next_states(&world);
        let keys = successors.iter().map(|it| it.key).collect();
        let behaviour = (keys, broken(model, &world));
        let known = behaviours.entry(world.key).or_insert_with(|| behaviour.clone());
        assert_eq!(*known, behaviour, "another world with this key behaves otherwise:\n{world}");
        rest.extend(successors);
    }
    (seen.len(), behaviours.len())
}

fn identity(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{world:?}").hash(&mut hasher);
    hasher.finish()
}

fn broken(model: &Protocol, world: &World) -> Vec<&'static str> {
    let properties = model.properties().into_iter();
    let always = properties.filter(|it| it.expectation == Expectation::Always);
    always.filter(|it| !(it.condition)(model, world)).map(|it| it.name).collect()
}
