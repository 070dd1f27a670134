//! Audit: the invariants of the payments, over the whole database.
//!
//! It judges our own books only. Whether the money is really there, the provider's ledger
//! tells.

use saga_participant::{OperationError, Query, Tx};
use saga_proto::shop::payment::v1::{AuditRequest, AuditResponse};

use crate::Payments;

/// Violations that are told of each rule.
const SHOWN_MAX: usize = 20;

/// Each selects the offenders' names in the sentence that follows it.
const RULES: [(&str, &str); 5] = [
    (
        "/* audit: one_attempt */
        select payments.order_no from payments
        left join attempts
            on attempts.payment_id = payments.payment_id and attempts.state = 'CAPTURED'
        where (attempts.op_id is not null)
            <> (payments.status in ('COMPLETED', 'PARTIALLY_CANCELLED', 'CANCELLED'))
        limit 21",
        "order {}: the payment's status and the captured attempts disagree",
    ),
    (
        "/* audit: open_attempt */
        select payments.order_no from payments
        left join attempts
            on attempts.payment_id = payments.payment_id and attempts.state = 'OPEN'
        where (attempts.op_id is not null) <> (payments.status = 'CONFIRMING')
        limit 21",
        "order {}: the payment is confirming without an open attempt, or the reverse",
    ),
    (
        "/* audit: balance */
        select payments.order_no from payments
        left join cancels on cancels.payment_id = payments.payment_id and cancels.state = 'DONE'
        group by payments.payment_id, payments.order_no
        having max(payments.cancelled_minor - payments.cancelled_elsewhere_minor)
            <> coalesce(sum(cancels.cancelled_minor), 0)
        limit 21",
        "order {}: what was given back is not the sum of the cancels",
    ),
    (
        "/* audit: attempts_and_log */
        select payments.order_no from attempts
        join payments on payments.payment_id = attempts.payment_id
        left join op_log on op_log.op_id = attempts.op_id
        where coalesce(op_log.state, '') <> case attempts.state
            when 'OPEN' then 'INTENDED' when 'CAPTURED' then 'APPLIED' else 'REJECTED' end
        limit 21",
        "order {}: an attempt and the operation log disagree (I4)",
    ),
    (
        "/* audit: cancels_and_log */
        select payments.order_no from cancels
        join payments on payments.payment_id = cancels.payment_id
        left join op_log on op_log.op_id = cancels.op_id
        where coalesce(op_log.state, '') <> case cancels.state
            when 'OPEN' then 'INTENDED' when 'DONE' then 'APPLIED' else 'REJECTED' end
        limit 21",
        "order {}: a cancel and the operation log disagree (I4)",
    ),
];

impl Query<Payments> for AuditRequest {
    type Reply = AuditResponse;

    async fn answer(self, tx: &mut Tx) -> Result<AuditResponse, OperationError> {
        let mut violations = Vec::new();
        for (sql, sentence) in RULES {
            let offenders = tx.rows(sql, &[]).await?;
            for offender in offenders.iter().take(SHOWN_MAX) {
                violations.push(sentence.replace("{}", &offender.text(0)?));
            }
            if SHOWN_MAX < offenders.len() {
                violations.push(sentence.replace("{}", "(and more)"));
            }
        }
        let totals = tx
            .row(
                "/* audit: totals */
                select count(*), cast(coalesce(sum(
                    case when approved_at_ms is null then 0 else amount_minor - cancelled_minor end
                ), 0) as bigint)
                from payments",
                &[],
            )
            .await?
            .ok_or(sqlx::Error::RowNotFound)?;
        let (payments, balance_minor) = (totals.int(0)?, totals.int(1)?);
        Ok(AuditResponse { violations, payments, balance_minor })
    }
}
