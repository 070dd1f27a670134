//! GrantCredit and RevokeCredit: what was bought with a payment is credited once (I9).
//!
//! Both lock the payment and look at its rows in the ledger. So of any number of grants one
//! counts, and a grant that comes after the revocation does nothing.

use saga_participant::{Operation, OperationError, OperationMeta, Query, Tx};
use shop_proto::payment::v1::{
    GetCreditRequest, GetCreditResponse, GrantCreditRequest, GrantCreditResponse,
    RevokeCreditRequest, RevokeCreditResponse,
};
use uuid::Uuid;

use crate::{
    Payments,
    cancel::not_found,
    limits::{check_account, check_credits, parse_payment_id},
    payments::{
        self, Payment,
        credits::{self, Entry, Kind, NewEntry},
    },
    reason::{self, refusal},
};

impl Operation<Payments> for GrantCreditRequest {
    const KIND: &'static str = "GrantCredit";
    type Reply = GrantCreditResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<GrantCreditResponse, OperationError> {
        check_account("account", &self.account)?;
        check_credits("credits", self.credits)?;
        let payment = locked(tx, &self.payment_id).await?;
        let payment_id = payment.payment_id;
        // What was revoked is gone for good, whether it was granted before or not.
        let is_revoked = credits::find(tx, payment_id, Kind::Revoke).await?.is_some();
        let granted = credits::find(tx, payment_id, Kind::Grant).await?.filter(|_| !is_revoked);
        if let Some(granted) = granted {
            return granted_before(self, granted, tx).await;
        }
        if is_revoked {
            let balance = credits::balance(tx, &self.account).await?;
            return Ok(GrantCreditResponse { account: self.account, credits: 0, balance });
        }
        // Whatever was given back of it since: what takes credits back is their revocation, so that
        // it does not matter which of the two comes first.
        if !payment.is_captured() {
            let message = format!("payment {payment_id} was not captured");
            return Err(refusal(reason::NOT_PAID, message, Vec::new()).into());
        }
        let balance = credits::add(tx, &self.account, self.credits).await?;
        let entry = Entry { account: Some(self.account.clone()), credits: self.credits };
        let (kind, op_id, at_ms) = (Kind::Grant, op.op_id, op.at_ms);
        credits::enter(tx, NewEntry { payment_id, kind, entry: &entry, op_id, at_ms }).await?;
        Ok(GrantCreditResponse { account: self.account, credits: self.credits, balance })
    }
}

impl Operation<Payments> for RevokeCreditRequest {
    const KIND: &'static str = "RevokeCredit";
    type Reply = RevokeCreditResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<RevokeCreditResponse, OperationError> {
        let Payment { payment_id, .. } = locked(tx, &self.payment_id).await?;
        let nothing = Entry { account: None, credits: 0 };
        let entry = match credits::find(tx, payment_id, Kind::Revoke).await? {
            Some(revoked) => revoked,
            None => {
                let granted = credits::find(tx, payment_id, Kind::Grant).await?;
                let entry = granted.unwrap_or(nothing);
                if let Some(account) = &entry.account {
                    credits::take(tx, account, entry.credits).await?;
                }
                let (kind, op_id, at_ms) = (Kind::Revoke, op.op_id, op.at_ms);
                let new = NewEntry { payment_id, kind, entry: &entry, op_id, at_ms };
                credits::enter(tx, new).await?;
                entry
            }
        };
        let account = entry.account.unwrap_or_default();
        let balance = credits::balance(tx, &account).await?;
        Ok(RevokeCreditResponse { account, credits: entry.credits, balance })
    }
}

impl Query<Payments> for GetCreditRequest {
    type Reply = GetCreditResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetCreditResponse, OperationError> {
        check_account("account", &self.account)?;
        Ok(GetCreditResponse { balance: credits::balance(tx, &self.account).await? })
    }
}

/// Another operation has granted it: the same is success, another is refused.
async fn granted_before(
    request: GrantCreditRequest,
    granted: Entry,
    tx: &mut Tx,
) -> Result<GrantCreditResponse, OperationError> {
    let GrantCreditRequest { payment_id, account, credits } = request;
    if granted.account.as_ref() == Some(&account) && granted.credits == credits {
        let balance = credits::balance(tx, &account).await?;
        return Ok(GrantCreditResponse { account, credits, balance });
    }
    let Entry { account, credits } = granted;
    let account = account.unwrap_or_default();
    let message = format!("payment {payment_id} has granted {credits} to {account} already");
    let metadata = vec![("account", account), ("credits", credits.to_string())];
    Err(refusal(reason::CREDIT_ALREADY_GRANTED, message, metadata).into())
}

async fn locked(tx: &mut Tx, payment_id: &str) -> Result<Payment, OperationError> {
    let payment_id: Uuid = parse_payment_id("payment_id", payment_id)?;
    let payment = payments::by_id(tx, payment_id).await?;
    payment.ok_or_else(|| not_found(format!("there is no payment {payment_id}")))
}
