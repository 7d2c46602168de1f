//! Whether webhooks come: the calls that they missed, and silence.

use chrono::{DateTime, TimeDelta, Utc};
use store::{Quiet, StoreError, WebhooksCounted};

use super::pass::MISSED_AFTER;
use crate::Importer;

/// Of which time the gauge of missed calls tells.
const GAP_OF: TimeDelta = TimeDelta::hours(24);

/// Webhooks are silent when none has told of a call while so many were usual. Where calls come by chance, no call
/// comes in such a time once in `e^10` = 20,000 calls.
const USUAL_CALLS: u64 = 10;

impl Importer {
    /// Looks whether webhooks come, and notes it for those who are asked in another process.
    pub(super) async fn look_at_webhooks(&self) -> Result<(), StoreError> {
        let now = (self.clock)();
        let over_before = now - MISSED_AFTER;
        let gap = self.store.gap(now - GAP_OF, now, over_before).await?;
        self.metrics.found_gap(gap.unwrap_or(0));

        let quiet = self.store.quiet(now, over_before).await?;
        let silent = quiet.filter(|quiet| quiet.usual >= USUAL_CALLS);
        self.metrics
            .found_silence(silent.map(|silent| now - silent.since));
        let known = self.store.webhook_health().await?.counted;
        tell_silence(known.and_then(|known| known.silent_since), silent.as_ref());
        let counted = WebhooksCounted {
            counted_at: now,
            gap,
            silent_since: silent.map(|silent| silent.since),
        };
        self.store.note_webhooks_counted(counted).await
    }
}

/// Says it once, when it begins and when it is over.
fn tell_silence(before: Option<DateTime<Utc>>, silent: Option<&Quiet>) {
    match silent {
        Some(silent) if before != Some(silent.since) => {
            let (usual, since) = (silent.usual, silent.since.to_rfc3339());
            if silent.calls > 0 {
                tracing::warn!(
                    since,
                    usual,
                    imported = silent.calls,
                    "no webhook has come for long, and calls were imported meanwhile: look at the webhook addresses in \
                     CallRail, and whether they can be reached"
                );
            } else {
                tracing::warn!(
                    since,
                    usual,
                    "no webhook has come for long, and CallRail lists no call either: is it a holiday, or do calls not \
                     reach CallRail?"
                );
            }
        }
        None if before.is_some() => tracing::info!("webhooks come again"),
        _ => {}
    }
}
