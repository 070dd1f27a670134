//! The system as a whole: real programs that speak real gRPC, and what becomes of orders
//! when something is wrong with one of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_definition;
mod bad_input;
mod bad_start;
mod believed;
mod cancel_item;
mod cancel_order;
mod conformance;
mod coupons;
mod crash;
mod crowd;
mod database;
mod disk;
mod doctor;
mod drill;
mod failover;
mod kit;
mod languages;
mod liar;
mod malformed;
mod place_order;
mod python;
mod readme;
mod refund;
mod sagactl;
mod secrets;
mod secured;
mod settle;
mod shutdown;
mod stock;

/// Makes each of the named functions, which take a [`saga_tests::shop::Database`], a test
/// on both databases.
macro_rules! on_both_databases {
    ($($claim:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(saga_tests::shop::Database::Sqlite).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(saga_tests::shop::Database::Postgres).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
