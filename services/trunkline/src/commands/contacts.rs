//! `trunkline contacts import FILE.csv`.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use calls::{Contact, ContactKind, ContactRef, MatchRules, PhoneNumber, Region};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};
use csv::StringRecord;
use runtime::Settings;
use store::{ContactWithPhones, Store};

use crate::parts;

/// How many contacts are saved at a time.
const BATCH: usize = 1_000;

/// How many problems are told one by one.
const PROBLEMS_SHOWN: usize = 20;

#[derive(Subcommand)]
pub(crate) enum Contacts {
    /// Reads contacts from a CSV file. Contacts that are known already are brought up to date.
    ///
    /// The first line names the columns: `kind` (lead or customer) and `id` (your CRM's), and any number of columns
    /// whose names start with `phone`, each with one number or several separated by semicolons. `name`, `owner_id`
    /// and `updated_at` (RFC 3339 or YYYY-MM-DD) may be there; other columns are ignored.
    Import(Import),
}

/// What is imported.
#[derive(Args)]
pub(crate) struct Import {
    /// The file, in UTF-8.
    file: PathBuf,
}

/// What an import did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) saved: usize,
    pub(crate) calls_linked: usize,
    pub(crate) unreadable_numbers: Vec<String>,
    pub(crate) refused_lines: Vec<String>,
}

impl Contacts {
    pub(crate) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Self::Import(Import { file }) = self;
        let reader = File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let store = parts::store(settings).await?;
        let report = import(
            reader,
            &store,
            &parts::match_rules(settings)?,
            parts::region(settings)?,
        )
        .await?;
        report.print();
        Ok(if report.refused_lines.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Imports contacts from CSV. A line that cannot be used is reported and costs no other.
pub(crate) async fn import(
    reader: impl Read,
    store: &Store,
    rules: &MatchRules,
    region: Region,
) -> anyhow::Result<Report> {
    let mut lines = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(reader);
    let columns = Columns::of(lines.headers().context("the file has no readable first line")?)?;
    let mut report = Report::default();
    let mut batch = Vec::with_capacity(BATCH);
    for record in lines.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) if error.is_io_error() => return Err(error).context("cannot read on"),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                report
                    .refused_lines
                    .push(format!("line {line}: not UTF-8, or not CSV"));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        match columns.contact(&record, region, line, &mut report.unreadable_numbers) {
            Ok(contact) => batch.push(contact),
            Err(reason) => report.refused_lines.push(format!("line {line}: {reason}")),
        }
        if batch.len() == BATCH {
            report.save(store, std::mem::take(&mut batch), rules).await?;
        }
    }
    report.save(store, batch, rules).await?;
    Ok(report)
}

impl Report {
    async fn save(
        &mut self,
        store: &Store,
        batch: Vec<ContactWithPhones>,
        rules: &MatchRules,
    ) -> anyhow::Result<()> {
        let saved = store.save_contacts(batch, rules, Utc::now()).await?;
        self.saved += saved.saved;
        self.calls_linked += saved.calls_linked;
        Ok(())
    }

    fn print(&self) {
        println!(
            "{} contacts saved, {} earlier calls linked with them",
            self.saved, self.calls_linked
        );
        print_problems(
            "numbers could not be read, so nobody is found by them",
            &self.unreadable_numbers,
        );
        print_problems("lines could not be used", &self.refused_lines);
    }
}

fn print_problems(what: &str, problems: &[String]) {
    if problems.is_empty() {
        return;
    }
    println!("{} {what}:", problems.len());
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        println!("  {problem}");
    }
    if problems.len() > PROBLEMS_SHOWN {
        println!("  and {} more", problems.len() - PROBLEMS_SHOWN);
    }
}

/// Where in a line the values are.
struct Columns {
    kind: usize,
    id: usize,
    phones: Vec<usize>,
    name: Option<usize>,
    owner_id: Option<usize>,
    updated_at: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> anyhow::Result<Self> {
        let name_of = |field: &str| field.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        let find = |name: &str| header.iter().position(|field| name_of(field) == name);
        let missing = |name| format!("the first line names no column `{name}`");
        let phones: Vec<usize> = header
            .iter()
            .enumerate()
            .filter(|(_, field)| name_of(field).starts_with("phone"))
            .map(|(at, _)| at)
            .collect();
        anyhow::ensure!(!phones.is_empty(), missing("phone"));
        Ok(Self {
            kind: find("kind").with_context(|| missing("kind"))?,
            id: find("id").with_context(|| missing("id"))?,
            phones,
            name: find("name"),
            owner_id: find("owner_id"),
            updated_at: find("updated_at"),
        })
    }

    fn contact(
        &self,
        record: &StringRecord,
        region: Region,
        line: u64,
        unreadable: &mut Vec<String>,
    ) -> Result<ContactWithPhones, &'static str> {
        let value = |at: usize| record.get(at).filter(|value| !value.is_empty());
        let kind = value(self.kind).map(str::to_ascii_lowercase).unwrap_or_default();
        let kind = ContactKind::from_name(&kind).ok_or("`kind` is neither lead nor customer")?;
        let id = value(self.id).ok_or("`id` is empty")?.to_owned();
        let updated_at = match self.updated_at.and_then(value) {
            Some(text) => time(text).ok_or("`updated_at` is neither RFC 3339 nor YYYY-MM-DD")?,
            None => DateTime::UNIX_EPOCH,
        };
        let numbers = self
            .phones
            .iter()
            .filter_map(|&at| value(at))
            .flat_map(|value| value.split(';'));
        let mut phones = Vec::new();
        for number in numbers.map(str::trim).filter(|number| !number.is_empty()) {
            match PhoneNumber::parse(number, region) {
                Ok(number) => phones.push(number),
                Err(_) => unreadable.push(format!("line {line}: {number}")),
            }
        }
        let contact = Contact {
            contact: ContactRef { kind, id },
            name: self.name.and_then(value).map(str::to_owned),
            owner_id: self.owner_id.and_then(value).map(str::to_owned),
            updated_at,
        };
        Ok(ContactWithPhones { contact, phones })
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let full = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc));
    let day = || {
        text.parse::<NaiveDate>()
            .ok()
            .map(|day| day.and_time(NaiveTime::MIN).and_utc())
    };
    full.ok().or_else(day)
}
