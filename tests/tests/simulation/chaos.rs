//! What goes wrong in a seed, message by message and row by row.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use saga_tests::sim::{
    dice::{Dice, mixed, number_of},
    fault::Fault,
    world::{Fate, Message, Part, Plan},
};
use tokio::time::Instant;

/// What happens to a message, and how often compared with the others.
const OF_MESSAGES: [(Fault, u64); 17] = [
    (Fault::NotSent, 4),
    (Fault::ReplyLost, 8),
    (Fault::DroppedBeforeCommit, 6),
    (Fault::ErrorBefore, 4),
    (Fault::ErrorAfter, 6),
    (Fault::HangPastDeadline, 6),
    (Fault::LateAfterFence, 8),
    (Fault::Duplicate, 6),
    (Fault::Twins, 5),
    (Fault::StillOpen, 6),
    (Fault::Reordered, 5),
    (Fault::ParticipantRestarted, 3),
    (Fault::Busy, 3),
    (Fault::Forbidden, 1),
    (Fault::Garbled, 2),
    (Fault::ProviderDown, 6),
    (Fault::ProviderAnswerLost, 8),
];

/// Everything that a seed may do to anybody.
#[derive(Clone)]
pub(crate) struct Chaos {
    seed: u64,
    /// The faults of this seed: not all of them in each, so that each gets its turn.
    pub(crate) kinds: Arc<BTreeSet<Fault>>,
    /// Of 1,000 messages so many meet one.
    message_permille: u64,
    write_permille: u64,
    healed: Arc<AtomicBool>,
    log_away_until: Arc<Mutex<Instant>>,
}

impl Chaos {
    pub(crate) fn of(seed: u64, dice: &mut Dice) -> Self {
        let kinds = Fault::ALL.into_iter().filter(|_| dice.chance(600)).collect();
        Self {
            seed,
            kinds: Arc::new(kinds),
            message_permille: *dice.pick(&[50, 150, 300, 500]),
            write_permille: *dice.pick(&[0, 10, 40]),
            healed: Arc::default(),
            log_away_until: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Whether this seed may do that.
    pub(crate) fn may(&self, fault: Fault) -> bool {
        self.kinds.contains(&fault)
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::SeqCst)
    }

    /// The log is away for a while, for everybody.
    pub(crate) fn take_log_away(&self, until: Instant) {
        *self.log_away_until.lock().unwrap() = until;
    }

    fn log_is_away(&self) -> bool {
        !self.is_healed() && Instant::now() < *self.log_away_until.lock().unwrap()
    }

    /// One of `among` that this seed may do, by `roll`.
    fn one(&self, among: &[(Fault, u64)], roll: u64) -> Option<Fault> {
        let allowed = || among.iter().filter(|(fault, _)| self.may(*fault));
        let sum: u64 = allowed().map(|(_, weight)| weight).sum();
        let mut left = roll.checked_rem(sum)?;
        for (fault, weight) in allowed() {
            if left < *weight {
                return Some(*fault);
            }
            left -= weight;
        }
        None
    }
}

impl Plan for Chaos {
    fn of_message(&mut self, message: &Message) -> Option<Fate> {
        if self.is_healed() {
            return None;
        }
        let Message { label, step, part, number, .. } = message;
        let parts = [*label as u64, number_of(step), *part as u64, u64::from(*number)];
        let roll = mixed(self.seed, &parts);
        // Only a repeat can meet it, so it does not wait for its turn among the others.
        let is_repeat = 1 < *number && *part != Part::Inquiry;
        if is_repeat && self.may(Fault::RefusedByCheck) && roll.is_multiple_of(3) {
            return Some(Fate { fault: Fault::RefusedByCheck, counts: true, death: None });
        }
        if self.message_permille <= roll % 1_000 {
            return None;
        }
        let fault = self.one(&OF_MESSAGES, roll / 1_000)?;
        Some(Fate { fault, counts: true, death: None })
    }

    fn of_write(&mut self, node: usize, rows: &[(usize, u64)], try_number: u64) -> Option<Fault> {
        if self.log_is_away() {
            return Some(Fault::LogUnavailable);
        }
        if self.is_healed() {
            return None;
        }
        let (label, version) = rows.first().copied()?;
        let roll = mixed(self.seed, &[node as u64, label as u64, version, try_number]);
        if self.write_permille <= roll % 1_000 {
            return None;
        }
        let among = [
            (Fault::LogUnavailable, 3),
            (Fault::CommitUnknown, 4),
            (Fault::KilledBeforeAppend, 2),
            (Fault::KilledAfterAppend, 2),
        ];
        self.one(&among, roll / 1_000)
    }

    fn of_read(&mut self, node: usize, try_number: u64) -> bool {
        if self.is_healed() || !self.may(Fault::LogUnreadable) {
            return false;
        }
        let roll = mixed(self.seed, &[u64::MAX, node as u64, try_number]);
        self.log_is_away() || roll % 1_000 < self.write_permille
    }
}
