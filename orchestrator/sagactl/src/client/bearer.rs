//! The token that says who we are, at every call.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use crate::{context::TokenSource, failure::Failure};

/// Shows the token, where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// The token of `source`, for the orchestrator at `address`.
    ///
    /// # Errors
    ///
    /// There is none, or somebody on the way could take it. Nobody was connected to.
    pub(super) fn of(address: &str, source: Option<&TokenSource>) -> Result<Self, Failure> {
        let Some(source) = source else { return Ok(Self(None)) };
        if !address.starts_with("https:") && !is_here(address) {
            return Err(Failure::usage(
                format!(
                    "{address} speaks plain text, and whoever is on the way could take the token"
                ),
                "an https:// address, with --ca FILE",
            ));
        }
        let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", source.token()?).parse();
        let mut value = value.map_err(|_| {
            Failure::usage("the token cannot be sent", "log in again where it comes from")
        })?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

/// Whether plain text to there stays on this machine.
fn is_here(address: &str) -> bool {
    let uri = address.parse::<tonic::transport::Uri>();
    uri.is_ok_and(|uri| uri.host().is_some_and(saga_tls::is_this_machine))
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_is_here() {
        for here in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://127.9.9.9"]
        {
            assert!(is_here(here), "{here}");
        }
        for there in ["http://10.0.0.1:1", "http://localhost.evil", "http://127.0.0.1.evil:1", "x"]
        {
            assert!(!is_here(there), "{there}");
        }
    }
}
