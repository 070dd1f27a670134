//! What a participant can do wrong, and which claims that breaks.

/// What a participant does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Makes a new reply for a repeated call.
    RepliesAnew,
    /// Sends the stored reply, and has the effect again.
    RepeatsTheEffect,
    /// Looks for an operation before its transaction, so equal calls at once all find none.
    TwiceAtOnce,
    /// As that, and replies to each of them.
    TwiceAtOnceWithReplies,
    /// Answers another request with the stored reply.
    ComparesNoBodies,
    /// Executes another request, and records it in place of the first.
    ReplacesTheFirst,
    /// Refuses another request, and executes it.
    ExecutesTheOther,
    /// Takes the tombstone of an inquiry away when the first late original meets it.
    FencesOnce,
    /// Refuses a late original, and executes it.
    ExecutesTheLate,
    /// Says that the refusal of a late original is on record.
    RecordsTheFence,
    /// Refuses the compensation of what never came.
    KnowsNoEmptyUndo,
    /// Answers the compensation of what never came, and forgets it.
    ForgetsTheEmptyUndo,
    /// Gives back what was never taken.
    UndoesWhatNeverCame,
    /// Answers a compensation OK, and does nothing.
    UndoesNothing,
    /// Refuses a compensation that it has made.
    UndoesOnce,
    /// Makes a compensation again, with the stored reply.
    RepeatsTheUndo,
    /// Looks for a compensation before its transaction.
    UndoesTwiceAtOnce,
    /// Undoes again under another id.
    UndoesAnew,
    /// Refuses to undo again under another id, and does it.
    UndoesAnewInSecret,
    /// Answers a second compensation OK, and does nothing.
    ApprovesASecondUndo,
    /// Executes again what was undone, with the stored reply.
    RepeatsWhatWasUndone,
    /// Refuses what was undone with a reason of its own.
    RefusesWhatWasUndone,
    /// Leaves the original as it was when a compensation overtakes it.
    OvertakesTheOriginal,
    /// Fences when it should look.
    PeekFences,
    /// Tells that it was applied, without the reply.
    TellsNoReply,
    /// Tells that what was undone is absent.
    TellsNoReversal,
    /// Answers an inquiry without waiting for the call that is under way.
    DoesNotWait,
    /// Has its effect in one transaction and records it in another.
    TwoTransactions,
    /// Tells of a refusal that it never happens, without the reason.
    TellsNoRefusal,
    /// Refuses again for another reason.
    RefusesOtherwise,
    /// Refuses, and has its effect.
    RefusesAfterTheEffect,
    /// Refuses to compensate what it refused.
    UndoesNoRefusal,
    /// Gives back what was refused.
    PaysOutARefusal,
    /// Executes calls without an operation id.
    NeedsNoId,
    /// Refuses calls without an operation id after it executed them.
    RefusesAfterwards,
    /// Refuses calls without an operation id after it executed them, and hides that.
    RefusesInSecret,
    /// Keeps its log in memory.
    ForgetsAtRestart,
    /// Keeps its fences in memory.
    ForgetsFences,
    /// Keeps in memory what was undone.
    ForgetsUndos,
}

/// Each defect, the claims that find it, and those that find it too where two calls meet in
/// one order and not in the other.
pub(crate) const BROKEN: [(Defect, &[&str], &[&str]); 36] = [
    (Defect::RepliesAnew, &["duplicate-same-reply", "at-once-same-reply"], &[]),
    (Defect::RepeatsTheEffect, &["duplicate-one-effect", "at-once-one-effect"], &[]),
    (Defect::TwiceAtOnce, &["at-once-one-effect"], &[]),
    (Defect::TwiceAtOnceWithReplies, &["at-once-same-reply", "at-once-one-effect"], &[]),
    (Defect::ComparesNoBodies, &["other-body"], &[]),
    (Defect::ReplacesTheFirst, &["other-body"], &[]),
    (Defect::ExecutesTheOther, &["other-body-no-effect"], &[]),
    (Defect::FencesOnce, &["late-original", "late-original-no-effect"], &[]),
    (
        Defect::ExecutesTheLate,
        &["late-original-no-effect", "undo-first-no-effect"],
        &["undo-in-flight-no-effect", "resolve-in-flight-effect"],
    ),
    (Defect::RecordsTheFence, &["late-original", "undo-first"], &["undo-in-flight"]),
    (Defect::KnowsNoEmptyUndo, &["undo-first"], &["undo-in-flight"]),
    (
        Defect::ForgetsTheEmptyUndo,
        &["undo-first", "undo-first-no-effect"],
        &["undo-in-flight-no-effect"],
    ),
    (Defect::UndoesWhatNeverCame, &["undo-first-no-effect"], &["undo-in-flight-no-effect"]),
    (
        Defect::UndoesNothing,
        &["undo-takes-back", "undo-at-once-one-effect"],
        &["undo-in-flight-no-effect"],
    ),
    (Defect::UndoesOnce, &["undo-twice", "undo-at-once"], &[]),
    (Defect::RepeatsTheUndo, &["undo-twice-one-effect", "undo-at-once-one-effect"], &[]),
    (Defect::UndoesTwiceAtOnce, &["undo-at-once-one-effect"], &[]),
    (Defect::UndoesAnew, &["second-undo", "second-undo-no-effect"], &[]),
    (Defect::UndoesAnewInSecret, &["second-undo-no-effect"], &[]),
    (Defect::ApprovesASecondUndo, &["second-undo"], &[]),
    (Defect::RepeatsWhatWasUndone, &["repeat-after-undo-no-effect"], &[]),
    (Defect::RefusesWhatWasUndone, &["repeat-after-undo"], &[]),
    (Defect::OvertakesTheOriginal, &["undo-in-flight-no-effect"], &[]),
    (Defect::PeekFences, &["resolve-absent"], &[]),
    (Defect::TellsNoReply, &["resolve-applied"], &[]),
    (Defect::TellsNoReversal, &["resolve-reversed"], &[]),
    (Defect::DoesNotWait, &["resolve-in-flight", "resolve-in-flight-effect"], &[]),
    (Defect::TwoTransactions, &["resolve-in-flight-effect"], &["undo-in-flight-no-effect"]),
    (Defect::TellsNoRefusal, &["resolve-rejected"], &[]),
    (Defect::RefusesOtherwise, &["refusal-repeated", "undo-of-a-rejection"], &[]),
    (Defect::RefusesAfterTheEffect, &["refusal-no-effect", "undo-of-a-rejection-no-effect"], &[]),
    (Defect::UndoesNoRefusal, &["undo-of-a-rejection"], &[]),
    (Defect::PaysOutARefusal, &["undo-of-a-rejection-no-effect"], &[]),
    (Defect::NeedsNoId, &["no-op-id", "no-op-id-no-effect"], &[]),
    (Defect::RefusesAfterwards, &["no-op-id"], &[]),
    (Defect::RefusesInSecret, &["no-op-id-no-effect"], &[]),
];

/// Those that only a restart shows.
pub(crate) const FORGETFUL: [(Defect, &[&str]); 3] = [
    (
        Defect::ForgetsAtRestart,
        &[
            "restart-same-reply",
            "restart-one-effect",
            "restart-fenced",
            "restart-fenced-no-effect",
            "restart-undone",
        ],
    ),
    (Defect::ForgetsFences, &["restart-fenced", "restart-fenced-no-effect"]),
    (Defect::ForgetsUndos, &["restart-undone", "restart-undone-no-effect"]),
];
