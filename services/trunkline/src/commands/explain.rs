//! `trunkline explain CAL…`.

use anyhow::Context;
use calls::{CallId, Interaction, MatchMethod, explain};
use clap::Args;
use runtime::Settings;
use store::CallHistory;

use crate::parts;

/// How much of a long value is shown.
const SHOWN: usize = 100;

/// Shows the way of one call through Trunkline.
#[derive(Args)]
pub(crate) struct Explain {
    /// CallRail's id of the call, as in the column `call_sid`.
    call: String,
}

impl Explain {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let call_sid = CallId::parse(&self.call).context("an id of a call starts with CAL or is a number")?;
        let store = parts::store(settings).await?;
        let Some(history) = store.call(&call_sid).await? else {
            anyhow::bail!(
                "nothing is known of {call_sid}: no webhook and no import has brought it to this database. Compare the \
                 id with the column call_sid; if it is right, look in the log for webhooks that were refused, and on \
                 the Webhooks page in CallRail for the URLs"
            );
        };
        println!("{call_sid}\n");
        print_steps(&history);
        print_decisions(&history);
        print_match(history.row.as_ref());
        Ok(())
    }
}

fn print_steps(history: &CallHistory) {
    println!("Snapshots, in the order in which they count:");
    for (index, step) in explain(&history.record, &history.seals).iter().enumerate() {
        let seen = step.snapshot;
        println!(
            "\n{:>3}. {} by {}, seen {}",
            index + 1,
            seen.kind.as_str(),
            seen.origin.as_str(),
            seen.first_observed_at.format("%Y-%m-%d %H:%M:%S%.3f UTC")
        );
        if seen.last_observed_at != seen.first_observed_at {
            println!(
                "     and again {}",
                seen.last_observed_at.format("%Y-%m-%d %H:%M:%S%.3f UTC")
            );
        }
        if !seen.changes.is_empty() {
            println!("     CallRail says changed: {}", seen.changes.join(", "));
        }
        if step.changed.is_empty() {
            println!("     changes nothing in the row");
        }
        for (column, before, after) in &step.changed {
            println!(
                "     {column}: {} -> {}",
                shown(before.as_deref()),
                shown(after.as_deref())
            );
        }
    }
    if history.row.is_none() {
        println!("\nNo row: no snapshot says that the call is over.");
    }
    if history.reread {
        println!("\nTwo states came within 5 s of each other: which is the newer is asked of CallRail.");
    }
}

fn print_decisions(history: &CallHistory) {
    for seal in &history.decisions {
        println!(
            "\nSealed: {} ({}, by {}, {}). No event changes it.",
            seal.group.as_str(),
            seal.reason.as_str(),
            seal.by,
            seal.at.format("%Y-%m-%d %H:%M:%S UTC")
        );
    }
}

fn print_match(row: Option<&Interaction>) {
    let Some(row) = row else { return };
    let whom = match row.link.contact() {
        Some(contact) => format!("{} {}", contact.kind.as_str(), contact.id),
        None => "nobody".to_owned(),
    };
    let how = match row.link.method {
        MatchMethod::OnlyOne => "the only one with this number",
        MatchMethod::CustomerFirst => "several have this number; a customer comes before a lead",
        MatchMethod::MostRecent => "several have this number; this one was changed last",
        MatchMethod::Human => "a person decided",
        MatchMethod::NoContact => "no contact has this number",
        MatchMethod::Withheld => "the caller withheld the number",
        MatchMethod::Unreadable => "what CallRail sent is no telephone number",
        MatchMethod::NeverMatched => "NEVER_MATCH lists this number",
    };
    println!("\nMatched with {whom}: {how}.");
    for candidate in &row.link.candidates {
        println!("  candidate: {} {}", candidate.kind.as_str(), candidate.id);
    }
}

fn shown(value: Option<&str>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let line = value.replace('\n', " / ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &line[..end]),
        None => format!("\"{line}\""),
    }
}
