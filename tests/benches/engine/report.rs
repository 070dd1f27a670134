//! Medians, ratios and the table.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use serde_json::json;

use super::load::Sample;

/// All samples, by load and subject.
#[derive(Default)]
pub(crate) struct Report {
    samples: BTreeMap<(usize, &'static str), Vec<Sample>>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&mut self, name: &'static str, in_flight: usize, sample: Sample) {
        self.samples.entry((in_flight, name)).or_default().push(sample);
    }

    /// The table, with each subject's throughput in parts of `baseline`'s.
    pub(crate) fn table(&self, baseline: &'static str) -> String {
        let mut table = String::from(
            "in flight  subject     sagas/s  (min - max)        of relay   p50 ms   p99 ms   cpu us\n",
        );
        for ((in_flight, name), samples) in &self.samples {
            let rate = median(samples, |sample| sample.sagas_per_s);
            let of_baseline = self
                .samples
                .get(&(*in_flight, baseline))
                .map_or(f64::NAN, |base| rate / median(base, |sample| sample.sagas_per_s));
            let rates = || samples.iter().map(|sample| sample.sagas_per_s);
            let _ = writeln!(
                table,
                "{in_flight:>9}  {name:<10} {rate:>8.0}  ({:.0} - {:.0}){:>8.2} {:>12.2} {:>8.2} {:>8.0}",
                rates().fold(f64::INFINITY, f64::min),
                rates().fold(0.0, f64::max),
                of_baseline,
                median(samples, |sample| sample.p50_ms),
                median(samples, |sample| sample.p99_ms),
                median(samples, |sample| sample.cpu_us),
            );
        }
        table
    }

    /// Writes the samples beside the build, for plots and comparisons.
    pub(crate) fn write_json(&self) {
        let rows: Vec<_> = self
            .samples
            .iter()
            .map(|((in_flight, name), samples)| {
                let samples: Vec<_> = samples
                    .iter()
                    .map(|it| json!({ "sagas_per_s": it.sagas_per_s, "p50_ms": it.p50_ms, "p99_ms": it.p99_ms, "cpu_us": it.cpu_us }))
                    .collect();
                json!({ "subject": name, "in_flight": in_flight, "samples": samples })
            })
            .collect();
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-engine.json");
        std::fs::write(&path, json!(rows).to_string()).unwrap();
        println!("samples: {}", path.display());
    }
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
