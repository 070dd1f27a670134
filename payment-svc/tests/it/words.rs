//! What an adapter answers, in a word or two.

use payment_svc::provider::{CancelAnswer, CancelRefusal, ConfirmAnswer, ConfirmRefusal};
use saga_participant::Settled;

/// An answer in one word.
pub(crate) fn confirmed(asked: &Settled<ConfirmAnswer>) -> String {
    match asked {
        Settled::Definite(ConfirmAnswer::Captured { balance_minor, .. }) => {
            format!("captured {balance_minor}")
        }
        Settled::Definite(ConfirmAnswer::Refused(refusal)) => match refusal {
            ConfirmRefusal::Declined { code } => format!("declined {code}"),
            ConfirmRefusal::PaysLater => "pays later".to_owned(),
            ConfirmRefusal::SessionExpired => "expired".to_owned(),
            ConfirmRefusal::AmountDiffers { actual_minor } => format!("amount {actual_minor}"),
            ConfirmRefusal::UsedElsewhere { order_no } => format!("used {order_no}"),
            ConfirmRefusal::NotPaid { status } => format!("not paid {status}"),
            ConfirmRefusal::CurrencyNotTaken => "currency not taken".to_owned(),
            ConfirmRefusal::ProviderNotTaken => "provider not taken".to_owned(),
            ConfirmRefusal::NotFound => "not found".to_owned(),
        },
        other => unanswered(other),
    }
}

pub(crate) fn cancelled(asked: &Settled<CancelAnswer>) -> String {
    match asked {
        Settled::Definite(CancelAnswer::Cancelled { balance_minor }) => {
            format!("cancelled to {balance_minor}")
        }
        Settled::Definite(CancelAnswer::Refused(CancelRefusal::NotCancelable { code })) => {
            format!("refused {code}")
        }
        Settled::Definite(CancelAnswer::Refused(CancelRefusal::MoreThanBalance {
            balance_minor,
        })) => format!("only {balance_minor}"),
        other => unanswered(other),
    }
}

pub(crate) fn unanswered<A>(asked: &Settled<A>) -> String {
    match asked {
        Settled::Definite(_) => "answered",
        Settled::Unknown { .. } => "unknown",
        Settled::Wait { .. } => "wait",
        Settled::Configuration { .. } => "configuration",
    }
    .to_owned()
}
