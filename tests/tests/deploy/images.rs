//! The images: what is in them, that they are the same every time, and that what is in them is
//! enough (X19, X20).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use saga_tests::programs::{folder, repository};
use serde_json::Value;

use crate::tools::tool;

/// Pulled, compressed. Programs of the tests have their assertions; what is shipped has to be
/// within 25 MB, and `deploy/images/build` fails where it is not.
const BYTES_MAX: u64 = if cfg!(debug_assertions) { 35_000_000 } else { 25_000_000 };

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs something to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}: {said}");
    String::from_utf8(stdout).unwrap()
}

/// An image that was packed from the programs of the tests, and unpacked by a tool of others.
#[derive(Debug)]
pub(crate) struct Image {
    folder: tempfile::TempDir,
    told: String,
}

impl Image {
    pub(crate) fn pack(name: &str) -> Self {
        let place = tempfile::Builder::new().prefix("amends-image-").tempdir().unwrap();
        let script = repository().join("deploy/images/build");
        let mut build = Command::new(script);
        build.arg("--from").arg(folder()).arg("--out").arg(place.path()).arg(name);
        let told = run(&mut build);
        let layout = place.path().join("layout");
        fs::create_dir(&layout).unwrap();
        let archive = place.path().join(format!("{name}.tar"));
        run(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(archive));
        Self { folder: place, told }
    }

    /// The digest, as the script tells it.
    fn digest(&self) -> &str {
        self.told.split(['@', ' ']).nth(1).unwrap()
    }

    fn blob(&self, digest: &Value) -> PathBuf {
        let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        self.folder.path().join("layout/blobs/sha256").join(digest)
    }

    fn json(&self, digest: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(digest)).unwrap()).unwrap()
    }

    fn manifest(&self) -> Value {
        let index = fs::read(self.folder.path().join("layout/index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["manifests"][0]["digest"], self.digest());
        self.json(&index["manifests"][0]["digest"])
    }

    /// The files, where umoci, which checks every digest, has unpacked them.
    pub(crate) fn unpack(&self) -> PathBuf {
        let layout = format!("{}:{VERSION}", self.folder.path().join("layout").display());
        let bundle = self.folder.path().join("bundle");
        run(Command::new("umoci").args(["unpack", "--image", &layout]).arg(&bundle));
        bundle.join("rootfs")
    }
}

fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found
}

#[test]
fn an_image_holds_the_programs_and_what_they_name() {
    let image = Image::pack("orchestrator");
    let all = files(&image.unpack());
    let (libraries, rest): (BTreeSet<_>, BTreeSet<_>) =
        all.into_iter().partition(|it| it.contains(".so"));
    let wanted = [
        "etc/group",
        "etc/nsswitch.conf",
        "etc/passwd",
        "usr/bin/orchestrator",
        "usr/bin/sagactl",
        "usr/share/doc/amends/LICENSE",
        "usr/share/doc/amends/sbom.cdx.json",
    ];
    assert_eq!(rest, wanted.map(str::to_owned).into());
    let named: BTreeSet<&str> = libraries
        .iter()
        .map(|it| it.rsplit_once('/').unwrap().1.split('.').next().unwrap())
        .collect();
    let wanted: BTreeSet<&str> = ["ld-linux-x86-64", "libc", "libgcc_s", "libm"].into();
    assert!(named.is_subset(&wanted) && named.contains("libc"), "{named:?}");

    let manifest = image.manifest();
    let size = manifest["layers"][0]["size"].as_u64().unwrap();
    assert!(size <= BYTES_MAX, "{size} bytes are pulled");
    let config = image.json(&manifest["config"]["digest"]);
    let run = &config["config"];
    assert_eq!(run["User"], "65532:65532");
    assert_eq!(run["Entrypoint"][0], "/usr/bin/orchestrator");
    assert_eq!(run["StopSignal"], "SIGTERM");
    for label in ["title", "description", "version", "revision", "created", "licenses"] {
        let label = format!("org.opencontainers.image.{label}");
        let said = run["Labels"][&label].as_str();
        assert!(said.is_some_and(|said| !said.is_empty()), "{label}");
        assert_eq!(manifest["annotations"][&label], run["Labels"][&label]);
    }
    assert_eq!(run["Labels"]["org.opencontainers.image.version"], VERSION);
}

/// A digest that anybody can make again says which source runs.
#[test]
fn the_same_programs_give_the_same_digest() {
    let (one, other) = (Image::pack("order-svc"), Image::pack("order-svc"));
    assert!(one.digest().starts_with("sha256:"), "{}", one.told);
    assert_eq!(one.digest(), other.digest());
}

/// What is linked, with versions and sums; neither what tests it nor what builds it.
#[test]
fn the_bill_of_an_image_is_what_is_linked() {
    let image = Image::pack("inventory-svc");
    let bill = fs::read(image.folder.path().join("inventory-svc.cdx.json")).unwrap();
    let bill: Value = serde_json::from_slice(&bill).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bill["components"].as_array().unwrap();
    let find = |name: &str| components.iter().find(|it| it["name"] == name);
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    for name in ["tokio", "tonic", "sqlx-core", "libsqlite3-sys"] {
        let found = find(name).unwrap_or_else(|| panic!("{name} is not in the bill"));
        let (version, sum) = (&found["version"], &found["hashes"][0]["content"]);
        let block = format!("name = \"{name}\"\nversion = {version}\n");
        let at = lock.find(&block).unwrap_or_else(|| panic!("{block}"));
        let block = lock[at..].split("\n\n").next().unwrap();
        assert!(block.contains(sum.as_str().unwrap()), "{found}");
        assert!(found["licenses"][0]["expression"].is_string(), "{found}");
    }
    assert!(find("libc6").is_some_and(|it| it["purl"].as_str().unwrap().starts_with("pkg:deb/")));
    for absent in ["saga-tests", "tempfile", "insta", "protox", "cc"] {
        assert!(find(absent).is_none(), "{absent} is not linked");
    }
}

/// It is not built here; what can be said of it without Docker is.
#[test]
fn the_containerfile_makes_the_same_images() {
    let file = repository().join("deploy/images/Containerfile");
    let said = run(tool("hadolint").arg(&file));
    assert!(said.is_empty(), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if line.contains("hadolint ignore") {
            assert!(lines[at - 1].starts_with("# "), "{line}: why?");
        }
    }
    let stages: Vec<&str> = text.split("\nFROM scratch AS ").skip(1).collect();
    assert_eq!(stages.len(), 4);
    for stage in stages {
        let name = stage.lines().next().unwrap();
        for wanted in [
            &format!("COPY --from=build /out/{name} /\n"),
            "USER 65532:65532\n",
            &format!("ENTRYPOINT [\"/usr/bin/{name}\"]\n"),
            "CMD [\"serve\"]\n",
        ] {
            assert!(stage.contains(wanted), "{name}: {wanted}");
        }
        assert!(!stage.contains("\nRUN "), "{name}: nothing can be run in it");
    }
}
