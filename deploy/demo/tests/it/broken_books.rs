//! The audit is believed because it was seen to fail: each book is broken by hand, and the
//! number that stands for it rises.

use std::path::Path;

use saga_demo::{
    Demo, Options, Progress,
    audit::{Audit, Integrity},
    faults::Faults,
};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::runs::options;

/// Changes a book behind the back of whoever keeps it.
async fn tamper(folder: &Path, book: &str, sql: &'static str) {
    let url = format!("sqlite://{}", folder.join(book).display());
    let mut book = SqliteConnection::connect(&url).await.unwrap();
    for pragma in ["pragma ignore_check_constraints = on", "pragma foreign_keys = off"] {
        sqlx::raw_sql(pragma).execute(&mut book).await.unwrap();
    }
    let changed = sqlx::raw_sql(sql).execute(&mut book).await.unwrap();
    assert!(changed.rows_affected() > 0, "nothing was broken by {sql}");
    book.close().await.unwrap();
}

async fn integrity(demo: &Demo) -> Integrity {
    let Audit { integrity, findings, .. } = demo.audit().await.unwrap();
    assert_eq!(integrity.holds(), findings.is_empty(), "{integrity:?} {findings:?}");
    integrity
}

/// A second capture of the first payment, and its cancel.
const CHARGED_TWICE: &str = "/* tamper */
    insert into session (payment_key, order_no, amount_minor, currency, state,
        requested_at_ms, authenticated_at_ms, approved_at_ms)
    select 'again', order_no, amount_minor, currency, state, 0, 0, 0
    from session where state = 'CAPTURED' order by payment_key limit 1;
    insert into book (payment_key, order_no, kind, amount_minor, reason, at_ms)
    select 'again', order_no, kind, amount_minor, reason, at_ms
    from book where kind = 'CAPTURE' order by payment_key limit 1;
    insert into book (payment_key, order_no, kind, amount_minor, reason, at_ms)
    select payment_key, order_no, 'CANCEL', amount_minor, reason, at_ms
    from book where payment_key = 'again'";

/// A coupon of one order on another one, which is not cheaper by it.
const COUPON_TWICE: &str = "/* tamper */
    drop index coupon_uses_used;
    insert into coupon_uses (use_op_id, coupon_id, order_no, line_no, taken_minor, state)
    select x'00', coupon_id, (
        select order_no from order_heads where status = 'PAYMENT_SUCCESS'
            and order_no <> coupon_uses.order_no order by order_no desc limit 1
    ), null, taken_minor, 'USED' from coupon_uses where state = 'USED' limit 1";

#[tokio::test(flavor = "multi_thread")]
async fn each_number_rises_when_its_book_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = Options { limit: Some(12), faults: Faults::None, ..options(folder.path()) };
    let mut demo = Demo::start(quiet).await.unwrap();
    let (progress, _) = watch::channel(Progress::default());
    let summary = demo.place_orders(&progress, &CancellationToken::new()).await.unwrap();
    assert!(summary.is_sound() && 0 < summary.completed, "{summary:#?}");

    assert!(0 < summary.coupons_used, "{summary:#?}");

    let mut expected = Integrity::default();
    assert_eq!(integrity(&demo).await, expected);

    tamper(folder.path(), "order.db", COUPON_TWICE).await;
    expected.coupon_mismatches += 2;
    assert_eq!(integrity(&demo).await, expected);

    tamper(folder.path(), "simulator.db", CHARGED_TWICE).await;
    expected.duplicate_charges += 1;
    assert_eq!(integrity(&demo).await, expected);

    let charged_for_nothing = "/* tamper */
        insert into session (payment_key, order_no, amount_minor, currency, state,
            requested_at_ms, authenticated_at_ms, approved_at_ms)
        values ('nothing', 'no-such-order', 5, 'GBP', 'CAPTURED', 0, 0, 0);
        insert into book (payment_key, order_no, kind, amount_minor, reason, at_ms)
        values ('nothing', 'no-such-order', 'CAPTURE', 5, '', 0)";
    tamper(folder.path(), "simulator.db", charged_for_nothing).await;
    expected.orphan_charges += 1;
    assert_eq!(integrity(&demo).await, expected);

    let not_paid = "/* tamper */
        insert into orders (order_no, customer_id, currency, total_minor, payment_id,
            placed_by, placed_at_ms)
        values ('free-of-charge', 'nobody', 'GBP', 5, null, x'00', 0);
        insert into order_status (order_no, from_status, status, reason, op_id, changed_at_ms)
        values ('free-of-charge', 'START', 'PAYMENT_SUCCESS', '', x'00', 0)";
    tamper(folder.path(), "order.db", not_paid).await;
    expected.orders_without_payment += 1;
    assert_eq!(integrity(&demo).await, expected);

    // The last order: what is broken next is the first one's.
    let other_book = "/* tamper */
        update payments set amount_minor = amount_minor + 1 where order_no =
            (select max(order_no) from payments where status = 'COMPLETED')";
    tamper(folder.path(), "payment.db", other_book).await;
    expected.orders_without_payment += 1;
    assert_eq!(integrity(&demo).await, expected);

    let cancelled_alone = "/* tamper */
        update order_lines set state = 'CANCELED', cancel_op_id = x'00' where rowid = (
            select order_lines.rowid from order_lines join order_heads using (order_no)
            where status = 'PAYMENT_SUCCESS' and line_no = 2
                and item_id between 'item-0001' and 'item-3898'
            order by order_no limit 1
        )";
    tamper(folder.path(), "order.db", cancelled_alone).await;
    expected.orphan_charges += 1;
    expected.orders_without_payment += 1;
    expected.stock_mismatches += 1;
    assert_eq!(integrity(&demo).await, expected);

    let leaked = "/* tamper */
        update stock set on_hand = on_hand - 1
        where item_id = (select min(item_id) from stock where on_hand > 1)";
    tamper(folder.path(), "inventory.db", leaked).await;
    expected.stock_mismatches += 1;
    assert_eq!(integrity(&demo).await, expected);

    let below_zero = "/* tamper */
        update stock set on_hand = -1 where item_id = (select max(item_id) from stock)";
    tamper(folder.path(), "inventory.db", below_zero).await;
    expected.negative_stock += 1;
    expected.stock_mismatches += 1;
    assert_eq!(integrity(&demo).await, expected);

    demo.stop().await.unwrap();
}
