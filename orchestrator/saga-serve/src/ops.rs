//! The ops port: what the machinery around a program asks it, and nothing else.
//!
//! Plain HTTP/1.1 without a login, so it says nothing of any saga and takes no order: `/livez`,
//! `/readyz` and `/metrics`. It opens before the program is ready and closes after it has
//! drained. Whoever reaches it can hold little: each connection brings one request, ends by
//! itself, and the oldest goes where there are too many.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use saga_metrics::{CONTENT_TYPE, Kind, Metric, Registry};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 32;

/// How long the headers of a request may take to arrive, and all of a connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Bytes of a request's headers, and how many of them.
const HEADER_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// How long a text is shown again: however many ask, it is written no more often.
const FRESH: Duration = Duration::from_millis(200);

/// How long nobody is taken in after the system refused to.
const PAUSE: Duration = Duration::from_millis(100);

/// Which program this is.
const BUILD: Metric = Metric {
    name: "saga_build_info",
    help: "Which program this is, and its version",
    kind: Kind::Info,
    labels: &["program", "version"],
};

/// What a program says of itself. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Ops {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Why it is not ready, in words. `None`: it is.
    unready: Mutex<Option<String>>,
    registry: Mutex<Registry>,
    written: tokio::sync::Mutex<Option<(Instant, Bytes)>>,
}

/// A port that is open until this is dropped.
#[derive(Debug)]
pub struct OpsPort {
    local_addr: SocketAddr,
    accepts: AbortHandle,
}

impl Ops {
    /// The program is alive, and not ready yet: it is `starting`.
    #[must_use]
    pub fn new(program: &str, version: &str) -> Self {
        let mut registry = Registry::default();
        registry.info(&BUILD, [program, version]);
        saga_metrics::register_process(&mut registry);
        let shared = Shared {
            unready: Mutex::new(Some("starting".to_owned())),
            registry: Mutex::new(registry),
            written: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on it can do what it is for.
    pub fn ready(&self) {
        *self.unready() = None;
    }

    /// From now on it cannot, for this reason.
    pub fn not_ready(&self, why: impl Into<String>) {
        *self.unready() = Some(why.into());
    }

    /// Shows more.
    pub fn show(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry());
    }

    /// What it shows.
    #[must_use]
    pub fn metrics(&self) -> Vec<&'static Metric> {
        self.registry().metrics().to_vec()
    }

    /// Answers at `listen`; port 0 takes a free one. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on: names the key and what to do.
    pub fn open(&self, listen: SocketAddr) -> io::Result<OpsPort> {
        let cannot = |error: io::Error| {
            let message = format!(
                "listen_ops: cannot listen on {listen}; end what uses the port, or give another \
                 one: {error}"
            );
            io::Error::new(error.kind(), message)
        };
        let socket = std::net::TcpListener::bind(listen).map_err(cannot)?;
        socket.set_nonblocking(true).map_err(cannot)?;
        let listener = TcpListener::from_std(socket).map_err(cannot)?;
        let local_addr = listener.local_addr().map_err(cannot)?;
        let accepts = tokio::spawn(accept(listener, self.clone())).abort_handle();
        Ok(OpsPort { local_addr, accepts })
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !["/livez", "/readyz", "/metrics"].contains(&path) {
            return text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n");
        }
        if request.method() != Method::GET {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET"));
            return refused;
        }
        match path {
            // The runtime that answers is the one that works: that is all that is asked here.
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" => match self.unready().clone() {
                None => text(StatusCode::OK, "ready\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
            },
            _ => {
                let mut page = text(StatusCode::OK, self.page().await);
                let kind = header::HeaderValue::from_static(CONTENT_TYPE);
                page.headers_mut().insert(header::CONTENT_TYPE, kind);
                page
            }
        }
    }

    /// All metrics. Written beside the runtime, which goes on with its work.
    async fn page(&self) -> Bytes {
        let mut written = self.shared.written.lock().await;
        if let Some((at, page)) = &*written
            && at.elapsed() < FRESH
        {
            return page.clone();
        }
        let ops = self.clone();
        let page = tokio::task::spawn_blocking(move || ops.registry().text()).await;
        let page = Bytes::from(page.unwrap_or_default());
        *written = Some((Instant::now(), page.clone()));
        page
    }

    fn unready(&self) -> MutexGuard<'_, Option<String>> {
        self.shared.unready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpsPort {
    /// Where it answers.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for OpsPort {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

async fn accept(listener: TcpListener, ops: Ops) {
    // Those that are open end with this.
    let mut open = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the ops port can take nobody in now");
                sleep(PAUSE).await;
                continue;
            }
        };
        while open.try_join_next().is_some() {}
        oldest.retain(|it| !it.is_finished());
        if CONNECTIONS_MAX <= oldest.len()
            && let Some(gone) = oldest.pop_front()
        {
            gone.abort();
        }
        oldest.push_back(open.spawn(talk(stream, ops.clone())));
    }
}

/// One request and its answer. Whatever goes wrong is the peer's affair.
async fn talk(stream: TcpStream, ops: Ops) {
    let service = service_fn(|request: Request<Incoming>| {
        let ops = ops.clone();
        async move { Ok::<_, Infallible>(ops.answer(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let _ = timeout(CONNECTION_MAX, served).await;
}
