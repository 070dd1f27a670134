//! What a call carries beside its request.

use http::{HeaderMap, HeaderName, HeaderValue};

use saga_core::SagaId;

use super::{CallRequest, OPERATION_ID, OperationOf};
use crate::engine::LogMark;

/// What every call carries (domain: reply contract).
pub(super) fn metadata(request: &CallRequest<'_>) -> HeaderMap {
    let mut metadata = HeaderMap::with_capacity(12);
    for (name, value) in &request.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
        {
            metadata.insert(name, value);
        }
    }
    let mut put = |name: &'static str, value: String| {
        if let Ok(mut value) = HeaderValue::try_from(value) {
            // What no other call repeats would only drive the repeated ones out of the
            // connection's header tables; HTTP/2 keeps "sensitive" values out of them.
            value.set_sensitive(matches!(
                name,
                SAGA_ID | STARTED_AT_MS | OPERATION_ID | "traceparent"
            ));
            metadata.insert(HeaderName::from_static(name), value);
        }
    };
    for (name, value) in of_saga(request.saga, request.started_at_ms) {
        put(name, value);
    }
    put("saga-step", request.step.to_owned());
    put("saga-direction", request.direction.as_str().to_owned());
    put("saga-attempt", request.attempt.to_string());
    put(OPERATION_ID, request.operation.to_string());
    put("saga-deadline-ms", request.timeout.as_millis().to_string());
    if let Some(LogMark { log_id, epoch, at_ms }) = request.log {
        put("saga-log-id", log_id.to_string());
        put("saga-log-epoch", epoch.to_string());
        put("saga-log-at-ms", at_ms.to_string());
    }
    if let Some(traceparent) = traceparent() {
        put("traceparent", traceparent);
    }
    metadata
}

/// What an inquiry carries: participants tell by it what they know no more.
pub(super) fn of_inquiry(operation: &OperationOf) -> HeaderMap {
    let told = of_saga(operation.saga, operation.started_at_ms);
    let told = told.filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
    });
    told.collect()
}

const SAGA_ID: &str = "saga-id";
const STARTED_AT_MS: &str = "saga-started-at-ms";

fn of_saga(
    saga: SagaId,
    started_at_ms: Option<u64>,
) -> impl Iterator<Item = (&'static str, String)> {
    let started = started_at_ms.map(|at_ms| (STARTED_AT_MS, at_ms.to_string()));
    [(SAGA_ID, saga.to_string())].into_iter().chain(started)
}

/// The current span as W3C Trace Context, where one is recorded.
fn traceparent() -> Option<String> {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        let flags = span.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
    })
}
