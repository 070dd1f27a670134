//! A service served inside the test, and its channel.

use std::net::SocketAddr;

use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_client::ParticipantServiceClient,
    resolve_response::Resolution,
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use crate::serve::{App, Server, ServerLimits, Wire};

/// Serves `app` on a free port for as long as the test runs.
///
/// # Panics
///
/// There is no free port, or the server does not answer.
pub async fn serve(app: App) -> Channel {
    let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
    let server = Server::bind(listen, ServerLimits::default(), Wire::Loopback)
        .expect("there is a free port");
    let address = server.local_addr();
    tokio::spawn(server.run(app, std::future::pending()));
    connect(address).await
}

/// A channel to `address`.
///
/// # Panics
///
/// Nobody answers there.
pub async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI");
    endpoint.connect().await.expect("the server listens")
}

/// Calls `ParticipantService.Resolve`, for [`super::Subject::resolve`].
///
/// # Errors
///
/// The call's own status.
pub async fn resolve(
    channel: &Channel,
    op_id: Uuid,
    mode: ResolveMode,
) -> Result<Resolution, Status> {
    let mut client = ParticipantServiceClient::new(channel.clone());
    let request = ResolveRequest { op_id: op_id.to_string(), mode: mode.into() };
    let response = client.resolve(request).await?.into_inner();
    response.resolution.ok_or_else(|| Status::internal("an empty resolution"))
}
