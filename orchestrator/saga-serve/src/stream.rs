//! The bytes of one connection, which ends when it has to go.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use saga_tls::Identity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::connections::{Connection, Connections};

/// A connection that is counted.
#[derive(Debug)]
pub struct Guarded<IO> {
    io: IO,
    peer: Peer,
}

/// Who made a call, in its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(crate) connection: Arc<Connection>,
    connections: Connections,
}

impl<IO> Guarded<IO> {
    /// The bytes of a connection that was taken in.
    pub(crate) fn new(io: IO, connection: Arc<Connection>, connections: &Connections) -> Self {
        Self { io, peer: Peer { connection, connections: connections.clone() } }
    }
}

impl Peer {
    /// Where it comes from. Behind something that hands connections on, that is where.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.connection.address
    }

    /// Whom its certificate names. `None`: it has shown none, or there is no TLS.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.connection.identity.get()
    }
}

impl<IO> Drop for Guarded<IO> {
    fn drop(&mut self) {
        self.peer.connections.leave(&self.peer.connection);
    }
}

impl<IO> Connected for Guarded<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

fn gone() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let connection = Arc::clone(&self.peer.connection);
        connection.waker.register(cx.waker());
        if connection.is_closed() {
            return Poll::Ready(Err(gone()));
        }
        let before = read.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, read);
        connection.receive(read.filled().len() - before);
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.peer.connection.is_closed() {
            return Poll::Ready(Err(gone()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.peer.connection.is_closed() {
            return Poll::Ready(Err(gone()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer.connection.is_closed() {
            return Poll::Ready(Err(gone()));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer.connection.is_closed() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
