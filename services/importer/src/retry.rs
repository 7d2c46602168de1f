//! Calls of a run that failed, read alone once more: by now CallRail may have them otherwise, or this program reads what it
//! could not.

use callrail::client::Client;
use calls::{CallEvent, CallId, Receipt};
use serde_json::Value;
use store::{FailedCall, Import, ImportLease, RetriedCalls};
use uuid::Uuid;

use crate::Importer;
use crate::page::{event, receipt};
use crate::run::Stopped;

/// How many calls are read before it is noted what became of them: so many requests a crash may cost.
const AT_A_TIME: u32 = 20;

impl Importer {
    /// Reads the calls of a run that failed, and publishes those that can be read now.
    pub(crate) async fn retry(&self, run: &Import, holder: Uuid) -> Result<(), Stopped> {
        let mut seen: Option<String> = None;
        loop {
            let failed = self
                .store
                .failed_import_calls(run.id, AT_A_TIME, seen.as_deref())
                .await?;
            let Some(last) = failed.last() else {
                return Ok(());
            };
            if seen.is_none() {
                // With a key for another account every call would seem gone.
                self.ask(|| self.backfill.account()).await?;
            }
            seen = Some(last.call_sid.clone());
            self.wait_for_writers().await?;
            let mut calls = RetriedCalls {
                read_at: (self.clock)(),
                ..RetriedCalls::default()
            };
            let mut events = Vec::new();
            for before in failed {
                // What has no identifier has a name of our making, by which CallRail does not know it.
                let Ok(call_sid) = CallId::parse(&before.call_sid) else {
                    continue;
                };
                calls.requests += 1;
                match self
                    .read_one(&self.backfill, run, Some(run.id), &call_sid)
                    .await?
                {
                    Some(Ok(event)) => {
                        calls.published.push(before);
                        events.push(event);
                    }
                    Some(Err(reason)) => calls.failed.push(FailedCall { reason, ..before }),
                    None => calls.failed.push(FailedCall {
                        reason: "CallRail does not know the call any more".to_owned(),
                        ..before
                    }),
                }
            }
            self.metrics.read_alone(events.len());
            self.publish(&events).await?;
            match self.store.save_retried_calls(run.id, holder, calls).await? {
                ImportLease::Held => {}
                ImportLease::Lost | ImportLease::Over => return Err(Stopped::Left),
            }
        }
    }

    /// A call as it is now, or why it cannot be read; `None`: there is none by that identifier any more.
    pub(crate) async fn read_one(
        &self,
        client: &Client,
        run: &Import,
        import_id: Option<Uuid>,
        call_sid: &CallId,
    ) -> Result<Option<Result<CallEvent, String>>, Stopped> {
        let receipt = Receipt {
            import_id,
            company: run.company.clone(),
            ..receipt((self.clock)())
        };
        let object = self.ask(|| client.call(call_sid)).await?;
        Ok(object.map(|object| {
            event(&Value::Object(object), receipt, self.settings.reading).map_err(|failed| failed.reason)
        }))
    }
}
