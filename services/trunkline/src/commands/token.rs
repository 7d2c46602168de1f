//! `trunkline token`.

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use clap::Args;
use jsonwebtoken::{EncodingKey, Header};
use runtime::Settings;
use runtime::settings::Span;
use serde::Serialize;

/// The shortest secret that HS256 may have: as long as its hash (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Prints a token for `Authorization: Bearer`.
#[derive(Args)]
pub(crate) struct Token {
    /// The CRM's id of the user whom the token is for.
    #[arg(long, default_value = "developer")]
    user: String,
    /// What the bearer may do; can be given several times.
    #[arg(long = "scope", value_name = "SCOPE", default_values_t = ["callrail:read".to_owned(), "callrail:write".to_owned()])]
    scopes: Vec<String>,
    /// How long it holds, as in 30m or 8h.
    #[arg(long, default_value = "8h")]
    valid_for: Span,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    scope: String,
    iat: i64,
    exp: i64,
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
        let claims = Claims {
            sub: &self.user,
            scope: self.scopes.join(" "),
            iat: now.timestamp(),
            exp: (now + lifetime).timestamp(),
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token =
            jsonwebtoken::encode(&Header::default(), &claims, &key).context("cannot sign the token")?;
        println!("{token}");
        Ok(())
    }
}
