//! Trunkline: carries every CallRail call into a CRM's own database, and puts it on the right person's screen
//! while the phone still rings.

#![allow(
    clippy::doc_markdown,
    reason = "the comments on arguments are help texts, read in a terminal"
)]

mod budget;
mod commands;
mod parts;
mod services;
mod traces;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use runtime::Settings;
use runtime::telemetry::{self, LogFormat};
use tokio::runtime::Runtime;
use tracing_subscriber::filter::LevelFilter;

use services::Service;

/// Carries every CallRail call into your CRM's own database.
///
/// Try it without an account: `trunkline demo`. With an account: `trunkline connect`. Is something wrong:
/// `trunkline doctor`.
/// Settings come from trunkline.toml, .env and the environment; docs/settings.md lists them.
#[derive(Parser)]
#[command(version = env!("TRUNKLINE_VERSION"), max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything in one process: receives webhooks, writes calls, sends alerts, answers the CRM.
    ///
    /// With nothing set it keeps a SQLite database and a durable queue under DATA_DIR (trunkline-data) and listens on
    /// 127.0.0.1:8001. CallRail's webhooks are accepted only when CALLRAIL_SIGNING_KEYS is set.
    Run,
    /// Connects with your CallRail account: asks for what it needs, and writes trunkline.toml.
    Connect(commands::connect::Connect),
    /// Looks at every setting and all that they name; tells what is wrong, and what to do about it.
    ///
    /// Changes nothing. CallRail is asked a few questions, which count. Ends with 1 if anything is wrong.
    Doctor,
    /// Says whether a process on this machine is alive: for the health checks of containers.
    Health(commands::health::Health),
    /// Plays calls against the whole program, with a simulated CallRail, and shows what becomes of them.
    Demo(commands::demo::Demo),
    /// Imports past calls from CallRail's API, and shows how far it is.
    Import(commands::import::Import),
    /// Brings the database's schema up to date. Running it again changes nothing.
    Migrate,
    /// The CRM's people, by whose telephone numbers calls are matched.
    #[command(subcommand)]
    Contacts(commands::contacts::Contacts),
    /// What could not be worked on: signed webhooks that are no calls, messages that failed again and again.
    #[command(subcommand)]
    DeadLetters(commands::dead_letters::DeadLetters),
    /// What webhook-ingest keeps on its disk while RabbitMQ is away.
    #[command(subcommand)]
    Spool(commands::spool::Spool),
    /// Says whether a captured webhook is genuine, and if not, why.
    Verify(commands::verify::Verify),
    /// Makes a token (JWT) for a developer, signed with JWT_SECRET.
    Token(commands::token::Token),
    /// Tells how a call came to be what the database says: every snapshot, what it changed, how it was matched.
    Explain(commands::explain::Explain),
    /// Forgets a person by his telephone number: calls, alerts, dead letters, recordings.
    Erase(commands::erase::Erase),
    /// Prints what makes a shell complete commands and options: `source <(trunkline completions bash)`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Runs the service that receives webhooks, alone.
    WebhookIngest,
    /// Runs the HTTP API for the CRM, alone. Run `trunkline migrate` first.
    IntegrationApi,
    /// Runs the service that writes calls, alone. Run `trunkline migrate` first.
    CallWriter,
    /// Runs the service that sends alerts to Pusher, alone.
    Notifier,
    /// Runs the service that reads past calls from CallRail's API, alone.
    Importer,
}

/// How long threads may take at the end that wait for something outside: one for a database that says nothing would
/// keep the process for ever.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let done = Runtime::new().context("cannot start").and_then(|runtime| {
        let done = runtime.block_on(try_main(command));
        runtime.shutdown_timeout(LAST_PATIENCE);
        done
    });
    done.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

async fn try_main(command: Command) -> anyhow::Result<ExitCode> {
    // reqwest is built without a provider of cryptography, so that only one gets into the program.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("another provider of cryptography is installed already");
    }
    if let Command::Completions { shell } = command {
        let mut program = Arguments::command();
        clap_complete::generate(shell, &mut program, "trunkline", &mut std::io::stdout());
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Doctor = command {
        // What goes wrong, its lines tell; and it has to run with settings that cannot be read.
        telemetry::init(LogFormat::Text, LevelFilter::OFF).context("cannot log")?;
        return Ok(commands::doctor::run().await);
    }
    let settings = Settings::load()?;
    let is_service = matches!(
        command,
        Command::Run
            | Command::WebhookIngest
            | Command::IntegrationApi
            | Command::CallWriter
            | Command::Notifier
            | Command::Importer
    );
    let default_level = if is_service {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let format: LogFormat = settings.get_or_default("LOG_FORMAT")?;
    telemetry::init(format, default_level).context("cannot log")?;
    for name in settings.unknown() {
        tracing::warn!(name, "there is no such setting: is it a slip of the pen?");
    }

    match command {
        Command::Run => services::run(&settings, &Service::ALL).await?,
        Command::WebhookIngest => services::run(&settings, &[Service::WebhookIngest]).await?,
        Command::IntegrationApi => services::run(&settings, &[Service::IntegrationApi]).await?,
        Command::CallWriter => services::run(&settings, &[Service::CallWriter]).await?,
        Command::Notifier => services::run(&settings, &[Service::Notifier]).await?,
        Command::Importer => services::run(&settings, &[Service::Importer]).await?,
        Command::Health(health) => health.run(&settings).await?,
        Command::Import(import) => return import.run(&settings).await,
        Command::Demo(demo) => return demo.run().await,
        Command::Connect(connect) => return connect.run(settings).await,
        // Before the settings were loaded.
        Command::Doctor | Command::Completions { .. } => {}
        Command::Migrate => commands::migrate::run(&settings).await?,
        Command::Contacts(contacts) => return contacts.run(&settings).await,
        Command::DeadLetters(dead_letters) => return dead_letters.run(&settings).await,
        Command::Spool(spool) => spool.run(&settings).await?,
        Command::Verify(verify) => return verify.run(),
        Command::Token(token) => token.run(&settings)?,
        Command::Explain(explain) => explain.run(&settings).await?,
        Command::Erase(erase) => erase.run(&settings).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stderr, reason = "the last word of a command")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
