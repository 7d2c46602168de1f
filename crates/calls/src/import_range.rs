//! Which time an import of past calls covers: what people ask for, checked, and cut into windows.

use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

/// CallRail keeps calls for so long, and answers an earlier date with an error (`docs/callrail.md`, "API").
const KEPT_MONTHS: Months = Months::new(25);

/// An import that begins at the oldest call must not find it too old by the time it asks.
const MARGIN: TimeDelta = TimeDelta::hours(1);

/// How many days back may be asked for: 25 months, whichever they are, are never longer than 762 days.
pub const MAX_DAYS_BACK: u32 = 760;

/// One window is read page by page to its end before the next.
const WINDOW: TimeDelta = TimeDelta::days(31);

/// From `start` up to, not including, `end`: never empty, never longer ago than CallRail keeps calls, never in the
/// future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportRange {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// Why a range cannot be imported; the texts are for the person who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// `days_back` is out of bounds.
    #[error("days_back must be a whole number from 1 to {MAX_DAYS_BACK}")]
    DaysBack,
    /// A text is no date.
    #[error("{0} must be a date like 2025-09-01 or a time like 2025-09-01T00:00:00Z")]
    NotADate(&'static str),
    /// The end is before the start.
    #[error("end_date must not be before start_date")]
    Backwards,
    /// The start is further back than CallRail keeps calls.
    #[error("start_date must not be more than 25 months ago: CallRail keeps calls no longer")]
    TooOld,
    /// Start or end has not come yet.
    #[error("{0} must not be in the future")]
    Future(&'static str),
}

impl ImportRange {
    /// The last so many days, up to now; less when that is more than 25 months.
    pub fn days_back(days: u32, now: DateTime<Utc>) -> Result<Self, InvalidRange> {
        if !(1..=MAX_DAYS_BACK).contains(&days) {
            return Err(InvalidRange::DaysBack);
        }
        let start = (now - TimeDelta::days(days.into())).max(oldest(now));
        Ok(Self { start, end: now })
    }

    /// From one date or time to another, both included; a date means the whole day in UTC. A day that is not over ends
    /// now.
    pub fn between(start: &str, end: &str, now: DateTime<Utc>) -> Result<Self, InvalidRange> {
        let first = Moment::read(start).ok_or(InvalidRange::NotADate("start_date"))?;
        let last = Moment::read(end).ok_or(InvalidRange::NotADate("end_date"))?;
        let (start, end) = (first.beginning(), last.end());
        if start >= end {
            return Err(InvalidRange::Backwards);
        }
        if start > now {
            return Err(InvalidRange::Future("start_date"));
        }
        if last.beginning() > now {
            return Err(InvalidRange::Future("end_date"));
        }
        let oldest = oldest(now);
        // The day on which the oldest calls fall may be asked for as a whole.
        if start.date_naive() < oldest.date_naive() {
            return Err(InvalidRange::TooOld);
        }
        Ok(Self {
            start: start.max(oldest),
            end: end.min(now.max(start + TimeDelta::microseconds(1))),
        })
    }

    /// Calls that began then or later.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Calls that began before.
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }
}

/// The end of the window that begins at `start`, in a range that ends at `end`.
pub fn window_end(start: DateTime<Utc>, end: DateTime<Utc>) -> DateTime<Utc> {
    (start + WINDOW).min(end)
}

fn oldest(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_sub_months(KEPT_MONTHS).unwrap_or(now) + MARGIN
}

/// What somebody wrote as a date.
enum Moment {
    Day(NaiveDate),
    Time(DateTime<Utc>),
}

impl Moment {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let day = text.parse().map(Self::Day).ok();
        day.or_else(|| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(Self::Time(time.to_utc()))
        })
    }

    fn beginning(&self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN).and_utc(),
            Self::Time(time) => *time,
        }
    }

    /// The first time that is not included any more.
    fn end(&self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => {
                let next = day.checked_add_days(Days::new(1)).unwrap_or(*day);
                next.and_time(NaiveTime::MIN).and_utc()
            }
            Self::Time(time) => time
                .checked_add_signed(TimeDelta::microseconds(1))
                .unwrap_or(*time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn now() -> DateTime<Utc> {
        at("2026-11-24T12:00:00Z")
    }

    fn between(start: &str, end: &str) -> Result<ImportRange, InvalidRange> {
        ImportRange::between(start, end, now())
    }

    #[test]
    fn both_ends_are_included() {
        let days = between("2026-09-01", "2026-09-30").unwrap();
        assert_eq!(
            (days.start(), days.end()),
            (at("2026-09-01T00:00:00Z"), at("2026-10-01T00:00:00Z"))
        );
        let one_day = between("2026-09-01", "2026-09-01").unwrap();
        assert_eq!(one_day.end() - one_day.start(), TimeDelta::days(1));
        let times = between("2026-09-01T00:00:00Z", "2026-10-01T02:00:00+02:00").unwrap();
        assert_eq!(
            (times.start(), times.end()),
            (at("2026-09-01T00:00:00Z"), at("2026-10-01T00:00:00.000001Z"))
        );
    }

    #[test]
    fn today_may_be_asked_for_and_ends_now() {
        assert_eq!(between("2026-11-01", "2026-11-24").unwrap().end(), now());
    }

    #[test]
    fn what_cannot_be_imported_is_told() {
        assert_eq!(
            between("yesterday", "2026-09-01"),
            Err(InvalidRange::NotADate("start_date"))
        );
        assert_eq!(
            between("2026-09-01", "2026-13-01"),
            Err(InvalidRange::NotADate("end_date"))
        );
        assert_eq!(between("2026-09-02", "2026-09-01"), Err(InvalidRange::Backwards));
        assert_eq!(
            between("2026-11-25", "2026-11-26"),
            Err(InvalidRange::Future("start_date"))
        );
        assert_eq!(
            between("2026-11-01", "2026-11-25"),
            Err(InvalidRange::Future("end_date"))
        );
        assert_eq!(between("2024-10-23", "2026-11-01"), Err(InvalidRange::TooOld));
        for days in [0, MAX_DAYS_BACK + 1] {
            assert_eq!(ImportRange::days_back(days, now()), Err(InvalidRange::DaysBack));
        }
    }

    #[test]
    fn the_oldest_day_is_cut_to_what_callrail_keeps() {
        let oldest = at("2024-10-24T13:00:00Z");
        assert_eq!(between("2024-10-24", "2026-11-01").unwrap().start(), oldest);
        // A February makes 25 months shorter than 760 days.
        let march = at("2027-03-01T00:00:00Z");
        let range = ImportRange::days_back(MAX_DAYS_BACK, march).unwrap();
        assert!(range.start() >= at("2025-02-01T00:00:00Z"));
        let month = ImportRange::days_back(30, now()).unwrap();
        assert_eq!((month.start(), month.end()), (at("2026-10-25T12:00:00Z"), now()));
    }

    #[test]
    fn windows_cover_the_range_without_a_gap() {
        let range = between("2026-01-01", "2026-11-24").unwrap();
        let mut start = range.start();
        let mut windows = 0;
        while start < range.end() {
            let end = window_end(start, range.end());
            assert!(start < end && end - start <= WINDOW);
            (start, windows) = (end, windows + 1);
        }
        assert_eq!((start, windows), (range.end(), 11));
    }
}
