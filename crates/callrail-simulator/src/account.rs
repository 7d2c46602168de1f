//! The account: people, calls and the key that signs their webhooks, all from one seed.

use callrail::SigningKey;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fastrand::Rng;

use crate::body::{Company, Tracker};
use crate::call::{Plot, Scene, SimulatedCall, play};
use crate::caller::{Callers, Person, hex};

/// An invented `CallRail` account with one company.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedAccount {
    /// `ACC` and 32 hexadecimal digits.
    pub account_id: String,
    /// What the API takes, 32 hexadecimal digits.
    pub api_key: String,
    /// `COM` and 32 hexadecimal digits.
    pub company_id: String,
    /// 32 hexadecimal digits, used as the text they are.
    pub signing_key: String,
    /// The account's own numbers, E.164: the tracking numbers and the one that calls are put through to. None
    /// of them is ever a caller.
    pub own_numbers: Vec<String>,
    /// Whom the CRM knows.
    pub people: Vec<Person>,
    /// In the order of their start.
    pub calls: Vec<SimulatedCall>,
    pub(crate) trackers: [Tracker; 3],
    /// `USR` and 32 hexadecimal digits: who takes the calls, and whose key it is.
    pub(crate) user_id: String,
}

pub(crate) const AGENT_EMAIL: &str = "agent@example.com";
pub(crate) const BUSINESS_NUMBER: &str = "+14045550150";
const TRACKING_NUMBERS: [&str; 3] = ["+14045550197", "+14045550198", "+14045550199"];

/// Ten calls in a row hold these, in any order.
const MIX: [Plot; 10] = [
    Plot::Answered,
    Plot::Answered,
    Plot::Answered,
    Plot::Answered,
    Plot::Answered,
    Plot::Missed,
    Plot::Missed,
    Plot::Voicemail,
    Plot::Outbound,
    Plot::Outbound,
];

/// Out of a hundred inbound calls: the first are from people whom the CRM knows, the last from withheld
/// numbers.
const KNOWN: u8 = 38;
const NOT_WITHHELD: u8 = 95;
/// Out of a hundred outbound calls: to people whom the CRM knows.
const KNOWN_OUTBOUND: u8 = 60;

impl SimulatedAccount {
    /// Invents an account with that many calls, the first at `start` and each 2 to 6 seconds after the one
    /// before.
    ///
    /// The same arguments give the same account, bytes and all, as long as this crate is the same.
    /// Ten calls are enough to meet every outcome.
    pub fn generate(seed: u64, calls: usize, start: DateTime<Utc>) -> Self {
        Self::invent(seed, calls, start, None)
    }

    /// Invents an account with a past for the API to tell: one call in each `every` from `start` on, and no
    /// webhooks. People and calls are those that [`Self::generate`] makes of the seed.
    ///
    /// A call takes about a kilobyte; with its webhooks it takes twenty.
    pub fn history(seed: u64, calls: usize, start: DateTime<Utc>, every: TimeDelta) -> Self {
        Self::invent(seed, calls, start, Some(every))
    }

    fn invent(seed: u64, calls: usize, start: DateTime<Utc>, every: Option<TimeDelta>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let company = Company {
            id: format!("COM{}", hex(&mut rng, 32)),
            business_number: BUSINESS_NUMBER,
        };
        let signing_key = hex(&mut rng, 32);
        let trackers = trackers(&mut rng);
        let own_numbers: Vec<&str> = TRACKING_NUMBERS.into_iter().chain([BUSINESS_NUMBER]).collect();
        let mut callers = Callers::invent(&mut rng, (calls / 4).clamp(16, 400), &own_numbers);
        let scene = Scene {
            company: &company,
            trackers: &trackers,
            has_webhooks: every.is_none(),
        };

        // CallRail's times have milliseconds, so what is expected has no more.
        let first = start.trunc_subsecs(3);
        let mut start = first;
        let mut mix = Vec::new();
        let mut played = Vec::with_capacity(calls);
        for next in (1..).take(calls) {
            let plot = next_plot(&mut rng, &mut mix);
            let caller = match (plot, rng.u8(0..100)) {
                (Plot::Outbound, 0..KNOWN_OUTBOUND) | (_, 0..KNOWN) => callers.known(&mut rng),
                // Nobody can call a withheld number.
                (Plot::Answered | Plot::Missed | Plot::Voicemail, NOT_WITHHELD..) => {
                    callers.withheld(&mut rng)
                }
                _ => callers.stranger(&mut rng),
            };
            played.push(play(&mut rng, &scene, plot, caller, start, callers.people()));
            let gap = rng.i64(2_000..6_000);
            start = match every.map(|every| every.num_milliseconds()) {
                None => start + TimeDelta::milliseconds(gap),
                Some(every) => first + TimeDelta::milliseconds(every * next + every * (gap - 2_000) / 4_000),
            };
        }

        // From a sequence of their own: what else is drawn from a seed stays what it was.
        let mut rng = Rng::with_seed(seed ^ 0xACC0);
        Self {
            account_id: format!("ACC{}", hex(&mut rng, 32)),
            api_key: hex(&mut rng, 32),
            company_id: company.id,
            signing_key,
            own_numbers: own_numbers.into_iter().map(str::to_owned).collect(),
            people: callers.into_people(),
            calls: played,
            trackers,
            user_id: format!("USR{}", hex(&mut rng, 32)),
        }
    }

    /// The signature of a body, made with the account's key (docs/callrail.md, "Signature").
    ///
    /// Empty when somebody put a text in the place of the key that cannot be one.
    pub fn signature(&self, body: &[u8]) -> String {
        SigningKey::parse(&self.signing_key).map_or_else(|_| String::new(), |key| callrail::sign(&key, body))
    }
}

fn next_plot(rng: &mut Rng, mix: &mut Vec<Plot>) -> Plot {
    if mix.is_empty() {
        mix.extend(MIX);
        rng.shuffle(mix);
    }
    mix.pop().unwrap_or(Plot::Answered)
}

fn trackers(rng: &mut Rng) -> [Tracker; 3] {
    let mut tracker = |number, source_name, source, medium, call_source| Tracker {
        id: format!("TRK{}", hex(rng, 32)),
        number,
        source_name,
        source,
        medium,
        call_source,
        is_session: call_source == "keyword",
    };
    let [ads, pool, signs] = TRACKING_NUMBERS;
    [
        tracker(
            ads,
            "Google Ads Call Tracking",
            "Google Ads",
            "cpc",
            "google_paid",
        ),
        tracker(pool, "Website Pool", "Google Ads", "cpc", "keyword"),
        tracker(signs, "Yard Signs", "Yard Signs", "offline", "disabled"),
    ]
}
