//! The orchestrator in its image, as a runtime of containers would have it: a root that nobody
//! can write, no other files of the machine, and a user without a name.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, UdpSocket},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::id,
    sync::{Arc, Mutex},
};

use saga_proto::saga::v1::SagaState;
use saga_tests::{
    condition::eventually,
    order::{MUG, Order},
    process::{Process, run},
    server::serves,
    shop::{Database, Node, Shop},
};
use tokio::process::Command;

use crate::images::Image;

/// The user of the image.
const USER: u32 = 65_532;

/// Mounts the root read-only, a folder for data and one for what is temporary, and leaves the
/// machine. The process that is started is the program's own in the end.
const ENTER: &str = r#"
set -eu
root=$1 data=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount --bind "$data" "$root/var/lib/amends"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot --userspec=65532:65532 "$root" "$@"
"#;

fn inside(root: &Path, data: &Path, program: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(root).arg(data).args(program);
    // As in a container: nothing is inherited.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A name server that knows every name, and remembers which it was asked for.
struct Names {
    address: Ipv4Addr,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Names {
    fn serve() -> Self {
        // Port 53 is the only one, so every test has an address of its own.
        let [_, _, high, low] = id().to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low.clamp(1, 254));
        let socket = UdpSocket::bind((address, 53)).unwrap();
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let names = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let (name, answer) = answer(&query[..length]);
                names.lock().unwrap().insert(name);
                socket.send_to(&answer, from).unwrap();
            }
        });
        Self { address, asked }
    }
}

/// The name that is asked for, and 127.0.0.1 where an address of version 4 is wanted.
fn answer(query: &[u8]) -> (String, Vec<u8>) {
    const HEADER: usize = 12;
    let (mut at, mut labels) = (HEADER, Vec::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..=at + length].to_vec()).unwrap());
        at += length + 1;
    }
    let question = &query[HEADER..at + 5];
    let is_v4 = query[at + 1..at + 3] == [0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]);
    answer.extend(question);
    if is_v4 {
        // The name of the question, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    (labels.join("."), answer)
}

#[tokio::test]
async fn an_image_runs_a_saga_and_ends_when_it_is_told() {
    let image = Image::pack("orchestrator");
    let root = image.unpack();
    let mut shop = Shop::closed(Database::Sqlite).await;
    let names = Names::serve();
    let data = tempfile::tempdir().unwrap();
    chown(data.path(), Some(USER), Some(USER)).unwrap();
    // A runtime brings these two. One participant is in the first, two are asked for.
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost order.shop.svc\n").unwrap();
    fs::write(root.join("etc/resolv.conf"), format!("nameserver {}\n", names.address)).unwrap();
    configure(&mut shop, &root);
    shop.open_services().await;
    let program = ["/usr/bin/orchestrator", "serve", "--config", "/etc/amends/orchestrator.toml"];

    let mut orchestrator = Process::start("image", inside(&root, data.path(), &program));

    eventually("the image serves", async || {
        orchestrator.assert_running().await;
        serves(shop.orchestrator.channel(), "saga.v1.SagaService").await.then_some(())
    })
    .await;
    let order = Order::of("order-1", 1, MUG);
    shop.authenticate(&order).await;
    shop.insist(&order).await;
    let saga = shop.ended("order-1").await;
    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    let asked = names.asked.lock().unwrap().clone();
    let wanted = ["inventory.shop.svc", "payment.shop.svc"].map(str::to_owned).into();
    assert_eq!(asked, wanted, "names were found some other way");
    assert!(fs::metadata(data.path().join("amends.db")).is_ok(), "the log is somewhere else");

    // The command line is there too, for whoever looks into a pod.
    let address = shop.orchestrator.address().to_string();
    let ask = ["/usr/bin/sagactl", "--address", &address, "saga", "get", "order-1", "-o", "json"];
    let told = run(inside(&root, data.path(), &ask)).await;
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("order-1"), "{}", told.stdout);

    orchestrator.terminate().await;
    let status = orchestrator.exit().await;
    assert!(status.success(), "{status}: {}", orchestrator.output());
}

/// Gives the orchestrator in the image what a ConfigMap would.
fn configure(shop: &mut Shop, root: &Path) {
    let definitions = root.join("etc/amends/definitions");
    fs::create_dir(&definitions).unwrap();
    for file in fs::read_dir(shop.definitions()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), definitions.join(file.file_name())).unwrap();
    }
    let log = shop.books.log.clone();
    let (theirs, node) = (shop.definitions(), Node::on(&log));
    let hosts =
        [(&shop.inventory, "inventory"), (&shop.payment, "payment"), (&shop.order, "order")];
    let hosts = hosts.map(|(server, name)| (server.url(), server.address().port(), name));
    shop.configure_node("image.toml", &node, |text| {
        *text = text.replace(&log, "sqlite:/var/lib/amends/amends.db");
        *text = text.replace(&theirs.display().to_string(), "/etc/amends/definitions");
        for (url, port, name) in &hosts {
            *text = text.replace(url, &format!("http://{name}.shop.svc:{port}"));
        }
    });
    let text = fs::read(shop.books.folder.join("image.toml")).unwrap();
    let file = root.join("etc/amends/orchestrator.toml");
    fs::write(&file, text).unwrap();
    for path in [&file, &root.join("etc/hosts"), &root.join("etc/resolv.conf")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
}
