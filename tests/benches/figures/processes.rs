//! What the kernel knows of a process.

use std::{fs, process::Child};

/// A child that does not outlive the measurement.
#[derive(Debug)]
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Memory of a process that is in RAM, in MB.
pub(crate) fn resident_mb(process: u32) -> f64 {
    kilobytes(process, "VmRSS:") / 1_024.0
}

fn kilobytes(process: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Bytes that a process made the kernel write to disks.
pub(crate) fn written_bytes(process: u32) -> f64 {
    let io = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

/// Processor time of a process, all its threads, in seconds.
pub(crate) fn cpu_s(process: u32) -> f64 {
    let stat = Stat::of(process).unwrap();
    stat.own_s
}

/// Processor time of a process and of all that it started, in seconds.
pub(crate) fn family_cpu_s(parent: u32) -> f64 {
    let stat = Stat::of(parent).unwrap();
    let processes = fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let children = ids.filter_map(Stat::of).filter(|it| it.parent == parent);
    stat.own_s + stat.reaped_s + children.map(|it| it.own_s + it.reaped_s).sum::<f64>()
}

struct Stat {
    parent: u32,
    own_s: f64,
    /// Of children that have ended.
    reaped_s: f64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program may hold blanks; the fields are counted behind it.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        // USER_HZ is 100 on every Linux that Rust supports.
        let seconds = |first: usize| {
            let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
            (ticks(first) + ticks(first + 1)) / 100.0
        };
        Some(Self { parent: fields[1].parse().ok()?, own_s: seconds(11), reaped_s: seconds(13) })
    }
}
