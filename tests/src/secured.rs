//! The shop with TLS on every hop: each program has a certificate of its own, shows it, and may
//! do what that says.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use saga_tls::{
    ClientFiles, Connector,
    testkit::{Authority, Issued},
};

use crate::{
    server::Server,
    shop::{Node, Shop},
};

/// Who the tests are.
pub const TILL: &str = "spiffe://shop/till";

/// Whom the services believe, beside the tests.
const ORCHESTRATOR: &str = "spiffe://shop/orchestrator";

/// The files of a shop's certificates.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// Who signs them now.
    pub authority: Authority,
}

impl Files {
    /// An authority, and a certificate for every program, in `folder`.
    #[must_use]
    pub fn make(folder: &Path) -> Self {
        let files = Self { folder: folder.to_owned(), authority: Authority::new("shop") };
        fs::create_dir_all(folder).unwrap();
        files.trust(&[&files.authority]);
        files.issue_all();
        files
    }

    /// Everybody trusts these, and no other.
    pub fn trust(&self, authorities: &[&Authority]) {
        replace(&self.path("ca.pem"), &authorities.iter().map(|it| it.pem()).collect::<String>());
    }

    /// A new certificate for every program, from the authority of now.
    pub fn issue_all(&self) {
        for program in ["orchestrator", "inventory", "payment", "order", "till"] {
            let id = format!("spiffe://shop/{program}");
            self.put(program, &self.authority.issue(&[&id, "localhost", "127.0.0.1"]));
        }
    }

    /// Puts a certificate where a program looks for its own.
    pub fn put(&self, program: &str, issued: &Issued) {
        replace(&self.path(&format!("{program}.pem")), &issued.certificate);
        replace(&self.path(&format!("{program}.key")), &issued.key);
    }

    /// Where a file is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What a client with the certificate of `program` speaks. `None`: one without.
    #[must_use]
    pub fn connector(&self, program: Option<&str>) -> Connector {
        let file = |kind: &str| program.map(|it| self.path(&format!("{it}.{kind}")));
        let files = ClientFiles {
            ca: self.path("ca.pem"),
            certificate: file("pem"),
            key: file("key"),
            server_name: None,
        };
        Connector::open("till", &files).unwrap()
    }

    fn serve(&self, server: &mut Server, program: &str, till: &Connector) {
        for (key, file) in [
            ("certificate", format!("{program}.pem")),
            ("key", format!("{program}.key")),
            ("client_ca", "ca.pem".to_owned()),
        ] {
            let path = self.path(&file).display().to_string();
            server.arguments.extend(["--set".to_owned(), format!("tls.{key}={path}")]);
        }
        // The till puts items into stock, under operation ids of its own.
        let engines = format!("engines=[\"{ORCHESTRATOR}\", \"{TILL}\"]");
        server.arguments.extend(["--set".to_owned(), engines]);
        server.tls = Some(till.clone());
    }
}

/// As a rename: nobody reads half of a file.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

impl Shop {
    /// Gives every program that is not started yet a certificate, and has all of them speak TLS.
    #[must_use]
    pub fn secure(&mut self) -> Files {
        let files = Files::make(&self.books.folder.join("tls"));
        let till = files.connector(Some("till"));
        files.serve(&mut self.inventory, "inventory", &till);
        files.serve(&mut self.payment, "payment", &till);
        files.serve(&mut self.order, "order", &till);
        self.orchestrator.tls = Some(till);
        let node = Node::on(&self.books.log);
        self.configure_node("orchestrator.toml", &node, |text| {
            // Relative to the file.
            for participant in ["inventory", "payment", "order"] {
                let files = "ca = \"tls/ca.pem\"\ncertificate = \"tls/orchestrator.pem\"\n\
                             key = \"tls/orchestrator.key\"";
                write!(text, "\n[participants.{participant}.tls]\n{files}\n").unwrap();
            }
            text.push_str(
                "\n[tls]\ncertificate = \"tls/orchestrator.pem\"\n\
                 key = \"tls/orchestrator.key\"\nclient_ca = \"tls/ca.pem\"\n",
            );
            let grant = format!("{{ identity = \"{TILL}\", role = \"admin\" }}");
            write!(text, "\n[auth]\ngrants = [{grant}]\n").unwrap();
        });
        files
    }
}
