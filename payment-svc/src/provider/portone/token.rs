//! The access token: 30 minutes of access, got with the shop's key and renewed when the
//! provider does not take it any more.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    PortOneConfig,
    wire::{Envelope, Reply},
};
use crate::provider::http::{self, Http, Lost, Received};

#[derive(Debug)]
pub(super) struct Tokens {
    imp_key: String,
    imp_secret: SecretString,
    present: Mutex<Option<SecretString>>,
}

#[derive(Serialize)]
struct KeyBody<'a> {
    imp_key: &'a str,
    imp_secret: &'a str,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: SecretString,
}

impl Tokens {
    pub(super) fn new(config: &PortOneConfig) -> Self {
        Self {
            imp_key: config.imp_key.clone(),
            imp_secret: config.imp_secret.clone(),
            present: Mutex::default(),
        }
    }

    /// A token that is not `refused`. However many ask at once, the provider is asked once;
    /// the clock is not asked, because only the provider's own counts.
    pub(super) async fn other_than(
        &self,
        refused: Option<&SecretString>,
        http: &Http,
    ) -> Result<SecretString, Reply> {
        let mut present = self.present.lock().await;
        let refused = refused.map(ExposeSecret::expose_secret);
        if let Some(token) = present.as_ref()
            && Some(token.expose_secret()) != refused
        {
            return Ok(token.clone());
        }
        *present = None;
        let token = self.fetch(http).await?;
        *present = Some(token.clone());
        Ok(token)
    }

    async fn fetch(&self, http: &Http) -> Result<SecretString, Reply> {
        let body = KeyBody { imp_key: &self.imp_key, imp_secret: self.imp_secret.expose_secret() };
        let request = http.request(Method::POST, "/users/getToken").json(&body);
        let Received { status, body } = match http::send(request).await {
            Ok(received) => received,
            Err(Lost { message }) => return Err(Reply::Lost { message }),
        };
        let envelope: Option<Envelope<TokenBody>> = serde_json::from_slice(&body).ok();
        match (status, envelope) {
            (200, Some(Envelope { code: 0, response: Some(TokenBody { access_token }), .. })) => {
                Ok(access_token)
            }
            (200 | 401, Some(Envelope { code, .. })) if code != 0 => {
                let message = "the provider gives us no token; check `imp_key` and `imp_secret`";
                Err(Reply::Configuration { message: message.to_owned() })
            }
            (409 | 429, _) => Err(Reply::Wait { message: "the provider is busy".to_owned() }),
            (status, _) => {
                let message = format!("the provider answered {status} instead of a token");
                Err(Reply::Lost { message })
            }
        }
    }
}
