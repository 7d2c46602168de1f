//! `trunkline connect`: from an API key to calls that arrive.
//!
//! It can be stopped anywhere and run again, since every step first looks whether it was done. The order is such that no
//! call is lost: the signing key is in the settings, and a signed request has shown that the running program knows it,
//! before CallRail is told of any address.

mod file;
mod questions;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use callrail::client::{ApiError, Client, Company, Integration, list_accounts};
use callrail::{AccountId, CompanyId, SigningKey, SigningKeys, WebhookKind};
use chrono::{TimeDelta, Utc};
use clap::Args;
use integration_api::advice;
use integration_api::webhooks::{self, Addresses, ProbeError, STEPS_BY_HAND};
use runtime::Settings;
use runtime::settings::FILE;
use store::{ImportState, RequestClass, Store};

use crate::commands::import::Import;
use crate::parts;
use file::SettingsFile;
use questions::Questions;

/// How long CallRail may take for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Six months.
const DAYS_IMPORTED: u32 = 180;

/// Connects this installation with your CallRail account.
///
/// All it has to be told is the API key, and where it is reached from outside. It finds account, company and signing key,
/// writes them into trunkline.toml, has CallRail send its webhooks here beside those who get them now, and imports the
/// last six months. What is set in the environment or in .env stays there. It can be run again at any time: what is done
/// already stays as it is.
#[derive(Args)]
pub(crate) struct Connect {
    /// The account (ACC…), when the key's user sees several.
    #[arg(long, value_name = "ACC…")]
    account: Option<AccountId>,
    /// The company (COM…), when the account has several.
    #[arg(long, value_name = "COM…")]
    company: Option<CompanyId>,
    /// Where this installation is reached from outside, as in `https://yourdomain.com`.
    #[arg(long)]
    url: Option<String>,
    /// Asks nothing: past calls are imported, and what cannot be done without an answer stops it.
    #[arg(long)]
    yes: bool,
    /// Imports nothing.
    #[arg(long)]
    no_import: bool,
}

impl Connect {
    /// Succeeds when webhooks arrive.
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<ExitCode> {
        let questions = Questions::new(!self.yes);
        let mut file = SettingsFile::read(Path::new(FILE))?;
        let settings = with_key(settings, &mut file, &questions)?;
        let store = existing_store(&settings).await;
        let client = self.client(&settings, store.as_ref(), &questions).await?;
        let company = self.company(&settings, &client, &questions).await?;
        let found = webhooks::find(&client, &company).await;
        let addresses = self.addresses(found.as_ref().ok().and_then(Option::as_ref), &questions)?;
        remember(&settings, &mut file, &client, &company)?;

        let integration = match found {
            Ok(Some(found)) if found.signing_key.is_some() => Ok(found),
            Ok(_) => webhooks::find_or_make(&client, &company).await,
            Err(error) => Err(error),
        };
        let integration = match integration {
            Ok(integration) => integration,
            Err(error) => return by_hand(&error, &addresses),
        };
        let Some(key) = integration.signing_key else {
            println!("CallRail does not tell the company's signing key.");
            tell_steps(&addresses);
            return Ok(ExitCode::FAILURE);
        };
        let signing_key = SigningKey::parse(&key).context("CallRail's signing key")?;
        install(&settings, &mut file, &key, &signing_key, &company)?;
        if !arrives(&addresses, &signing_key, &questions).await? {
            println!("CallRail was not told of any address, so no call is lost meanwhile.");
            return Ok(ExitCode::FAILURE);
        }
        if let Err(error) = point(&client, &company, &addresses).await {
            return by_hand(&error, &addresses);
        }
        self.import(store, &company, &questions).await
    }

    async fn client(
        &self,
        settings: &Settings,
        store: Option<&Store>,
        questions: &Questions,
    ) -> anyhow::Result<Client> {
        let url = parts::callrail_url(settings)?;
        let credential = || {
            parts::callrail_credential(settings)?.context("the key is empty: run `trunkline connect` again")
        };
        let options = || {
            let budget = parts::budget(settings, store, RequestClass::Interactive)?;
            anyhow::Ok(parts::asking_once(budget, PATIENCE))
        };
        let set: Option<AccountId> = settings.get("CALLRAIL_ACCOUNT_ID")?;
        let (account, name) = match (&self.account, set) {
            (Some(wanted), Some(set)) if *wanted != set => bail!(
                "CALLRAIL_ACCOUNT_ID is {set} already, and one Trunkline serves one account: leave --account out, or \
                 set up another Trunkline in a folder of its own"
            ),
            (Some(wanted), _) => (wanted.clone(), None),
            (None, Some(set)) => (set, None),
            (None, None) => {
                let accounts = list_accounts(url.clone(), credential()?, options()?)
                    .await
                    .map_err(advised)?;
                let accounts = accounts.into_iter().map(|account| (account.id, account.name));
                questions.choose("account", "--account", accounts.collect())?
            }
        };
        println!("Account: {account} {}", name.unwrap_or_default());
        Client::new(url, account, credential()?, options()?).context("cannot make a client of CallRail's API")
    }

    async fn company(
        &self,
        settings: &Settings,
        client: &Client,
        questions: &Questions,
    ) -> anyhow::Result<CompanyId> {
        let companies = client.companies().await.map_err(advised);
        let companies =
            companies.with_context(|| format!("cannot list the companies of {}", client.account_id()))?;
        let is_active = |company: &Company| company.status.as_deref() != Some("disabled");
        let active: Vec<_> = companies
            .into_iter()
            .filter(is_active)
            .map(|company| (company.id, company.name))
            .collect();
        let wanted = match &self.company {
            Some(wanted) => Some(wanted.clone()),
            None => settings.get("CALLRAIL_COMPANY_ID")?,
        };
        let (company, name) = match wanted {
            Some(wanted) => {
                let mut seen = active.into_iter();
                seen.find(|(id, _)| *id == wanted).with_context(|| {
                    format!("{wanted} is none of the active companies that the key's user sees")
                })?
            }
            None => questions.choose("company", "--company", active)?,
        };
        println!("Company: {company} {}", name.unwrap_or_default());
        Ok(company)
    }

    /// Those that CallRail knows already are offered.
    fn addresses(&self, found: Option<&Integration>, questions: &Questions) -> anyhow::Result<Addresses> {
        let read = |text: &str| Addresses::of_installation(text).map_err(|error| anyhow!("the URL {error}"));
        if let Some(url) = &self.url {
            return read(url);
        }
        let mut known: Vec<Addresses> = Vec::new();
        let all = WebhookKind::ALL
            .into_iter()
            .flat_map(|kind| found.into_iter().flat_map(move |found| found.addresses(kind)));
        for (addresses, _) in all.filter_map(Addresses::of_address).flatten() {
            if !known.contains(&addresses) {
                known.push(addresses);
            }
        }
        let known = known.pop().filter(|_| known.is_empty());
        let known = known.map(|addresses| addresses.to_string());
        let question = "Where is this installation reached from outside (https://yourdomain.com)?";
        read(&questions.line(question, "--url", known.as_deref())?)
    }

    async fn import(
        &self,
        store: Option<Store>,
        company: &CompanyId,
        questions: &Questions,
    ) -> anyhow::Result<ExitCode> {
        let command = format!("trunkline import --days-back {DAYS_IMPORTED}");
        if let Some(store) = store
            && is_imported(&store, company).await?
        {
            println!("The last six months were imported before.");
            return Ok(ExitCode::SUCCESS);
        }
        if self.no_import || !questions.confirm("Import the calls of the last six months now?")? {
            println!("Past calls are imported by `{command}`.");
            return Ok(ExitCode::SUCCESS);
        }
        // With what was just written.
        let settings = Settings::load()?;
        let imported = Import::last_days(DAYS_IMPORTED).run(&settings).await;
        imported.with_context(|| format!("webhooks are set up, but nothing was imported; try `{command}`"))
    }
}

/// Asks for the API key unless it is set.
fn with_key(settings: Settings, file: &mut SettingsFile, questions: &Questions) -> anyhow::Result<Settings> {
    let name = "CALLRAIL_API_KEY";
    if settings.text(name).is_some() || settings.text("CALLRAIL_ACCESS_TOKEN").is_some() {
        return Ok(settings);
    }
    let key = questions.secret(
        "CallRail's API key (in CallRail: Settings, Integrations, API Keys; of an administrator)",
        name,
    )?;
    file.set(name, &key);
    Ok(settings.with(name, key))
}

/// Requests are counted in the database, if there is one by now.
async fn existing_store(settings: &Settings) -> Option<Store> {
    let url = parts::database_url(settings).ok()?;
    if parts::is_missing(&url) {
        return None;
    }
    Store::connect(&url).await.ok()
}

/// Writes what is known now. What is set already stays.
fn remember(
    settings: &Settings,
    file: &mut SettingsFile,
    client: &Client,
    company: &CompanyId,
) -> anyhow::Result<()> {
    if settings.text("CALLRAIL_ACCOUNT_ID").is_none() {
        file.set("CALLRAIL_ACCOUNT_ID", client.account_id().as_str());
    }
    match settings.text("CALLRAIL_COMPANY_ID") {
        None => file.set("CALLRAIL_COMPANY_ID", company.as_str()),
        Some(set) if set != company.as_str() => println!(
            "CALLRAIL_COMPANY_ID is {set}, so that only this company's past calls are imported: take it out to import \
             those of all companies."
        ),
        Some(_) => {}
    }
    file.save()
}

/// Has webhooks of the company accepted from the next start on.
fn install(
    settings: &Settings,
    file: &mut SettingsFile,
    key: &str,
    signing_key: &SigningKey,
    company: &CompanyId,
) -> anyhow::Result<()> {
    let name = "CALLRAIL_SIGNING_KEYS";
    let known: SigningKeys = settings.get(name)?.unwrap_or_default();
    if known.accept(signing_key, company) {
        return Ok(());
    }
    ensure!(
        !settings.is_from_environment(name),
        "{name} is set in the environment or in .env, where it is not changed: add {company}:KEY there, with the \
         signing key from the company's Webhooks page, restart Trunkline, and run `trunkline connect` again"
    );
    let added = format!("{company}:{key}");
    let all = settings
        .text(name)
        .map_or_else(|| added.clone(), |known| format!("{known},{added}"));
    all.parse::<SigningKeys>()
        .with_context(|| format!("cannot add the company's key to {name}"))?;
    file.set(name, &all);
    file.save()?;
    println!("The company's signing key is in {FILE} now: a running Trunkline must be restarted to know it.");
    Ok(())
}

/// Whether a signed request gets to the running program, and holds there.
async fn arrives(addresses: &Addresses, key: &SigningKey, questions: &Questions) -> anyhow::Result<bool> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("cannot make an HTTP client")?;
    loop {
        let next_step = match webhooks::probe(&http, addresses, key).await {
            Ok(()) => return Ok(true),
            Err(ProbeError::Refused) => {
                "Trunkline answers there, but does not know the company's signing key: restart it in this folder."
            }
            Err(ProbeError::NoAnswer | ProbeError::OwnForm) => {
                "Nothing answers there: start `trunkline run` in this folder, and see that your proxy leads to it."
            }
            Err(ProbeError::NotOurs) => {
                "Something else than Trunkline answers there: see where your proxy leads to."
            }
        };
        let at = addresses.probe().map(|url| url.to_string()).unwrap_or_default();
        println!("A signed request was sent to {at}. {next_step}");
        if !questions.again()? {
            println!("Then run `trunkline connect` again.");
            return Ok(false);
        }
    }
}

async fn point(client: &Client, company: &CompanyId, addresses: &Addresses) -> Result<(), ApiError> {
    // Read anew: meanwhile somebody else may have changed it.
    let integration = webhooks::find_or_make(client, company).await?;
    let written = webhooks::point(client, &integration, addresses).await?;
    if written.is_some() {
        println!("CallRail sends its webhooks to {addresses} now, beside all addresses that were there.");
    } else {
        println!("CallRail sends its webhooks to {addresses} already.");
    }
    Ok(())
}

/// Whether an import as long as ours was finished, for this company or for all.
async fn is_imported(store: &Store, company: &CompanyId) -> anyhow::Result<bool> {
    const LOOKED_AT: u32 = 100;
    let runs = store.imports(LOOKED_AT, None).await?;
    let long_enough = TimeDelta::days(i64::from(DAYS_IMPORTED));
    Ok(runs.iter().any(|run| {
        run.state == ImportState::Finished
            && run.company.as_ref().is_none_or(|of| of == company)
            && run.end - run.start > long_enough - TimeDelta::days(1)
            && Utc::now() - run.end < long_enough
    }))
}

/// What to do when CallRail does not let the key's user read or write integrations.
fn by_hand(error: &ApiError, addresses: &Addresses) -> anyhow::Result<ExitCode> {
    if !matches!(error, ApiError::Forbidden { .. } | ApiError::Invalid { .. }) {
        bail!("{}", advice(error));
    }
    println!("CallRail does not let this key's user set up webhooks. Do it by hand:");
    tell_steps(addresses);
    Ok(ExitCode::FAILURE)
}

fn tell_steps(addresses: &Addresses) {
    for (index, step) in STEPS_BY_HAND.iter().enumerate() {
        println!("{}. {step}", index + 1);
    }
    for kind in WebhookKind::ALL {
        println!("   {:<23} {}", kind.box_name(), addresses.of(kind));
    }
    println!("`trunkline doctor` tells whether it is right.");
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it on")]
fn advised(error: ApiError) -> anyhow::Error {
    anyhow!("{}", advice(&error))
}
