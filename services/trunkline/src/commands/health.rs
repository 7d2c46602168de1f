//! `trunkline health`: what the health check of a container calls, where there is no shell and no curl.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use runtime::Settings;

use crate::services::Service;

/// Longer than a part may take to answer before it counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a process of this machine whether it is alive, at METRICS_ADDRESS. Ends with 1 if it is not.
#[derive(Args)]
pub(crate) struct Health {
    /// The service that runs alone and is asked where it is without METRICS_ADDRESS; `trunkline run` if none is named.
    service: Option<Service>,
    /// Asks whether it is ready: whether it can do its work now. What is only degraded is ready.
    #[arg(long)]
    ready: bool,
}

impl Health {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let default = self.service.unwrap_or(Service::ALL[0]).metrics_address();
        let address = reachable(settings.text("METRICS_ADDRESS").unwrap_or(default));
        let path = if self.ready { "readyz" } else { "healthz" };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .context("cannot make an HTTP client")?;
        let answer = client.get(format!("http://{address}/{path}")).send().await;
        let answer = answer
            .ok()
            .with_context(|| format!("nothing answers at {address}"))?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let told = text.lines().collect::<Vec<_>>().join("; ");
        anyhow::ensure!(
            status.is_success(),
            "{address} answers {}: {told}",
            status.as_u16()
        );
        println!("{told}");
        Ok(())
    }
}

/// Where a process on this machine is reached that listens on this address: all addresses are none to connect to.
fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(mut address) if address.ip().is_unspecified() => {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
            address.to_string()
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_everywhere_is_asked_on_this_machine() {
        assert_eq!(reachable("0.0.0.0:9001"), "127.0.0.1:9001");
        assert_eq!(reachable("[::]:9001"), "[::1]:9001");
        assert_eq!(reachable("10.1.2.3:9001"), "10.1.2.3:9001");
        assert_eq!(reachable("localhost:9001"), "localhost:9001");
    }
}
