//! The limits of the account, which all processes share: measured where the requests arrive.

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callrail_simulator::{RequestKind, SimulatedAccount};
use chrono::{Months, TimeDelta, Utc};
use reqwest::StatusCode;
use store::{DatabaseUrl, Store};
use test_servers::{Database, Vhost};
use tokio::time::{MissedTickBehavior, interval};
use trunkline_tests::simulated::{unlimited_api, with_account};
use trunkline_tests::{Installation, eventually};

use crate::api::{JWT_SECRET, token};
use crate::imports::wanted;

/// In any minute: all together, those of imports, and those of imports and of people who wait.
const LIMIT: usize = 30;
const OF_IMPORTS: usize = 18;
const OF_PEOPLE_TOO: usize = 28;

/// What the limits say of 60 seconds is granted in the database; requests arrive a little later, some sooner than others.
const MINUTE: Duration = Duration::from_secs(59);

/// For how long requests are watched after the first refusal: at all only when `WATCHED_SECONDS` says so.
fn watched() -> Duration {
    let seconds = env::var("WATCHED_SECONDS").map_or(0, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_apis_and_two_importers_share_one_budget_and_people_come_first() {
    let now = Utc::now();
    let account = SimulatedAccount::history(13, 20, now - TimeDelta::days(20), TimeDelta::days(1));
    let account = Arc::new(account);
    let callrail = unlimited_api(&account);
    let (broker, database) = (Vhost::new(), Database::empty());
    let sites = [(); 2].map(|()| {
        with_account(Installation::new(), &account, &callrail)
            .with("CALLRAIL_REQUESTS_PER_MINUTE", LIMIT.to_string())
            .with("DATABASE_URL", database.url())
            .with("QUEUE_URL", broker.url())
            .with("JWT_SECRET", JWT_SECRET)
    });
    assert_eq!(sites[0].run(&["migrate"]).await.code, 0);
    let store = Store::connect(&database.url().parse::<DatabaseUrl>().unwrap())
        .await
        .unwrap();
    // A month is a request at least, whether it has calls or not.
    for _ in 0..2 {
        wanted(&store, now - Months::new(24), now).await;
    }
    let token = token(&sites[0], &[]).await;
    let mut processes = Vec::new();
    for site in &sites {
        processes.push(site.start("integration-api").await);
        processes.push(site.start("importer").await);
    }
    // What people ask counts too: each API asks by itself, at its start, whether CallRail answers.
    let held_back = eventually(|| async { (callrail.all_requests() >= OF_IMPORTS as u64).then_some(()) });
    held_back.await.unwrap_or_else(|| panic!("{}", sites[0].logs()));

    // People ask, now here, now there, until there is nothing left for them either.
    let ask = async |site: &Installation| {
        let path = site.url("/api/integrations/callrail/test-connection");
        let answer = site.send(site.client().get(path).bearer_auth(&token)).await;
        if answer.status != StatusCode::OK {
            assert_eq!(answer.json()["code"], "callrail_rate_limited", "{answer:?}");
        }
        answer.status == StatusCode::OK
    };
    let mut people = sites.iter().cycle();
    let (mut answered, mut refused) = (0, 1);
    while ask(people.next().unwrap()).await {
        answered += 1;
    }
    let at_first = callrail.requests(RequestKind::Calls);

    // From then on they ask now and then, and imports go on beside them.
    let began = Instant::now();
    let mut ticks = interval(Duration::from_secs(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < watched() {
        ticks.tick().await;
        if ask(people.next().unwrap()).await {
            answered += 1;
        } else {
            refused += 1;
        }
    }
    for process in processes {
        process.kill().await;
    }

    let times = |is_counted: fn(RequestKind) -> bool| {
        let requests = callrail.request_times().into_iter();
        requests
            .filter(|(kind, _)| is_counted(*kind))
            .map(|(_, time)| time)
            .collect::<Vec<_>>()
    };
    let all = times(|_| true);
    let of_imports = times(|kind| kind == RequestKind::Calls);
    let most = (most_in_a_minute(&all), most_in_a_minute(&of_imports));
    println!(
        "{} requests, at most {} of {LIMIT} in a minute; {} of imports, at most {} of {OF_IMPORTS}; {answered} answers for \
         people, {refused} refusals",
        all.len(),
        most.0,
        of_imports.len(),
        most.1,
    );
    assert!(most.0 <= OF_PEOPLE_TOO, "{} in a minute", most.0);
    assert!(most.1 <= OF_IMPORTS, "{} of imports in a minute", most.1);
    assert!(answered >= OF_PEOPLE_TOO - OF_IMPORTS - 2, "{answered} answers");
    if watched() >= Duration::from_secs(120) {
        assert!(of_imports.len() as u64 > at_first, "imports stand still");
    }
}

/// The most of these that lie in any minute.
fn most_in_a_minute(times: &[Instant]) -> usize {
    let within = |first: usize| {
        let minute = times[first..].iter();
        minute.take_while(|time| **time - times[first] < MINUTE).count()
    };
    (0..times.len()).map(within).max().unwrap_or_default()
}
