//! How many requests CallRail's API may be asked.

use chrono::{DateTime, TimeDelta, Utc};
use store::{Permit, ReportedUsage, RequestClass, RequestLimits, RequestsMade, Store};

use super::Database;
use crate::samples::{Random, at};

use RequestClass::{Archive, Backfill, Interactive, Recording, Repair};

const MINUTE: TimeDelta = TimeDelta::minutes(1);
const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);

fn limits(per_minute: u32, per_hour: u32, per_day: u32) -> RequestLimits {
    RequestLimits {
        per_minute,
        per_hour,
        per_day,
    }
}

async fn take(store: &Store, class: RequestClass, limits: &RequestLimits, now: DateTime<Utc>) -> Permit {
    store.take_request(class, limits, now).await.unwrap()
}

/// Asks until it is told to wait. Returns how many were granted, and when to come again.
async fn take_all(
    store: &Store,
    class: RequestClass,
    limits: &RequestLimits,
    now: DateTime<Utc>,
) -> (u32, DateTime<Utc>) {
    let mut granted = 0;
    loop {
        match take(store, class, limits, now).await {
            Permit::Granted => granted += 1,
            Permit::NotBefore(time) => return (granted, time),
        }
    }
}

/// The rules once more, as plainly as they can be written: what was granted so far, and whether one more may be.
struct Model {
    limits: RequestLimits,
    granted: Vec<(RequestClass, DateTime<Utc>)>,
}

impl Model {
    fn allows(&self, class: RequestClass, now: DateTime<Utc>) -> bool {
        let share = match class {
            Archive => 50,
            Backfill => 60,
            Repair => 80,
            Interactive | Recording => 95,
        };
        let all = |window| self.count(window, now, |_| true);
        let own = |window| self.count(window, now, |of| of == class);
        let RequestLimits {
            per_minute,
            per_hour,
            per_day,
        } = self.limits;
        all(MINUTE) < per_minute * share / 100
            && all(HOUR) < per_hour * share / 100
            && all(DAY) < per_day * share / 100
            && (class != Repair || own(DAY) < per_day * 30 / 100)
            && (class != Recording || own(MINUTE) < 60)
    }

    fn count(&self, window: TimeDelta, now: DateTime<Utc>, which: impl Fn(RequestClass) -> bool) -> u32 {
        let inside = self
            .granted
            .iter()
            .filter(|(class, time)| *time > now - window && which(*class));
        u32::try_from(inside.count()).unwrap()
    }

    /// Room comes when a request leaves a window, at no other time, and while nobody asks it only grows.
    fn allows_from(&self, class: RequestClass, now: DateTime<Utc>) -> DateTime<Utc> {
        let leaves = self
            .granted
            .iter()
            .flat_map(|(_, time)| [MINUTE, HOUR, DAY].map(|window| *time + window));
        let mut times: Vec<_> = leaves.filter(|time| *time > now).collect();
        times.sort_unstable();
        times[times.partition_point(|time| !self.allows(class, *time))]
    }
}

pub(crate) async fn no_window_of_many_simulated_days_holds_too_many<D: Database>() {
    let database = D::fresh().await;
    let mut model = Model {
        limits: limits(20, 60, 150),
        granted: Vec::new(),
    };
    let mut random = Random(11);
    let mut now = at(0);
    let mut told_to_wait = 0;
    for _ in 0..200 {
        let class = [Backfill, Repair, Interactive, Recording][random.below(4)];
        // In bursts, as the pages of a list or a player ask.
        for _ in 0..=random.below(16) {
            match take(database.store(), class, &model.limits, now).await {
                Permit::Granted => {
                    assert!(model.allows(class, now), "{class:?} at {now}");
                    model.granted.push((class, now));
                }
                Permit::NotBefore(time) => {
                    assert!(!model.allows(class, now), "{class:?} at {now}");
                    assert_eq!(time, model.allows_from(class, now), "{class:?} at {now}");
                    told_to_wait += 1;
                    if random.below(3) == 0 {
                        now = time;
                        continue;
                    }
                }
            }
            now += TimeDelta::microseconds(i64::try_from(random.below(2_000_000)).unwrap());
        }
        let pause = [10, 60, 600, 6 * 3_600][random.below(4)];
        now += TimeDelta::seconds(i64::try_from(random.below(pause)).unwrap());
    }
    let granted = model.granted.len();
    assert!(granted > 500 && told_to_wait > 100, "{granted} {told_to_wait}");
    for (_, end) in &model.granted {
        let ending_here = |window| {
            let inside = model
                .granted
                .iter()
                .filter(|(_, time)| time <= end && *time > *end - window);
            inside.count()
        };
        assert!(ending_here(MINUTE) <= 20 && ending_here(HOUR) <= 60 && ending_here(DAY) <= 150);
    }
}

pub(crate) async fn many_who_ask_at_once_get_no_more_than_there_is<D: Database>() {
    let database = D::fresh().await;
    let stores = [database.store().clone(), database.reopen().await];
    let limits = limits(40, 1_000, 10_000);
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..100 {
        let store = stores[n % 2].clone();
        asking.spawn(async move { take(&store, Interactive, &limits, at(0)).await });
    }
    let answers = asking.join_all().await;
    let granted = answers.iter().filter(|answer| **answer == Permit::Granted);
    assert_eq!(granted.count(), 38);
    assert!(answers.contains(&Permit::NotBefore(at(60))));
}

pub(crate) async fn a_class_stops_at_its_share_and_the_next_goes_on<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let a_minute = limits(100, 1_000, 10_000);
    assert_eq!(take_all(store, Backfill, &a_minute, at(0)).await, (60, at(60)));
    assert_eq!(take_all(store, Repair, &a_minute, at(1)).await, (20, at(60)));
    assert_eq!(take_all(store, Interactive, &a_minute, at(2)).await, (15, at(60)));
    // The first sixty leave the minute, and make room for all but the lowest.
    assert_eq!(take_all(store, Backfill, &a_minute, at(60)).await, (25, at(61)));
    let made = store.requests_made(at(60)).await.unwrap();
    let expected = RequestsMade {
        minute: 60,
        hour: 120,
        day: 120,
        ..RequestsMade::default()
    };
    assert_eq!(made, expected);

    let an_hour = limits(10_000, 300, 10_000);
    assert_eq!(take_all(store, Backfill, &an_hour, at(120)).await.0, 60);
    assert_eq!(take_all(store, Repair, &an_hour, at(120)).await.0, 60);
    assert_eq!(
        take_all(store, Interactive, &an_hour, at(120)).await,
        (45, at(3_600))
    );
    let a_day = limits(10_000, 10_000, 500);
    assert_eq!(take_all(store, Backfill, &a_day, at(120)).await.0, 15);
    assert_eq!(
        take_all(store, Interactive, &a_day, at(120)).await,
        (175, at(86_400))
    );
}

pub(crate) async fn repair_has_a_part_of_the_day_and_recordings_of_the_minute<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let limits = limits(1_000, 1_000, 200);
    assert_eq!(take_all(store, Repair, &limits, at(0)).await, (60, at(86_400)));
    assert_eq!(take_all(store, Recording, &limits, at(1)).await, (60, at(61)));
    // They are counted like all others.
    assert_eq!(take_all(store, Backfill, &limits, at(2)).await, (0, at(86_400)));
    assert_eq!(
        take_all(store, Interactive, &limits, at(2)).await,
        (70, at(86_400))
    );
}

pub(crate) async fn recordings_to_be_kept_leave_room_for_all_else<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let limits = limits(1_000, 1_000, 200);
    assert_eq!(take_all(store, Archive, &limits, at(0)).await, (45, at(60)));
    assert_eq!(take_all(store, Recording, &limits, at(1)).await, (15, at(60)));
    // Half of the day, all requests together.
    assert_eq!(take_all(store, Archive, &limits, at(61)).await, (40, at(86_400)));
    assert_eq!(take_all(store, Backfill, &limits, at(62)).await.0, 20);
}

pub(crate) async fn what_others_used_lowers_what_is_left_for_an_hour<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let limits = limits(1_000, 100, 1_000);
    for _ in 0..10 {
        assert_eq!(take(store, Backfill, &limits, at(0)).await, Permit::Granted);
    }
    let told = ReportedUsage {
        hour_used: 40,
        hour_allowed: 100,
        day_used: 910,
        day_allowed: 1_000,
    };
    store.report_usage(told, at(10)).await.unwrap();
    let made = store.requests_made(at(20)).await.unwrap();
    let expected = RequestsMade {
        minute: 10,
        hour: 10,
        day: 10,
        hour_by_others: 30,
        day_by_others: 900,
    };
    assert_eq!(made, expected);

    // 95 of the hour less 30 and 10; of the day 950 less 900 and 10.
    let (granted, from) = take_all(store, Interactive, &limits, at(20)).await;
    // The report ends before anything leaves the day, and then the hour decides.
    assert_eq!((granted, from), (40, at(3_610)));
    // Of the day others have left nothing to this class; only another report, or none, can change that.
    let (granted, from) = take_all(store, Backfill, &limits, at(30)).await;
    assert_eq!((granted, from), (0, at(3_610)));
    // All of ours but the forty has left the hour.
    assert_eq!(
        take_all(store, Backfill, &limits, at(3_610)).await,
        (20, at(3_620))
    );
    assert_eq!(store.requests_made(at(3_610)).await.unwrap().day_by_others, 0);

    // A new report that tells of less is believed.
    let told = ReportedUsage {
        hour_used: 5,
        day_used: 5,
        ..told
    };
    store.report_usage(told, at(3_615)).await.unwrap();
    assert_eq!(
        take(store, Interactive, &limits, at(3_616)).await,
        Permit::Granted
    );
}

pub(crate) async fn a_smaller_allowance_is_obeyed<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let limits = limits(1_000, 1_000, 10_000);
    let told = ReportedUsage {
        hour_used: 0,
        hour_allowed: 150,
        day_used: 0,
        day_allowed: 120,
    };
    store.report_usage(told, at(0)).await.unwrap();
    assert_eq!(take_all(store, Repair, &limits, at(1)).await, (36, at(3_600)));
    assert_eq!(take_all(store, Backfill, &limits, at(2)).await, (36, at(3_600)));
    assert_eq!(
        take_all(store, Interactive, &limits, at(3)).await,
        (42, at(3_600))
    );
    // A larger one does not lift our own limits.
    let told = ReportedUsage {
        hour_used: 0,
        hour_allowed: 1_000_000,
        day_used: 0,
        day_allowed: u32::MAX,
    };
    store.report_usage(told, at(10)).await.unwrap();
    let limits = self::limits(200, 1_000, 10_000);
    assert_eq!(take_all(store, Interactive, &limits, at(11)).await, (76, at(61)));
}

pub(crate) async fn a_report_that_is_late_changes_nothing<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let told = |used| ReportedUsage {
        hour_used: used,
        hour_allowed: 1_000,
        day_used: used,
        day_allowed: 10_000,
    };
    store.report_usage(told(100), at(10)).await.unwrap();
    store.report_usage(told(7), at(9)).await.unwrap();
    assert_eq!(store.requests_made(at(11)).await.unwrap().hour_by_others, 100);
    store.report_usage(told(7), at(10)).await.unwrap();
    assert_eq!(store.requests_made(at(11)).await.unwrap().hour_by_others, 7);
    // But for one from a clock that is far ahead: that counts for nobody.
    store.report_usage(told(900), at(86_400)).await.unwrap();
    assert_eq!(store.requests_made(at(12)).await.unwrap().hour_by_others, 0);
    store.report_usage(told(8), at(13)).await.unwrap();
    assert_eq!(store.requests_made(at(14)).await.unwrap().hour_by_others, 8);
}

pub(crate) async fn a_limit_of_zero_grants_nothing_and_of_one_one<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let none = limits(120, 0, 10_000);
    assert_eq!(take_all(store, Interactive, &none, at(0)).await, (0, at(3_600)));
    let one = limits(1, 1_000, 10_000);
    for (seconds, class) in [(0, Backfill), (60, Recording), (120, Repair)] {
        assert_eq!(
            take_all(store, class, &one, at(seconds)).await,
            (1, at(seconds + 60))
        );
    }
}

pub(crate) async fn what_is_older_than_a_day_is_forgotten<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let limits = RequestLimits::default();
    for seconds in [0, 10, 86_410] {
        assert_eq!(take(store, Backfill, &limits, at(seconds)).await, Permit::Granted);
    }
    assert_eq!(database.count("select count(*) from api_requests").await, 1);
    // A clock that is far ahead for a while stops nobody for good.
    assert_eq!(
        take(store, Backfill, &limits, at(90 * 86_400)).await,
        Permit::Granted
    );
    assert_eq!(take(store, Backfill, &limits, at(86_411)).await, Permit::Granted);
    assert_eq!(database.count("select count(*) from api_requests").await, 1);
}
