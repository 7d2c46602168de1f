//! The simulated CallRail's API, and an installation that reads it.

use std::sync::Arc;

use callrail::AccountId;
use callrail::client::{CallQuery, Client, ClientOptions, Credential};
use callrail_simulator::{ApiOptions, Limits, SimulatedAccount, SimulatedApi};
use calls::window_end;
use chrono::{DateTime, Utc};

use crate::Installation;

/// The settings that say how many requests may be made.
pub const BUDGET: [&str; 3] = [
    "CALLRAIL_REQUESTS_PER_MINUTE",
    "CALLRAIL_REQUESTS_PER_HOUR",
    "CALLRAIL_REQUESTS_PER_DAY",
];

/// The account's API, without CallRail's limits.
pub fn unlimited_api(account: &Arc<SimulatedAccount>) -> SimulatedApi {
    let limits = Limits {
        hourly: u32::MAX,
        daily: u32::MAX,
    };
    let options = ApiOptions {
        limits,
        ..ApiOptions::default()
    };
    SimulatedApi::start(Arc::clone(account), options).unwrap()
}

/// Nothing but what the test wants is asked of the API.
pub fn with_account(trunkline: Installation, account: &SimulatedAccount, api: &SimulatedApi) -> Installation {
    const MANY: &str = "100000";
    let trunkline = trunkline
        .with("CALLRAIL_API_KEY", &account.api_key)
        .with("CALLRAIL_ACCOUNT_ID", account.account_id.clone())
        .with("CALLRAIL_API_URL", api.base_url())
        .with("RECONCILE", "off");
    BUDGET
        .iter()
        .fold(trunkline, |trunkline, name| trunkline.with(name, MANY))
}

/// Reads all pages as the importer does; how many calls were on them.
pub async fn read_alone(
    account: &SimulatedAccount,
    api: &SimulatedApi,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> usize {
    let options = ClientOptions {
        http: reqwest::Client::builder().no_proxy(),
        ..ClientOptions::default()
    };
    let client = Client::new(
        api.base_url().parse().unwrap(),
        AccountId::parse(&account.account_id).unwrap(),
        Credential::api_key(&account.api_key).unwrap(),
        options,
    )
    .unwrap();
    let (mut read, mut from) = (0, start);
    while from < end {
        let until = window_end(from, end);
        let query = CallQuery {
            company: None,
            from,
            until,
        };
        let mut page = client.calls(&query).await.unwrap();
        loop {
            read += page.calls.len();
            let Some(next) = page.next else { break };
            page = client.calls_after(&next).await.unwrap();
        }
        from = until;
    }
    read
}
