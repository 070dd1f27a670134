//! The shop's inventory service.
//!
//! It keeps items, their stock, and reservations: an order first *reserves* all its lines
//! or none, and later *commits* them (they are sold) or *releases* them. What was sold can
//! come back, and the owner sets what is in the house. A row of `stock` says how much that
//! is, how much of it is promised, and how much was sold; every change of it is also a row
//! of `movements`, so that it can always be explained.
//!
//! Reading order: [`api`] (the RPCs), [`config`] (three ways to keep changes of the same
//! stock apart), `stock` (the one place that changes stock), `item`, `reserve` (and
//! decrease), `quote`, `reservation`, `settle` (commit and release), `restock`,
//! `set_stock`, `forget` (what is left of operations of long ago), `audit`.

use saga_participant::{
    Database, Lane, Migration, Participant, ParticipantApi, Schema, Setup, Sql,
    schema::{self, SchemaError},
    serve::{App, MESSAGE_BYTES_MAX, Service},
};
use shop_proto::inventory::v1::inventory_service_server::InventoryServiceServer;
use tonic::service::Routes;

pub mod api;
mod audit;
pub mod config;
mod forget;
mod item;
mod quote;
mod reservation;
mod reserve;
mod restock;
mod set_stock;
mod settle;
mod stock;

pub use config::{Config, StockConfig, Strategy};
pub use item::{SeedItem, seed};

/// The service: what its operations need to know.
#[derive(Debug)]
pub struct Inventory {
    stock: StockConfig,
}

/// The service's tables.
pub const SCHEMA: Schema = Schema {
    component: "inventory",
    migrations: &[
        Migration {
            name: "0001_stock",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0001_stock.sql"),
                sqlite: include_str!("../migrations/sqlite/0001_stock.sql"),
            },
        },
        Migration {
            name: "0002_sales",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0002_sales.sql"),
                sqlite: include_str!("../migrations/sqlite/0002_sales.sql"),
            },
        },
        Migration {
            name: "0003_terms",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0003_terms.sql"),
                sqlite: include_str!("../migrations/sqlite/0003_terms.sql"),
            },
        },
        Migration {
            name: "0004_opening",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0004_opening.sql"),
                sqlite: include_str!("../migrations/sqlite/0004_opening.sql"),
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
pub fn app(database: Database, config: Config) -> App {
    let setup = Setup {
        database: database.clone(),
        domain: "inventory.shop",
        service: Inventory { stock: config.stock },
        resumers: Vec::new(),
    };
    let participant =
        Participant::new(setup).forgetting(|tx, op_ids| Box::pin(forget::forget(tx, op_ids)));
    let lane = config.stock.lane().map(Lane::new);
    let inventory = InventoryServiceServer::new(api::Api::new(participant.clone(), lane))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    App {
        routes: Routes::new(inventory).add_service(ParticipantApi::server(participant)),
        service_names: &[
            "shop.inventory.v1.InventoryService",
            "saga.participant.v1.ParticipantService",
        ],
        database,
    }
}

impl Service for Inventory {
    const NAME: &'static str = "inventory-svc";
    const ABOUT: &'static str = "The shop's inventory: items, stock and reservations.";
    const ENV_PREFIX: &'static str = "AMENDS_INVENTORY_";
    const LISTEN_DEFAULT: &'static str = "127.0.0.1:7411";
    const SCHEMA: Schema = SCHEMA;
    const DESCRIPTORS: &'static [u8] = shop_proto::FILE_DESCRIPTOR_SET;
    type Config = Config;

    async fn app(database: Database, config: Config) -> anyhow::Result<App> {
        config.stock.check()?;
        Ok(app(database, config))
    }
}
