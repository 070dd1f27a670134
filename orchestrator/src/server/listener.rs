//! A listener, and how its services are served.

use std::{future::Future, net::SocketAddr, time::Duration};

use anyhow::Context;
use saga_serve::{Connections, Front, Incoming, Limits, Ops, Requests, Wire};
use tokio::net::{TcpListener, TcpSocket};
use tonic::{service::Routes, transport::Server};

use crate::{access::Gate, api::DOMAIN, coalesce::Coalesced};

/// Bytes that a client may send ahead, per call and per connection.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Methods that take more than one message.
const STREAMS: [&str; 1] = ["/saga.v1.OperatorService/RunParticipantCheck"];

/// Connections that wait to be taken up.
const BACKLOG: u32 = 1024;

/// A port at which nobody listens, and at which nobody can knock yet: whoever connects to a
/// program that does not start is refused, not kept waiting and cut off.
#[derive(Debug)]
pub(super) struct Reserved {
    socket: TcpSocket,
    limits: Limits,
    wire: Wire,
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    limits: Limits,
    wire: Wire,
}

impl Reserved {
    /// Takes `address`, which stands under `key` in the configuration.
    pub(super) fn bind(
        key: &'static str,
        address: SocketAddr,
        limits: Limits,
        wire: Wire,
    ) -> anyhow::Result<Self> {
        wire.check(key, address)?;
        let socket = bound(address).with_context(|| {
            format!(
                "{key}: cannot listen on {address}; end what uses the port, or give another one"
            )
        })?;
        Ok(Self { socket, limits, wire })
    }

    /// From now on others can connect.
    pub(super) fn listen(self) -> anyhow::Result<Listener> {
        let Self { socket, limits, wire } = self;
        let address = socket.local_addr()?;
        let cannot = || format!("cannot listen on {address}; end what uses the port");
        let socket = socket.listen(BACKLOG).with_context(cannot)?;
        Ok(Listener { socket, limits, wire })
    }
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port that a program had a moment ago is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Listener {
    pub(super) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Calls are counted by `requests`, which `ops` shows with what is held here.
    ///
    /// Serves until `stop` ends and what was called by then is answered. Nobody who only
    /// holds a connection is waited for.
    pub(super) async fn serve(
        self,
        routes: Routes,
        requests: Requests,
        gate: Gate,
        ops: Option<&Ops>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let Self { socket, limits, wire } = self;
        let connections = Connections::new(limits);
        let stopping = connections.clone();
        if let Some(ops) = ops {
            ops.show(|registry| requests.show(&connections, registry));
        }
        Server::builder()
            .max_concurrent_streams(limits.streams_per_connection_max)
            .http2_keepalive_interval(Some(Duration::from_millis(limits.keepalive_interval_ms)))
            .http2_keepalive_timeout(Some(Duration::from_millis(limits.keepalive_timeout_ms)))
            .http2_max_pending_accept_reset_streams(Some(64))
            .initial_stream_window_size(Some(WINDOW_BYTES))
            .initial_connection_window_size(Some(WINDOW_BYTES))
            .http2_max_header_list_size(limits.header_bytes_max)
            .layer(Front::new(connections.clone(), DOMAIN, &STREAMS).counted_by(requests))
            .layer(gate)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                Incoming::new(socket, connections, wire, Coalesced::new),
                async move {
                    stop.await;
                    stopping.stop();
                },
            )
            .await
    }
}
