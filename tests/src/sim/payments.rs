//! The payment service, as far as its contract can be seen from outside. It decides by what
//! the provider says, and keeps its own book beside the provider's.

use std::collections::BTreeMap;

use prost::Message;
use shop_proto::payment::v1::{self as pb, cancel_request};
use uuid::Uuid;

use super::{
    answer::{Answer, Deny, read, read_op_id},
    barrier::Books,
    fault::Defect,
    provider::{Provider, Said},
};

/// A payment that settled an order.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The order.
    pub order_no: String,
    /// The provider's key of it.
    pub key: String,
    /// The operation that took it.
    pub taken_by: Uuid,
    /// What was taken.
    pub amount_minor: i64,
    /// What of it is left.
    pub balance_minor: i64,
}

/// What a payment granted.
#[derive(Clone, Debug, Default)]
pub struct Credit {
    /// To whom.
    pub account: String,
    /// How much.
    pub granted: i64,
    /// How often.
    pub grants: u32,
    /// Whether it was taken back, for good.
    pub revoked: bool,
}

/// All payments, and the provider behind them.
#[derive(Debug, Default)]
pub struct Payments {
    /// By our id.
    pub payments: BTreeMap<String, Payment>,
    /// By our id of the payment.
    pub credits: BTreeMap<String, Credit>,
    /// Cancels that were asked of the provider: by operation, the balance to reach.
    targets: BTreeMap<Uuid, i64>,
    /// Cancels that are not settled, by our id of the payment: one at a time.
    open: BTreeMap<String, Uuid>,
    /// The provider.
    pub provider: Provider,
}

const NO_ANSWER: Deny = Deny::Unknown { reason: "PROVIDER_OUTCOME_UNKNOWN" };

/// Our id of the payment with this key.
#[must_use]
pub fn payment_id(key: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()).to_string()
}

impl Books for Payments {
    fn reverses(&self, method: &str, body: &[u8]) -> Result<Option<Uuid>, Deny> {
        match method {
            "Cancel" => match read::<pb::CancelRequest>(body)?.reverses_op_id.as_str() {
                "" => Ok(None),
                text => read_op_id(text).map(Some),
            },
            _ => Ok(None),
        }
    }

    fn apply(&mut self, method: &str, op: Uuid, body: &[u8], defect: Option<Defect>) -> Answer {
        match method {
            "Confirm" => {
                let pb::ConfirmRequest { order_no, provider_key: key, amount_minor, .. } =
                    read(body)?;
                let taken = Taken { order_no, key, amount_minor, confirm: true };
                let (payment_id, provider_key) = self.take(op, taken)?;
                let approved_at = None;
                Ok(pb::ConfirmResponse { payment_id, provider_key, amount_minor, approved_at }
                    .encode_to_vec())
            }
            "Verify" => {
                let pb::VerifyRequest { order_no, provider_key: key, expected_minor, .. } =
                    read(body)?;
                let amount_minor = expected_minor;
                let taken = Taken { order_no, key, amount_minor, confirm: false };
                let (payment_id, provider_key) = self.take(op, taken)?;
                let approved_at = None;
                Ok(pb::VerifyResponse { payment_id, provider_key, amount_minor, approved_at }
                    .encode_to_vec())
            }
            "Cancel" => self.cancel(op, &read::<pb::CancelRequest>(body)?, defect),
            "GrantCredit" => self.grant(read(body)?, defect),
            "RevokeCredit" => self.revoke(&read::<pb::RevokeCreditRequest>(body)?),
            _ => Err(Deny::NoSuchMethod { path: method.to_owned() }),
        }
    }
}

/// What a cancel of a payment of ours comes to.
enum Intended {
    /// Nothing is to be done, and this is said.
    Nothing(pb::CancelResponse),
    /// The provider is to give back what is above this.
    Balance(i64),
}

/// Whether the caller gives back what was offered for an order and names no settling.
fn is_offer(request: &pb::CancelRequest) -> bool {
    !request.order_no.is_empty() && request.reverses_op_id.is_empty()
}

/// What is to be done about a payment that settled an order.
fn intended(id: &str, payment: &Payment, request: &pb::CancelRequest) -> Result<Intended, Deny> {
    if !request.order_no.is_empty() && request.order_no != payment.order_no {
        return Ok(Intended::Nothing(pb::CancelResponse::default()));
    }
    if payment.balance_minor == 0 && request.amount_minor == 0 {
        let payment_id = id.to_owned();
        return Ok(Intended::Nothing(pb::CancelResponse { payment_id, ..Default::default() }));
    }
    // It settles the order: only who undoes the settling, or cancels the order, may.
    if payment.balance_minor > 0 && is_offer(request) {
        return Ok(Intended::Nothing(pb::CancelResponse::default()));
    }
    if payment.balance_minor < request.amount_minor {
        return Err(Deny::refused("AMOUNT_EXCEEDS_BALANCE", id));
    }
    Ok(Intended::Balance(match request.amount_minor {
        0 => 0,
        some => payment.balance_minor - some,
    }))
}

/// What a Confirm or a Verify wants to take.
struct Taken {
    order_no: String,
    key: String,
    amount_minor: i64,
    /// Whether the provider captures now; otherwise the buyer has paid already.
    confirm: bool,
}

impl Payments {
    fn take(&mut self, op: Uuid, taken: Taken) -> Result<(String, String), Deny> {
        let Taken { order_no, key, amount_minor, confirm } = taken;
        if order_no.is_empty() || key.is_empty() || amount_minor < 1 {
            return Err(Deny::invalid("order_no, provider_key and an amount are required"));
        }
        let used =
            |it: &Payment| it.key == key || (it.order_no == order_no && it.balance_minor > 0);
        if self.payments.values().any(used) {
            return Err(Deny::refused("PAYMENT_ALREADY_USED", key));
        }
        if confirm {
            match self.provider.confirm(&key, &order_no, amount_minor) {
                Said::Captured => {}
                Said::OtherAmount => return Err(Deny::refused("AMOUNT_MISMATCH", key)),
                Said::Nothing => return Err(NO_ANSWER),
                _ => return Err(Deny::refused("DECLINED", key)),
            }
        } else {
            let Some(found) = self.provider.look_up(&key) else { return Err(NO_ANSWER) };
            let Some(paid) = found else {
                return Err(Deny::not_found("PAYMENT_NOT_FOUND", key));
            };
            if paid.net_minor() == 0 {
                return Err(Deny::refused("NOT_PAID", key));
            }
            if paid.order_no != order_no {
                return Err(Deny::refused("ORDER_MISMATCH", key));
            }
            if paid.captured_minor != amount_minor {
                return Err(Deny::refused("AMOUNT_MISMATCH", key));
            }
        }
        let id = payment_id(&key);
        let balance_minor = amount_minor;
        let payment =
            Payment { order_no, key: key.clone(), taken_by: op, amount_minor, balance_minor };
        self.payments.insert(id.clone(), payment);
        Ok((id, key))
    }

    /// Our payment that a cancel names, or the provider's key of one that is not ours.
    fn target(&self, request: &pb::CancelRequest) -> Result<Result<String, String>, Deny> {
        use cancel_request::Payment as Named;
        let reversed = match request.reverses_op_id.as_str() {
            "" => None,
            text => Some(read_op_id(text)?),
        };
        let of_op = |op: Uuid| self.payments.iter().find(|(_, it)| it.taken_by == op);
        match (&request.payment, reversed.and_then(of_op)) {
            (Some(Named::PaymentId(id)), _) if self.payments.contains_key(id) => Ok(Ok(id.clone())),
            (Some(Named::PaymentId(id)), _) => {
                Err(Deny::not_found("PAYMENT_NOT_FOUND", id.clone()))
            }
            (Some(Named::ProviderKey(key)), _) => {
                let id = payment_id(key);
                Ok(if self.payments.contains_key(&id) { Ok(id) } else { Err(key.clone()) })
            }
            (None, Some((id, _))) => Ok(Ok(id.clone())),
            (None, None) => Err(Deny::invalid("a payment is required")),
        }
    }

    fn cancel(&mut self, op: Uuid, request: &pb::CancelRequest, defect: Option<Defect>) -> Answer {
        let id = match self.target(request)? {
            Ok(id) => id,
            Err(key) => return self.cancel_stray(&key, request),
        };
        let payment = self.payments[&id].clone();
        let target = match self.targets.get(&op) {
            // Asked again, the provider is to come to the same balance.
            Some(target) => *target,
            None => match intended(&id, &payment, request)? {
                Intended::Nothing(reply) => return Ok(reply.encode_to_vec()),
                Intended::Balance(target) => target,
            },
        };
        if *self.open.entry(id.clone()).or_insert(op) != op {
            let (reason, retry_after_ms) = ("PAYMENT_IN_PROGRESS", 200);
            return Err(Deny::Busy { reason, retry_after_ms });
        }
        self.targets.insert(op, target);
        let said = if defect == Some(Defect::RefundForgotten) {
            Said::Cancelled { cancelled_minor: 0, balance_minor: target }
        } else {
            self.provider.cancel_to(&payment.key, target)
        };
        if said == Said::Nothing {
            return Err(NO_ANSWER);
        }
        self.open.remove(&id);
        if !matches!(said, Said::Cancelled { .. }) {
            return Err(Deny::refused("NOT_CANCELABLE", id));
        }
        let cancelled_minor = payment.balance_minor - target;
        if let Some(payment) = self.payments.get_mut(&id) {
            payment.balance_minor = target;
        }
        let balance_minor = target;
        Ok(pb::CancelResponse { payment_id: id, cancelled_minor, balance_minor }.encode_to_vec())
    }

    /// Gives a payment back that is not ours, as a whole.
    fn cancel_stray(&mut self, key: &str, request: &pb::CancelRequest) -> Answer {
        if request.amount_minor != 0 {
            return Err(Deny::invalid("a stray is given back as a whole"));
        }
        let Some(found) = self.provider.look_up(key) else { return Err(NO_ANSWER) };
        let nothing = if request.order_no.is_empty() {
            Err(Deny::not_found("PAYMENT_NOT_FOUND", key))
        } else {
            Ok(Vec::new())
        };
        let Some(paid) = found else { return nothing };
        if !request.order_no.is_empty() && paid.order_no != request.order_no {
            return nothing;
        }
        if paid.captured_minor == 0 {
            return nothing;
        }
        match self.provider.cancel_to(key, 0) {
            Said::Cancelled { .. } => {
                let cancelled_minor = paid.captured_minor;
                let payment_id = String::new();
                Ok(pb::CancelResponse { payment_id, cancelled_minor, balance_minor: 0 }
                    .encode_to_vec())
            }
            Said::Nothing => Err(NO_ANSWER),
            _ => Err(Deny::refused("NOT_CANCELABLE", key)),
        }
    }

    fn grant(&mut self, request: pb::GrantCreditRequest, defect: Option<Defect>) -> Answer {
        let pb::GrantCreditRequest { payment_id, account, credits } = request;
        if account.is_empty() || credits < 1 {
            return Err(Deny::invalid("an account and at least one credit are required"));
        }
        let Some(payment) = self.payments.get(&payment_id) else {
            return Err(Deny::not_found("PAYMENT_NOT_FOUND", payment_id));
        };
        let is_gone = payment.balance_minor == 0;
        let known = self.credits.entry(payment_id).or_default();
        let is_new = known.grants == 0 || defect == Some(Defect::NoDedup);
        if is_new && !known.revoked && !is_gone {
            known.account.clone_from(&account);
            known.granted += credits;
            known.grants += 1;
        } else if known.grants > 0 && (known.account != account || known.granted != credits) {
            return Err(Deny::refused("CREDIT_ALREADY_GRANTED", account));
        }
        let credits = known.granted;
        let balance = self.balance(&account);
        Ok(pb::GrantCreditResponse { account, credits, balance }.encode_to_vec())
    }

    fn revoke(&mut self, request: &pb::RevokeCreditRequest) -> Answer {
        if !self.payments.contains_key(&request.payment_id) {
            return Err(Deny::not_found("PAYMENT_NOT_FOUND", request.payment_id.clone()));
        }
        let known = self.credits.entry(request.payment_id.clone()).or_default();
        known.revoked = true;
        let (account, credits) = (known.account.clone(), known.granted);
        let balance = self.balance(&account);
        Ok(pb::RevokeCreditResponse { account, credits, balance }.encode_to_vec())
    }

    /// What an account has.
    #[must_use]
    pub fn balance(&self, account: &str) -> i64 {
        let standing = self.credits.values().filter(|it| !it.revoked && it.account == account);
        standing.map(|it| it.granted).sum()
    }
}
