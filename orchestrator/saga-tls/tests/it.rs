//! Files that are good, bad, and changed while somebody is connected.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use saga_tls::{
    Acceptor, ClientFiles, Connector, Identity, Looked, Problem, Secured, ServerFiles, Strangers,
    testkit::{Authority, Issued, Valid},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::oneshot,
};

const SERVER: &str = "spiffe://shop/orchestrator";
const CLIENT: &str = "spiffe://shop/till";

struct Folder {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Folder {
    fn new() -> Self {
        let here = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new("shop") };
        fs::write(here.path("ca.pem"), here.authority.pem()).unwrap();
        here.put("server", &here.authority.issue(&[SERVER, "localhost", "127.0.0.1"]));
        here.put("client", &here.authority.issue(&[CLIENT]));
        here
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, issued: &Issued) {
        let _ = issued.write(self.folder.path(), name);
    }

    fn server_files(&self) -> ServerFiles {
        ServerFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: Some(self.path("ca.pem")),
        }
    }

    fn client_files(&self) -> ClientFiles {
        ClientFiles {
            ca: self.path("ca.pem"),
            certificate: Some(self.path("client.pem")),
            key: Some(self.path("client.key")),
            server_name: None,
        }
    }

    fn acceptor(&self) -> Acceptor {
        Acceptor::open("tls", &self.server_files(), Strangers::KeptOut).unwrap()
    }

    fn connector(&self) -> Connector {
        Connector::open("participants.till.tls", &self.client_files()).unwrap()
    }
}

type Met = Result<Option<Identity>, ErrorKind>;

/// Both ends of a connection, and whom the server has met.
async fn meet(
    acceptor: &Acceptor,
    connector: &Connector,
) -> (std::io::Result<Secured<DuplexStream>>, Secured<DuplexStream>, Met) {
    let (near, far) = duplex(64 << 10);
    let (tell, told) = oneshot::channel();
    let heard = move |met: Result<Option<Identity>, &std::io::Error>| {
        tell.send(met.map_err(std::io::Error::kind)).unwrap();
    };
    let mut server = acceptor.accept(far, Box::new(heard));
    let (client, _) = tokio::join!(connector.connect("localhost", near), server.flush());
    (client, server, told.await.unwrap())
}

async fn said(from: &mut Secured<DuplexStream>, to: &mut Secured<DuplexStream>) {
    from.write_all(b"hello").await.unwrap();
    from.flush().await.unwrap();
    let mut heard = [0; 5];
    to.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn both_sides_know_each_other_and_the_server_knows_the_name() {
    let here = Folder::new();
    let (client, mut server, met) = meet(&here.acceptor(), &here.connector()).await;
    assert_eq!(met.unwrap().unwrap().to_string(), CLIENT);
    let mut client = client.unwrap();
    said(&mut client, &mut server).await;
    said(&mut server, &mut client).await;
}

#[tokio::test]
async fn an_identity_is_the_uris_and_else_the_names_of_hosts() {
    let here = Folder::new();
    for (names, known) in [
        (
            &["till.shop", CLIENT, "spiffe://shop/second"][..],
            Some(&[CLIENT, "spiffe://shop/second"][..]),
        ),
        (&["Till.shop", "*.shop"][..], Some(&["till.shop"][..])),
        (&["127.0.0.1"][..], None),
    ] {
        here.put("client", &here.authority.issue(names));
        let (_, _, met) = meet(&here.acceptor(), &here.connector()).await;
        let met = met.unwrap();
        let met: Option<Vec<&str>> = met.as_ref().map(|it| it.names().collect());
        assert_eq!(met.as_deref(), known, "{names:?}");
    }
}

#[tokio::test]
async fn who_shows_nothing_or_the_wrong_thing_is_kept_out() {
    let here = Folder::new();
    let acceptor = here.acceptor();
    let refused = async |connector: Connector| {
        let (client, _, met) = meet(&acceptor, &connector).await;
        assert!(met.is_err(), "{met:?}");
        // A server of TLS 1.3 says so behind the handshake.
        let Ok(mut client) = client else { return };
        let read = client.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::ConnectionRefused, "{read}");
        assert!(read.to_string().contains("does not take this program's certificate"), "{read}");
    };
    let stranger = ClientFiles { certificate: None, key: None, ..here.client_files() };
    refused(Connector::open("x", &stranger).unwrap()).await;
    here.put("client", &Authority::new("shop").issue(&[CLIENT]));
    refused(here.connector()).await;
    // One that expires while it is in use is not shown by a program that starts.
    let expired = here.authority.issue_valid(&[CLIENT], Valid::Before);
    here.put("client", &expired);
    let told = Connector::open("x", &here.client_files()).unwrap_err();
    assert!(matches!(told.problem, Problem::Expired), "{told}");
}

/// As a client of HTTP/2 does, which writes first: over TCP that may fail before the alert is
/// read.
#[tokio::test]
async fn who_writes_to_a_server_that_refused_is_told_why() {
    let here = Folder::new();
    let stranger = ClientFiles { certificate: None, key: None, ..here.client_files() };
    let connector = Connector::open("x", &stranger).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = here.acceptor();
    let server = async {
        let mut server = acceptor
            .accept(listener.accept().await.unwrap().0, Box::new(|met| assert!(met.is_err())));
        assert!(server.flush().await.is_err());
    };
    let client = async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        connector.connect("localhost", stream).await.unwrap()
    };
    // The server is gone, with what it had not read, before the client writes.
    let ((), mut client) = tokio::join!(server, client);
    let refused = loop {
        let written = client.write_all(b"hello").await;
        if let Err(error) = written.and(client.flush().await) {
            break error;
        }
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
}

#[tokio::test]
async fn who_is_let_in_without_a_certificate_is_nobody() {
    let here = Folder::new();
    let acceptor = Acceptor::open("tls", &here.server_files(), Strangers::LetIn).unwrap();
    let stranger = ClientFiles { certificate: None, key: None, ..here.client_files() };
    let (_, _, met) = meet(&acceptor, &Connector::open("x", &stranger).unwrap()).await;
    assert_eq!(met, Ok(None));
    here.put("client", &Authority::new("shop").issue(&[CLIENT]));
    let (_, _, met) = meet(&acceptor, &here.connector()).await;
    assert!(met.is_err(), "a wrong one is not the same as none: {met:?}");
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_is_sent_nothing() {
    let here = Folder::new();
    let acceptor = here.acceptor();
    let files = ClientFiles { server_name: Some("other.shop".to_owned()), ..here.client_files() };
    let named = Connector::open("x", &files).unwrap();
    let other = Authority::new("shop");
    fs::write(here.path("other.pem"), other.pem()).unwrap();
    let files = ClientFiles { ca: here.path("other.pem"), ..here.client_files() };
    let trusting = Connector::open("x", &files).unwrap();
    for connector in [named, trusting] {
        let (client, _, met) = meet(&acceptor, &connector).await;
        let told = client.unwrap_err().to_string();
        assert!(told.contains("no TLS with"), "{told}");
        assert!(met.is_err(), "{met:?}");
    }
}

/// A greeting of TLS 1.1, written by hand: no library of today makes one.
#[tokio::test]
async fn tls_of_before_1_2_is_refused() {
    let here = Folder::new();
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    let mut record = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    let mut sent = vec![22, 0x03, 0x02, 0, u8::try_from(record.len()).unwrap()];
    sent.extend(record);

    let (mut near, far) = duplex(64 << 10);
    let mut server = here.acceptor().accept(far, Box::new(|met| assert!(met.is_err())));
    near.write_all(&sent).await.unwrap();
    assert!(server.flush().await.is_err());
    let mut answer = [0; 7];
    near.read_exact(&mut answer).await.unwrap();
    // An alert, fatal: protocol_version, or handshake_failure.
    assert_eq!((answer[0], answer[5]), (21, 2), "{answer:?}");
    assert!([70, 40].contains(&answer[6]), "{answer:?}");
}

#[tokio::test]
async fn a_rotation_leaves_what_is_open_and_renews_what_comes() {
    let here = Folder::new();
    let (acceptor, connector) = (here.acceptor(), here.connector());
    let (client, mut server, _) = meet(&acceptor, &connector).await;
    let mut client = client.unwrap();
    assert!(matches!(acceptor.look(), Looked::Same));

    // First everybody trusts both authorities, then the leaves change, then the old one goes.
    let next = Authority::new("shop, next");
    fs::write(here.path("ca.pem"), here.authority.pem() + &next.pem()).unwrap();
    assert!(matches!(acceptor.look(), Looked::Renewed));
    assert!(matches!(connector.look(), Looked::Renewed));
    here.put("server", &next.issue(&[SERVER, "localhost"]));
    here.put("client", &next.issue(&[CLIENT]));
    assert!(matches!(acceptor.look(), Looked::Renewed));
    let (_, _, met) = meet(&acceptor, &connector).await;
    assert!(met.is_ok(), "the old client's and the new server's go together: {met:?}");
    fs::write(here.path("ca.pem"), next.pem()).unwrap();
    assert!(matches!(acceptor.look(), Looked::Renewed));
    let (_, _, met) = meet(&acceptor, &connector).await;
    assert!(met.is_err(), "the old client's authority was removed: {met:?}");
    assert!(matches!(connector.look(), Looked::Renewed));
    let (_, _, met) = meet(&acceptor, &connector).await;
    assert_eq!(met.unwrap().unwrap().to_string(), CLIENT);

    said(&mut client, &mut server).await;
    said(&mut server, &mut client).await;
}

#[tokio::test]
async fn half_of_a_rotation_changes_nothing_until_the_other_half_is_there() {
    let here = Folder::new();
    let acceptor = here.acceptor();
    let next = here.authority.issue(&[SERVER, "localhost"]);
    fs::write(here.path("server.pem"), &next.certificate).unwrap();
    let Looked::Refused(told) = acceptor.look() else { panic!("it took half of a pair") };
    assert!(matches!(told.problem, Problem::KeyDoesNotFit { .. }), "{told}");
    assert!(matches!(acceptor.look(), Looked::Same), "said once");
    assert!(meet(&acceptor, &here.connector()).await.2.is_ok());
    fs::write(here.path("server.key"), &next.key).unwrap();
    assert!(matches!(acceptor.look(), Looked::Renewed));

    fs::remove_file(here.path("server.key")).unwrap();
    let Looked::Refused(told) = acceptor.look() else { panic!("it took no key") };
    assert!(matches!(told.problem, Problem::Unreadable(_)), "{told}");
    assert!(meet(&acceptor, &here.connector()).await.2.is_ok());
}

/// Kubernetes turns a link to another folder; a file of the same age and size is another file.
#[tokio::test]
async fn a_link_that_was_turned_is_a_change() {
    let here = Folder::new();
    let old = here.path("old");
    let new = here.path("new");
    for folder in [&old, &new] {
        fs::create_dir(folder).unwrap();
        let _ = here.authority.issue(&[SERVER, "localhost"]).write(folder, "tls");
    }
    let turn = |to: &Path| {
        std::os::unix::fs::symlink(to, here.path("turning")).unwrap();
        fs::rename(here.path("turning"), here.path("data")).unwrap();
    };
    turn(&old);
    let files = ServerFiles {
        certificate: here.path("data/tls.pem"),
        key: here.path("data/tls.key"),
        client_ca: None,
    };
    let acceptor = Acceptor::open("tls", &files, Strangers::KeptOut).unwrap();
    turn(&new);
    assert!(matches!(acceptor.look(), Looked::Renewed));
    assert!(matches!(acceptor.look(), Looked::Same));
}

/// What is said of a listener's files after `change`: it names `file` with its key.
fn refused(file: &str, change: impl Fn(&Folder)) -> String {
    let here = Folder::new();
    change(&here);
    let told = Acceptor::open("tls", &here.server_files(), Strangers::KeptOut).unwrap_err();
    let told = told.to_string();
    let key = match file {
        "server.pem" => "tls.certificate: ",
        "server.key" => "tls.key: ",
        _ => "tls.client_ca: ",
    };
    assert!(told.starts_with(key) && told.contains(file), "{file}: {told}");
    told
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_key() {
    for file in ["server.pem", "server.key", "ca.pem"] {
        let told = refused(file, |here| fs::remove_file(here.path(file)).unwrap());
        assert!(told.contains("cannot be read"), "{told}");
    }
}

#[test]
fn a_file_with_something_else_in_it_is_named_with_its_key_and_what_is_wrong() {
    let old = Authority::valid("old", Valid::Before).pem();
    let secret = Authority::new("x").issue(&["x"]).key;
    let torn = secret.replace("-----END", "-----EN");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, text, words) in [
        ("server.pem", "no PEM", "no certificate is in"),
        ("server.pem", garbage, "cannot be used"),
        ("ca.pem", "", "no certificate is in"),
        ("ca.pem", &old, "has expired"),
        ("server.key", "no PEM", "no key is in"),
        ("server.key", &torn, "not PEM to its end"),
        ("server.key", &secret, "not that of the certificate"),
    ] {
        let told = refused(file, |here| fs::write(here.path(file), text).unwrap());
        assert!(told.contains(words), "{words}: {told}");
        let line = secret.lines().nth(1).unwrap();
        assert!(!told.contains(line), "a key is not shown: {told}");
    }
}

#[test]
fn a_certificate_is_not_taken_before_and_after_its_time() {
    for (valid, words) in [(Valid::Before, "has expired"), (Valid::Later, "not valid yet")] {
        let told = refused("server.pem", |here| {
            here.put("server", &here.authority.issue_valid(&[SERVER], valid));
        });
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn half_a_client_and_a_name_that_is_none_are_refused() {
    let here = Folder::new();
    for half in [
        ClientFiles { certificate: None, ..here.client_files() },
        ClientFiles { key: None, ..here.client_files() },
    ] {
        let told = Connector::open("participants.till.tls", &half).unwrap_err();
        assert!(matches!(told.problem, Problem::Half), "{told}");
    }
    let files = ClientFiles { server_name: Some("no name".to_owned()), ..here.client_files() };
    let told = Connector::open("participants.till.tls", &files).unwrap_err();
    assert!(told.to_string().starts_with("participants.till.tls.server_name: "), "{told}");
}

/// In a rotation the old authority may expire before somebody takes it out.
#[tokio::test]
async fn an_authority_that_has_expired_is_left_out_beside_one_that_has_not() {
    let here = Folder::new();
    let old = Authority::valid("old", Valid::Before);
    fs::write(here.path("ca.pem"), old.pem() + &here.authority.pem()).unwrap();
    assert!(meet(&here.acceptor(), &here.connector()).await.2.is_ok());
    here.put("client", &old.issue(&[CLIENT]));
    assert!(meet(&here.acceptor(), &here.connector()).await.2.is_err());
}
