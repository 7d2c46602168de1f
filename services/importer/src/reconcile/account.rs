//! What is looked at of the account beside its calls.

use std::error::Error;

use callrail::CompanyId;
use callrail::client::{Integration, Tracker};
use calls::PhoneNumber;
use store::IntegrationSeen;

use crate::Importer;
use crate::run::Stopped;

/// The state of an integration that the company does not have.
const MISSING: &str = "missing";

impl Importer {
    /// Mirrors the account's own numbers. If CallRail does not tell them, those that are known stay.
    pub(super) async fn mirror_account_numbers(&self) -> Result<(), Stopped> {
        let trackers = match self.ask(|| self.repair.trackers()).await {
            Ok(trackers) => trackers,
            Err(Stopped::GivenUp(reason)) => {
                tracing::error!(
                    reason,
                    "cannot read the account's own numbers: those of yesterday stay"
                );
                return Ok(());
            }
            Err(stopped) => return Err(stopped),
        };
        let (numbers, unreadable) = self.own_numbers(&trackers);
        if unreadable > 0 {
            tracing::warn!(unreadable, "some of the account's own numbers cannot be read");
        }
        // Calls come by trackers, so that a user who sees none has lost sight of them.
        if !numbers.is_empty() {
            let changed = self.store.replace_account_numbers(numbers).await?;
            tracing::info!(changed, "mirrored the account's own numbers");
        }
        Ok(())
    }

    /// The numbers, and how many texts are none.
    fn own_numbers(&self, trackers: &[Tracker]) -> (Vec<PhoneNumber>, usize) {
        let texts = trackers
            .iter()
            .flat_map(|tracker| tracker.tracking_numbers.iter().chain(&tracker.destination_number));
        let (mut numbers, mut unreadable) = (Vec::new(), 0);
        for text in texts {
            match PhoneNumber::parse(text, self.settings.reading.region) {
                Ok(number) => numbers.push(number),
                Err(_) => unreadable += 1,
            }
        }
        (numbers, unreadable)
    }

    /// Looks whether CallRail still sends the company's webhooks: it may switch them off after failures
    /// (`docs/callrail.md`, "Delivery").
    pub(super) async fn look_at_integration(&self, company: &CompanyId) {
        let integrations = match self.repair.integrations(company).await {
            Ok(integrations) => integrations,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "cannot see whether CallRail sends webhooks"
                );
                self.metrics.found_integration(None);
                return;
            }
        };
        let webhooks = integrations
            .iter()
            .find(|integration| integration.kind == Integration::WEBHOOKS);
        let is_active = webhooks.is_some_and(|webhooks| webhooks.state == "active");
        self.metrics.found_integration(Some(is_active));
        let seen = IntegrationSeen {
            checked_at: (self.clock)(),
            state: webhooks.map_or(MISSING, |webhooks| &webhooks.state).to_owned(),
        };
        if let Err(error) = self.store.note_integration(seen).await {
            tracing::error!(
                error = &error as &dyn Error,
                "cannot note whether CallRail sends webhooks"
            );
        }
        match webhooks {
            _ if is_active => {}
            Some(webhooks) => tracing::error!(
                state = webhooks.state,
                "CallRail's webhook integration is not active: no call comes until it is switched on again"
            ),
            None => tracing::error!("the company has no webhook integration in CallRail: no call comes"),
        }
    }
}
