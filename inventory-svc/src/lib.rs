//! The shop's inventory service.
//!
//! It keeps items, their stock, and reservations: an order first *reserves* all its lines
//! or none, and later *commits* them (they are sold) or *releases* them. A row of `stock`
//! says how much is in the house, how much of that is promised, and how much was sold;
//! every change of it is also a row of `movements`, so that it can always be explained.
//!
//! Reading order: [`api`] (the RPCs), `item`, `reserve`, `settle` (commit and release),
//! `stock` (the one place that changes stock), `audit`.

use saga_participant::{
    Database, Migration, Participant, ParticipantApi, Schema, Setup, Sql,
    schema::{self, SchemaError},
    serve::{App, MESSAGE_BYTES_MAX, Service},
};
use saga_proto::shop::inventory::v1::inventory_service_server::InventoryServiceServer;
use serde::Deserialize;
use tonic::service::Routes;

pub mod api;
mod audit;
mod item;
mod reserve;
mod settle;
mod stock;

pub use item::{SeedItem, seed};

/// The service.
#[derive(Debug)]
pub struct Inventory;

/// What is configured under `[service]`: nothing yet.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The service's tables.
pub const SCHEMA: Schema = Schema {
    component: "inventory",
    migrations: &[Migration {
        name: "0001_stock",
        script: Sql {
            postgres: include_str!("../migrations/postgres/0001_stock.sql"),
            sqlite: include_str!("../migrations/sqlite/0001_stock.sql"),
        },
    }],
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
        domain: "inventory.shop",
        service: Inventory,
        resumers: Vec::new(),
    };
    let participant = Participant::new(setup);
    let inventory = InventoryServiceServer::new(api::Api::new(participant.clone()))
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
    type Config = Config;

    async fn app(database: Database, _: Config) -> anyhow::Result<App> {
        Ok(app(database))
    }
}
