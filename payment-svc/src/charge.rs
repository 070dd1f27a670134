//! What Confirm and Verify have in common: the order's payment is claimed and the intent
//! committed, then the provider is asked, then its answer is committed. Whoever finds the
//! intent without an answer asks again in the same way.

use prost_types::Timestamp;
use saga_participant::{OperationError, OperationMeta, Refusal, Settled, Tx, fields};
use shop_proto::payment::v1::{ConfirmRequest, VerifyRequest};
use uuid::Uuid;

use crate::{
    Payments,
    clock::database_ms,
    limits::{check_amount, check_currency, check_order_no, check_provider, check_provider_key},
    payments::{
        self, Payment,
        attempts::{self, Ended},
    },
    provider::{Charge, ConfirmAnswer, ConfirmRefusal, Provider},
    reason::{self, refusal},
};

mod claim;

/// What an order is to be paid with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purchase<'a> {
    pub(crate) order_no: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) provider_key: &'a str,
    /// The server's price.
    pub(crate) amount_minor: i64,
    /// The name of that field in the request.
    pub(crate) amount_field: &'static str,
    pub(crate) currency: &'a str,
}

impl<'a> From<&'a ConfirmRequest> for Purchase<'a> {
    fn from(request: &'a ConfirmRequest) -> Self {
        Self {
            order_no: &request.order_no,
            provider: &request.provider,
            provider_key: &request.provider_key,
            amount_minor: request.amount_minor,
            amount_field: "amount_minor",
            currency: &request.currency,
        }
    }
}

impl<'a> From<&'a VerifyRequest> for Purchase<'a> {
    fn from(request: &'a VerifyRequest) -> Self {
        Self {
            order_no: &request.order_no,
            provider: &request.provider,
            provider_key: &request.provider_key,
            amount_minor: request.expected_minor,
            amount_field: "expected_minor",
            currency: &request.currency,
        }
    }
}

/// What the provider is asked, whoever asks it and however often.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChargePlan {
    /// The provider's key of the buyer's payment.
    #[prost(string, tag = "1")]
    pub provider_key: String,
    /// The order.
    #[prost(string, tag = "2")]
    pub order_no: String,
    /// The server's price, in minor units.
    #[prost(int64, tag = "3")]
    pub amount_minor: i64,
    /// Its currency.
    #[prost(string, tag = "4")]
    pub currency: String,
    /// When it was intended, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "5")]
    pub intended_at_ms: i64,
    /// The provider.
    #[prost(string, tag = "6")]
    pub provider: String,
    /// With how many decimals the provider is told the amount. In plans of before there was
    /// such a field, as it is: with none.
    #[prost(uint32, tag = "7")]
    pub decimals: u32,
}

impl From<ChargePlan> for Charge {
    fn from(plan: ChargePlan) -> Self {
        let ChargePlan { provider_key, order_no, amount_minor, currency, decimals, .. } = plan;
        Self { provider_key, order_no, amount_minor, currency, decimals }
    }
}

/// Money that is with us now.
#[derive(Clone, Debug)]
pub(crate) struct Charged {
    pub(crate) payment_id: Uuid,
    pub(crate) amount_minor: i64,
    pub(crate) approved_at: Timestamp,
}

/// Checks the request and makes the payment this operation's.
pub(crate) async fn intend(
    purchase: Purchase<'_>,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<ChargePlan, OperationError> {
    let decimals = fields::refuse(check(&purchase))?;
    let payment_id = claim::claim(&purchase, decimals, tx, op).await?;
    attempts::open(tx, op.op_id, payment_id, op.at_ms).await?;
    Ok(ChargePlan {
        provider_key: purchase.provider_key.to_owned(),
        order_no: purchase.order_no.to_owned(),
        amount_minor: purchase.amount_minor,
        currency: purchase.currency.to_owned(),
        intended_at_ms: database_ms(tx).await?,
        provider: purchase.provider.to_owned(),
        decimals,
    })
}

/// Checks every field; returns the decimals of the currency.
fn check(purchase: &Purchase<'_>) -> Result<u32, OperationError> {
    check_order_no("order_no", purchase.order_no)?;
    check_provider("provider", purchase.provider)?;
    check_provider_key("provider_key", purchase.provider_key)?;
    check_amount(purchase.amount_field, purchase.amount_minor)?;
    check_currency("currency", purchase.currency)
}

/// Whether the provider is not to be asked at all: nobody has a contract with it for the
/// currency. Of a charge that it may have been asked for already, it is asked what became.
pub(crate) fn is_refused(provider: &dyn Provider, plan: &ChargePlan, op: &OperationMeta) -> bool {
    !op.asked_before && !provider.takes(&plan.currency)
}

pub(crate) fn not_taken() -> Settled<ConfirmAnswer> {
    Settled::Definite(ConfirmAnswer::Refused(ConfirmRefusal::CurrencyNotTaken))
}

/// A provider that is not configured. Where the shop never had a payment by it, that is what a
/// client says who names it; else it is a gap in the configuration.
pub(crate) async fn unconfigured(
    plan: &ChargePlan,
    service: &Payments,
    op: &OperationMeta,
    gap: Settled<ConfirmAnswer>,
) -> Settled<ConfirmAnswer> {
    if service.never_asked(&plan.provider, op).await {
        return Settled::Definite(ConfirmAnswer::Refused(ConfirmRefusal::ProviderNotTaken));
    }
    gap
}

/// Writes what the provider answered. `refuse` says it in the words of the RPC.
pub(crate) async fn record(
    purchase: Purchase<'_>,
    answer: ConfirmAnswer,
    refuse: fn(&Purchase<'_>, ConfirmRefusal) -> Refusal,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<Result<Charged, Refusal>, OperationError> {
    let payment = intended_payment(tx, op.op_id).await?;
    match answer {
        ConfirmAnswer::Captured { approved_at_ms, balance_minor } => {
            let approved_at_ms = if approved_at_ms == 0 { op.at_ms } else { approved_at_ms };
            let balance_minor = balance_minor.clamp(0, payment.amount_minor);
            payments::complete(tx, &payment, balance_minor, approved_at_ms).await?;
            attempts::end(tx, op.op_id, Ended::Captured).await?;
            let Payment { payment_id, amount_minor, .. } = payment;
            Ok(Ok(Charged { payment_id, amount_minor, approved_at: timestamp(approved_at_ms) }))
        }
        ConfirmAnswer::Refused(refused) => {
            let refusal = refuse(&purchase, refused);
            payments::fail(tx, payment.payment_id).await?;
            attempts::end(tx, op.op_id, Ended::Refused(&refusal.message)).await?;
            Ok(Err(refusal))
        }
    }
}

/// Reads what [`claim::claim`] wrote.
async fn intended_payment(tx: &mut Tx, op_id: Uuid) -> Result<Payment, OperationError> {
    let payment_id = attempts::payment_of(tx, op_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(payments::by_id(tx, payment_id).await?.ok_or(sqlx::Error::RowNotFound)?)
}

/// What a refusal of the provider is to a caller of Confirm.
pub(crate) fn refusal_of(purchase: &Purchase<'_>, refused: ConfirmRefusal) -> Refusal {
    let Purchase { provider_key, order_no, amount_minor, currency, .. } = *purchase;
    match refused {
        ConfirmRefusal::Declined { code } => {
            let message = format!("the provider declined payment {provider_key}: {code}");
            refusal(reason::DECLINED, message, vec![("code", code)])
        }
        ConfirmRefusal::SessionExpired => {
            let message = format!("the buyer's time to pay with {provider_key} is over");
            refusal(reason::SESSION_EXPIRED, message, Vec::new())
        }
        ConfirmRefusal::PaysLater => {
            let message = format!(
                "payment {provider_key} would be deposited later, and is cancelled; pay in \
                 another way"
            );
            refusal(reason::PAYS_LATER, message, Vec::new())
        }
        ConfirmRefusal::AmountDiffers { actual_minor } => {
            let message = format!(
                "the buyer's payment {provider_key} is over {actual_minor}, not {amount_minor} \
                 {currency}"
            );
            claim::amount_mismatch(message, amount_minor, actual_minor)
        }
        ConfirmRefusal::NotPaid { status } => {
            let message = format!("payment {provider_key} is {status} at the provider, not paid");
            refusal(reason::NOT_PAID, message, vec![("status", status.to_owned())])
        }
        ConfirmRefusal::CurrencyNotTaken => {
            let provider = purchase.provider;
            let message = format!("{provider} takes no payments in {currency} for this shop");
            refusal(reason::CURRENCY_NOT_TAKEN, message, vec![("currency", currency.to_owned())])
        }
        ConfirmRefusal::ProviderNotTaken => {
            let provider = purchase.provider;
            let message = format!("this shop takes no payments by {provider}");
            refusal(reason::PROVIDER_NOT_TAKEN, message, vec![("provider", provider.to_owned())])
        }
        ConfirmRefusal::NotFound => {
            let message = format!("the provider knows of no payment {provider_key}");
            refusal(reason::PAYMENT_NOT_FOUND, message, Vec::new())
        }
        ConfirmRefusal::UsedElsewhere { order_no: other } if other == order_no => {
            let message = format!("order {other} is paid with another payment than {provider_key}");
            refusal(reason::PAYMENT_ALREADY_USED, message, vec![("order_no", other)])
        }
        ConfirmRefusal::UsedElsewhere { order_no: other } => {
            let message = format!("payment {provider_key} is for order {other}");
            refusal(reason::PAYMENT_ALREADY_USED, message, vec![("order_no", other)])
        }
    }
}

fn timestamp(at_ms: i64) -> Timestamp {
    let nanos = i32::try_from(at_ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: at_ms.div_euclid(1000), nanos }
}
