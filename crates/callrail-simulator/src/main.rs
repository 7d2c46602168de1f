//! Serves a simulated `CallRail` account until it is interrupted.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use callrail_simulator::{
    ApiOptions, CALLRAIL_ORIGIN, Limits, SimulatedAccount, SimulatedApi, TlsListener, Tunnel,
};
use chrono::{TimeDelta, Utc};
use clap::Parser;
use serde_json::json;

/// A CallRail account that does not exist: serves its API, version 3.
#[derive(Parser)]
struct Arguments {
    /// How many calls it has.
    #[arg(long, default_value_t = 1_000)]
    calls: usize,
    /// Other people and calls, with another number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over how many days the calls are spread, up to now; CallRail tells of 25 months.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8010")]
    address: SocketAddr,
    /// Speaks HTTPS, and writes the certificate of its own authority (ca.pem) into this folder.
    #[arg(long, value_name = "FOLDER")]
    tls_dir: Option<PathBuf>,
    /// An HTTP proxy, by which programs that know no other address than CallRail's come here.
    #[arg(long, value_name = "ADDRESS", requires = "tls_dir")]
    proxy: Option<SocketAddr>,
    /// Writes the calls that it has into this file, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    list_calls: Option<PathBuf>,
    /// Takes any number of requests.
    #[arg(long)]
    unlimited: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let past = TimeDelta::days(arguments.days.into());
    let every = past / i32::try_from(arguments.calls.max(1)).context("too many calls")?;
    let account = SimulatedAccount::history(arguments.seed, arguments.calls, Utc::now() - past, every);
    let account = Arc::new(account);
    if let Some(file) = &arguments.list_calls {
        list_calls(&account, file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut options = ApiOptions::default();
    if arguments.unlimited {
        options.limits = Limits {
            hourly: u32::MAX,
            daily: u32::MAX,
        };
    }
    let cannot_listen = || format!("cannot listen at {}", arguments.address);
    let Some(folder) = &arguments.tls_dir else {
        options.address = arguments.address;
        let api = SimulatedApi::start(Arc::clone(&account), options).with_context(cannot_listen)?;
        tell(&account, &api.base_url(), &[]);
        return wait().await;
    };

    let tls = TlsListener::bind(arguments.address)
        .await
        .with_context(cannot_listen)?;
    let tls_address = tls.address()?;
    let authority = folder.join("ca.pem");
    write_authority(&tls, &authority).with_context(|| format!("cannot write {}", authority.display()))?;
    let authority = authority.display().to_string();
    let mut settings = vec![
        ("SSL_CERT_FILE", authority.clone()),
        ("REQUESTS_CA_BUNDLE", authority),
    ];
    options.address = (Ipv4Addr::LOCALHOST, 0).into();
    options.origin = Some(format!("https://{tls_address}"));
    if let Some(address) = arguments.proxy {
        let tunnel = Tunnel::bind(address).await;
        let tunnel = tunnel.with_context(|| format!("cannot listen at {address}"))?;
        settings.push(("HTTPS_PROXY", format!("http://{}", tunnel.address()?)));
        options.origin = Some(CALLRAIL_ORIGIN.to_owned());
        tokio::spawn(tunnel.serve(tls_address));
    }
    let api = SimulatedApi::start(Arc::clone(&account), options).context("cannot listen")?;
    tokio::spawn(tls.serve(api.address()));
    tell(&account, &api.base_url(), &settings);
    wait().await
}

async fn wait() -> anyhow::Result<()> {
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}

/// Prints what one needs to use the account.
#[allow(clippy::print_stdout, reason = "it is for whoever has started the program")]
fn tell(account: &SimulatedAccount, base_url: &str, settings: &[(&str, String)]) {
    println!("CALLRAIL_API_URL={base_url}");
    println!("CALLRAIL_API_KEY={}", account.api_key);
    println!("CALLRAIL_ACCOUNT_ID={}", account.account_id);
    println!("CALLRAIL_COMPANY_ID={}", account.company_id);
    println!("CALLRAIL_SIGNING_KEYS={}", account.signing_key);
    for (name, value) in settings {
        println!("{name}={value}");
    }
}

fn write_authority(tls: &TlsListener, file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, tls.authority())
}

/// What the account is made of, and not what the API makes of it.
fn list_calls(account: &SimulatedAccount, file: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for call in &account.calls {
        let expected = &call.expected;
        let line = json!({
            "id": call.call_sid,
            "start_time": expected.started_at,
            "duration": expected.duration_seconds,
            "direction": expected.direction,
            "answered": expected.outcome == "completed",
            "voicemail": expected.outcome == "voicemail",
            "source": expected.source,
            "tags": expected.tags,
            "note": expected.note,
        });
        writeln!(out, "{line}")?;
    }
    out.flush()
}
