//! A connection that lets what is ready share its writes.
//!
//! The log answers a batch of sagas at once, and each has a message to send. The task of a
//! connection is woken by the first of them and would write that one alone: a system call,
//! and one more at the other side, for every message. Here a write lets those that are
//! ready to run go first, once, and then carries what they had to send too.
//! With TLS, they share a record as well.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use saga_tls::Secured;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A TCP connection whose writes are put off by one turn of the runtime: no timer, and no
/// delay where nothing else is ready.
#[derive(Debug)]
pub(crate) struct Coalesced {
    stream: Secured<TcpStream>,
    turn: Turn,
    /// Counts that it is gone, where somebody wants to know.
    changes: Option<Arc<AtomicU64>>,
}

/// The turn of the others, before writes. One is enough for all writes between two reads:
/// an HTTP/2 connection reads whenever it is woken, and then writes all that it has.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// Before the next write.
    Due,
    /// They had it, and nothing was written since.
    Over,
    /// They had it, and this is being written.
    Used,
}

impl Coalesced {
    pub(crate) fn new(stream: Secured<TcpStream>) -> Self {
        Self { stream, turn: Turn::Due, changes: None }
    }

    /// One that is counted: now, and when it is gone.
    pub(crate) fn counted(stream: Secured<TcpStream>, changes: Arc<AtomicU64>) -> Self {
        changes.fetch_add(1, Ordering::AcqRel);
        Self { stream, turn: Turn::Due, changes: Some(changes) }
    }

    /// Absent where its handshake of TLS came to nothing.
    pub(crate) fn stream(&self) -> Option<&TcpStream> {
        self.stream.io()
    }

    /// Pending where a turn is due; the task then stands behind those that are ready now.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Turn::Due = self.turn {
            self.turn = Turn::Over;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.turn = Turn::Used;
        Poll::Ready(())
    }
}

impl Drop for Coalesced {
    fn drop(&mut self) {
        if let Some(changes) = &self.changes {
            changes.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl AsyncRead for Coalesced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Turn::Used = self.turn {
            self.turn = Turn::Due;
        }
        Pin::new(&mut self.stream).poll_read(cx, read)
    }
}

impl AsyncWrite for Coalesced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx));
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn pair() -> (Coalesced, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let (stream, other) = tokio::join!(TcpStream::connect(to), listener.accept());
        (Coalesced::new(Secured::plain(stream.unwrap())), other.unwrap().0)
    }

    #[tokio::test]
    async fn the_first_write_after_a_read_waits_for_one_turn() {
        let (mut near, mut far) = pair().await;
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut bytes = [0; 8];
        for round in 1..=3 {
            assert!(Pin::new(&mut near).poll_write(&mut cx, b"one").is_pending());
            assert_eq!(woken.0.load(Ordering::SeqCst), round, "it asks to be polled again");
            // Read between the turn and the write, as a connection does: no second turn.
            let mut read = ReadBuf::new(&mut bytes);
            assert!(Pin::new(&mut near).poll_read(&mut cx, &mut read).is_pending());
            for more in [b"one", b"two"] {
                let written = Pin::new(&mut near).poll_write(&mut cx, more);
                assert!(matches!(written, Poll::Ready(Ok(3))), "{written:?}");
            }
            let mut read = ReadBuf::new(&mut bytes);
            assert!(Pin::new(&mut near).poll_read(&mut cx, &mut read).is_pending());
        }
        far.read_exact(&mut bytes[..6]).await.unwrap();
        assert_eq!(&bytes[..6], b"onetwo");
    }

    #[tokio::test]
    async fn nothing_is_lost_either_way() {
        let (mut near, mut far) = pair().await;
        let sent: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let mut received = vec![0; sent.len()];
        let (written, read) = tokio::join!(near.write_all(&sent), far.read_exact(&mut received));
        written.unwrap();
        read.unwrap();
        assert_eq!(received, sent);
        far.write_all(b"back").await.unwrap();
        let mut back = [0; 4];
        near.read_exact(&mut back).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!((&back, far.read(&mut received).await.unwrap()), (b"back", 0));
    }
}
