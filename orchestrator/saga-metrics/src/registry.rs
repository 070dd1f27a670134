//! All that a program shows.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry,
};

use crate::{Counters, Histograms, Kind, Metric, series::labels};

/// What the text is said to be.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is shown of a program, as OpenMetrics text.
#[derive(Debug, Default)]
pub struct Registry {
    inner: registry::Registry,
    metrics: Vec<&'static Metric>,
}

/// A value that is read when the text is written: the values of the labels, and it.
pub type Sample<const N: usize> = ([String; N], f64);

impl Registry {
    /// Shows counters.
    pub fn counters<const N: usize>(&mut self, counters: &Counters<N>) {
        self.add(counters.metric, counters.family.clone());
    }

    /// Shows histograms.
    pub fn histograms<const N: usize>(&mut self, histograms: &Histograms<N>) {
        self.add(histograms.metric, histograms.family.clone());
    }

    /// Says something for as long as the program runs.
    pub fn info<const N: usize>(&mut self, metric: &'static Metric, values: [&str; N]) {
        let labels: Vec<(&'static str, String)> = labels(metric, values).into();
        self.add(metric, Info::new(labels));
    }

    /// Shows what is known elsewhere. `read` is asked whenever the text is written, by a thread
    /// that may wait for a file, and must not wait for a database.
    ///
    /// # Panics
    ///
    /// Where the metric has not `N` labels.
    pub fn read<const N: usize>(
        &mut self,
        metric: &'static Metric,
        read: impl Fn() -> Vec<Sample<N>> + Send + Sync + 'static,
    ) {
        assert_eq!(metric.labels.len(), N, "{}", metric.name);
        self.metrics.push(metric);
        self.inner.register_collector(Box::new(Read { metric, read }));
    }

    /// What it shows.
    #[must_use]
    pub fn metrics(&self) -> &[&'static Metric] {
        &self.metrics
    }

    /// All of it, as [`CONTENT_TYPE`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut written = String::new();
        // Only the buffer could refuse to be written, and it does not.
        let _ = text::encode(&mut written, &self.inner);
        written
    }

    fn add(&mut self, metric: &'static Metric, what: impl registry::Metric) {
        self.metrics.push(metric);
        match metric.stem() {
            (name, Some(unit)) => self.inner.register_with_unit(name, metric.help, unit, what),
            (name, None) => self.inner.register(name, metric.help, what),
        }
    }
}

/// A metric whose samples are read when the text is written.
struct Read<F> {
    metric: &'static Metric,
    read: F,
}

impl<F> std::fmt::Debug for Read<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("metric", &self.metric.name).finish_non_exhaustive()
    }
}

impl<const N: usize, F> Collector for Read<F>
where
    F: Fn() -> Vec<Sample<N>> + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (name, unit) = self.metric.stem();
        let kind = match self.metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge | Kind::Histogram | Kind::Info => MetricType::Gauge,
        };
        // With a full stop, as the library writes those that it holds.
        let help = format!("{}.", self.metric.help);
        let mut encoder = encoder.encode_descriptor(name, &help, unit.as_ref(), kind)?;
        for (values, value) in (self.read)() {
            let labels = labels(self.metric, values.each_ref().map(String::as_str));
            let encoder = encoder.encode_family(&labels)?;
            match self.metric.kind {
                Kind::Counter => ConstCounter::new(value).encode(encoder)?,
                _ => ConstGauge::new(value).encode(encoder)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Buckets;

    const STARTS: Metric = Metric::counter("saga_starts_total", &["definition"], "Sagas started");
    const CALL: Metric = Metric::histogram("saga_call_seconds", &["method"], "Time of a call");
    const FREE: Metric = Metric::gauge("saga_free", &["state"], "Places that are free");
    const QUEUE: Metric = Metric::gauge("saga_queue_bytes", &[], "Bytes that wait");
    const BUILD: Metric =
        Metric { name: "saga_build_info", help: "Build", kind: Kind::Info, labels: &["version"] };

    #[test]
    fn the_text_is_openmetrics_with_the_names_that_are_asked_for() {
        let mut registry = Registry::default();
        let (starts, calls) =
            (Counters::<1>::new(&STARTS), Histograms::<1>::new(&CALL, Buckets::SHORT));
        registry.counters(&starts);
        registry.histograms(&calls);
        registry.read(&FREE, || vec![(["a \"b\"\n".to_owned()], 3.0)]);
        registry.read(&QUEUE, || vec![([], 7.0)]);
        registry.info(&BUILD, ["1.2.3"]);
        starts.of(["place-order"]).inc_by(2);
        let call = calls.of(["Reserve"]);
        call.took(Duration::from_micros(300));
        call.took(Duration::from_secs(60));
        let text = registry.text();
        let lines = [
            "# TYPE saga_starts counter",
            "saga_starts_total{definition=\"place-order\"} 2",
            "# TYPE saga_call_seconds histogram",
            "# UNIT saga_call_seconds seconds",
            "saga_call_seconds_bucket{le=\"0.00025\",method=\"Reserve\"} 0",
            "saga_call_seconds_bucket{le=\"0.0005\",method=\"Reserve\"} 1",
            "saga_call_seconds_bucket{le=\"30.0\",method=\"Reserve\"} 1",
            "saga_call_seconds_bucket{le=\"+Inf\",method=\"Reserve\"} 2",
            "saga_call_seconds_sum{method=\"Reserve\"} 60.0003",
            "saga_call_seconds_count{method=\"Reserve\"} 2",
            "saga_free{state=\"a \\\"b\\\"\\n\"} 3.0",
            "# UNIT saga_queue_bytes bytes",
            "saga_queue_bytes 7.0",
            "saga_build_info{version=\"1.2.3\"} 1",
        ];
        for line in lines {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
