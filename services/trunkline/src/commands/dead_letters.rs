//! `trunkline dead-letters list|show|replay|discard`.

use std::process::ExitCode;

use anyhow::Context;
use calls::{QuarantinedDelivery, Reading};
use clap::{Args, Subcommand};
use integration_api::dead_letters::{self, NotReplayed};
use queue::Queue;
use runtime::Settings;
use store::{DeadLetterState, KeptDeadLetter, Store};
use uuid::Uuid;

use crate::parts;

/// How many are read at a time.
const PAGE: u32 = 500;

#[derive(Subcommand)]
pub(crate) enum DeadLetters {
    /// Lists what waits for somebody to look at it, newest first, with the reason.
    List(List),
    /// Shows one with all that is known of it. What is shown holds personal data.
    Show {
        /// As `list` shows it.
        id: Uuid,
    },
    /// Tries them once more: what is mended works now, and what is not comes back as a dead letter.
    Replay(Chosen),
    /// Puts them aside. They are kept, and can be replayed later all the same.
    Discard(Chosen),
}

#[derive(Args)]
pub(crate) struct List {
    /// Those that were replayed or discarded, too.
    #[arg(long)]
    all: bool,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Chosen {
    /// As `list` shows them.
    ids: Vec<Uuid>,
    /// All that wait.
    #[arg(long)]
    all: bool,
}

impl DeadLetters {
    pub(crate) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let store = parts::store(settings).await?;
        match self {
            Self::List(List { all, limit }) => list(&store, all, limit).await?,
            Self::Show { id } => show(&find(&store, id).await?)?,
            Self::Replay(chosen) => {
                let queue = parts::queue(settings).await?;
                return replay(
                    &store,
                    &queue,
                    chosen.letters(&store).await?,
                    parts::reading(settings)?,
                )
                .await;
            }
            Self::Discard(chosen) => discard(&store, chosen.letters(&store).await?).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Chosen {
    async fn letters(self, store: &Store) -> anyhow::Result<Vec<KeptDeadLetter>> {
        let mut letters = Vec::new();
        for id in self.ids {
            letters.push(find(store, id).await?);
        }
        if self.all {
            // Read to the end before the first is touched: what fails again must not be met again.
            loop {
                let last = letters.last().map(|kept: &KeptDeadLetter| kept.letter.id);
                let page = store
                    .dead_letters(Some(DeadLetterState::Waiting), PAGE, last)
                    .await?;
                if page.is_empty() {
                    break;
                }
                letters.extend(page);
            }
        }
        Ok(letters)
    }
}

async fn find(store: &Store, id: Uuid) -> anyhow::Result<KeptDeadLetter> {
    let found = store.dead_letter(id).await?;
    found.with_context(|| {
        format!("there is no dead letter {id}: `trunkline dead-letters list` shows those there are")
    })
}

async fn list(store: &Store, all: bool, limit: u32) -> anyhow::Result<()> {
    let state = (!all).then_some(DeadLetterState::Waiting);
    let letters = store.dead_letters(state, limit, None).await?;
    for KeptDeadLetter { letter, state } in &letters {
        let call = letter
            .call_sid
            .as_ref()
            .map_or("no call", |call_sid| call_sid.as_str());
        println!(
            "{}  {}  {:<14} {call}  {}{}",
            letter.id,
            letter.last_failed_at.format("%Y-%m-%d %H:%M:%S UTC"),
            letter.queue,
            letter.reason,
            if all {
                format!("  [{}]", state.as_str())
            } else {
                String::new()
            },
        );
    }
    if letters.is_empty() {
        println!("No dead letters wait.");
    } else if letters.len() == limit as usize {
        println!("The newest {limit}; more with --limit.");
    }
    Ok(())
}

fn show(KeptDeadLetter { letter, state }: &KeptDeadLetter) -> anyhow::Result<()> {
    println!("id             {}", letter.id);
    println!("state          {}", state.as_str());
    println!("queue          {}", letter.queue);
    println!("reason         {}", letter.reason);
    println!("attempts       {}", letter.attempts);
    println!("first failed   {}", letter.first_failed_at.to_rfc3339());
    println!("last failed    {}", letter.last_failed_at.to_rfc3339());
    if let Some(call_sid) = &letter.call_sid {
        println!("call           {call_sid}");
    }
    match QuarantinedDelivery::decode(&letter.body) {
        Ok(kept) => {
            let kind = kept.kind.map_or("no kind of call webhook", |kind| kind.as_str());
            println!(
                "webhook        {kind}, received {}",
                kept.received_at.to_rfc3339()
            );
            println!("body sha256    {}", kept.sha256);
            println!("\n{}", kept.text);
        }
        Err(_) => println!(
            "\n{}",
            std::str::from_utf8(&letter.body).context("the body is not text")?
        ),
    }
    Ok(())
}

async fn replay(
    store: &Store,
    queue: &Queue,
    letters: Vec<KeptDeadLetter>,
    reading: Reading,
) -> anyhow::Result<ExitCode> {
    let (mut replayed, mut failed) = (0, 0);
    for kept in letters {
        match dead_letters::replay(store, queue, &kept, reading).await {
            Ok(()) => replayed += 1,
            Err(NotReplayed::Unfit(reason)) => {
                println!("{}: {:#}", kept.letter.id, anyhow::Error::new(reason));
                failed += 1;
            }
            // It would be the same with all of them.
            Err(error) => return Err(error.into()),
        }
    }
    println!("{replayed} replayed, {failed} could not be.");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn discard(store: &Store, letters: Vec<KeptDeadLetter>) -> anyhow::Result<()> {
    let mut discarded = 0;
    for kept in letters {
        discarded += usize::from(dead_letters::discard(store, &kept).await?);
    }
    println!("{discarded} discarded.");
    Ok(())
}
