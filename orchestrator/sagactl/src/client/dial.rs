//! How a connection is made: in plain text, or with TLS.

use hyper_util::rt::TokioIo;
use saga_tls::{ClientFiles, Connector};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Error, Uri};
use tower::service_fn;

use crate::failure::Failure;

/// What `address` is spoken to with.
///
/// # Errors
///
/// A usage failure: there are files and the address speaks plain text, or the other way
/// round, or a file cannot be used. Nobody was connected to.
pub(super) fn tls(
    address: &str,
    files: Option<&ClientFiles>,
) -> Result<Option<Connector>, Failure> {
    match (address.starts_with("https:"), files) {
        (false, None) => Ok(None),
        (true, None) => Err(Failure::usage(
            format!("{address}: nobody is trusted to say that this is the orchestrator"),
            "the authority of its certificate with --ca FILE or SAGACTL_CA",
        )),
        (false, Some(_)) => Err(Failure::usage(
            format!("{address} speaks no TLS, and there is an authority for it"),
            "an https:// address, or leave --ca and SAGACTL_CA out",
        )),
        (true, Some(files)) => {
            let opened = Connector::open("sagactl", files).map_err(|error| {
                let told = error.to_string();
                let told =
                    told.trim_start_matches("sagactl.").replacen("key:", "certificate-key:", 1);
                Failure::usage(format!("--{told}"), "files in PEM that belong together")
            })?;
            Ok(Some(opened))
        }
    }
}

/// Connects to `endpoint`.
///
/// # Errors
///
/// Nobody is there, or nobody whom the files make trusted.
pub(super) async fn connect(endpoint: Endpoint, tls: Option<Connector>) -> Result<Channel, Error> {
    let Some(tls) = tls else { return endpoint.connect().await };
    let connector = service_fn(move |to: Uri| {
        let tls = tls.clone();
        async move {
            let host = to.host().unwrap_or_default().to_owned();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((bare, to.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            tls.connect(&host, stream).await.map(TokioIo::new)
        }
    });
    endpoint.connect_with_connector(connector).await
}
