//! `trunkline migrate`.

use runtime::Settings;
use store::Store;

use crate::parts;

pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let url = parts::database_url(settings)?;
    let run = Store::migrate(&url).await?;
    for migration in &run {
        println!("{migration}");
    }
    println!("{url}: {} migrations run, the schema is up to date", run.len());
    Ok(())
}
