//! Who may come in: JSON Web Tokens (RFC 7519), checked before anything else of a request is looked at.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use std::future::{Ready, ready};
use std::time::Duration;

use crate::Api;
use crate::answer::Refusal;
use crate::session;

/// The scope that reading needs.
pub const READ: &str = "callrail:read";

/// The scope that everything else needs.
pub const WRITE: &str = "callrail:write";

/// The shortest secret that HS256 may have: as long as its hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 60;

/// What tokens are to be like, as it was set.
#[derive(Debug, Clone, Default)]
pub struct TokenSettings {
    /// HS256.
    pub secret: Option<String>,
    /// RS256 or ES256, as the key is; PEM.
    pub public_key: Option<String>,
    /// `aud` must name it.
    pub audience: Option<String>,
    /// `iss` must be it.
    pub issuer: Option<String>,
    /// Where a token holds the CRM's id of the user.
    pub user_claim: String,
}

/// Which tokens are good. The algorithm is the key's: what a token says of it must be the same.
#[derive(Clone)]
pub struct TokenRules {
    check: Option<(DecodingKey, Validation)>,
    secret: Option<Vec<u8>>,
    user_claim: String,
}

/// Why no rules can be made of what was set. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokenRules {
    /// Two keys would mean two algorithms.
    #[error(
        "JWT_SECRET and JWT_PUBLIC_KEY are both set: tokens are signed with one of them, so keep that one"
    )]
    TwoKeys,
    /// Guessable.
    #[error("JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes: make one with `openssl rand -hex 32`")]
    ShortSecret,
    /// Not PEM, or another kind of key.
    #[error("JWT_PUBLIC_KEY is no public key for RS256 or ES256 (PEM)")]
    PublicKey,
    /// Whoever has it can make tokens.
    #[error("JWT_PUBLIC_KEY is a private key: give the public half alone")]
    PrivateKey,
}

/// Who asks, as his token says.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// The CRM's id; tokens of programs may have none.
    pub(crate) id: Option<String>,
    /// What the token is good for.
    pub(crate) scopes: Vec<String>,
    /// When the token ends: a stream ends with it.
    pub(crate) expires_at: DateTime<Utc>,
}

impl User {
    /// How long the token is good, from now.
    pub(crate) fn remaining(&self) -> Duration {
        let leeway = Duration::from_secs(LEEWAY);
        (self.expires_at - Utc::now()).to_std().unwrap_or_default() + leeway
    }
}

impl TokenRules {
    /// Reads what was set. Without a key there are rules too: nobody comes in.
    pub fn new(settings: TokenSettings) -> Result<Self, InvalidTokenRules> {
        let key = match (&settings.secret, &settings.public_key) {
            (Some(_), Some(_)) => return Err(InvalidTokenRules::TwoKeys),
            (Some(secret), None) if secret.len() < MIN_SECRET_BYTES => {
                return Err(InvalidTokenRules::ShortSecret);
            }
            (Some(secret), None) => Some((DecodingKey::from_secret(secret.as_bytes()), Algorithm::HS256)),
            (None, Some(pem)) => Some(public_key(pem)?),
            (None, None) => None,
        };
        let check = key.map(|(key, algorithm)| (key, validation(algorithm, &settings)));
        Ok(Self {
            check,
            secret: settings.secret.map(String::into_bytes),
            user_claim: settings.user_claim,
        })
    }

    /// Whether there is a key.
    pub(crate) fn can_check(&self) -> bool {
        self.check.is_some()
    }

    pub(crate) fn secret(&self) -> Option<&[u8]> {
        self.secret.as_deref()
    }

    /// Checks the token that a request shows, and that it is good for `scope`.
    fn check(&self, shown: Result<String, Refusal>, scope: &str) -> Result<User, Refusal> {
        let Some((key, validation)) = &self.check else {
            return Err(unauthorized(
                "no_key",
                "No token can be checked, since neither JWT_SECRET nor JWT_PUBLIC_KEY is set",
            ));
        };
        let token = shown?;
        let token =
            jsonwebtoken::decode::<Map<String, Value>>(&token, key, validation).map_err(
                |error| match error.kind() {
                    ErrorKind::ExpiredSignature => unauthorized("token_expired", "The token has expired"),
                    ErrorKind::InvalidAudience => {
                        unauthorized("token_invalid", "The token is meant for somebody else (aud)")
                    }
                    ErrorKind::InvalidIssuer => {
                        unauthorized("token_invalid", "The token is of another issuer (iss)")
                    }
                    ErrorKind::MissingRequiredClaim(claim) => {
                        unauthorized("token_invalid", format!("The token lacks the claim `{claim}`"))
                    }
                    _ => unauthorized("token_invalid", "The token is not valid"),
                },
            )?;
        let claims = token.claims;
        if !scopes(&claims).any(|held| held == scope) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "scope_missing",
                format!("The token lacks the scope {scope}"),
            ));
        }
        let expires_at = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "seconds; what is larger stays the largest"
        )]
        let expires_at = DateTime::from_timestamp(expires_at as i64, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Ok(User {
            id: claims.get(&self.user_claim).and_then(text),
            scopes: scopes(&claims).map(str::to_owned).collect(),
            expires_at,
        })
    }
}

/// Lets a request in whose token is good for what it wants, and keeps in it who asks.
pub(crate) async fn authorise(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let checked = match request.app_data::<Data<Api>>() {
        Some(api) => {
            let scope = scope_for(request.method(), request.path());
            api.settings.tokens.check(shown(&request), scope)
        }
        None => Err(unauthorized("no_key", "No token can be checked")),
    };
    match checked {
        Ok(user) => {
            request.extensions_mut().insert(user);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        // An answer, not an error: so that the headers for browsers are added to it.
        Err(refusal) => Ok(request.into_response(refusal.error_response())),
    }
}

impl FromRequest for User {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let user = request.extensions().get::<Self>().cloned();
        ready(user.ok_or_else(|| unauthorized("token_missing", "The request carries no token")))
    }
}

/// Reading is GET, and some requests that are no GET for other reasons: they change nothing, and whoever may read may
/// listen, be alerted, and sign in and out.
fn scope_for(method: &Method, path: &str) -> &'static str {
    let reads = method == Method::GET
        || path.ends_with("/recording/ticket")
        || path == "/api/pusher/auth"
        || path == "/api/session";
    if reads { READ } else { WRITE }
}

/// The token of the header `Authorization`; in a browser that has signed in, of its session.
fn shown(request: &ServiceRequest) -> Result<String, Refusal> {
    match request.headers().get(header::AUTHORIZATION) {
        Some(authorization) => {
            let token = authorization.to_str().ok().and_then(bearer);
            token.map(str::to_owned).ok_or_else(token_missing)
        }
        None => session::token(request.request())?.ok_or_else(token_missing),
    }
}

/// The token of the header `Authorization`, for whoever wants a session.
pub(crate) fn bearer_token(request: &HttpRequest) -> Result<&str, Refusal> {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let token = authorization
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    token.ok_or_else(token_missing)
}

fn token_missing() -> Refusal {
    unauthorized(
        "token_missing",
        "The request carries no token: send the header `Authorization: Bearer TOKEN`",
    )
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn public_key(pem: &str) -> Result<(DecodingKey, Algorithm), InvalidTokenRules> {
    if pem.contains("PRIVATE KEY") {
        return Err(InvalidTokenRules::PrivateKey);
    }
    if let Ok(key) = DecodingKey::from_rsa_pem(pem.as_bytes()) {
        return Ok((key, Algorithm::RS256));
    }
    DecodingKey::from_ec_pem(pem.as_bytes())
        .map(|key| (key, Algorithm::ES256))
        .map_err(|_| InvalidTokenRules::PublicKey)
}

fn validation(algorithm: Algorithm, settings: &TokenSettings) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    let mut required = vec!["exp"];
    match &settings.audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    if let Some(issuer) = &settings.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// In `scope` separated by spaces (RFC 8693, section 4.2), or in `scopes`, where it may be a list.
fn scopes(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let words = |claim: &str| {
        let text = claims.get(claim).and_then(Value::as_str).unwrap_or_default();
        text.split_whitespace()
    };
    let listed = claims.get("scopes").and_then(Value::as_array);
    words("scope")
        .chain(words("scopes"))
        .chain(listed.into_iter().flatten().filter_map(Value::as_str))
}

/// An id, which some systems write as a number.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn unauthorized(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, code, message)
}
