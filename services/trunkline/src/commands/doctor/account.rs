//! What CallRail says: key, account, clock, companies, and whether their webhooks come here.

use callrail::client::{ApiError, Client, Company, Integration, list_accounts};
use callrail::{CompanyId, SigningKey, SigningKeys};
use chrono::{DateTime, TimeDelta, Utc};
use integration_api::advice;
use integration_api::webhooks::{self, Addresses, ProbeError};
use runtime::Settings;
use store::{RequestClass, Store};
use tokio::time::timeout;

use super::boxes::boxes;
use super::{LIMIT, Line};
use crate::parts;

/// How far the clocks may differ: more, and the order of what webhooks and imports say is in doubt.
const CLOCKS: TimeDelta = TimeDelta::seconds(5);

/// So many companies are looked at, each with a request of its own.
const MOST_COMPANIES: usize = 10;

/// Without a database the few requests are counted nowhere.
pub(super) async fn check(settings: &Settings, store: Option<&Store>) -> Vec<Line> {
    let client = match client(settings, store) {
        Ok(Some(client)) => client,
        Ok(None) => {
            return vec![Line::skipped(
                "account",
                "neither CALLRAIL_API_KEY nor CALLRAIL_ACCOUNT_ID is set, so CallRail cannot be asked, and no past \
                 calls are imported: run `trunkline connect`",
            )];
        }
        Err(_) => return vec![Line::skipped("account", "the settings must be mended first")],
    };
    let before = Utc::now();
    let mut lines = match client.account_and_time().await {
        Ok((account, shown)) => {
            let name = account.name.as_deref().unwrap_or("an account without a name");
            vec![
                Line::ok(
                    "account",
                    format!("CallRail accepts the key for {} ({name})", account.id),
                ),
                clock(before, shown, Utc::now()),
            ]
        }
        Err(error) => {
            return vec![
                refused(&client, settings, store, &error).await,
                Line::skipped(
                    "webhooks",
                    "CallRail must answer before its companies and webhooks can be looked at",
                ),
            ];
        }
    };
    let companies = match client.companies().await {
        Ok(companies) => companies,
        Err(error) => {
            lines.push(Line::wrong("company", advice(&error)));
            return lines;
        }
    };
    let keys: SigningKeys = settings
        .get("CALLRAIL_SIGNING_KEYS")
        .ok()
        .flatten()
        .unwrap_or_default();
    let wanted = settings.get("CALLRAIL_COMPANY_ID").ok().flatten();
    for company in wanted_companies(wanted, &keys, &companies, &mut lines) {
        match webhooks::find(&client, &company).await {
            Ok(found) => lines.extend(company_webhooks(&company, found, &keys).await),
            Err(error) => lines.push(Line::wrong("webhooks", format!("{company}: {}", advice(&error)))),
        }
    }
    lines
}

fn client(settings: &Settings, store: Option<&Store>) -> anyhow::Result<Option<Client>> {
    let Some(access) = parts::callrail_access(settings)? else {
        return Ok(None);
    };
    let budget = parts::budget(settings, store, RequestClass::Interactive)?;
    access.client(parts::asking_once(budget, LIMIT)).map(Some)
}

/// Whether the key is wrong or the account.
async fn refused(client: &Client, settings: &Settings, store: Option<&Store>, error: &ApiError) -> Line {
    if matches!(error, ApiError::Forbidden { .. } | ApiError::NotFound { .. })
        && let Some(seen) = accounts_seen(settings, store).await
    {
        return Line::wrong(
            "account",
            format!(
                "CallRail accepts the key, but not for the account {}: set CALLRAIL_ACCOUNT_ID to one that the key's \
                 user sees ({seen})",
                client.account_id()
            ),
        );
    }
    Line::wrong("account", advice(error))
}

async fn accounts_seen(settings: &Settings, store: Option<&Store>) -> Option<String> {
    let credential = parts::callrail_credential(settings).ok()??;
    let url = parts::callrail_url(settings).ok()?;
    let budget = parts::budget(settings, store, RequestClass::Interactive).ok()?;
    let accounts = list_accounts(url, credential, parts::asking_once(budget, LIMIT))
        .await
        .ok()?;
    let ids: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// `shown` is a whole second between the two times of our own.
fn clock(before: DateTime<Utc>, shown: Option<DateTime<Utc>>, after: DateTime<Utc>) -> Line {
    let Some(shown) = shown else {
        return Line::skipped("clock", "CallRail did not say what time it has");
    };
    let behind = shown - after;
    let ahead = before - (shown + TimeDelta::seconds(1));
    let (difference, word) = if behind > ahead {
        (behind, "behind")
    } else {
        (ahead, "ahead of")
    };
    if difference <= CLOCKS {
        return Line::ok("clock", "agrees with CallRail's");
    }
    Line::wrong(
        "clock",
        format!(
            "this machine's clock is {} s {word} CallRail's: have it set by NTP, since the order of what is heard of a \
             call and the ends of tokens go by it",
            difference.num_seconds()
        ),
    )
}

/// Whose webhooks are looked at: the company that is set, else those that keys are for, else all that are active.
fn wanted_companies(
    set: Option<CompanyId>,
    keys: &SigningKeys,
    seen: &[Company],
    lines: &mut Vec<Line>,
) -> Vec<CompanyId> {
    let is_active = |company: &&Company| company.status.as_deref() != Some("disabled");
    let active = seen.iter().filter(is_active).map(|company| company.id.clone());
    let of_keys = keys.iter().filter_map(|key| key.company().cloned());
    let mut wanted: Vec<CompanyId> = match set {
        Some(company) => vec![company],
        None => of_keys.collect(),
    };
    if wanted.is_empty() {
        wanted = active.collect();
        if wanted.is_empty() {
            lines.push(Line::wrong(
                "company",
                "the key's user sees no active company: take the key of an administrator",
            ));
        }
    }
    wanted.dedup();
    if wanted.len() > MOST_COMPANIES {
        lines.push(Line::skipped(
            "company",
            format!(
                "only {MOST_COMPANIES} of {} are looked at: set CALLRAIL_COMPANY_ID to look at another",
                wanted.len()
            ),
        ));
        wanted.truncate(MOST_COMPANIES);
    }
    wanted.retain(|wanted| match seen.iter().find(|company| company.id == *wanted) {
        Some(company) if is_active(&company) => {
            let name = company.name.as_deref().unwrap_or("without a name");
            lines.push(Line::ok("company", format!("{wanted} ({name})")));
            true
        }
        Some(_) => {
            lines.push(Line::wrong(
                "company",
                format!("{wanted} is disabled in CallRail: enable it there, or name another"),
            ));
            false
        }
        None => {
            let some: Vec<&str> = seen.iter().take(3).map(|company| company.id.as_str()).collect();
            lines.push(Line::wrong(
                "company",
                format!(
                    "{wanted} is none of the {} that the key's user sees ({}): compare CALLRAIL_COMPANY_ID, or take \
                     the key of an administrator",
                    seen.len(),
                    some.join(", ")
                ),
            ));
            false
        }
    });
    wanted
}

/// Whether a company's webhooks come here.
async fn company_webhooks(company: &CompanyId, found: Option<Integration>, keys: &SigningKeys) -> Vec<Line> {
    let Some(integration) = found else {
        return vec![Line::wrong(
            "webhooks",
            format!(
                "{company} has no webhook integration in CallRail, so no call comes: run `trunkline connect`"
            ),
        )];
    };
    let mut lines = vec![state(company, &integration)];
    let (of_boxes, ours) = boxes(&integration);
    lines.extend(of_boxes);
    let key = integration.signing_key.as_deref().map(SigningKey::parse);
    let Some(Ok(key)) = key else {
        lines.push(Line::skipped(
            "signing key",
            format!("CallRail does not tell {company}'s: compare it on the company's Webhooks page"),
        ));
        return lines;
    };
    lines.push(if keys.accept(&key, company) {
        Line::ok(
            "signing key",
            format!("{company}'s is among CALLRAIL_SIGNING_KEYS"),
        )
    } else {
        Line::wrong(
            "signing key",
            format!(
                "{company}'s is not among CALLRAIL_SIGNING_KEYS, so its webhooks are refused and lost: run `trunkline \
                 connect`, and restart Trunkline"
            ),
        )
    });
    for addresses in ours {
        lines.push(arrival(&addresses, &key).await);
    }
    lines
}

fn state(company: &CompanyId, integration: &Integration) -> Line {
    if integration.state == webhooks::ACTIVE {
        return Line::ok("webhooks", format!("{company}'s integration is active"));
    }
    Line::wrong(
        "webhooks",
        format!(
            "{company}'s integration is `{}`, so CallRail sends nothing: run `trunkline connect`, which activates it",
            integration.state
        ),
    )
}

/// Posts what CallRail would have signed so to where CallRail posts.
async fn arrival(addresses: &Addresses, key: &SigningKey) -> Line {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let Ok(client) = client else {
        return Line::skipped("arrival", "no HTTP client can be made");
    };
    let probed = timeout(LIMIT, webhooks::probe(&client, addresses, key)).await;
    let next_step = match probed.unwrap_or(Err(ProbeError::NoAnswer)) {
        Ok(()) => {
            return Line::ok(
                "arrival",
                format!("a signed request to {addresses} arrives, and its signature holds"),
            );
        }
        Err(error @ ProbeError::NoAnswer) => {
            format!("{error}: start Trunkline, and see to the proxy and the firewall in front of it")
        }
        Err(error @ ProbeError::NotOurs) => format!("{error}: see where the proxy in front of it leads to"),
        Err(error @ ProbeError::Refused) => format!("{error}: add it there, and restart Trunkline"),
        Err(error @ ProbeError::OwnForm) => error.to_string(),
    };
    Line::wrong("arrival", format!("{addresses}: {next_step}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn a_clock_is_wrong_by_what_no_delay_explains() {
        let at = |text: &str| -> DateTime<Utc> { format!("2026-11-20T19:{text}Z").parse().unwrap() };
        let state = |before, shown, after| clock(at(before), Some(at(shown)), at(after)).state;
        assert_eq!(state("03:20.1", "03:20", "03:20.2"), State::Ok);
        assert_eq!(state("03:20.1", "03:19", "03:20.2"), State::Ok);
        // A slow answer.
        assert_eq!(state("03:00", "03:59", "04:00"), State::Ok);
        assert_eq!(state("03:20", "03:26", "03:20.5"), State::Wrong);
        assert_eq!(state("03:20", "03:13", "03:21"), State::Wrong);
        let line = clock(at("03:20"), Some(at("08:20")), at("03:20"));
        assert!(line.text.contains("300 s behind"), "{line}");
        assert_eq!(clock(at("03:20"), None, at("03:20")).state, State::Skipped);
    }
}
