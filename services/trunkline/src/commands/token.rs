//! `trunkline token`.

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use clap::Args;
use integration_api::{MIN_SECRET_BYTES, READ, WRITE};
use jsonwebtoken::{EncodingKey, Header};
use runtime::Settings;
use runtime::settings::Span;
use serde_json::{Value, json};

/// Prints a token for `Authorization: Bearer`.
#[derive(Args)]
pub(crate) struct Token {
    /// The CRM's id of the user whom the token is for.
    #[arg(long, default_value = "developer")]
    user: String,
    /// What the bearer may do; can be given several times.
    #[arg(long = "scope", value_name = "SCOPE", default_values_t = [READ.to_owned(), WRITE.to_owned()])]
    scopes: Vec<String>,
    /// How long it holds, as in 30m or 8h.
    #[arg(long, default_value = "8h")]
    valid_for: Span,
}

impl Token {
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let secret: String = settings.require("JWT_SECRET")?;
        anyhow::ensure!(
            secret.len() >= MIN_SECRET_BYTES,
            "JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes: make one with `openssl rand -hex 32`"
        );
        let now = Utc::now();
        let lifetime = TimeDelta::from_std(self.valid_for.0).context("--valid-for is too long")?;
        let ends = now
            .checked_add_signed(lifetime)
            .context("--valid-for is too long")?;
        let user_claim: String = settings.get_or_default("JWT_USER_CLAIM")?;
        let mut claims = json!({
            "scope": self.scopes.join(" "),
            "iat": now.timestamp(),
            "exp": ends.timestamp(),
        });
        claims[user_claim] = json!(self.user);
        // What the API will ask for.
        for (claim, name) in [("aud", "JWT_AUDIENCE"), ("iss", "JWT_ISSUER")] {
            if let Some(value) = settings.text(name) {
                claims[claim] = json!(value);
            }
        }
        println!("{}", sign(&secret, &claims)?);
        Ok(())
    }
}

/// Signs claims by HS256.
pub(crate) fn sign(secret: &str, claims: &Value) -> anyhow::Result<String> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).context("cannot sign the token")
}
