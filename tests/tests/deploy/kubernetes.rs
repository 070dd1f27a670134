//! What each object says, and whether objects mean one another (X21, X24).

use std::{collections::BTreeSet, fs};

use saga_tests::programs::repository;
use serde_json::{Value, json};

use crate::{
    manifests::{Manifests, OVERLAYS, Workload, list, selects, text},
    settings::Settings,
};

/// Secrets that people make; `overlays/prod/kustomization.yaml` says what is in them.
const SECRETS: [(&str, &[&str]); 4] = [
    ("orchestrator-log", &["url"]),
    ("orchestrator-log-owner", &["url"]),
    ("log-ca", &["ca.crt"]),
    // By cert-manager.
    ("orchestrator-tls", &["tls.crt", "tls.key", "ca.crt"]),
];

fn everywhere(mut claim: impl FnMut(&Manifests, &str)) {
    for overlay in OVERLAYS {
        claim(&Manifests::of(overlay), overlay);
    }
    claim(&Manifests::prod_with("autoscaling"), "prod with autoscaling");
}

#[test]
fn every_pod_is_restricted() {
    everywhere(|manifests, _| {
        for workload in manifests.workloads() {
            let (pod, container) = (workload.pod(), workload.container());
            let must = |value: &Value, is: Value, what: &str| {
                assert_eq!(*value, is, "{}: {what}", workload.name());
            };
            let context = &pod["securityContext"];
            must(&context["runAsNonRoot"], json!(true), "runAsNonRoot");
            for id in ["runAsUser", "runAsGroup", "fsGroup"] {
                must(&context[id], json!(65532), id);
            }
            must(&context["seccompProfile"], json!({ "type": "RuntimeDefault" }), "seccomp");
            must(&pod["automountServiceAccountToken"], json!(false), "token");
            // Variables of a Service named like our prefix are keys that nobody knows.
            must(&pod["enableServiceLinks"], json!(false), "enableServiceLinks");
            for absent in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
                must(&pod[absent], Value::Null, absent);
            }
            let context = &container["securityContext"];
            let restricted = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            });
            must(context, restricted, "securityContext");
            for of in ["requests", "limits"] {
                for what in ["cpu", "memory"] {
                    let given = &container["resources"][of][what];
                    assert!(given.is_string(), "{}: {of} {what}", workload.name());
                }
            }
            for (path, volume) in workload.mounts() {
                assert!(volume["hostPath"].is_null(), "{}: {path}", workload.name());
            }
        }
        let namespaces = manifests.of_kind("Namespace");
        let label = "pod-security.kubernetes.io/enforce";
        assert!(namespaces.iter().all(|it| it["metadata"]["labels"][label] == "restricted"));
        assert_eq!(namespaces.len(), 1);
    });
}

/// It asks nothing of the cluster.
#[test]
fn nobody_has_a_role_or_a_token() {
    everywhere(|manifests, _| {
        for kind in ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"] {
            assert!(manifests.of_kind(kind).is_empty(), "{kind}");
        }
        for account in manifests.of_kind("ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{account}");
        }
        for workload in manifests.workloads() {
            manifests.get("ServiceAccount", text(&workload.pod()["serviceAccountName"]));
        }
    });
}

/// A variable is in the process table, in dumps and in what children get.
#[test]
fn no_secret_is_in_a_variable_or_an_argument() {
    everywhere(|manifests, overlay| {
        for workload in manifests.workloads() {
            let container = workload.container();
            assert!(container["env"].is_null() && container["envFrom"].is_null(), "{overlay}");
            let args = container["args"].to_string();
            assert!(!args.contains("://"), "{args}");
        }
        for map in manifests.of_kind("ConfigMap") {
            let text = map["data"].to_string();
            assert!(!text.contains("postgres://"), "a URL belongs in a secret: {text}");
        }
    });
}

#[test]
fn every_selector_means_pods_that_are_there() {
    everywhere(|manifests, overlay| {
        let workloads = manifests.workloads();
        let chosen = |selector: &Value| -> Vec<Workload<'_>> {
            workloads.iter().copied().filter(|it| selects(selector, it.labels())).collect()
        };
        for workload in &workloads {
            let selector = &workload.object["spec"]["selector"];
            if workload.object["kind"] != "Job" {
                let chosen = chosen(selector);
                assert_eq!(chosen.len(), 1, "{overlay}: {selector}");
                assert_eq!(chosen[0].name(), workload.name());
            }
            for spread in list(&workload.pod()["topologySpreadConstraints"]) {
                assert!(selects(&spread["labelSelector"], workload.labels()), "{spread}");
            }
        }
        for service in manifests.of_kind("Service") {
            let selector = json!({ "matchLabels": service["spec"]["selector"] });
            let chosen = chosen(&selector);
            assert_eq!(chosen.len(), 1, "{overlay}: {service}");
            for port in list(&service["spec"]["ports"]) {
                let ports = chosen[0].ports();
                let behind = ports.get(text(&port["targetPort"]));
                assert_eq!(behind.copied(), port["port"].as_u64(), "{overlay}: {port}");
            }
        }
        for budget in manifests.of_kind("PodDisruptionBudget") {
            assert_eq!(chosen(&budget["spec"]["selector"]).len(), 1, "{budget}");
        }
        for monitor in manifests.of_kind("PodMonitor") {
            let chosen = chosen(&monitor["spec"]["selector"]);
            let with_ops = chosen.iter().filter(|it| it.ports().contains_key("ops")).count();
            assert!(0 < with_ops);
            for endpoint in list(&monitor["spec"]["podMetricsEndpoints"]) {
                assert_eq!((text(&endpoint["port"]), text(&endpoint["path"])), ("ops", "/metrics"));
            }
        }
        for scaler in manifests.of_kind("HorizontalPodAutoscaler") {
            let target = &scaler["spec"]["scaleTargetRef"];
            manifests.get(text(&target["kind"]), text(&target["name"]));
        }
    });
}

/// A pod's ports are those that its configuration opens, and it is asked at those.
#[test]
fn every_port_is_one_that_the_program_opens() {
    let names = [("grpc", "listen"), ("grpc-operator", "listen_operator"), ("ops", "listen_ops")];
    everywhere(|manifests, overlay| {
        for workload in manifests.workloads() {
            if workload.object["kind"] == "Job" {
                assert!(workload.ports().is_empty());
                continue;
            }
            if let Some(settings) = Settings::of(manifests, workload) {
                for (name, key) in names {
                    let opened = settings.port(key);
                    let of = format!("{overlay}: {}: {key}", workload.name());
                    assert_eq!(workload.ports().get(name).copied(), opened, "{of}");
                }
                let container = workload.container();
                let asks = |probe: &str| {
                    let get = &container[probe]["httpGet"];
                    (text(&get["path"]), text(&get["port"]))
                };
                assert_eq!(asks("livenessProbe"), ("/livez", "ops"));
                assert_eq!(asks("readinessProbe"), ("/readyz", "ops"));
            } else {
                assert_eq!(workload.ports().keys().copied().collect::<Vec<_>>(), ["http"]);
            }
        }
    });
}

/// Each path that a configuration names is mounted, and what is there is known.
#[test]
fn every_path_of_a_configuration_is_mounted() {
    let mut paths = 0;
    everywhere(|manifests, overlay| {
        for workload in manifests.workloads() {
            for (path, volume) in workload.mounts() {
                exists(manifests, path, volume);
            }
            let Some(settings) = Settings::of(manifests, workload) else { continue };
            let is_migration = workload.object["kind"] == "Job";
            let urls = settings.texts().into_iter().map(|it| {
                let path = it.strip_prefix("sqlite:").unwrap_or(it);
                path.strip_prefix("//").unwrap_or(path)
            });
            for path in urls.filter(|it| it.starts_with('/')) {
                // Migrating looks at the log alone.
                if is_migration && !path.contains("/log/") {
                    continue;
                }
                let is_mounted = workload.mounts().into_iter().any(|(folder, volume)| {
                    path == folder
                        || path
                            .strip_prefix(folder)
                            .and_then(|it| it.strip_prefix('/'))
                            .is_some_and(|file| is_in(manifests, volume, file))
                });
                assert!(is_mounted, "{overlay}: {}: {path}", workload.name());
                paths += 1;
            }
        }
    });
    assert!(20 < paths, "{paths} paths were looked at");
}

/// Fails where a volume is of something that is neither here nor known to be made elsewhere.
fn exists(manifests: &Manifests, path: &str, volume: &Value) {
    if let Some(name) = volume["configMap"]["name"].as_str() {
        manifests.get("ConfigMap", name);
    } else if let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() {
        manifests.get("PersistentVolumeClaim", name);
    } else if let Some(name) = volume["secret"]["secretName"].as_str() {
        let is_made = SECRETS.iter().any(|(it, _)| *it == name);
        if !is_made {
            manifests.get("Secret", name);
        }
        assert_eq!(volume["secret"]["defaultMode"], 0o440, "{name}: for our group alone");
    } else {
        assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{path}: {volume}");
    }
}

fn is_in(manifests: &Manifests, volume: &Value, file: &str) -> bool {
    if let Some(name) = volume["secret"]["secretName"].as_str() {
        return match SECRETS.iter().find(|(it, _)| *it == name) {
            Some((_, keys)) => keys.contains(&file),
            None => manifests.get("Secret", name)["data"][file].is_string(),
        };
    }
    if let Some(name) = volume["configMap"]["name"].as_str() {
        return manifests.get("ConfigMap", name)["data"][file].is_string();
    }
    // The program makes it.
    true
}

/// The folder is mounted as a whole, so that it changes where the ConfigMap does, and it holds
/// what is in the repository.
#[test]
fn definitions_are_the_repository_s_and_are_read_again() {
    let files = fs::read_dir(repository().join("deploy/definitions")).unwrap();
    let names = files.map(|it| it.unwrap().file_name().into_string().unwrap());
    let wanted: BTreeSet<String> =
        names.filter(|it| it.ends_with(".yaml") && !it.ends_with(".test.yaml")).collect();
    everywhere(|manifests, overlay| {
        // By its own name: with a suffix of its contents each change would be a rollout.
        let map = manifests.get("ConfigMap", "definitions");
        let data = map["data"].as_object().unwrap();
        assert_eq!(data.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{overlay}");
        let size: usize = data.values().map(|it| text(it).len()).sum();
        assert!(size < 900 << 10, "a ConfigMap holds 1 MiB");
        let workload = manifests.workload("orchestrator");
        for mount in list(&workload.container()["volumeMounts"]) {
            assert!(mount["subPath"].is_null(), "{mount} would never change");
        }
        let settings = Settings::of(manifests, workload).unwrap();
        let folder = settings.said["definitions"].as_str().unwrap();
        let (_, volume) = workload.mounts().into_iter().find(|(it, _)| *it == folder).unwrap();
        assert_eq!(volume["configMap"]["name"], "definitions");
        // Its configuration is read once: another one is another name, and a rollout.
        let (_, config) =
            workload.mounts().into_iter().find(|(_, it)| it["name"] == "config").unwrap();
        assert_ne!(config["configMap"]["name"], "orchestrator");
    });
}

/// In `prod` a Job of the owner's role; with SQLite the process that has the file.
#[test]
fn a_schema_is_migrated_once_and_by_whom_it_belongs_to() {
    let prod = Manifests::of("prod");
    let (job, serving) = (prod.workload("orchestrator-migrate"), prod.workload("orchestrator"));
    assert_eq!(job.object["kind"], "Job");
    assert_eq!(job.container()["image"], serving.container()["image"]);
    assert_eq!(job.container()["args"][0], "migrate");
    let log = |of: Workload<'_>| {
        let (_, volume) =
            of.mounts().into_iter().find(|(it, _)| *it == "/run/secrets/amends/log").unwrap();
        volume["secret"]["secretName"].clone()
    };
    assert_eq!(log(job), "orchestrator-log-owner");
    assert_eq!(log(serving), "orchestrator-log");
    let settings = Settings::of(&prod, serving).unwrap();
    assert!(settings.said["migrate"].is_null());

    let dev = Manifests::of("dev");
    assert!(dev.of_kind("Job").is_empty());
    for workload in dev.workloads() {
        assert_eq!(workload.object["spec"]["strategy"], json!({ "type": "Recreate" }));
        assert_eq!(workload.object["spec"]["replicas"], 1);
        let Some(settings) = Settings::of(&dev, workload) else { continue };
        let args = workload.container()["args"].to_string();
        let migrates = settings.said["migrate"].as_bool();
        assert!(args.contains("--migrate") || migrates == Some(true), "{}", workload.name());
    }
}
