//! A figure: samples of subjects, their medians, a table, a plot and a file.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde_json::json;

use super::{machine, plot};

/// Something that is measured of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Its name with its unit.
    pub(crate) name: &'static str,
    /// Whether the table shows the smallest and the largest sample, and the plot shows it.
    pub(crate) leads: bool,
}

impl Metric {
    pub(crate) const fn leading(name: &'static str) -> Self {
        Self { name, leads: true }
    }

    pub(crate) const fn further(name: &'static str) -> Self {
        Self { name, leads: false }
    }
}

/// All samples of one figure.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What one sample holds, in this order.
    pub(crate) metrics: &'static [Metric],
    /// Subjects in parts of which the first metric is shown too.
    pub(crate) baselines: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
    /// On what, and how busy it was, before.
    machine: serde_json::Value,
    load_average: String,
}

/// One subject under one load.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) subject: String,
    /// One for each round.
    samples: Vec<Vec<f64>>,
}

impl Row {
    fn sorted(&self, metric: usize) -> Vec<f64> {
        let mut values: Vec<f64> = self.samples.iter().map(|sample| sample[metric]).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub(crate) fn median(&self, metric: usize) -> f64 {
        let values = self.sorted(metric);
        let middle = values.len() / 2;
        if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        }
    }

    pub(crate) fn min(&self, metric: usize) -> f64 {
        self.sorted(metric)[0]
    }

    pub(crate) fn max(&self, metric: usize) -> f64 {
        *self.sorted(metric).last().unwrap()
    }
}

impl Figure {
    pub(crate) fn new(
        name: &'static str,
        title: &'static str,
        metrics: &'static [Metric],
        baselines: &'static [&'static str],
    ) -> Self {
        let (machine, load_average) = (machine::facts(), machine::load_average());
        let (rows, notes) = (Vec::new(), Vec::new());
        Self { name, title, metrics, baselines, rows, notes, machine, load_average }
    }

    /// Adds a sample, with a value for each metric.
    pub(crate) fn add(&mut self, group: &str, subject: &str, sample: &[f64]) {
        assert_eq!(sample.len(), self.metrics.len(), "{group}, {subject}");
        let is_it = |row: &&mut Row| row.group == group && row.subject == subject;
        if let Some(row) = self.rows.iter_mut().find(is_it) {
            row.samples.push(sample.to_vec());
        } else {
            let (group, subject) = (group.to_owned(), subject.to_owned());
            self.rows.push(Row { group, subject, samples: vec![sample.to_vec()] });
        }
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// The row of a subject under a load, if it was measured.
    pub(crate) fn row(&self, group: &str, subject: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group && row.subject == subject)
    }

    /// Prints the table, and writes the plot and the samples.
    pub(crate) fn publish(&self) {
        println!("\n{}\n{}", self.title, self.table());
        for note in &self.notes {
            println!("{note}");
        }
        let folder = folder();
        if !self.rows.is_empty() {
            let svg = folder.join(format!("{}.svg", self.name));
            plot::draw(self, &svg);
            println!("plot:    {}", svg.display());
        }
        let file = folder.join(format!("{}.json", self.name));
        fs::write(&file, format!("{:#}\n", self.json())).unwrap();
        println!("samples: {}", file.display());
    }

    fn table(&self) -> String {
        let mut header = vec![String::new(), String::new()];
        for (place, metric) in self.metrics.iter().enumerate() {
            header.push(metric.name.to_owned());
            if place == 0 {
                header.extend(self.baselines.iter().map(|name| format!("of {name}")));
            }
        }
        let mut lines = vec![header];
        lines.extend(self.rows.iter().map(|row| self.cells(row)));
        // A load is named once.
        for line in (2..lines.len()).rev() {
            if lines[line][0] == lines[line - 1][0] {
                lines[line][0].clear();
            }
        }
        let width = |column: usize| lines.iter().map(|it| it[column].chars().count()).max();
        let widths: Vec<usize> = (0..lines[0].len()).filter_map(width).collect();
        let mut table = String::new();
        for line in &lines {
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                let _ = if column < 2 {
                    write!(table, "{cell:<width$}  ")
                } else {
                    write!(table, "{cell:>width$}  ")
                };
            }
            table.truncate(table.trim_end().len());
            table.push('\n');
        }
        table
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let mut cells = vec![row.group.clone(), row.subject.clone()];
        for (place, metric) in self.metrics.iter().enumerate() {
            let mut cell = number(row.median(place));
            if metric.leads && 1 < row.samples.len() {
                let _ = write!(cell, " ({} - {})", number(row.min(place)), number(row.max(place)));
            }
            cells.push(cell);
            if place == 0 {
                cells.extend(self.baselines.iter().map(|name| {
                    let base = self.row(&row.group, name).map(|base| base.median(0));
                    base.map_or("-".to_owned(), |base| format!("{:.2}", row.median(0) / base))
                }));
            }
        }
        cells
    }

    fn json(&self) -> serde_json::Value {
        let rows = self.rows.iter().map(|row| {
            let metrics = self.metrics.iter().enumerate().map(|(place, metric)| {
                let samples: Vec<f64> = row.samples.iter().map(|it| it[place]).collect();
                let (min, max) = (row.min(place), row.max(place));
                let summary = json!({
                    "median": row.median(place), "min": min, "max": max, "samples": samples,
                });
                (metric.name.to_owned(), summary)
            });
            let metrics: serde_json::Map<_, _> = metrics.collect();
            json!({ "group": row.group, "subject": row.subject, "metrics": metrics })
        });
        json!({
            "figure": self.name,
            "title": self.title,
            "machine": self.machine,
            "load_average_before": self.load_average,
            "baselines": self.baselines,
            "notes": self.notes,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

/// A number with as many places as it deserves.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "-".to_owned(),
        0.0 => "0".to_owned(),
        size if 100.0 <= size => format!("{value:.0}"),
        size if 10.0 <= size => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Where plots and samples are left.
fn folder() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.parent().unwrap().join("bench");
    fs::create_dir_all(&folder).unwrap();
    folder
}
