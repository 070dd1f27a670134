//! The listener.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use saga_tls::Secured;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};

use crate::{Connections, Guarded, Wire};

/// How long nobody is taken in after the system refused to: without a descriptor to spare, the
/// same refusal would come again and again, and take a processor.
const PAUSE: Duration = Duration::from_millis(100);

/// New connections, as `wrap` makes them, each of them counted.
pub struct Incoming<IO> {
    listener: TcpListener,
    connections: Connections,
    wire: Wire,
    wrap: fn(Secured<TcpStream>) -> IO,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<IO> Incoming<IO> {
    /// What connects to `listener`.
    #[must_use]
    pub fn new(
        listener: TcpListener,
        connections: Connections,
        wire: Wire,
        wrap: fn(Secured<TcpStream>) -> IO,
    ) -> Self {
        Self { listener, connections, wire, wrap, pause: None }
    }
}

impl<IO> std::fmt::Debug for Incoming<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<IO> Stream for Incoming<IO> {
    type Item = io::Result<Guarded<IO>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, address)) => {
                    // What it costs is a packet more now and then.
                    let _ = stream.set_nodelay(true);
                    // One without a place is closed where it is dropped.
                    let Some(guard) = self.connections.admit(address.ip()) else { continue };
                    let stream = match &self.wire {
                        Wire::Loopback | Wire::Open => Secured::plain(stream),
                        Wire::Tls(acceptor) => acceptor.accept(stream, guard.told()),
                    };
                    let io = (self.wrap)(stream);
                    return Poll::Ready(Some(Ok(Guarded::new(io, guard, &self.connections))));
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be taken in now");
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}
