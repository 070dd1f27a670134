//! Times, places and sizes of the manifests, beside the limits that the programs have.

use saga_log::OpenOptions;
use serde_json::Value;

use crate::{
    manifests::{Manifests, OVERLAYS, Workload, bytes, list},
    settings::Settings,
};

/// Takes what has to be written when the grace is over.
pub(crate) const LEAVE_MS: u64 = 5_000;

/// Of `deploy/config/orchestrator.toml`: what a saga in memory costs.
const SAGA_BYTES: u64 = 17 << 10;

/// What a program takes at rest, and what is not counted.
const REST_BYTES: u64 = 128 << 20;

/// `max_connections` of PostgreSQL's packages, less those that it keeps for its superuser.
const DATABASE_CONNECTIONS: u64 = 97;

fn programs() -> Vec<(Manifests, &'static str)> {
    OVERLAYS.iter().map(|it| (Manifests::of(it), *it)).collect()
}

fn ms(seconds: &Value) -> u64 {
    seconds.as_u64().unwrap_or_else(|| panic!("no number of seconds: {seconds}")) * 1_000
}

/// Of a probe: how long it may go wrong before something is done.
fn patience_ms(probe: &Value) -> u64 {
    ms(&probe["periodSeconds"]) * probe["failureThreshold"].as_u64().unwrap()
}

fn serving<'a>(manifests: &'a Manifests) -> Vec<(Workload<'a>, Settings)> {
    let of = |it: Workload<'a>| {
        if it.object["kind"] == "Job" { None } else { Settings::of(manifests, it).map(|s| (it, s)) }
    };
    manifests.workloads().into_iter().filter_map(of).collect()
}

/// Killed in the middle of its grace, it would leave calls in doubt that it could have ended.
#[test]
fn a_pod_has_the_time_to_stop_that_its_configuration_gives_it() {
    for (manifests, overlay) in programs() {
        for (workload, settings) in serving(&manifests) {
            let key = match workload.name() {
                "orchestrator" => "stop_grace_ms",
                _ => "server.drain_max_ms",
            };
            let pause = &workload.container()["lifecycle"]["preStop"]["sleep"]["seconds"];
            let pause = if pause.is_null() { 0 } else { ms(pause) };
            let needed = pause + settings.number(key) + LEAVE_MS;
            let given = ms(&workload.pod()["terminationGracePeriodSeconds"]);
            assert!(needed <= given, "{overlay}: {}: {needed} ms", workload.name());
        }
    }
}

/// Endpoints are taken away while the pod is told to end: for a while it still gets new calls.
#[test]
fn whoever_is_one_of_several_waits_before_it_stops() {
    let prod = Manifests::of("prod");
    let orchestrator = prod.workload("orchestrator");
    let pause = ms(&orchestrator.container()["lifecycle"]["preStop"]["sleep"]["seconds"]);
    let unready = patience_ms(&orchestrator.container()["readinessProbe"]);
    assert!((3_000..=unready).contains(&pause), "{pause}");
}

/// A busy minute is no reason to be killed, and a program that hangs is killed at last.
#[test]
fn probes_are_patient() {
    for (manifests, overlay) in programs() {
        for (workload, settings) in serving(&manifests) {
            let container = workload.container();
            let of = format!("{overlay}: {}", workload.name());
            let liveness = patience_ms(&container["livenessProbe"]);
            assert!((30_000..=120_000).contains(&liveness), "{of}: {liveness}");
            let readiness = patience_ms(&container["readinessProbe"]);
            assert!(readiness <= 10_000, "{of}: {readiness}");
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let probe = &container[probe];
                if !probe.is_null() {
                    assert!(probe["timeoutSeconds"].as_u64() <= probe["periodSeconds"].as_u64());
                }
            }
            if workload.name() != "orchestrator" {
                continue;
            }
            // A log that does not answer is given up after so long, and opened again.
            let opening = 2 * OpenOptions::default().watchdog_ms;
            assert!(opening <= patience_ms(&container["startupProbe"]), "{of}");
            // The next one goes when the sagas of this one are driven again.
            if workload.object["spec"]["replicas"] != 1 {
                let settled = settings.number("limits.dead_after_ms")
                    + settings.number("limits.claim_ms")
                    + settings.number("limits.heartbeat_ms");
                assert!(settled <= ms(&workload.object["spec"]["minReadySeconds"]), "{of}");
                assert_eq!(
                    workload.object["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
                    0
                );
            }
        }
    }
}

#[test]
fn memory_is_enough_for_what_the_limits_allow() {
    for (manifests, overlay) in programs() {
        for (workload, settings) in serving(&manifests) {
            let sagas = match workload.name() {
                "orchestrator" => settings.number("limits.sagas_max") * SAGA_BYTES,
                _ => 0,
            };
            let needed = sagas + settings.number("server.requests_bytes_max") + REST_BYTES;
            let given = bytes(&workload.container()["resources"]["limits"]["memory"]);
            assert!(needed <= given, "{overlay}: {}: {needed} bytes", workload.name());
        }
    }
}

#[test]
fn one_may_go_and_the_others_go_on() {
    let prod = Manifests::of("prod");
    let replicas = prod.get("Deployment", "orchestrator")["spec"]["replicas"].as_u64().unwrap();
    assert_eq!(replicas, 3);
    let budget = &prod.get("PodDisruptionBudget", "orchestrator")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["minAvailable"]), (&1.into(), &Value::Null));

    let busy = Manifests::prod_with("autoscaling");
    assert!(busy.get("Deployment", "orchestrator")["spec"]["replicas"].is_null());
    let scaler = &busy.get("HorizontalPodAutoscaler", "orchestrator")["spec"];
    assert_eq!(scaler["minReplicas"], replicas, "an apply must not take one away");
    // With one more while a version is exchanged.
    let most = scaler["maxReplicas"].as_u64().unwrap() + 1;
    let each = u64::from(OpenOptions::default().connections_max());
    assert!(most * each <= DATABASE_CONNECTIONS, "{most} nodes with {each} connections each");
}

/// A Job that is tried for longer than a rollout waits would end behind its back.
#[test]
fn a_rollout_waits_longer_than_pods_back_off() {
    let prod = Manifests::of("prod");
    let deployment = &prod.get("Deployment", "orchestrator")["spec"];
    let job = &prod.get("Job", "orchestrator-migrate")["spec"];
    assert!(300 < deployment["progressDeadlineSeconds"].as_u64().unwrap());
    assert!(job["ttlSecondsAfterFinished"].is_u64() && job["activeDeadlineSeconds"].is_u64());
    assert_eq!(list(&job["template"]["spec"]["containers"]).len(), 1);
}
