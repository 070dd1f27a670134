//! Random faults that can be repeated.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Fault, FaultScript, Operation};

/// Random faults. Each number says how many of a thousand payments meet that fault.
///
/// What a payment meets depends on the seed and on its key only, so that a run can be
/// repeated. A decline hits confirms; the others hit confirms and cancels, and at most
/// one of them hits a payment's confirm and at most one its cancel. Where the connection
/// of a confirm is cut, that of the first look-up is cut as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMix {
    /// Chooses who is hit.
    pub seed: u64,
    /// The card is refused.
    pub declined_permille: u16,
    /// The connection is cut before anything happened.
    pub dropped_before_commit_permille: u16,
    /// The connection is cut after it happened.
    pub dropped_after_commit_permille: u16,
    /// 503 before anything happened.
    pub unavailable_permille: u16,
    /// 500 after it happened.
    pub error_after_commit_permille: u16,
    /// 409 instead of an execution.
    pub conflict_permille: u16,
    /// The reply is slow.
    pub slow_permille: u16,
    /// How slow, before the commit.
    pub slow_ms: u64,
}

impl FaultMix {
    /// Some of everything that a good week has.
    pub fn light(seed: u64) -> Self {
        Self {
            seed,
            declined_permille: 30,
            dropped_before_commit_permille: 5,
            dropped_after_commit_permille: 20,
            unavailable_permille: 20,
            error_after_commit_permille: 5,
            conflict_permille: 5,
            slow_permille: 20,
            slow_ms: 150,
        }
    }

    /// A bad day.
    pub fn heavy(seed: u64) -> Self {
        Self {
            seed,
            declined_permille: 80,
            dropped_before_commit_permille: 40,
            dropped_after_commit_permille: 100,
            unavailable_permille: 100,
            error_after_commit_permille: 40,
            conflict_permille: 40,
            slow_permille: 60,
            slow_ms: 400,
        }
    }

    /// What the payment `payment_key` meets.
    pub fn script(&self, payment_key: &str) -> FaultScript {
        let mut confirm = Vec::from_iter(self.trouble(Operation::Confirm, payment_key));
        if self.draw("decline", payment_key) < self.declined_permille {
            confirm.push(Fault::Decline { code: "REJECT_CARD_PAYMENT".to_owned() });
        }
        let cancel = Vec::from_iter(self.trouble(Operation::Cancel, payment_key));
        // A network that loses a reply is not back for the very next request.
        let look_up = match confirm.first() {
            Some(Fault::DropBeforeCommit | Fault::DropAfterCommit) => vec![Fault::DropBeforeCommit],
            _ => Vec::new(),
        };
        FaultScript { confirm, cancel, look_up, ..FaultScript::default() }
    }

    fn trouble(&self, operation: Operation, payment_key: &str) -> Option<Fault> {
        let slow = Fault::Delay { before_ms: self.slow_ms, after_commit_ms: 0 };
        let shares = [
            (self.dropped_before_commit_permille, Fault::DropBeforeCommit),
            (self.dropped_after_commit_permille, Fault::DropAfterCommit),
            (self.unavailable_permille, Fault::ErrorBefore { status: 503 }),
            (self.error_after_commit_permille, Fault::ErrorAfter { status: 500 }),
            (self.conflict_permille, Fault::Conflict409),
            (self.slow_permille, slow),
        ];
        let mut drawn = self.draw(operation.as_str(), payment_key);
        for (permille, fault) in shares {
            if drawn < permille {
                return Some(fault);
            }
            drawn -= permille;
        }
        None
    }

    /// A number from 0 to 999.
    fn draw(&self, purpose: &str, payment_key: &str) -> u16 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(payment_key.as_bytes());
        let digest = hash.finalize();
        let number = digest.iter().take(7).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        u16::try_from(number % 1000).expect("a number below 1000 fits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_hits_the_share_it_names_and_the_same_payments_each_time() {
        let mix = FaultMix::heavy(7);
        let scripts: Vec<_> = (0..10_000).map(|it| mix.script(&format!("pay-{it}"))).collect();

        let hit = |wanted: &str| {
            let hits = scripts.iter().filter(|it| it.confirm.iter().any(|it| it.kind() == wanted));
            hits.count()
        };
        assert!((650..950).contains(&hit("decline")), "{}", hit("decline"));
        assert!((850..1150).contains(&hit("drop_after_commit")), "{}", hit("drop_after_commit"));
        assert!((850..1150).contains(&hit("error_before")), "{}", hit("error_before"));

        let again: Vec<_> = (0..10_000).map(|it| mix.script(&format!("pay-{it}"))).collect();
        assert_eq!(scripts, again);
        assert_ne!(
            scripts[..100],
            Vec::from_iter((0..100).map(|it| { FaultMix::heavy(8).script(&format!("pay-{it}")) }))
        );
    }
}
