//! What must hold in every state of every run, and at every decision. The rules judge by
//! the participants' own books and by the wire, which the engine cannot see.

use std::fmt;

use saga_core::{
    Action, CancelEffect, Definition, Direction, Ending, Event, Next, OnUnknown, StepIndex,
    StepPhase, StuckReason, TurnBackReason,
    phase::{Last, Pause, Tries},
    stuck,
};

mod patience;
mod waits;
mod words;

pub(crate) use patience::judge_held;
pub(crate) use words::{Words, judge_words};

use crate::{
    cases::{DEADLINE_MS, Keeps},
    node::Node,
    walk::Moment,
    world::{Record, Request},
};

/// The codes are those of the project's list of invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// L1: a request is on the wire only if the log announced it.
    CallIsInTheLog,
    /// L3: what is appended folds.
    LogFolds,
    /// L4: nothing follows the end.
    EndIsLast,
    /// L6: who does not act has a call out, a time to wake or a named reason.
    NoLimbo,
    /// L8: the log takes for applied, rejected or fenced only what surely is.
    OutcomeIsTrue,
    /// E1: an effect happens at most once and is undone at most once.
    AtMostOnce,
    /// E2: completed means everything applied, nothing undone.
    CompletedIsWhole,
    /// E3: compensated means nothing stands, whatever still arrives.
    CompensatedIsClean,
    /// E9: undone in reverse topological order.
    UndoneInOrder,
    /// E10: nothing is undone and nobody turns back where the pivot stands or may stand.
    PivotIsFinal,
    /// A step begins when all it waits for is applied or skipped.
    BegunInOrder,
    /// Only what surely took effect is undone: a doubt is settled first.
    SettledThenUndone,
    /// T3: no more attempts than the policy allows.
    WithinPolicy,
    /// What surely did not reach its participant, and what that declined for now, uses up no
    /// attempt: no saga turns back because of it alone.
    OnlyAnswersUseAttempts,
    /// Who takes no calls holds back those of its steps, not other steps and not the deadline.
    HoldsOnlyItsCalls,
    /// T4: no action is begun after the deadline.
    DeadlineHolds,
    /// A step that is left to a person is not called.
    ParkedIsLeftAlone,
    /// F81, F82: who was told that a cancel turns the saga back, or comes too late, is told
    /// so for ever, the ending says the same, and in the end everybody is told one of both.
    CancelIsDecided,
    /// The first signal of a step is kept from the moment its sender was told, and no other
    /// is taken.
    FirstSignalIsKept,
    /// A signal that came decides, not the clock.
    SignalDecides,
    /// Where two sure words contradict each other, only a person goes on.
    ContradictionIsLeftAlone,
    /// A participant that keeps no operation log is not asked to undo while an attempt of the
    /// action may still arrive.
    UndoneWhenQuiet,
    /// What an unread reply keeps from being made is no reason to turn back.
    UnreadIsWaitedFor,
    /// A timer decides when its time is over and no signal came; not before, not later.
    TimerHolds,
    /// What people are told of a step and its effect is so.
    WordsAreTrue,
    /// No act is offered that would be refused or change nothing, and who is stuck has one.
    OffersHold,
}

impl Rule {
    pub(crate) const ALL: [Self; 26] = [
        Self::CallIsInTheLog,
        Self::LogFolds,
        Self::EndIsLast,
        Self::NoLimbo,
        Self::OutcomeIsTrue,
        Self::AtMostOnce,
        Self::CompletedIsWhole,
        Self::CompensatedIsClean,
        Self::UndoneInOrder,
        Self::PivotIsFinal,
        Self::BegunInOrder,
        Self::SettledThenUndone,
        Self::WithinPolicy,
        Self::OnlyAnswersUseAttempts,
        Self::HoldsOnlyItsCalls,
        Self::DeadlineHolds,
        Self::ParkedIsLeftAlone,
        Self::CancelIsDecided,
        Self::FirstSignalIsKept,
        Self::SignalDecides,
        Self::ContradictionIsLeftAlone,
        Self::UndoneWhenQuiet,
        Self::UnreadIsWaitedFor,
        Self::TimerHolds,
        Self::WordsAreTrue,
        Self::OffersHold,
    ];
}

/// A rule that was broken, and the log up to there.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
    pub(crate) log: Vec<Event>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} is broken: {}", self.rule, self.what)?;
        self.log.iter().skip(1).try_for_each(|event| writeln!(f, "    {event:?}"))
    }
}

/// One judgement: `holds`, or which rule is broken and why.
fn judge(rule: Rule, holds: bool, what: impl FnOnce() -> String) -> Result<(), (Rule, String)> {
    if holds { Ok(()) } else { Err((rule, what())) }
}

type Judged = Result<(), (Rule, String)>;

/// Judges one decision before it is recorded.
pub(crate) fn judge_action(definition: &Definition, node: &Node, action: &Action) -> Judged {
    let said = || format!("{action:?}");
    if let Action::Call { step, .. } | Action::Inquire { step, .. } = *action {
        let left = !is_contradicted(node.state.step(step).phase);
        judge(Rule::ContradictionIsLeftAlone, left, said)?;
    }
    match *action {
        Action::Call { step, direction: Direction::Forward, attempt } => {
            judge_call(definition, node, step, attempt)
        }
        Action::Call { step, direction: Direction::Backward, .. } => {
            let known = !matches!(
                node.state.step(step).phase,
                StepPhase::Open { direction: Direction::Forward, .. }
            );
            let settled = known && node.world.of(step).action == Some(Record::Applied);
            let may = settled || is_undone_in_doubt(definition, node, step);
            judge(Rule::SettledThenUndone, may, said)?;
            let keeps_log = node.world.keeps != Keeps::Nothing;
            let quiet = keeps_log || !node.world.has_on_the_wire(step, Request::Action);
            judge(Rule::UndoneWhenQuiet, quiet, said)?;
            let later = definition.indices().filter(|it| definition.ancestors(*it).contains(step));
            for later in later {
                let kept = node.state.step(later).phase == StepPhase::Kept;
                let left = definition.step(later).compensable && node.world.stands(later) && !kept;
                let gone = !(left || node.world.may_yet_be_applied(later));
                judge(Rule::UndoneInOrder, gone, || format!("{action:?} while {later} stands"))?;
            }
            judge(Rule::PivotIsFinal, !pivot_may_stand(definition, node), said)
        }
        Action::TurnBack { ref reason } => {
            if let TurnBackReason::Unrenderable { step } = *reason {
                let mut before = definition.ancestors(step).iter();
                let unread = before.any(|it| node.state.step(it).unread);
                judge(Rule::UnreadIsWaitedFor, !unread, said)?;
            }
            judge(Rule::PivotIsFinal, !pivot_may_stand(definition, node), said)
        }
        Action::End { ending } => judge_ending(definition, node, ending),
        Action::BeginWait { step } => judge_call(definition, node, step, 1),
        Action::TimeOut { step, .. } => waits::judge_time_out(definition, node, step),
        Action::Inquire { .. } | Action::Judge { .. } => Ok(()),
    }
}

fn is_contradicted(phase: StepPhase) -> bool {
    matches!(phase, StepPhase::Open { last: Last::Contradicted, pause: Pause::After { .. }, .. })
}

/// Whether the definition has a step undone that was refused while it was in doubt.
fn is_undone_in_doubt(definition: &Definition, node: &Node, step: StepIndex) -> bool {
    let refused = match node.state.step(step).phase {
        StepPhase::Open { direction: Direction::Forward, tries, .. } => tries.refused,
        StepPhase::Open { direction: Direction::Backward, .. } => true,
        _ => false,
    };
    refused && definition.step(step).on_unknown == OnUnknown::FinishThenUndo
}

fn judge_call(definition: &Definition, node: &Node, step: StepIndex, attempt: u32) -> Judged {
    let said = || format!("attempt {attempt} of step {step}");
    let rules = definition.step(step);
    let may_begin = rules.after.iter().all(|before| {
        let skipped = node.state.step(before).phase == StepPhase::Skipped;
        skipped
            || (node.world.stands(before) && node.state.step(before).phase == StepPhase::Applied)
    });
    judge(Rule::BegunInOrder, may_begin, said)?;
    let tries = match node.state.step(step).phase {
        StepPhase::Open { tries, .. } => tries,
        _ => Tries::default(),
    };
    let parked = tries.in_doubt && rules.on_unknown == OnUnknown::Park;
    judge(Rule::ParkedIsLeftAlone, !parked, said)?;
    if definition.pivots().iter().any(|pivot| node.world.stands(pivot)) {
        return Ok(());
    }
    let finishes =
        tries.in_doubt && matches!(rules.on_unknown, OnUnknown::Retry | OnUnknown::FinishThenUndo);
    let in_time = node.now_ms < DEADLINE_MS || finishes;
    judge(Rule::DeadlineHolds, in_time, said)?;
    let within = tries.failures < rules.retry.attempts_max || finishes;
    judge(Rule::WithinPolicy, within, said)
}

/// By the participant's books, or as far as the log can tell.
fn pivot_may_stand(definition: &Definition, node: &Node) -> bool {
    let mut pivots = definition.pivots().iter();
    pivots.any(|it| node.world.may_stand(it) || is_in_doubt(node.state.step(it).phase))
}

fn is_in_doubt(phase: StepPhase) -> bool {
    match phase {
        StepPhase::InFlight { .. } | StepPhase::Inquiring { .. } => true,
        StepPhase::Open { direction: Direction::Forward, tries, .. } => tries.in_doubt,
        StepPhase::Open { direction: Direction::Backward, .. } => true,
        _ => false,
    }
}

/// Judges one state, and what is to happen in it.
pub(crate) fn judge_node(moment: &Moment<'_>, node: &Node, decision: &Next) -> Judged {
    patience::judge_kept(moment.definition, node)?;
    judge_effects(moment, node)?;
    for step in moment.definition.indices() {
        judge_step(node, step)?;
    }
    waits::judge_signals(moment.definition, node)?;
    patience::judge_giving_up(moment, decision)?;
    match (node.state.ended(), decision) {
        (Some(ended), Next::Finished(ending)) if ended.ending == *ending => {
            judge_end_is_last(node)?;
            judge_ending(moment.definition, node, *ending)
        }
        (Some(_), other) => Err((Rule::EndIsLast, format!("{other:?} after the end"))),
        (None, other) => judge_rest(moment.definition, node, other),
    }
}

fn judge_effects(moment: &Moment<'_>, node: &Node) -> Judged {
    for (step, books) in node.world.books.iter().enumerate() {
        let once = books.applied <= 1 && books.undone <= books.applied;
        judge(Rule::AtMostOnce, once, || format!("step {step}: {books:?}"))?;
    }
    for message in &node.world.network {
        let announced = moment.log.iter().any(|event| match (event, message.request) {
            (Event::Inquired { step, inquiry, .. }, Request::Inquiry) => {
                (*step, *inquiry) == (message.step, message.number)
            }
            (Event::Intended { step, direction, attempt, .. }, request) => {
                request == (*direction).into()
                    && (*step, *attempt) == (message.step, message.number)
            }
            _ => false,
        });
        judge(Rule::CallIsInTheLog, announced, || format!("{message:?}"))?;
    }
    Ok(())
}

/// The log's word on one step against what is true.
fn judge_step(node: &Node, step: StepIndex) -> Judged {
    let phase = node.state.step(step).phase;
    let books = node.world.of(step);
    let sent = node.world.has_on_the_wire(step, Request::Action);
    let keeps_log = node.world.keeps != Keeps::Nothing;
    let closed = matches!(books.action, Some(Record::Rejected | Record::Fenced))
        || (node.world.keeps != Keeps::Log && !sent);
    let true_to_life = match phase {
        StepPhase::Pending
        | StepPhase::Skipped
        | StepPhase::Waiting { .. }
        | StepPhase::Unrenderable { direction: Direction::Forward } => {
            books.action.is_none() && !sent
        }
        StepPhase::Open { direction: Direction::Forward, tries, .. } if !tries.in_doubt => {
            books.action.is_none() && !sent
        }
        StepPhase::InFlight { direction: Direction::Forward, .. }
        | StepPhase::Inquiring { .. }
        | StepPhase::Open { direction: Direction::Forward, .. } => !books.compensation,
        StepPhase::Applied | StepPhase::Unrenderable { direction: Direction::Backward } => {
            node.world.stands(step) && !books.compensation
        }
        StepPhase::InFlight { direction: Direction::Backward, .. }
        | StepPhase::Open { direction: Direction::Backward, .. } => {
            books.action == Some(Record::Applied) || !keeps_log
        }
        StepPhase::Rejected | StepPhase::Fenced => closed && books.applied == 0,
        StepPhase::Undone => books.compensation && !node.world.may_stand(step),
        StepPhase::Kept => node.world.stands(step) && !books.compensation,
    };
    judge(Rule::OutcomeIsTrue, true_to_life, || format!("step {step}: {phase:?}, {books:?}"))?;

    let awaited = node.world.network.iter().filter(|it| it.step == step && it.awaited).count();
    let heard = awaited == usize::from(phase.is_out()) || node.state.is_closing();
    judge(Rule::NoLimbo, heard, || format!("step {step}: {phase:?} with {awaited} calls out"))
}

fn judge_rest(definition: &Definition, node: &Node, decision: &Next) -> Judged {
    if let Next::Wait { until_ms } = decision {
        waits::judge_waiting(definition, node, *until_ms)?;
    }
    let said = || format!("{decision:?} at {}", node.now_ms);
    match decision {
        Next::Do(actions) => judge(Rule::NoLimbo, !actions.is_empty(), said),
        Next::Wait { until_ms: Some(until_ms) } => {
            judge(Rule::NoLimbo, node.now_ms < *until_ms, said)
        }
        Next::Wait { until_ms: None } => {
            let is_out = node.world.network.iter().any(|message| message.awaited);
            let only_a_person = stuck(definition, &node.state).is_some_and(|it| match it.reason {
                StuckReason::OutcomeUnknown => {
                    definition.step(it.step).on_unknown == OnUnknown::Park
                }
                StuckReason::RejectedAfterPivot
                | StuckReason::Unrenderable
                | StuckReason::ReplyUnread
                | StuckReason::Contradiction => true,
                _ => false,
            });
            let only_a_signal = waits::waits_without_timer(definition, node);
            judge(Rule::NoLimbo, is_out || only_a_person || only_a_signal, said)
        }
        Next::Finished(_) => Err((Rule::EndIsLast, "finished without an end".to_owned())),
    }
}

fn judge_end_is_last(node: &Node) -> Judged {
    let (at_ms, none) = (node.now_ms, String::new);
    let more = [
        Event::CancelRequested { actor: none(), reason: none(), request_id: none(), at_ms },
        Event::Ended { ending: Ending::Completed, at_ms },
        Event::Ended { ending: Ending::Compensated, at_ms },
        node.owned_again(),
    ];
    for event in more {
        let refused = node.state.clone().apply(&event).is_err();
        judge(Rule::EndIsLast, refused, || format!("{event:?} after the end"))?;
    }
    Ok(())
}

fn judge_ending(definition: &Definition, node: &Node, ending: Ending) -> Judged {
    let said = || format!("{ending:?}, {:?}", node.world);
    for step in definition.indices() {
        let skipped = node.state.step(step).phase == StepPhase::Skipped;
        let rules = definition.step(step);
        match ending {
            // A person's word, whatever is left behind.
            Ending::Closed => {}
            Ending::Completed => {
                let whole = skipped || node.world.of(step).applied == 1;
                let undone = node.world.of(step).undone > 0
                    || node.world.has_on_the_wire(step, Request::Compensation);
                judge(Rule::CompletedIsWhole, whole && !undone, said)?;
            }
            Ending::Compensated => {
                let left = if node.state.step(step).phase == StepPhase::Kept {
                    false
                } else if rules.compensable || rules.pivot {
                    node.world.may_stand(step)
                } else {
                    node.world.may_yet_be_applied(step)
                };
                let settled = !is_in_doubt(node.state.step(step).phase);
                judge(Rule::CompensatedIsClean, settled && !left, said)?;
            }
        }
    }
    let as_told = match node.cancel.filter(|_| ending != Ending::Closed) {
        Some(CancelEffect::TurnsBack) => ending == Ending::Compensated,
        Some(CancelEffect::TooLate) => ending == Ending::Completed,
        Some(CancelEffect::Undecided | CancelEffect::Ended(_)) => false,
        None => true,
    };
    judge(Rule::CancelIsDecided, as_told, || format!("{:?}, {ending:?}", node.cancel))
}
