//! A service that takes part in sagas: one operation, what undoes it, and a query.

use saga_participant::{
    Arg, Database, Migration, Operation, OperationError, OperationMeta, Participant,
    ParticipantApi, Query, Refusal, RefusalCode, Schema, Setup, Sql, Tx, fields,
    operation::parse_op_id,
    serve::{self, App, MESSAGE_BYTES_MAX, Service},
};
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

#[allow(dead_code, reason = "what a saga is started with is never read here")]
mod pb {
    tonic::include_proto!("acme.shipping.v1");
}

use pb::{
    CancelShipmentRequest, CancelShipmentResponse, GetShipmentRequest, GetShipmentResponse,
    ShipRequest, ShipResponse,
    shipping_service_server::{ShippingService, ShippingServiceServer},
};

/// What the operations need to know of the service: nothing here.
#[derive(Debug)]
struct Shipping;

/// What is configured under `[service]`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {}

impl Operation<Shipping> for ShipRequest {
    const KIND: &'static str = "Ship";
    type Reply = ShipResponse;

    /// Changes its own tables alone, in the transaction that it is given. The kit commits them
    /// together with the record of the operation; a repeat never comes here.
    async fn apply(self, tx: &mut Tx, op: &OperationMeta) -> Result<ShipResponse, OperationError> {
        fields::refuse(fields::identifier("order_no", &self.order_no, 1..=64))?;
        fields::refuse(fields::text("address", &self.address, 1..=500))?;
        let shipment_id = op.op_id.to_string();
        let insert = "/* ship */ insert into shipment (shipment_id, order_no, address)
                      values ($1, $2, $3) on conflict do nothing";
        let row = [Arg::Text(&shipment_id), Arg::Text(&self.order_no), Arg::Text(&self.address)];
        if tx.execute(insert, &row).await? == 0 {
            return Err(OperationError::Rejected(Refusal {
                code: RefusalCode::AlreadyExists,
                reason: "SHIPPED_ALREADY",
                message: format!("order {} is shipped already", self.order_no),
                metadata: Vec::new(),
            }));
        }
        Ok(ShipResponse { shipment_id })
    }
}

impl Operation<Shipping> for CancelShipmentRequest {
    const KIND: &'static str = "CancelShipment";
    type Reply = CancelShipmentResponse;

    /// What it undoes. Where that never happened, the kit keeps it from ever happening, and
    /// `apply` is not called.
    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("ship_op_id", &self.ship_op_id).map(Some)
    }

    async fn apply(
        self,
        tx: &mut Tx,
        _: &OperationMeta,
    ) -> Result<CancelShipmentResponse, OperationError> {
        let shipment_id = parse_op_id("ship_op_id", &self.ship_op_id)?.to_string();
        let delete = "/* cancel_shipment */ delete from shipment where shipment_id = $1";
        tx.execute(delete, &[Arg::Text(&shipment_id)]).await?;
        Ok(CancelShipmentResponse {})
    }
}

impl Query<Shipping> for GetShipmentRequest {
    type Reply = GetShipmentResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetShipmentResponse, OperationError> {
        let select = "/* get_shipment */ select shipment_id, address from shipment
                      where order_no = $1";
        let Some(row) = tx.row(select, &[Arg::Text(&self.order_no)]).await? else {
            return Ok(GetShipmentResponse::default());
        };
        let (shipment_id, address) = (row.text(0)?, row.text(1)?);
        Ok(GetShipmentResponse { shipment_id, address, shipments: 1 })
    }
}

#[derive(Debug)]
struct Api(Participant<Shipping>);

#[tonic::async_trait]
impl ShippingService for Api {
    async fn ship(&self, call: Request<ShipRequest>) -> Result<Response<ShipResponse>, Status> {
        self.0.apply(call).await
    }

    async fn cancel_shipment(
        &self,
        call: Request<CancelShipmentRequest>,
    ) -> Result<Response<CancelShipmentResponse>, Status> {
        self.0.apply(call).await
    }

    async fn get_shipment(
        &self,
        call: Request<GetShipmentRequest>,
    ) -> Result<Response<GetShipmentResponse>, Status> {
        self.0.answer(call).await
    }
}

impl Service for Shipping {
    const NAME: &'static str = "shipping";
    const ABOUT: &'static str = "Ships what was bought.";
    const ENV_PREFIX: &'static str = "SHIPPING_";
    const LISTEN_DEFAULT: &'static str = "127.0.0.1:7421";
    const SCHEMA: Schema = Schema {
        component: "shipping",
        migrations: &[Migration { name: "0001", script: Sql::same(include_str!("tables.sql")) }],
    };
    const DESCRIPTORS: &'static [u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
    type Config = Config;

    async fn app(database: Database, _: Config) -> anyhow::Result<App> {
        let (domain, resumers) = ("shipping.example", Vec::new());
        let setup = Setup { database: database.clone(), domain, service: Self, resumers };
        let participant = Participant::new(setup);
        let shipping = ShippingServiceServer::new(Api(participant.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(App {
            routes: Routes::new(shipping).add_service(ParticipantApi::server(participant)),
            service_names: &[
                "acme.shipping.v1.ShippingService",
                "saga.participant.v1.ParticipantService",
            ],
            database,
        })
    }
}

fn main() -> std::process::ExitCode {
    serve::main::<Shipping>()
}
