//! Logs to stderr, and traces to whoever the configuration names. Never a payload.

use std::io::IsTerminal;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, TelemetryConfig};

/// What has to be flushed at the end.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts logging and, where an endpoint is configured, tracing. A collector that is
/// down costs nothing: spans are queued within bounds and then dropped (F95).
///
/// # Errors
///
/// The filter or the endpoint does not parse, or logging was started before.
pub fn start(config: &TelemetryConfig) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&config.filter)
        .with_context(|| format!("telemetry.filter is {:?}", config.filter))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A file is read by programs and in editors, which show the codes of colours as they are.
    let lines = if std::io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines = match config.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let traces = match &config.otlp_endpoint {
        None => None,
        Some(endpoint) => {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .build()
                .with_context(|| format!("telemetry.otlp_endpoint is {endpoint:?}"))?;
            Some(SdkTracerProvider::builder().with_batch_exporter(exporter).build())
        }
    };
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer("orchestrator"))
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(saga_serve::Quiet::default()))
        .with(spans)
        .try_init()
        .context("logging was started before")?;
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what is queued.
    pub fn stop(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "some spans were not sent");
        }
    }
}
