//! Whether the machine has what the configuration's limits may ask for.

use std::{fs, time::Duration};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;

/// What a saga in memory costs; measured, see `docs/performance.md`.
const SAGA_BYTES: u64 = 17 << 10;

/// What the program takes at rest, and what is not counted.
const REST_BYTES: u64 = 128 << 20;

/// Descriptors for the log, timers and files.
const DESCRIPTORS_SPARE: u64 = 128;

/// What systems give a process between SIGTERM and SIGKILL, where they are not told more.
const KILL_AFTER: Duration = Duration::from_secs(30);

/// What a process may have here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) memory_bytes: Option<u64>,
    pub(super) descriptors: Option<u64>,
}

/// The least that the kernel and the control group allow.
pub(super) fn look() -> Machine {
    let of_group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let of_group = of_group.and_then(|text| text.trim().parse::<u64>().ok());
    let of_kernel = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let memory_bytes = [of_group, of_kernel].into_iter().flatten().min();
    // The program raises its own limit up to this one.
    let descriptors = getrlimit(Resource::Nofile).maximum;
    Machine { memory_bytes, descriptors }
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}

pub(super) fn judge(config: &Config, machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    let wide = |it: usize| it as u64;
    let sagas = wide(config.limits.sagas_max).saturating_mul(SAGA_BYTES);
    let needed =
        sagas.saturating_add(wide(config.server.requests_bytes_max)).saturating_add(REST_BYTES);
    if let Some(there) = machine.memory_bytes {
        let what = format!(
            "limits.sagas_max and server.requests_bytes_max allow {} MiB, of {} MiB",
            needed >> 20,
            there >> 20
        );
        findings.push(if there < needed {
            Finding::not_safe("memory", what, "lower them, or give the program more")
        } else {
            Finding::safe("memory", what)
        });
    }
    let calls: usize = config.participants.values().map(|it| it.addresses.len()).sum();
    let connections = wide(config.server.connections_max) + 8 * wide(calls) + DESCRIPTORS_SPARE;
    if let Some(there) = machine.descriptors.filter(|there| *there < connections) {
        findings.push(Finding::note(
            "descriptors",
            format!(
                "the process may have {there}, and server.connections_max is {}: fewer are taken",
                config.server.connections_max
            ),
            format!("LimitNOFILE={connections}, or ulimit -Hn"),
        ));
    }
    let grace = Duration::from_millis(config.stop_grace_ms);
    findings.push(if grace < KILL_AFTER {
        let what = format!("calls that are out have {} ms to end", config.stop_grace_ms);
        Finding::safe("stop", what)
    } else {
        Finding::note(
            "stop",
            format!(
                "stop_grace_ms is {}, and most systems kill after 30 s or less",
                config.stop_grace_ms
            ),
            "terminationGracePeriodSeconds or TimeoutStopSec longer than that",
        )
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn limits_that_the_machine_cannot_keep_are_told() {
        let config = Config::default();
        let verdicts = |machine: Machine| -> Vec<(&str, Verdict)> {
            judge(&config, &machine).into_iter().map(|it| (it.subject, it.verdict)).collect()
        };
        let large = Machine { memory_bytes: Some(4 << 30), descriptors: Some(1 << 20) };
        assert_eq!(verdicts(large), [("memory", Verdict::Safe), ("stop", Verdict::Safe)]);
        let small = Machine { memory_bytes: Some(256 << 20), descriptors: Some(1024) };
        assert_eq!(
            verdicts(small),
            [("memory", Verdict::Unsafe), ("descriptors", Verdict::Note), ("stop", Verdict::Safe)]
        );
        let long = Config { stop_grace_ms: 60_000, ..Config::default() };
        assert!(judge(&long, &large).iter().any(|it| it.verdict == Verdict::Note));
        assert_eq!(total("MemTotal:       24689764 kB\n"), Some(24_689_764 << 10));
    }
}
