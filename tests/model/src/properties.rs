//! The promises, as properties of states. The letters are those of the invariants that the
//! project keeps; each is checked here, by an audit over a database, and by a checker.

use saga_core::{Ending, StepPhase, TurnBackReason};
use stateright::Property;

use crate::{
    participant::{Ask, Op, Record},
    protocol::Protocol,
    scope::Scope,
    world::{
        SLOTS, World,
        log::Teller,
        network::{Leg, Message},
    },
};

pub const L1: &str = "L1 what is on the wire is in the log";
pub const L2: &str = "L2 only the owner writes";
pub const L3: &str = "L3 the log folds, and every decision fits it";
pub const L4: &str = "L4 nothing follows the end";
pub const L8: &str = "L8 an outcome in the log is the participant's own word";
pub const T1: &str = "T1 of rows that build on the same one, one is taken";
pub const T2: &str = "T2 no row follows one that was lost";
pub const E1: &str = "E1 an operation takes effect at most once";
pub const E1_FENCED: &str = "E1 what is refused or fenced has no effect for ever";
pub const E2: &str = "E2 a completed saga has all of its effects, once each";
pub const E3: &str = "E3 a compensated saga has no effect left, nor one to come";
pub const E4: &str = "E4 the provider's ledger and the operation log agree";
pub const E9: &str = "E9 an effect is undone after what depends on it";
pub const E10: &str = "E10 nothing is undone once the pivot stands";
pub const V1: &str = "V1 the end is in reach without another fault, or a person is called";

/// The properties that must always hold.
pub const ALWAYS: [&str; 15] = [L1, L2, L3, L4, L8, T1, T2, E1, E1_FENCED, E2, E3, E4, E9, E10, V1];

pub(crate) fn all(scope: &Scope) -> Vec<Property<Protocol>> {
    let mut all = always();
    all.extend(sometimes());
    if 0 < scope.faults.tails {
        all.extend(sometimes_with_a_loss());
    }
    if !scope.checked.is_empty() {
        all.push(Property::sometimes("a refusal meets a doubt", |_, world: &World| {
            let mut phases = world.fold().state.steps().iter().map(|step| step.phase);
            phases.any(|it| match it {
                StepPhase::Open { tries, .. } | StepPhase::Inquiring { tries } => tries.refused,
                _ => false,
            })
        }));
    }
    all
}

fn always() -> Vec<Property<Protocol>> {
    vec![
        Property::always(L1, |_, world: &World| !world.broken.sent_before_log),
        Property::always(L2, |_, world: &World| !world.broken.written_by_other),
        Property::always(L3, |_, world: &World| !world.broken.does_not_fold),
        Property::always(L4, |_, world: &World| !world.broken.written_behind_end),
        Property::always(L8, outcomes_are_true),
        Property::always(T1, |_, world: &World| !world.broken.built_on_older),
        Property::always(T2, |_, world: &World| !world.broken.mixed_histories),
        Property::always(E1, takes_effect_once),
        Property::always(E1_FENCED, refused_has_no_effect),
        Property::always(E2, completed_is_whole),
        Property::always(E3, compensated_is_clean),
        Property::always(E4, ledgers_agree),
        Property::always(E9, undone_in_order),
        Property::always(E10, pivot_ends_turning_back),
        Property::always(V1, Protocol::ends_once_healed),
    ]
}

/// What an exploration must have met, or it tested nothing.
fn sometimes() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("it completes", |_, world: &World| {
            ended(world) == Some(Ending::Completed)
        }),
        Property::sometimes("it is compensated", |_, world: &World| {
            ended(world) == Some(Ending::Compensated)
        }),
        Property::sometimes("two nodes drive it at once", |_, world: &World| {
            SLOTS.iter().all(|slot| world.node(*slot).is_some())
        }),
        Property::sometimes("nobody drives it", |_, world: &World| {
            !world.has_ended() && SLOTS.iter().all(|slot| world.node(*slot).is_none())
        }),
        Property::sometimes("a dead node's row may still land", |_, world: &World| {
            world.lane.iter().any(|it| it.teller == Teller::Nobody)
        }),
        Property::sometimes("an owner is not told that its row is durable", |_, world: &World| {
            let pending = |slot| world.node(slot).and_then(|it| it.pending.as_ref());
            SLOTS.iter().any(|slot| pending(*slot).is_some_and(|it| it.is_landed))
        }),
        Property::sometimes(
            "a request that nobody waits for may still arrive",
            |_, world: &World| {
                world.network.iter().any(|it| it.leg == Leg::Request && it.to.is_none())
            },
        ),
        Property::sometimes(
            "a request and its repetition are under way together",
            |_, world: &World| {
                let actions = world.network.iter().filter(|it| it.ask == Ask::Action);
                actions.filter(|it| it.leg == Leg::Request).count() == 2
            },
        ),
        Property::sometimes("an action is fenced", |_, world: &World| {
            world.books.iter().any(|it| it.action == Some(Record::Fenced))
        }),
    ]
}

/// What must have been met where the log loses rows.
fn sometimes_with_a_loss() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("a participant contradicts the log", |_, world: &World| {
            world.is_contradicted()
        }),
        Property::sometimes("it completes although rows were lost", |_, world: &World| {
            world.log.has_lost && ended(world) == Some(Ending::Completed)
        }),
        Property::sometimes("it is compensated although rows were lost", |_, world: &World| {
            world.log.has_lost && ended(world) == Some(Ending::Compensated)
        }),
        Property::sometimes("what lost rows have undone is found", |_, world: &World| {
            let reason = world.fold().state.turned_back();
            matches!(reason, Some(TurnBackReason::UndoneInLostRows { .. }))
        }),
    ]
}

fn ended(world: &World) -> Option<Ending> {
    world.fold().state.ended().map(|it| it.ending)
}

fn every_step(model: &Protocol, check: impl Fn(saga_core::StepIndex) -> bool) -> bool {
    model.scope.definition.indices().all(check)
}

fn outcomes_are_true(model: &Protocol, world: &World) -> bool {
    every_step(model, |step| {
        let books = &world.books[step.at()];
        let (applied, _) = world.effects(model.course(), step);
        match world.fold().phase(step) {
            StepPhase::Applied => books.action == Some(Record::Applied) && 0 < applied,
            StepPhase::Rejected => world.is_refused(step),
            StepPhase::Fenced => books.action == Some(Record::Fenced),
            StepPhase::Undone => books.undos.contains(&Some(Record::Applied)),
            _ => true,
        }
    })
}

fn takes_effect_once(model: &Protocol, world: &World) -> bool {
    every_step(model, |step| {
        let (applied, undone) = world.effects(model.course(), step);
        applied <= 1 && undone <= applied
    })
}

fn refused_has_no_effect(model: &Protocol, world: &World) -> bool {
    every_step(model, |step| {
        let (applied, _) = world.effects(model.course(), step);
        applied == 0 || !world.is_refused(step)
    })
}

fn completed_is_whole(model: &Protocol, world: &World) -> bool {
    let is_whole = |step| world.effects(model.course(), step) == (1, 0);
    ended(world) != Some(Ending::Completed) || every_step(model, is_whole)
}

fn compensated_is_clean(model: &Protocol, world: &World) -> bool {
    let is_clean = |step| !world.may_stand(model.course(), step);
    ended(world) != Some(Ending::Compensated) || every_step(model, is_clean)
}

/// The provider may know more than the participant while the operation is open, and only then.
fn ledgers_agree(model: &Protocol, world: &World) -> bool {
    let Some(step) = model.scope.provider else { return true };
    let books = &world.books[step.at()];
    let ledger = &world.ledger;
    let is_asked = |op| {
        world
            .network
            .iter()
            .any(|it| it.step == step && matches!(it.leg, Leg::FromProvider(of, _) if of == op))
    };
    let action_is_open = books.action == Some(Record::Intended) || is_asked(Op::Action);
    let undo_is_open = books.undos.contains(&Some(Record::Intended)) || is_asked(Op::Undo);
    (action_is_open || ledger.captured == books.applied)
        && (undo_is_open || ledger.refunded == books.undone)
}

fn undone_in_order(model: &Protocol, world: &World) -> bool {
    let definition = &model.scope.definition;
    every_step(model, |step| {
        let mut later = definition.indices().filter(|it| definition.ancestors(*it).contains(step));
        !world.is_being_undone(step) || !later.any(|it| world.may_stand(model.course(), it))
    })
}

fn pivot_ends_turning_back(model: &Protocol, world: &World) -> bool {
    let stands = |pivot| {
        let (applied, undone) = world.effects(model.course(), pivot);
        applied > undone
    };
    if !model.scope.definition.pivots().iter().any(stands) {
        return true;
    }
    let is_undone = |step: saga_core::StepIndex| {
        let undos = world.books[step.at()].undos;
        // One that arrives behind the fence does nothing.
        let is_undoing = |it: &Message| {
            let is_fenced = undos[usize::from(it.id)] == Some(Record::Fenced);
            (it.ask, it.step) == (Ask::Undo, step) && !is_fenced
        };
        let is_undone = |it: &Option<Record>| it.is_some_and(|it| it != Record::Fenced);
        undos.iter().any(is_undone) || world.network.iter().any(is_undoing)
    };
    every_step(model, |step| !is_undone(step))
}
