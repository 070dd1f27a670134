//! What the system says of the process, under the names that every client library uses.

use std::fs;

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

use crate::{Metric, Registry, Sample};

const CPU: Metric = Metric::counter(
    "process_cpu_seconds_total",
    &[],
    "Time that processors spent for the process, of the user and of the system",
);
const RESIDENT: Metric =
    Metric::gauge("process_resident_memory_bytes", &[], "Memory of the process that is resident");
const OPEN: Metric = Metric::gauge("process_open_fds", &[], "Descriptors that are open");
const MOST: Metric = Metric::gauge("process_max_fds", &[], "Descriptors that may be open");
const STARTED: Metric = Metric::gauge(
    "process_start_time_seconds",
    &[],
    "When the process started, since the beginning of 1970",
);

/// What [`register`] shows.
pub const METRICS: [&Metric; 5] = [&CPU, &RESIDENT, &OPEN, &MOST, &STARTED];

/// Shows what the system says of this process. What it does not say is not shown.
pub fn register(registry: &mut Registry) {
    registry.read(&CPU, || one(cpu_seconds()));
    registry.read(&RESIDENT, || one(resident_bytes()));
    registry.read(&OPEN, || one(open_descriptors()));
    registry.read(&MOST, || one(getrlimit(Resource::Nofile).current.map(|it| it as f64)));
    registry.read(&STARTED, || one(started_seconds()));
}

fn one(value: Option<f64>) -> Vec<Sample<0>> {
    value.map(|value| ([], value)).into_iter().collect()
}

/// The fields of `/proc/self/stat` behind the name of the program, which may hold spaces. The
/// first is the third of `proc(5)`.
fn stat(field: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit_once(") ")?.1.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / clock_ticks_per_second() as f64)
}

fn resident_bytes() -> Option<f64> {
    Some(stat(24)? * page_size() as f64)
}

fn open_descriptors() -> Option<f64> {
    // Without the one that reads the folder.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn started_seconds() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted = system.lines().find_map(|it| it.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + stat(22)? / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_this_process() {
        let mut registry = Registry::default();
        register(&mut registry);
        assert_eq!(registry.metrics(), METRICS);
        let text = registry.text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|it| it.split(' ').next() == Some(name));
            let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(1e6 < value("process_resident_memory_bytes"), "{text}");
        assert!(value("process_open_fds") < value("process_max_fds"), "{text}");
        // 2020 to 2100.
        assert!((1.5e9..4.2e9).contains(&value("process_start_time_seconds")), "{text}");
        assert!((0.0..1e5).contains(&value("process_cpu_seconds_total")), "{text}");
    }
}
