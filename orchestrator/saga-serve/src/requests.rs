//! How often each method was called, what it answered and how long that took; and what was
//! refused before it reached one.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use http::HeaderMap;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use saga_metrics::{Buckets, Counter, Counters, Histogram, Histograms, Metric, Registry};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{Connections, answer::Refusal};

const HANDLED: Metric = Metric::counter(
    "grpc_server_handled_total",
    &["grpc_service", "grpc_method", "grpc_code"],
    "Calls that were answered or given up, by their code",
);
const HANDLING: Metric = Metric::histogram(
    "grpc_server_handling_seconds",
    &["grpc_service", "grpc_method"],
    "Time from the headers of a call until the end of its answer",
);
const REFUSED: Metric = Metric::counter(
    "grpc_server_refused_total",
    &["limit"],
    "Calls that were refused before they reached a method, by what they were over",
);
const CONNECTIONS: Metric = Metric::gauge(
    "grpc_server_connections",
    &[],
    "Connections that are open at the listener for clients",
);
const CONNECTIONS_MAX: Metric =
    Metric::gauge("grpc_server_connections_max", &[], "Connections that may be open there");
const CALLS: Metric =
    Metric::gauge("grpc_server_calls", &[], "Calls that are open at the listener for clients");
const CALLS_MAX: Metric =
    Metric::gauge("grpc_server_calls_max", &[], "Calls that may be open there");
const REQUEST_BYTES: Metric = Metric::gauge(
    "grpc_server_requests_bytes",
    &[],
    "Bytes of requests that are held and counted at the listener for clients",
);

/// What every server has beside its own methods.
const EVERYWHERE: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// What the methods of a program are counted by, at all its listeners. Cheap to clone; clones
/// are the same.
#[derive(Clone, Debug)]
pub struct Requests {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    handled: Counters<3>,
    handling: Histograms<2>,
    refused: Counters<1>,
    by_path: HashMap<String, Arc<Method>>,
    /// For paths that are no method of this program: whoever calls makes them up.
    other: Arc<Method>,
}

#[derive(Debug)]
struct Method {
    service: String,
    name: String,
    handled: Counters<3>,
    /// By code. Most methods answer with few of them.
    codes: [OnceLock<Counter>; 17],
    handling: Histogram,
}

/// A call that is under way. Given up where it is dropped before its code is known.
#[derive(Debug)]
pub(crate) struct UnderWay {
    method: Arc<Method>,
    began: Instant,
    code: Code,
}

impl Requests {
    /// Nothing was called. `services` are the full names of those that are served;
    /// `descriptors`, encoded `FileDescriptorSet`s, tell their methods. Those of a service
    /// that is in none of them are counted as `other`.
    #[must_use]
    pub fn of(descriptors: &[&[u8]], services: &[&str]) -> Self {
        let sets = descriptors.iter().map(|it| FileDescriptorSet::decode(*it).unwrap_or_default());
        let files: Vec<_> = sets.flat_map(|set| set.file).collect();
        let named = files.iter().flat_map(|file| {
            file.service.iter().map(|it| (format!("{}.{}", file.package(), it.name()), it))
        });
        let served = named.filter(|(name, _)| services.contains(&name.as_str()));
        let paths = served.flat_map(|(name, service)| {
            service.method.iter().map(move |method| format!("/{name}/{}", method.name()))
        });
        Self::new(paths)
    }

    fn new(methods: impl Iterator<Item = String>) -> Self {
        let (handled, handling) =
            (Counters::new(&HANDLED), Histograms::new(&HANDLING, Buckets::SHORT));
        let method = |service: &str, name: &str| {
            Arc::new(Method {
                service: service.to_owned(),
                name: name.to_owned(),
                handled: handled.clone(),
                codes: [const { OnceLock::new() }; 17],
                handling: handling.of([service, name]),
            })
        };
        let lasting = EVERYWHERE.map(str::to_owned);
        let by_path = methods.chain(lasting).filter_map(|path| {
            let (service, name) = path.strip_prefix('/')?.split_once('/')?;
            let counted = method(service, name);
            // So that the first of them is seen as one more than none.
            counted.code(Code::Ok);
            Some((path, counted))
        });
        let by_path = by_path.collect();
        let other = method("other", "other");
        let refused = Counters::new(&REFUSED);
        for refusal in Refusal::LIMITS {
            let _ = refused.of([refusal]);
        }
        Self { shared: Arc::new(Shared { handled, handling, refused, by_path, other }) }
    }

    /// Shows all of it, and what whoever connects to the listener of `connections` holds.
    pub fn show(&self, connections: &Connections, registry: &mut Registry) {
        registry.counters(&self.shared.handled);
        registry.histograms(&self.shared.handling);
        registry.counters(&self.shared.refused);
        let one = |registry: &mut Registry, metric, read: fn(&Connections) -> usize| {
            let connections = connections.clone();
            registry.read(metric, move || vec![([], read(&connections) as f64)]);
        };
        one(registry, &CONNECTIONS, Connections::count);
        one(registry, &CONNECTIONS_MAX, |it| it.shared.connections_max);
        one(registry, &CALLS, |it| it.shared.calls.load(std::sync::atomic::Ordering::Relaxed));
        one(registry, &CALLS_MAX, |it| it.shared.limits.calls_max);
        one(registry, &REQUEST_BYTES, |it| {
            it.shared.bytes.load(std::sync::atomic::Ordering::Relaxed)
        });
    }

    pub(crate) fn begin(&self, path: &str) -> UnderWay {
        let method = self.shared.by_path.get(path).unwrap_or(&self.shared.other);
        UnderWay { method: Arc::clone(method), began: Instant::now(), code: Code::Cancelled }
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.shared.refused.of([refusal.limit()]).inc();
    }
}

impl Method {
    fn code(&self, code: Code) -> &Counter {
        let at = usize::try_from(i32::from(code)).unwrap_or_default();
        self.codes[at].get_or_init(|| self.handled.of([&self.service, &self.name, word(code)]))
    }
}

impl UnderWay {
    /// Takes the code out of headers or trailers, where it is in them.
    pub(crate) fn learn(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.method.code(self.code).inc();
        self.method.handling.took(self.began.elapsed());
    }
}

/// As other servers of gRPC name their codes in metrics.
fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
