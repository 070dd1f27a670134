//! The shop's order service.
//!
//! It keeps orders, their lines, and the history of their status. A change of status is a
//! new row that names the row it follows, and only one row may follow another: of
//! simultaneous changes exactly one wins, without a lock and without a clock.
//!
//! Reading order: [`api`] (the RPCs), `accept` (what customers say), `coupon` (what they pay
//! less), `place` (new orders), `history` (the chain of status rows), `transition` (changes of
//! a whole order), `cancel_line` (of one line), `order`, `line` and `delivery` (their rows),
//! `read`, `audit`.

use saga_participant::{
    Database, Migration, Participant, ParticipantApi, Schema, Setup, Sql,
    schema::{self, SchemaError},
    serve::{App, MESSAGE_BYTES_MAX, Service},
};
use serde::Deserialize;
use shop_proto::order::v1::order_service_server::OrderServiceServer;
use tonic::service::Routes;

mod accept;
pub mod api;
mod audit;
mod cancel_line;
mod coupon;
mod delivery;
mod history;
mod limits;
mod line;
mod order;
mod place;
mod read;
mod transition;

pub use coupon::issue as issue_coupons;

/// The service.
#[derive(Debug)]
pub struct Orders;

/// What is configured under `[service]`: nothing yet.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The service's tables.
pub const SCHEMA: Schema = Schema {
    component: "order",
    migrations: &[
        Migration {
            name: "0001_orders",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0001_orders.sql"),
                sqlite: include_str!("../migrations/sqlite/0001_orders.sql"),
            },
        },
        Migration {
            name: "0002_cancels",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0002_cancels.sql"),
                sqlite: include_str!("../migrations/sqlite/0002_cancels.sql"),
            },
        },
        Migration {
            name: "0003_accept",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0003_accept.sql"),
                sqlite: include_str!("../migrations/sqlite/0003_accept.sql"),
            },
        },
        Migration {
            name: "0004_coupons",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0004_coupons.sql"),
                sqlite: include_str!("../migrations/sqlite/0004_coupons.sql"),
            },
        },
        Migration {
            name: "0005_discounts",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0005_discounts.sql"),
                sqlite: include_str!("../migrations/sqlite/0005_discounts.sql"),
            },
        },
        Migration {
            name: "0006_withdrawn",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0006_withdrawn.sql"),
                sqlite: include_str!("../migrations/sqlite/0006_withdrawn.sql"),
            },
        },
    ],
};

/// Brings the tables up to date. Returns how many migrations were applied.
///
/// # Errors
///
/// [`SchemaError`] says what to do; nothing was changed.
pub async fn migrate(database: &Database) -> Result<usize, SchemaError> {
    schema::migrate(database, &SCHEMA).await
}

/// The service on `database`, whose tables are up to date.
pub fn app(database: Database) -> App {
    let setup = Setup {
        database: database.clone(),
        domain: "order.shop",
        service: Orders,
        resumers: Vec::new(),
    };
    let participant = Participant::new(setup);
    let orders = OrderServiceServer::new(api::Api::new(participant.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    App {
        routes: Routes::new(orders).add_service(ParticipantApi::server(participant)),
        service_names: &["shop.order.v1.OrderService", "saga.participant.v1.ParticipantService"],
        database,
    }
}

impl Service for Orders {
    const NAME: &'static str = "order-svc";
    const ABOUT: &'static str = "The shop's orders and the history of their status.";
    const ENV_PREFIX: &'static str = "AMENDS_ORDER_";
    const LISTEN_DEFAULT: &'static str = "127.0.0.1:7413";
    const SCHEMA: Schema = SCHEMA;
    const DESCRIPTORS: &'static [u8] = shop_proto::FILE_DESCRIPTOR_SET;
    type Config = Config;

    async fn app(database: Database, _: Config) -> anyhow::Result<App> {
        Ok(app(database))
    }
}
