//! A name that leads to one server and later to another, and a link that can be cut.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Passes connections on to a server.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    leads_to: Arc<watch::Sender<Option<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A relay on a free port.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let leads_to = Arc::new(watch::Sender::new(Some(server)));
        let task = tokio::spawn(accept(listener, leads_to.clone()));
        Self { address, leads_to, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, and makes no other.
    pub fn cut(&self) {
        self.leads_to.send_replace(None);
    }

    /// Ends every connection, and leads new ones to this server.
    pub fn lead_to(&self, server: SocketAddr) {
        self.leads_to.send_replace(Some(server));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, leads_to: Arc<watch::Sender<Option<SocketAddr>>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(pass(client, leads_to.subscribe()));
    }
}

async fn pass(mut client: TcpStream, mut leads_to: watch::Receiver<Option<SocketAddr>>) {
    let Some(server) = *leads_to.borrow_and_update() else { return };
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = leads_to.changed() => {}
    }
}
