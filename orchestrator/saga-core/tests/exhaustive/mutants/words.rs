//! Wrong about what people are told.

use saga_core::{
    CancelEffect, Cause, Direction, Offer, OnUnknown, StepIndex, StepPhase, cancel_effect,
    explain::{StepView, UndoView, step_view, undo_view},
    offers,
};

use super::{Mutant, usual};
use crate::{
    cases::{PIVOT_LAST, PIVOT_THEN_STEP, Shape, WAIT},
    rules::{Rule, Words},
    walk::Subject,
};

pub(super) fn of_words() -> Vec<Mutant> {
    [of_cancels(), of_views(), of_offers()].into_iter().flatten().collect()
}

fn of_cancels() -> Vec<Mutant> {
    let real = Words::REAL;
    vec![
        // What was answered before: 147 of 320 cancels were told so and completed.
        says(
            "an open cancel is told as won",
            PIVOT_LAST,
            Rule::CancelIsDecided,
            Words {
                cancel: |definition, state| match cancel_effect(definition, state) {
                    CancelEffect::Undecided => CancelEffect::TurnsBack,
                    other => other,
                },
                ..real
            },
        ),
        says(
            "a cancel that won is told as none",
            PIVOT_LAST,
            Rule::CancelIsDecided,
            Words {
                cancel: |definition, state| match (cancel_effect(definition, state), state.ended())
                {
                    (_, Some(ended)) => CancelEffect::Ended(ended.ending),
                    (other, None) => other,
                },
                ..real
            },
        ),
    ]
}

fn of_views() -> Vec<Mutant> {
    let real = Words::REAL;
    vec![
        says(
            "a step is retried in a saga that ended",
            PIVOT_LAST,
            Rule::WordsAreTrue,
            Words {
                step: |state, index| match (step_view(state, index), state.step(index).phase) {
                    (StepView::NotDone, StepPhase::Open { .. }) => StepView::Retrying,
                    (other, _) => other,
                },
                ..real
            },
        ),
        says(
            "what is not tried any more holds a saga up",
            PIVOT_LAST,
            Rule::WordsAreTrue,
            Words {
                cause: |definition, state| {
                    let trouble = |step: &StepIndex| state.step(*step).last_trouble.is_some();
                    let is_open = |step: &StepIndex| {
                        matches!(state.step(*step).phase, StepPhase::Open { .. })
                    };
                    let open = definition.indices().find(|step| is_open(step) && trouble(step));
                    open.map(|step| Cause::Call {
                        step,
                        direction: Direction::Forward,
                        code: "",
                        message: "",
                        since_ms: 0,
                    })
                },
                ..real
            },
        ),
        says(
            "a doubt is told as not done",
            PIVOT_LAST,
            Rule::WordsAreTrue,
            Words {
                step: |state, index| match step_view(state, index) {
                    StepView::Unknown => StepView::NotDone,
                    other => other,
                },
                ..real
            },
        ),
        says(
            "all that ended is undone",
            PIVOT_LAST,
            Rule::WordsAreTrue,
            Words {
                undo: |definition, state, index| match undo_view(definition, state, index) {
                    UndoView::Nothing if state.ended().is_some() => UndoView::Stays,
                    UndoView::Stays => UndoView::Done,
                    other => other,
                },
                ..real
            },
        ),
    ]
}

fn of_offers() -> Vec<Mutant> {
    let real = Words::REAL;
    vec![
        says(
            "a cancel is offered behind the pivot",
            PIVOT_THEN_STEP,
            Rule::OffersHold,
            Words {
                offers: |definition, state, now_ms| {
                    let mut offers = offers(definition, state, now_ms);
                    if state.ended().is_none() && !offers.contains(&Offer::Cancel) {
                        offers.push(Offer::Cancel);
                    }
                    offers
                },
                ..real
            },
        ),
        says(
            "a try is offered to all that live",
            WAIT,
            Rule::OffersHold,
            Words {
                offers: |definition, state, now_ms| {
                    let mut offers = offers(definition, state, now_ms);
                    if state.ended().is_none() && !offers.contains(&Offer::Retry) {
                        offers.push(Offer::Retry);
                    }
                    offers
                },
                ..real
            },
        ),
        Mutant {
            case: PIVOT_LAST.case(OnUnknown::Park, 1, 3),
            ..says(
                "nobody may settle",
                PIVOT_LAST,
                Rule::OffersHold,
                Words {
                    offers: |definition, state, now_ms| {
                        let mut offers = offers(definition, state, now_ms);
                        offers.retain(|offer| !matches!(offer, Offer::Settle { .. }));
                        offers
                    },
                    ..real
                },
            )
        },
    ]
}

fn says(name: &'static str, shape: Shape, breaks: Rule, words: Words) -> Mutant {
    let subject = Subject { words, ..Subject::real() };
    Mutant { name, subject, case: usual(shape), breaks }
}
