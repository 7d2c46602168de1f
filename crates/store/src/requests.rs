//! How many requests CallRail's API may be asked: CallRail counts them per account (`docs/callrail.md`, "API"), so all
//! processes count in the database.
//!
//! Every request that was granted is a row for a day, and windows are counted from these rows: no window of a minute,
//! an hour or a day, wherever it begins, ever holds more than its limit.

use chrono::{DateTime, TimeDelta, Utc};

use crate::StoreError;

const MINUTE: TimeDelta = TimeDelta::minutes(1);
const HOUR: TimeDelta = TimeDelta::hours(1);
pub(crate) const DAY: TimeDelta = TimeDelta::days(1);

/// How long a report counts. Every answer of CallRail's brings another, so an older one means that nobody has asked
/// since; the next answer tells whether anything still holds. Shorter than a day, as CallRail may count by the
/// calendar: others who used up yesterday's limit must not stop us today.
const REPORT_COUNTS_FOR: TimeDelta = HOUR;

/// How many requests of [`RequestClass::Recording`] there may be in a minute.
const RECORDINGS_A_MINUTE: u32 = 60;

/// How many of these may be for [`RequestClass::Archive`]: the others are for people.
const ARCHIVED_A_MINUTE: u32 = 45;

/// How much of a day, in per cent, the requests of [`RequestClass::Repair`] may be.
const REPAIR_OF_A_DAY: u32 = 30;

/// What a request is for. Each class stops while there is still room for those that are in more of a hurry: it is
/// granted only as long as the requests of all classes together are below its share of every window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestClass {
    /// Imports of the past: 60 % of each window.
    Backfill,
    /// Finding and mending what webhooks missed: 80 % of each window, and 30 % of a day for requests of this class.
    Repair,
    /// Somebody waits for the answer: 95 % of each window. The rest is for other tools of the same account.
    Interactive,
    /// Somebody wants to listen. Counts like [`RequestClass::Interactive`], and has 60 a minute: a player that seeks
    /// must not take what the others need.
    Recording,
    /// Recordings to be kept, which can wait: 50 % of each window. In the minute they count as
    /// [`RequestClass::Recording`], and may be 45 of its 60.
    Archive,
}

impl RequestClass {
    /// The name in the database, under which requests of the class are counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Repair => "repair",
            Self::Interactive => "interactive",
            Self::Recording | Self::Archive => "recording",
        }
    }

    /// Of each window, in per cent.
    fn share(self) -> u32 {
        match self {
            Self::Archive => 50,
            Self::Backfill => 60,
            Self::Repair => 80,
            Self::Interactive | Self::Recording => 95,
        }
    }
}

/// How many requests the account may make. With a limit of 0 nothing is ever granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In any 60 minutes.
    pub per_hour: u32,
    /// In any 24 hours.
    pub per_day: u32,
}

impl RequestLimits {
    /// How long so many requests of a class take at least, when nobody else asks: whenever a window is full, the next
    /// request waits until it has passed.
    pub fn time_for(&self, class: RequestClass, requests: u32) -> TimeDelta {
        let limits = [self.per_minute, self.per_hour, self.per_day];
        let times = WINDOWS.into_iter().zip(limits).map(|(window, limit)| {
            let full_windows = requests.saturating_sub(1) / part(limit, class.share()).max(1);
            window * i32::try_from(full_windows).unwrap_or(i32::MAX)
        });
        times.max().unwrap_or_default()
    }
}

impl Default for RequestLimits {
    /// CallRail's own limits for an hour and a day, and two requests a second.
    fn default() -> Self {
        Self {
            per_minute: 120,
            per_hour: 1_000,
            per_day: 10_000,
        }
    }
}

/// Whether a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Permit {
    /// Now. It is counted, be it made or not.
    Granted,
    /// Nothing is granted before this time; at this time it is, unless others have been faster.
    NotBefore(DateTime<Utc>),
}

/// What CallRail says of the account in the headers of an answer: all tools together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedUsage {
    /// Requests in CallRail's hour.
    pub hour_used: u32,
    /// The limit for an hour.
    pub hour_allowed: u32,
    /// Requests in CallRail's day.
    pub day_used: u32,
    /// The limit for a day.
    pub day_allowed: u32,
}

/// What was asked lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestsMade {
    /// By us, in the last 60 seconds.
    pub minute: u32,
    /// By us, in the last 60 minutes.
    pub hour: u32,
    /// By us, in the last 24 hours.
    pub day: u32,
    /// By other tools of the same account, of an hour, as far as CallRail has told in the last hour.
    pub hour_by_others: u32,
    /// The same of a day.
    pub day_by_others: u32,
}

impl RequestsMade {
    /// From our own counts of [`WINDOWS`].
    pub(crate) fn new(ours: [u32; 3], report: Option<Report>, now: DateTime<Utc>) -> Self {
        let [minute, hour, day] = ours;
        let report = report.and_then(|report| report.that_counts(now));
        Self {
            minute,
            hour,
            day,
            hour_by_others: report.map_or(0, |report| report.hour_by_others),
            day_by_others: report.map_or(0, |report| report.day_by_others),
        }
    }
}

/// CallRail's last report, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) reported_at: DateTime<Utc>,
    pub(crate) hour_by_others: u32,
    pub(crate) hour_allowed: u32,
    pub(crate) day_by_others: u32,
    pub(crate) day_allowed: u32,
}

impl Report {
    /// Takes what we have asked ourselves from what CallRail has counted.
    pub(crate) fn new(told: ReportedUsage, ours: RequestsMade, now: DateTime<Utc>) -> Self {
        Self {
            reported_at: now,
            hour_by_others: told.hour_used.saturating_sub(ours.hour),
            hour_allowed: told.hour_allowed,
            day_by_others: told.day_used.saturating_sub(ours.day),
            day_allowed: told.day_allowed,
        }
    }

    fn counts_until(&self) -> DateTime<Utc> {
        self.reported_at + REPORT_COUNTS_FOR
    }

    /// The report, as long as it counts. One from a clock that is far ahead never does.
    pub(crate) fn that_counts(self, now: DateTime<Utc>) -> Option<Self> {
        ((now - self.reported_at).abs() < REPORT_COUNTS_FOR).then_some(self)
    }

    /// Whether what is told now is older.
    pub(crate) fn is_newer_than(self, now: DateTime<Utc>) -> bool {
        self.reported_at > now && self.that_counts(now).is_some()
    }
}

/// The windows that [`RequestsMade`] counts, shortest first.
pub(crate) const WINDOWS: [TimeDelta; 3] = [MINUTE, HOUR, DAY];

/// What must hold for a request: fewer than `most` requests in the window that ends with it.
struct Limit {
    window: TimeDelta,
    /// Whose requests count; `None`: all.
    of: Option<RequestClass>,
    /// By our settings.
    most: u32,
    /// By what CallRail reported, as long as that counts.
    most_reported: u32,
}

fn limits_of(class: RequestClass, limits: &RequestLimits, report: Option<&Report>) -> Vec<Limit> {
    let (hour_allowed, hour_by_others) = report.map_or((u32::MAX, 0), |report| {
        (report.hour_allowed, report.hour_by_others)
    });
    let (day_allowed, day_by_others) =
        report.map_or((u32::MAX, 0), |report| (report.day_allowed, report.day_by_others));
    let windows = [
        (MINUTE, limits.per_minute, u32::MAX, 0),
        (HOUR, limits.per_hour, hour_allowed, hour_by_others),
        (DAY, limits.per_day, day_allowed, day_by_others),
    ];
    let mut all: Vec<Limit> = windows
        .into_iter()
        .map(|(window, limit, allowed, by_others)| Limit {
            window,
            of: None,
            most: part(limit, class.share()),
            most_reported: part(limit.min(allowed), class.share()).saturating_sub(by_others),
        })
        .collect();
    match class {
        RequestClass::Repair => all.push(Limit {
            window: DAY,
            of: Some(class),
            most: part(limits.per_day, REPAIR_OF_A_DAY),
            most_reported: part(limits.per_day.min(day_allowed), REPAIR_OF_A_DAY),
        }),
        RequestClass::Recording | RequestClass::Archive => {
            let most = if class == RequestClass::Archive {
                ARCHIVED_A_MINUTE
            } else {
                RECORDINGS_A_MINUTE
            };
            all.push(Limit {
                window: MINUTE,
                of: Some(class),
                most,
                most_reported: most,
            });
        }
        RequestClass::Backfill | RequestClass::Interactive => {}
    }
    all
}

/// So many per cent of a limit, rounded down; but one at least, or a small limit would stop a class for good.
fn part(limit: u32, percent: u32) -> u32 {
    let part = u64::from(limit) * u64::from(percent) / 100;
    u32::try_from(part).unwrap_or(limit).max(1).min(limit)
}

/// Decides on a request. `nth_newest` tells when the `n`th newest request of a class, or of all, was granted.
pub(crate) fn permit(
    class: RequestClass,
    limits: &RequestLimits,
    report: Option<Report>,
    now: DateTime<Utc>,
    mut nth_newest: impl FnMut(Option<RequestClass>, u32) -> Result<Option<DateTime<Utc>>, StoreError>,
) -> Result<Permit, StoreError> {
    let report = report.and_then(|report| report.that_counts(now));
    let mut earliest = now;
    for limit in limits_of(class, limits, report.as_ref()) {
        // There is room for one more once the request that fills the window leaves it.
        let mut room_at = |most: u32| match most {
            0 => Ok(DateTime::<Utc>::MAX_UTC),
            _ => nth_newest(limit.of, most).map(|at| at.map_or(now, |at| now.max(at + limit.window))),
        };
        let mut at = room_at(limit.most_reported)?;
        if let Some(report) = report.filter(|_| at > now) {
            at = at.min(room_at(limit.most)?.max(report.counts_until()));
        }
        // A limit of 0, or a clock that was ahead: ask again after a while.
        earliest = earliest.max(at.min(now + limit.window));
    }
    Ok(if earliest > now {
        Permit::NotBefore(earliest)
    } else {
        Permit::Granted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_window_says_how_long_requests_take() {
        let time = |requests| RequestLimits::default().time_for(RequestClass::Backfill, requests);
        // 60 % are 72 a minute, 600 an hour and 6,000 a day.
        assert_eq!(time(0), TimeDelta::zero());
        assert_eq!(time(72), TimeDelta::zero());
        assert_eq!(time(73), TimeDelta::minutes(1));
        assert_eq!(time(600), TimeDelta::minutes(8));
        assert_eq!(time(601), TimeDelta::hours(1));
        assert_eq!(time(6_001), TimeDelta::days(1));
    }
}
