//! `trunkline erase --phone N`.

use anyhow::Context;
use calls::PhoneNumber;
use chrono::Utc;
use clap::Args;
use runtime::Settings;
use store::{Erased, Store};

use crate::parts;

/// Forgets a person by his telephone number.
#[derive(Args)]
pub(crate) struct Erase {
    /// The number, in any usual spelling.
    #[arg(long)]
    phone: String,
    /// Only tell how much there is.
    #[arg(long)]
    dry_run: bool,
}

impl Erase {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let number = PhoneNumber::parse(&self.phone, parts::region(settings)?)
            .context("--phone is no telephone number that can be read: write it with its country code")?;
        let archive = parts::archive(settings)?;
        let store = parts::store(settings).await?;
        let found = store.traces(&number).await?;
        if self.dry_run {
            println!("There would be erased: {}.", told(found));
            return Ok(());
        }
        if archive.is_none() && found.recordings > 0 {
            anyhow::bail!(
                "{} recordings of this number are in an archive, and RECORDINGS_ARCHIVE is not set: set it as for the \
                 importer, and call this again. Nothing was erased",
                found.recordings
            );
        }
        let erased = store.erase(&number, Utc::now()).await?;
        println!("Erased: {}.", told(erased));
        if let Some(archive) = archive {
            delete_recordings(&store, &archive).await?;
        }
        println!(
            "What comes back of calls before now, from queues, spools, backups or CallRail, is forgotten on its way into the \
             database. Erase the person in CallRail and in your CRM, too: a contact there comes back into the mirror."
        );
        Ok(())
    }
}

/// Those that an earlier call did not get to, too.
async fn delete_recordings(store: &Store, archive: &recordings::Archive) -> anyhow::Result<()> {
    let mut deleted = 0;
    for (call_sid, key) in store.recordings_to_delete().await? {
        archive
            .delete(&key)
            .await
            .context("a recording cannot be deleted: call this again")?;
        store.forget_recording(&call_sid).await?;
        deleted += 1;
    }
    println!("Deleted from the archive: {deleted} recordings.");
    Ok(())
}

fn told(erased: Erased) -> String {
    format!(
        "{} calls, {} recordings, {} alerts, {} dead letters, {} contacts in the mirror",
        erased.calls, erased.recordings, erased.alerts, erased.dead_letters, erased.contacts
    )
}
