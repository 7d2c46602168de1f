//! `trunkline spool list|drain`.

use std::path::Path;

use clap::Subcommand;
use queue::SpoolState;
use runtime::Settings;

use crate::parts;

#[derive(Subcommand)]
pub(crate) enum Spool {
    /// Lists the spools under DATA_DIR and how much waits in each.
    List,
    /// Sends on what waits in spools that no running process owns. A running one sends on its own by itself.
    Drain,
}

impl Spool {
    pub(crate) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let folder = parts::spool_folder(settings)?;
        match self {
            Self::List => list(&folder).await,
            Self::Drain => drain(settings, &folder).await,
        }
    }
}

async fn list(folder: &Path) -> anyhow::Result<()> {
    let spools = queue::spools(folder).await?;
    for spool in &spools {
        let owner = if spool.is_owned {
            "a running process sends it on"
        } else {
            "nobody owns it: the next webhook-ingest sends it on, or `trunkline spool drain`"
        };
        let SpoolState {
            number,
            messages,
            bytes,
            ..
        } = spool;
        println!("spool {number}: {messages} messages, {bytes} bytes; {owner}");
    }
    if spools.is_empty() {
        println!("There is no spool under {}.", folder.display());
    }
    Ok(())
}

async fn drain(settings: &Settings, folder: &Path) -> anyhow::Result<()> {
    let queue = parts::queue(settings).await?;
    let mut count = 0;
    let drained = queue
        .send_on_spools(folder, |_, messages| count += messages)
        .await;
    println!("Sent on {count} messages.");
    drained?;
    for spool in queue::spools(folder).await? {
        if spool.is_owned && spool.messages > 0 {
            println!(
                "Spool {} has {} messages, which the running process that owns it sends on.",
                spool.number, spool.messages
            );
        }
    }
    Ok(())
}
