//! The bytes of one connection, which is secret or not.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsStream, client, server::Accept};

use crate::Identity;

/// A connection. The handshake of one that was accepted is made by whoever reads or writes
/// first, so that nobody else waits for it.
#[derive(Debug)]
pub struct Secured<IO>(State<IO>);

enum State<IO> {
    Plain(IO),
    Handshake(Box<Accept<IO>>, Option<Told>),
    Open(Box<TlsStream<IO>>),
    /// There was no handshake.
    Over,
}

/// Hears how the handshake went: who is at the other end, where somebody is named, or why there
/// is no connection.
pub type Told = Box<dyn FnOnce(Result<Option<Identity>, &io::Error>) + Send>;

impl<IO> std::fmt::Debug for State<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Handshake(..) => "Handshake",
            Self::Open(_) => "Open",
            Self::Over => "Over",
        })
    }
}

impl<IO> Secured<IO> {
    /// A connection that everybody on its way can read.
    pub fn plain(io: IO) -> Self {
        Self(State::Plain(io))
    }

    pub(crate) fn of_accept(accept: Accept<IO>, told: Told) -> Self {
        Self(State::Handshake(Box::new(accept), Some(told)))
    }

    pub(crate) fn of_connection(stream: client::TlsStream<IO>) -> Self {
        Self(State::Open(Box::new(stream.into())))
    }

    /// What it runs over. `None`: there was no handshake, and it is gone.
    pub fn io(&self) -> Option<&IO> {
        match &self.0 {
            State::Plain(io) => Some(io),
            State::Handshake(accept, _) => accept.get_ref(),
            State::Open(stream) => Some(stream.get_ref().0),
            State::Over => None,
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Secured<IO> {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Handshake(accept, told) = &mut self.0 else {
            return Poll::Ready(Ok(()));
        };
        let made = ready!(Pin::new(accept.as_mut()).poll(cx));
        let told = told.take();
        if let Some(told) = told {
            told(made.as_ref().map(|stream| {
                let shown = stream.get_ref().1.peer_certificates().and_then(|it| it.first());
                shown.and_then(Identity::of)
            }));
        }
        Poll::Ready(match made {
            Ok(stream) => {
                self.0 = State::Open(Box::new(stream.into()));
                Ok(())
            }
            Err(error) => {
                self.0 = State::Over;
                Err(error)
            }
        })
    }
}

/// Where the other end does not take our certificate, and had no word of ours: a server of
/// TLS 1.3 says so only after we have begun to write, and reads nothing before.
fn said(error: io::Error) -> io::Error {
    use AlertDescription as Alert;

    let told = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
    let refused = match told {
        Some(rustls::Error::AlertReceived(alert)) => matches!(
            alert,
            Alert::AccessDenied
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRequired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::DecryptError
                | Alert::HandshakeFailure
                | Alert::UnknownCA
                | Alert::UnsupportedCertificate
        ),
        _ => false,
    };
    if refused {
        let text = format!("the server does not take this program's certificate: {error}");
        return io::Error::new(io::ErrorKind::ConnectionRefused, text);
    }
    error
}

/// What the other end said before it closed the connection under our hands: writing to it fails
/// before that is read.
fn last_words<IO: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut TlsStream<IO>,
    cx: &mut Context<'_>,
    error: io::Error,
) -> Poll<io::Error> {
    let mut byte = [0; 1];
    // A connection that cannot be written to any more is read to its end soon; until then
    // whoever writes again fails again.
    let read = ready!(Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut byte)));
    Poll::Ready(match read.map_err(said) {
        Err(told) if told.kind() == io::ErrorKind::ConnectionRefused => told,
        _ => error,
    })
}

fn over() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        match &mut self.0 {
            State::Plain(io) => Pin::new(io).poll_read(cx, read),
            State::Open(stream) => Pin::new(stream.as_mut()).poll_read(cx, read).map_err(said),
            State::Handshake(..) | State::Over => Poll::Ready(Err(over())),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        match &mut self.0 {
            State::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            State::Open(stream) => {
                let done = ready!(Pin::new(stream.as_mut()).poll_write(cx, bytes));
                match done {
                    Ok(done) => Poll::Ready(Ok(done)),
                    Err(error) => last_words(stream, cx, error).map(Err),
                }
            }
            State::Handshake(..) | State::Over => Poll::Ready(Err(over())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        match &mut self.0 {
            State::Plain(io) => Pin::new(io).poll_write_vectored(cx, slices),
            State::Open(stream) => {
                let done = ready!(Pin::new(stream.as_mut()).poll_write_vectored(cx, slices));
                match done {
                    Ok(done) => Poll::Ready(Ok(done)),
                    Err(error) => last_words(stream, cx, error).map(Err),
                }
            }
            State::Handshake(..) | State::Over => Poll::Ready(Err(over())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            State::Plain(io) => io.is_write_vectored(),
            // So it is once it is open.
            State::Handshake(..) | State::Open(_) | State::Over => true,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        match &mut self.0 {
            State::Plain(io) => Pin::new(io).poll_flush(cx),
            State::Open(stream) => {
                let done = ready!(Pin::new(stream.as_mut()).poll_flush(cx));
                match done {
                    Ok(done) => Poll::Ready(Ok(done)),
                    Err(error) => last_words(stream, cx, error).map(Err),
                }
            }
            State::Handshake(..) | State::Over => Poll::Ready(Err(over())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Plain(io) => Pin::new(io).poll_shutdown(cx),
            State::Open(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            State::Handshake(..) | State::Over => Poll::Ready(Ok(())),
        }
    }
}
