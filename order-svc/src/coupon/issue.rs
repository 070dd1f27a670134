//! `IssueCoupon` and `GetCoupon`: what a coupon is, which never changes.

use prost_types::Timestamp;
use saga_participant::{
    Arg, Database, Operation, OperationError, OperationMeta, Query, Refusal, RefusalCode, Tx,
    fields,
};
use shop_proto::order::v1::{
    Coupon, CouponKind, GetCouponRequest, GetCouponResponse, IssueCouponRequest,
    IssueCouponResponse,
};

use super::refused;
use crate::{
    Orders,
    limits::{TOTAL_MINOR_MAX, check_customer},
};

const KIND_PREFIX: &str = "COUPON_KIND_";

impl Operation<Orders> for IssueCouponRequest {
    const KIND: &'static str = "IssueCoupon";
    type Reply = IssueCouponResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        _: &OperationMeta,
    ) -> Result<IssueCouponResponse, OperationError> {
        let coupon = self.coupon.unwrap_or_default();
        let coupon_id = coupon.coupon_id.clone();
        issue_one(tx, coupon).await?;
        Ok(IssueCouponResponse { coupon_id })
    }
}

/// Issues many coupons in one transaction; those that are issued already stay as they are.
///
/// # Errors
///
/// [`OperationError::Invalid`] names what is wrong with the first that breaks a rule, and
/// [`OperationError::Rejected`] the first whose id another coupon has; nothing was done.
/// [`OperationError::Unknown`]: a lost commit; call again.
pub async fn issue(database: &Database, mut coupons: Vec<Coupon>) -> Result<(), OperationError> {
    // In one order, so that no two lists wait for each other.
    coupons.sort_unstable_by(|one, other| one.coupon_id.cmp(&other.coupon_id));
    let write = move |mut tx: Tx| async move {
        for coupon in coupons {
            issue_one(&mut tx, coupon).await?;
        }
        tx.commit().await?;
        Ok(())
    };
    database.write(write).await
}

async fn issue_one(tx: &mut Tx, coupon: Coupon) -> Result<(), OperationError> {
    let (from_ms, to_ms) = check(&coupon)?;
    let issued = tx
        .execute(
            "/* issue_coupon */
            insert into coupons (coupon_id, customer_id, item_id, kind, value, currency,
                valid_from_ms, valid_to_ms)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict do nothing",
            &[
                Arg::Text(&coupon.coupon_id),
                Arg::Text(&coupon.customer_id),
                some(&coupon.item_id).into(),
                Arg::Text(kind_text(coupon.kind())),
                Arg::Int(coupon.value),
                some(&coupon.currency).into(),
                Arg::Int(from_ms),
                Arg::Int(to_ms),
            ],
        )
        .await?;
    // As it is kept: to the millisecond.
    let (valid_from, valid_to) = (Some(timestamp(from_ms)), Some(timestamp(to_ms)));
    let coupon = Coupon { valid_from, valid_to, ..coupon };
    if issued != 0 || read(tx, &coupon.coupon_id).await?.is_some_and(|it| it.0 == coupon) {
        return Ok(());
    }
    let coupon_id = coupon.coupon_id;
    Err(OperationError::Rejected(Refusal {
        code: RefusalCode::AlreadyExists,
        reason: "COUPON_ID_USED",
        message: format!("coupon {coupon_id} is issued already, and is another one"),
        metadata: vec![("coupon_id", coupon_id)],
    }))
}

impl Query<Orders> for GetCouponRequest {
    type Reply = GetCouponResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetCouponResponse, OperationError> {
        fields::text("coupon_id", &self.coupon_id, 1..=64)?;
        match read(tx, &self.coupon_id).await? {
            Some((coupon, order_no)) => Ok(GetCouponResponse { coupon: Some(coupon), order_no }),
            None => Err(refused("COUPON_NOT_FOUND", &self.coupon_id, "does not exist")),
        }
    }
}

/// Checks every field; returns when it is valid.
fn check(coupon: &Coupon) -> Result<(i64, i64), OperationError> {
    fields::text("coupon_id", &coupon.coupon_id, 1..=64)?;
    check_customer(&coupon.customer_id)?;
    fields::text("item_id", &coupon.item_id, 0..=64)?;
    match coupon.kind() {
        CouponKind::Amount => {
            fields::within("value", coupon.value, 1..=TOTAL_MINOR_MAX)?;
            fields::currency("currency", &coupon.currency)?;
        }
        CouponKind::Percent => {
            fields::within("value", coupon.value, 1..=100)?;
            if !coupon.currency.is_empty() {
                let remedy = "empty: a percentage has none";
                return Err(OperationError::invalid("currency", &coupon.currency, remedy));
            }
        }
        CouponKind::Unspecified => {
            return Err(OperationError::invalid("kind", coupon.kind, "AMOUNT or PERCENT"));
        }
    }
    let from_ms = point("valid_from", coupon.valid_from.as_ref())?;
    let to_ms = point("valid_to", coupon.valid_to.as_ref())?;
    if to_ms <= from_ms {
        return Err(OperationError::invalid("valid_to", to_ms, "behind valid_from"));
    }
    Ok((from_ms, to_ms))
}

fn point(field: &str, at: Option<&Timestamp>) -> Result<i64, OperationError> {
    let at_ms = at.and_then(|it| {
        let of_second = i64::from(it.nanos.clamp(0, 999_999_999)) / 1_000_000;
        it.seconds.checked_mul(1_000)?.checked_add(of_second)
    });
    at_ms.ok_or_else(|| OperationError::invalid(field, "", "a point in time"))
}

fn timestamp(at_ms: i64) -> Timestamp {
    let nanos = i32::try_from(at_ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: at_ms.div_euclid(1_000), nanos }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|it| !it.is_empty())
}

/// A kind as the table has it, such as `AMOUNT`.
fn kind_text(kind: CouponKind) -> &'static str {
    let name = kind.as_str_name();
    name.strip_prefix(KIND_PREFIX).unwrap_or(name)
}

/// A coupon, and the order that uses it, or an empty text.
async fn read(tx: &mut Tx, coupon_id: &str) -> Result<Option<(Coupon, String)>, OperationError> {
    let row = tx
        .row(
            "/* read_coupon */
            select customer_id, item_id, kind, value, currency, valid_from_ms, valid_to_ms, (
                select order_no from coupon_uses
                where coupon_uses.coupon_id = coupons.coupon_id and state = 'USED'
            )
            from coupons where coupon_id = $1",
            &[Arg::Text(coupon_id)],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let kind = CouponKind::from_str_name(&format!("{KIND_PREFIX}{}", row.text(2)?));
    let coupon = Coupon {
        coupon_id: coupon_id.to_owned(),
        customer_id: row.text(0)?,
        item_id: row.optional_text(1)?.unwrap_or_default(),
        kind: kind.unwrap_or_default().into(),
        value: row.int(3)?,
        currency: row.optional_text(4)?.unwrap_or_default(),
        valid_from: Some(timestamp(row.int(5)?)),
        valid_to: Some(timestamp(row.int(6)?)),
    };
    Ok(Some((coupon, row.optional_text(7)?.unwrap_or_default())))
}
