//! Audit: the invariants of the payments, over the whole database.
//!
//! It judges our own books, and what look-ups showed: of payments that a webhook named, and of
//! all whose money moved by the provider's own ledger. Once rows of the operation log were
//! deleted, an operation that is missing there is no violation, but for one that is open.

use saga_participant::{
    OperationError, Query, Tx,
    audit::{Rule, violations},
};
use shop_proto::payment::v1::{AuditRequest, AuditResponse, CurrencyBalance};

use crate::Payments;

const RULES: [Rule; 10] = [
    Rule::new(
        "E4: captured attempts of a payment",
        "order",
        "/* audit: captured_attempts */
        select payments.order_no, count(attempts.op_id),
            max(case when payments.status in ('COMPLETED', 'PARTIALLY_CANCELLED', 'CANCELLED')
                then 1 else 0 end)
        from payments
        left join attempts
            on attempts.payment_id = payments.payment_id and attempts.state = 'CAPTURED'
        group by payments.payment_id, payments.order_no
        having count(attempts.op_id)
            <> max(case when payments.status in ('COMPLETED', 'PARTIALLY_CANCELLED', 'CANCELLED')
                then 1 else 0 end)
        limit 100",
    ),
    Rule::new(
        "I10: open attempts of a payment",
        "order",
        "/* audit: open_attempts */
        select payments.order_no, count(attempts.op_id),
            max(case when payments.status = 'CONFIRMING' then 1 else 0 end)
        from payments
        left join attempts
            on attempts.payment_id = payments.payment_id and attempts.state = 'OPEN'
        group by payments.payment_id, payments.order_no
        having count(attempts.op_id)
            <> max(case when payments.status = 'CONFIRMING' then 1 else 0 end)
        limit 100",
    ),
    Rule::new(
        "E4: what we gave back is the sum of the cancels",
        "order",
        "/* audit: balance */
        select payments.order_no,
            max(payments.cancelled_minor - payments.cancelled_elsewhere_minor),
            cast(coalesce(sum(cancels.cancelled_minor), 0) as bigint)
        from payments
        left join cancels on cancels.payment_id = payments.payment_id and cancels.state = 'DONE'
        group by payments.payment_id, payments.order_no
        having max(payments.cancelled_minor - payments.cancelled_elsewhere_minor)
            <> coalesce(sum(cancels.cancelled_minor), 0)
        limit 100",
    ),
    // From here on the numbers are counts of rows that agree: 0 where there must be 1.
    Rule::new(
        "I4: an attempt has an operation in the same state",
        "order",
        "/* audit: attempts_and_log */
        select payments.order_no, 0, 1 from attempts
        join payments on payments.payment_id = attempts.payment_id
        left join op_log on op_log.op_id = attempts.op_id
        cross join op_log_horizon
        where (op_log.state is not null or before_ms = 0 or attempts.state = 'OPEN')
            and coalesce(op_log.state, '') <> case attempts.state
            when 'OPEN' then 'INTENDED' when 'CAPTURED' then 'APPLIED' else 'REJECTED' end
        limit 100",
    ),
    Rule::new(
        "I4: a cancel has an operation in the same state",
        "order",
        "/* audit: cancels_and_log */
        select payments.order_no, 0, 1 from cancels
        join payments on payments.payment_id = cancels.payment_id
        left join op_log on op_log.op_id = cancels.op_id
        cross join op_log_horizon
        where (op_log.state is not null or before_ms = 0 or cancels.state = 'OPEN')
            and coalesce(op_log.state, '') <> case cancels.state
            when 'OPEN' then 'INTENDED' when 'DONE' then 'APPLIED' else 'REJECTED' end
        limit 100",
    ),
    Rule::new(
        "I4: a cancel of a stray has an operation in the same state",
        "payment",
        "/* audit: stray_cancels_and_log */
        select stray_cancels.provider_key, 0, 1 from stray_cancels
        left join op_log on op_log.op_id = stray_cancels.op_id
        cross join op_log_horizon
        where (op_log.state is not null or before_ms = 0 or stray_cancels.state = 'OPEN')
            and coalesce(op_log.state, '') <> case stray_cancels.state
            when 'OPEN' then 'INTENDED' when 'REFUSED' then 'REJECTED' else 'APPLIED' end
        limit 100",
    ),
    Rule::new(
        "I9: an account has what its payments granted less what was revoked",
        "account",
        "/* audit: credit_balance */
        select credit_accounts.account, credit_accounts.balance,
            cast(coalesce(sum(case kind when 'GRANT' then credits else -credits end), 0)
                as bigint)
        from credit_accounts
        left join credit_ledger on credit_ledger.account = credit_accounts.account
        group by credit_accounts.account, credit_accounts.balance
        having credit_accounts.balance
            <> coalesce(sum(case kind when 'GRANT' then credits else -credits end), 0)
        limit 100",
    ),
    Rule::new(
        "I9: a payment that granted credit was approved",
        "order",
        "/* audit: credit_payments */
        select payments.order_no, 0, 1 from credit_ledger
        join payments on payments.payment_id = credit_ledger.payment_id
        where credit_ledger.kind = 'GRANT' and payments.approved_at_ms is null
        limit 100",
    ),
    // Money for an order that is paid with another payment: a second capture (F73).
    Rule::new(
        "E4: an order is charged once",
        "order",
        "/* audit: double_charge */
        select sightings.order_no || ', beside its payment, in ' || sightings.currency,
            cast(sum(sightings.balance_minor) as bigint), 0
        from sightings
        where 0 < sightings.balance_minor and not exists (
            select 1 from payments as ours
            where ours.provider = sightings.provider
                and ours.provider_key = sightings.provider_key and ours.status <> 'FAILED')
            and exists (
                select 1 from payments
                where payments.order_no = sightings.order_no
                    and payments.status in ('COMPLETED', 'PARTIALLY_CANCELLED'))
        group by sightings.order_no, sightings.currency
        limit 100",
    ),
    // Of toss alone: there nothing is captured but by a confirm, whose attempt is written
    // down before. Other buyers pay first, and their order may still be settled.
    Rule::new(
        "E5: money that settles no order goes back, by Cancel with its provider_key and any_order",
        "payment",
        "/* audit: money_of_nobody */
        select sightings.provider_key, sightings.balance_minor, 0
        from sightings
        where sightings.provider = 'toss' and 0 < sightings.balance_minor
            and not exists (
                select 1 from payments as ours
                where ours.provider = sightings.provider
                    and ours.provider_key = sightings.provider_key and ours.status <> 'FAILED')
            and not exists (
                select 1 from payments as other
                where other.order_no = sightings.order_no
                    and other.status in ('COMPLETED', 'PARTIALLY_CANCELLED'))
            and not exists (
                select 1 from stray_cancels
                where stray_cancels.provider = sightings.provider
                    and stray_cancels.provider_key = sightings.provider_key
                    and stray_cancels.state = 'OPEN')
        limit 100",
    ),
];

impl Query<Payments> for AuditRequest {
    type Reply = AuditResponse;

    async fn answer(self, tx: &mut Tx) -> Result<AuditResponse, OperationError> {
        let violations = violations(tx, &RULES).await?;
        let totals = tx
            .rows(
                "/* audit: totals */
                select currency, count(*), cast(sum(
                    case when approved_at_ms is null then 0 else amount_minor - cancelled_minor end
                ) as bigint)
                from payments group by currency order by currency",
                &[],
            )
            .await?;
        let (mut payments, mut balances) = (0, Vec::with_capacity(totals.len()));
        for row in totals {
            payments += row.int(1)?;
            balances.push(CurrencyBalance { currency: row.text(0)?, balance_minor: row.int(2)? });
        }
        Ok(AuditResponse { violations, payments, balances })
    }
}
