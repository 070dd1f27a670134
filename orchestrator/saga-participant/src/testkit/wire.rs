//! A service served inside the test, and its channel.

use std::net::SocketAddr;

use saga_proto::saga::participant::v1::{
    EffectState, ListEffectsRequest, ResolveMode, ResolveRequest, TellHorizonRequest,
    participant_service_client::ParticipantServiceClient, resolve_response::Resolution,
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use crate::{
    participant::now_ms,
    serve::{App, Server, ServerLimits, Wire},
};

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

/// The log whose horizon [`forget`] tells.
const FORGOTTEN_LOG: Uuid = Uuid::from_u128(0xf0_6077);

/// Tells the horizon of now, and waits until everything behind it is pruned, for
/// [`super::Subject::forget`]. For operations whose ids are of version 7 and whose calls say
/// nothing of a saga, as those of the suite.
///
/// # Errors
///
/// The call's own status.
pub async fn forget(channel: &Channel) -> Result<bool, Status> {
    let mut client = ParticipantServiceClient::new(channel.clone());
    let mut left = usize::MAX;
    while 0 < left {
        let log_id = FORGOTTEN_LOG.to_string();
        let horizon_at_ms = now_ms().unsigned_abs();
        client.tell_horizon(TellHorizonRequest { log_id, horizon_at_ms }).await?;
        let list = ListEffectsRequest { page_size: 1_000, ..ListEffectsRequest::default() };
        let effects = client.list_effects(list).await?.into_inner().effects;
        left = effects.iter().filter(|it| it.state() != EffectState::Intended).count();
        tokio::task::yield_now().await;
    }
    Ok(true)
}
