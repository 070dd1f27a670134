//! What the adapters share of HTTP: one request, one whole reply or none.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, redirect::Policy};

/// Bytes of a reply. A payment has about two thousand.
const REPLY_BYTES_MAX: usize = 256 * 1024;

/// Characters of a foreign text that go into a message.
const QUOTED_CHARS_MAX: usize = 80;

/// Connections that are kept while nobody uses them.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// Why an adapter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProviderConfigError {
    /// The address is of no use to this build.
    #[error(
        "the provider's address is {found:?}; this build speaks no TLS, so it must begin with \
         http:// and name the simulator or a proxy that speaks TLS"
    )]
    BaseUrl {
        /// The address.
        found: String,
    },
    /// A currency is none of ISO 4217, or has no units to pay with.
    #[error("`currencies` names {currency:?}; write codes of ISO 4217, such as KRW")]
    Currency {
        /// What is configured.
        currency: String,
    },
    /// No currency is named, so that no payment would be taken.
    #[error("`{provider}.currencies` is empty; name those of the contract, such as [\"KRW\"]")]
    NoCurrencies {
        /// The provider.
        provider: &'static str,
    },
    /// The HTTP client refuses the configuration.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Where a provider is, and for how long it is waited for.
pub(super) struct Address<'a> {
    pub(super) base_url: &'a str,
    pub(super) connect_timeout_ms: u64,
    pub(super) request_timeout_ms: u64,
}

#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base_url: String,
}

/// A whole reply.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// No whole reply that can be read. The request may have been executed.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) message: String,
}

impl Http {
    pub(super) fn new(address: &Address<'_>) -> Result<Self, ProviderConfigError> {
        if !address.base_url.starts_with("http://") {
            return Err(ProviderConfigError::BaseUrl { found: address.base_url.to_owned() });
        }
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(address.connect_timeout_ms))
            .timeout(Duration::from_millis(address.request_timeout_ms))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .map_err(ProviderConfigError::Client)?;
        Ok(Self { client, base_url: address.base_url.trim_end_matches('/').to_owned() })
    }

    /// A request to a path, whose foreign parts are escaped.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base_url))
    }
}

pub(super) async fn send(request: RequestBuilder) -> Result<Received, Lost> {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            return Err(Lost { message: "the provider cannot be reached".to_owned() });
        }
        Err(error) => return Err(lost(&error)),
    };
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|it| lost(&it))? {
        if REPLY_BYTES_MAX < body.len() + chunk.len() {
            return Err(Lost { message: format!("a reply of more than {REPLY_BYTES_MAX} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status, body })
}

fn lost(error: &reqwest::Error) -> Lost {
    let what = if error.is_timeout() { "in time" } else { "in full" };
    Lost { message: format!("the provider did not answer {what}") }
}

/// The beginning of a foreign text, without control characters.
pub(super) fn quoted(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(QUOTED_CHARS_MAX).collect()
}

/// A path segment: everything but letters, digits, `-`, `_`, `.` and `~` is escaped. A
/// segment of one or two dots has a meaning however it is written, and is no provider key.
pub(super) fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_key_cannot_leave_its_path_segment() {
        assert_eq!(escape("tgen_2024-a.b~c"), "tgen_2024-a.b~c");
        assert_eq!(escape("a/b?c#d%e f"), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(escape("../orders"), "..%2Forders");
    }
}
