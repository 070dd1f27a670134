//! Manifests as `kubectl kustomize` renders them, and what is in them.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

use saga_tests::programs::repository;
use serde_json::Value;

use crate::tools::tool;

/// What people apply.
pub(crate) const OVERLAYS: [&str; 2] = ["dev", "prod"];

const TO_JSON: &str =
    "import json, sys, yaml; print(json.dumps([it for it in yaml.safe_load_all(sys.stdin) if it]))";

fn build(folder: &Path) -> String {
    let output = tool("kubectl").arg("kustomize").arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", folder.display());
    // Warnings are of what will not be understood for ever.
    assert!(said.is_empty(), "{}: {said}", folder.display());
    String::from_utf8(output.stdout).unwrap()
}

/// An overlay as YAML.
pub(crate) fn kustomize(overlay: &str) -> String {
    build(&repository().join("deploy/kubernetes/overlays").join(overlay))
}

/// The objects of an overlay.
#[derive(Debug)]
pub(crate) struct Manifests {
    pub(crate) objects: Vec<Value>,
}

impl Manifests {
    pub(crate) fn of(overlay: &str) -> Self {
        Self::read(&kustomize(overlay))
    }

    /// `prod` with a component that it does not have.
    pub(crate) fn prod_with(component: &str) -> Self {
        // Kustomize knows relative paths only, and follows no link out of a folder.
        let target = repository().join("target");
        fs::create_dir_all(&target).unwrap();
        let folder = tempfile::tempdir_in(target).unwrap();
        let root = "../../deploy/kubernetes";
        let text = format!(
            "resources: [{root}/overlays/prod]\ncomponents: [{root}/components/{component}]\n"
        );
        fs::write(folder.path().join("kustomization.yaml"), text).unwrap();
        Self::read(&build(folder.path()))
    }

    fn read(yaml: &str) -> Self {
        let mut python = tool("python");
        let mut python = python
            .args(["-c", TO_JSON])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = python.stdin.take().unwrap();
        let yaml = yaml.to_owned();
        let writing =
            std::thread::spawn(move || std::io::Write::write_all(&mut stdin, yaml.as_bytes()));
        let output = python.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        assert!(output.status.success());
        Self { objects: serde_json::from_slice(&output.stdout).unwrap() }
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|it| it["kind"] == kind).collect()
    }

    /// The object of this kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> &Value {
        let found = self.of_kind(kind).into_iter().find(|it| it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// What runs pods.
    pub(crate) fn workloads(&self) -> Vec<Workload<'_>> {
        let kinds = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"];
        let objects = self.objects.iter();
        let workloads: Vec<Workload<'_>> = objects
            .filter(|it| kinds.iter().any(|kind| it["kind"] == *kind))
            .map(|object| Workload { object })
            .collect();
        assert!(!workloads.is_empty());
        for it in &workloads {
            assert!(it.pod()["containers"].is_array(), "{}: a kind of its own", it.name());
        }
        workloads
    }

    pub(crate) fn workload(&self, name: &str) -> Workload<'_> {
        let found = self.workloads().into_iter().find(|it| it.name() == name);
        found.unwrap_or_else(|| panic!("nothing runs {name}"))
    }
}

/// An object that runs pods of one container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload<'a> {
    pub(crate) object: &'a Value,
}

impl<'a> Workload<'a> {
    pub(crate) fn name(self) -> &'a str {
        text(&self.object["metadata"]["name"])
    }

    pub(crate) fn pod(self) -> &'a Value {
        &self.object["spec"]["template"]["spec"]
    }

    pub(crate) fn labels(self) -> &'a Value {
        &self.object["spec"]["template"]["metadata"]["labels"]
    }

    pub(crate) fn container(self) -> &'a Value {
        let containers = list(&self.pod()["containers"]);
        assert_eq!(containers.len(), 1, "{}", self.name());
        &containers[0]
    }

    /// The numbers of its ports by their names.
    pub(crate) fn ports(self) -> BTreeMap<&'a str, u64> {
        let ports = list(&self.container()["ports"]).iter();
        ports.map(|it| (text(&it["name"]), it["containerPort"].as_u64().unwrap())).collect()
    }

    /// What is mounted: the path, and the volume.
    pub(crate) fn mounts(self) -> Vec<(&'a str, &'a Value)> {
        let volumes = list(&self.pod()["volumes"]);
        let of = |mount: &'a Value| {
            let volume = volumes.iter().find(|it| it["name"] == mount["name"]);
            let volume = volume.unwrap_or_else(|| panic!("{}: no volume {mount}", self.name()));
            (text(&mount["mountPath"]), volume)
        };
        list(&self.container()["volumeMounts"]).iter().map(of).collect()
    }
}

/// Whether all of a selector's labels are there.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    assert!(selector["matchExpressions"].is_null(), "not understood here: {selector}");
    let wanted = selector["matchLabels"].as_object();
    wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// An array, or nothing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A quantity of memory in bytes.
pub(crate) fn bytes(value: &Value) -> u64 {
    let text = text(value);
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap());
    let unit = match unit {
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        other => panic!("a unit that is not understood here: {other}"),
    };
    number.parse::<u64>().unwrap() * unit
}

#[test]
fn quantities_are_read() {
    assert_eq!(bytes(&"2Gi".into()), 2 << 30);
}
