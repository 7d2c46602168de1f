//! Calls of which two webhooks came so close together that only CallRail can tell which state is the newer.

use store::Import;

use crate::Importer;
use crate::run::Stopped;

/// How many calls are asked for one by one in a pass. Those that the pass has listed are settled by that; of older ones
/// there are few.
const IN_A_PASS: u32 = 20;

impl Importer {
    /// Reads again what is in doubt. What CallRail does not know any more, or what cannot be read, stays as it is.
    pub(super) async fn reread(&self, run: &Import) -> Result<(), Stopped> {
        let in_doubt = self.store.calls_to_reread(IN_A_PASS).await?;
        if in_doubt.is_empty() {
            return Ok(());
        }
        // With a key for another account every call would seem gone.
        self.ask(|| self.repair.account()).await?;
        let (mut found, mut gone, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for call_sid in in_doubt {
            match self.read_one(&self.repair, run, None, &call_sid).await? {
                Some(Ok(event)) => found.push(event),
                Some(Err(reason)) => {
                    tracing::error!(call.id = %call_sid, reason, "a call that is in doubt cannot be read from CallRail");
                    unreadable.push(call_sid);
                }
                None => gone.push(call_sid),
            }
        }
        self.publish(&found).await?;
        let found = found.into_iter().map(|event| event.call.call_sid).collect();
        self.show_again(found).await?;
        self.hide(self.in_sight(gone.clone()).await?).await?;
        gone.append(&mut unreadable);
        if !gone.is_empty() {
            self.store.mark_reread_done(gone).await?;
        }
        Ok(())
    }
}
