//! What RabbitMQ would do to our queues behind our back: its policies, as its management API tells of them.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use percent_encoding::percent_decode_str;
use queue::{Broker, Policies, QueueOptions};
use reqwest::{Certificate, Client, StatusCode, Url};
use runtime::Settings;
use serde_json::Value;
use tokio::time::Instant;

use super::installation::{told, unread};
use super::{LIMIT, Line};
use crate::parts;

const SUBJECT: &str = "policies";

/// The broker tells of new queues after some seconds.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What helps where nobody answers for the broker.
const BY_HAND: &str = "enable RabbitMQ's plugin rabbitmq_management, or set QUEUE_ADMIN_URL; else see by hand that \
                       `rabbitmqctl list_queues name effective_policy_definition` is as docs/install.md says";

/// The broker's management API, and as whom it is asked: `http(s)://USER:PASSWORD@HOST[:PORT]`.
pub(super) struct Admin {
    /// Without user and password.
    address: Url,
    user: String,
    password: String,
}

/// The text is no such address.
#[derive(Debug, thiserror::Error)]
#[error("no address such as http://USER:PASSWORD@rabbitmq:15672")]
pub(super) struct InvalidAdmin;

/// Why the policies are not known.
enum Unknown {
    /// The user may not ask.
    Refused,
    /// Nobody answers, or somebody else.
    Mute(anyhow::Error),
}

/// One line for each harm; none where there is no broker.
pub(super) async fn policies(settings: &Settings) -> Vec<Line> {
    let Ok((url, options)) = parts::queue_settings(settings) else {
        return Vec::new();
    };
    let Some(broker) = url.broker() else {
        return Vec::new();
    };
    let admin = match settings.get("QUEUE_ADMIN_URL") {
        Ok(Some(admin)) => Some(admin),
        Ok(None) => Admin::beside(&broker),
        Err(_) => None,
    };
    let Some(admin) = admin else {
        return vec![unread(SUBJECT, "QUEUE_ADMIN_URL")];
    };
    match admin.ask(&broker.vhost, &options).await {
        Ok((version, policies)) => lines(&version, policies),
        Err(Unknown::Refused) => vec![Line::skipped(
            SUBJECT,
            format!(
                "RabbitMQ's management API at {} does not let {} in: `rabbitmqctl set_user_tags {} management`, or set \
                 QUEUE_ADMIN_URL with another user",
                admin.address, admin.user, admin.user
            ),
        )],
        Err(Unknown::Mute(error)) => vec![Line::skipped(
            SUBJECT,
            format!(
                "nobody tells of them at {}: {}: {BY_HAND}",
                admin.address,
                told(&*error)
            ),
        )],
    }
}

fn lines(version: &str, policies: Policies) -> Vec<Line> {
    let Policies {
        harms,
        without_limit,
        untold,
    } = policies;
    let mut lines: Vec<Line> = harms.into_iter().map(|harm| Line::wrong(SUBJECT, harm)).collect();
    if !untold.is_empty() {
        let text = format!(
            "RabbitMQ does not tell of {} yet: ask again later",
            untold.join(", ")
        );
        lines.push(Line::skipped(SUBJECT, text));
    }
    if !lines.is_empty() {
        return lines;
    }
    let lengths = if without_limit.is_empty() {
        "our queues are full before its disk is".to_owned()
    } else {
        format!(
            "only its disk limits {}: deploy/rabbitmq/definitions.json has limits",
            without_limit.join(", ")
        )
    };
    let text = format!("RabbitMQ {version} drops no message of ours; {lengths}");
    vec![Line::ok(SUBJECT, text)]
}

impl Admin {
    /// Where it mostly is: on the machine of the broker, for the same user.
    fn beside(broker: &Broker) -> Option<Self> {
        let (scheme, port) = if broker.has_tls {
            ("https", 15671)
        } else {
            ("http", 15672)
        };
        Some(Self {
            address: Url::parse(&format!("{scheme}://{}:{port}", broker.host)).ok()?,
            user: broker.user.clone(),
            password: broker.password.clone(),
        })
    }

    /// The broker's version, and what is found of its policies.
    async fn ask(&self, vhost: &str, options: &QueueOptions) -> Result<(String, Policies), Unknown> {
        let client = client(options).map_err(Unknown::Mute)?;
        let overview = self.get(&client, &["overview"]).await?;
        let version = overview["rabbitmq_version"]
            .as_str()
            .ok_or_else(|| Unknown::Mute(anyhow!("this is not RabbitMQ's management API")))?;
        let deadline = Instant::now() + LIMIT;
        loop {
            let queues = self.get(&client, &["queues", vhost]).await?;
            let policies = Policies::read(queues, version).map_err(|error| Unknown::Mute(error.into()))?;
            if policies.untold.is_empty() || Instant::now() + BETWEEN_LOOKS > deadline {
                return Ok((version.to_owned(), policies));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn get(&self, client: &Client, path: &[&str]) -> Result<Value, Unknown> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        let asked = async {
            let request = client.get(url).basic_auth(&self.user, Some(&self.password));
            let answer = request.send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        let (status, body) = asked
            .await
            .map_err(|error| Unknown::Mute(error.without_url().into()))?;
        match status {
            StatusCode::OK => {
                let value = serde_json::from_slice(&body).context("this is not RabbitMQ's management API");
                value.map_err(Unknown::Mute)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Unknown::Refused),
            status => Err(Unknown::Mute(anyhow!("it answers {status}"))),
        }
    }
}

impl FromStr for Admin {
    type Err = InvalidAdmin;

    fn from_str(text: &str) -> Result<Self, InvalidAdmin> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| InvalidAdmin)
        };
        let mut address = Url::parse(text).map_err(|_| InvalidAdmin)?;
        let (user, password) = (
            decoded(address.username())?,
            decoded(address.password().unwrap_or_default())?,
        );
        let is_http = matches!(address.scheme(), "http" | "https");
        // Both fail for addresses without a host.
        let is_bare = address.set_username("").is_ok() && address.set_password(None).is_ok();
        if !is_http || !is_bare || user.is_empty() {
            return Err(InvalidAdmin);
        }
        Ok(Self {
            address,
            user,
            password,
        })
    }
}

/// Trusts whom the queue trusts.
fn client(options: &QueueOptions) -> anyhow::Result<Client> {
    let mut builder = Client::builder().no_proxy().timeout(LIMIT);
    if let Some(path) = &options.ca_file {
        let pem = fs::read(path).context("cannot read QUEUE_CA_PATH")?;
        let certificates = Certificate::from_pem_bundle(&pem).context("QUEUE_CA_PATH")?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().context("cannot make an HTTP client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_user() {
        let admin: Admin = "https://ops:p%40ss@rabbitmq.example.com/mq/".parse().unwrap();
        assert_eq!((admin.user.as_str(), admin.password.as_str()), ("ops", "p@ss"));
        assert_eq!(admin.address.as_str(), "https://rabbitmq.example.com/mq/");
        for wrong in [
            "rabbitmq:15672",
            "http://rabbitmq:15672",
            "amqp://a:b@rabbitmq",
            "http://",
        ] {
            assert!(wrong.parse::<Admin>().is_err(), "{wrong}");
        }
    }
}
