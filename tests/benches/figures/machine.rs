//! On what it was measured.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::Instant,
};

use serde_json::{Value, json};

/// Writes whose median says how slow the disk is.
const SYNCS: usize = 200;

/// One line for people.
pub(crate) fn describe() -> String {
    let machine = facts();
    let text = |key: &str| machine[key].as_str().map_or(machine[key].to_string(), str::to_owned);
    format!(
        "{}, {} cores, {} GB, Linux {}; {} on {}, fdatasync of 4 KiB {} us (median of {SYNCS}); \
         load average {}",
        text("cpu"),
        text("cores"),
        text("memory_gb"),
        text("kernel"),
        text("temporary_folder"),
        text("file_system"),
        text("fdatasync_us"),
        load_average(),
    )
}

/// What differs from minute to minute, for people.
pub(crate) fn mood() -> String {
    let fdatasync_us = fdatasync_us(&std::env::temp_dir());
    format!("load average {}, fdatasync {fdatasync_us} us", load_average())
}

/// Everything but the load, for programs. The disk is measured at each call.
pub(crate) fn facts() -> Value {
    let folder = std::env::temp_dir();
    json!({
        "cpu": line_of("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().unwrap().get(),
        "memory_gb": memory_gb(),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim(),
        "temporary_folder": folder.display().to_string(),
        "file_system": file_system(&folder),
        "fdatasync_us": fdatasync_us(&folder),
    })
}

/// Runnable processes, averaged over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Median time of a write of 4 KiB and an fdatasync, in microseconds.
pub(crate) fn fdatasync_us(folder: &Path) -> u64 {
    let mut file: File = tempfile::tempfile_in(folder).unwrap();
    let mut times_us = Vec::new();
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; 4_096]).unwrap();
        file.sync_data().unwrap();
        times_us.push(u64::try_from(started.elapsed().as_micros()).unwrap());
    }
    times_us.sort_unstable();
    times_us[SYNCS / 2]
}

fn line_of(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or("unknown").to_owned()
}

fn memory_gb() -> u64 {
    let line = line_of("/proc/meminfo", "MemTotal");
    line.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 20
}

/// The kind of the file system that holds a folder: that of the longest mount point.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    let holding = mounts.filter(|(point, _)| folder.starts_with(point));
    holding.max_by_key(|(point, _)| point.len()).map_or("unknown".to_owned(), |(_, kind)| kind)
}
