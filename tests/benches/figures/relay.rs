//! The baseline: takes the same Start call and makes the same three calls with typed
//! clients. No log, no retry, no saga.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use prost::Message;
use saga_proto::saga::v1::{
    self as pb,
    saga_service_server::{SagaService, SagaServiceServer},
    start_saga_request::Input,
};
use shop_proto::{
    inventory::v1::inventory_service_client::InventoryServiceClient, order::v1::PlaceOrderInput,
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server, server::TcpIncoming},
};

use super::{bare, load};

struct Relay {
    clients: Vec<InventoryServiceClient<Channel>>,
    turn: AtomicUsize,
}

impl Relay {
    fn client(&self) -> InventoryServiceClient<Channel> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.clients[turn % self.clients.len()].clone()
    }
}

#[tonic::async_trait]
impl SagaService for Relay {
    async fn start_saga(
        &self,
        request: Request<pb::StartSagaRequest>,
    ) -> Result<Response<pb::StartSagaResponse>, Status> {
        let request = request.into_inner();
        let Some(Input::Message(input)) = request.input else {
            return Err(Status::invalid_argument("input: send a message"));
        };
        let input = PlaceOrderInput::decode(input.value.as_slice())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let state = bare::calls(|| self.client(), input.order_no).await?;
        let saga = pb::Saga { state: state.into(), ..pb::Saga::default() };
        Ok(Response::new(pb::StartSagaResponse { saga: Some(saga), existed: false }))
    }

    async fn get_saga(
        &self,
        _: Request<pb::GetSagaRequest>,
    ) -> Result<Response<pb::GetSagaResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }

    async fn wait_saga(
        &self,
        _: Request<pb::WaitSagaRequest>,
    ) -> Result<Response<pb::WaitSagaResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }

    async fn list_sagas(
        &self,
        _: Request<pb::ListSagasRequest>,
    ) -> Result<Response<pb::ListSagasResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }

    async fn count_sagas(
        &self,
        _: Request<pb::CountSagasRequest>,
    ) -> Result<Response<pb::CountSagasResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }

    async fn list_events(
        &self,
        _: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }

    async fn signal_saga(
        &self,
        _: Request<pb::SignalSagaRequest>,
    ) -> Result<Response<pb::SignalSagaResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }

    async fn cancel_saga(
        &self,
        _: Request<pb::CancelSagaRequest>,
    ) -> Result<Response<pb::CancelSagaResponse>, Status> {
        Err(Status::unimplemented("the relay keeps nothing"))
    }
}

/// Serves the relay on a free port of the loopback.
pub(crate) async fn serve(participant: SocketAddr, connections: usize) -> SocketAddr {
    let clients = load::channels(participant, connections)
        .await
        .into_iter()
        .map(InventoryServiceClient::new)
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Relay { clients, turn: AtomicUsize::new(0) };
    let serving = Server::builder()
        .add_service(SagaServiceServer::new(relay))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(serving);
    address
}
