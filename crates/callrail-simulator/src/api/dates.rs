//! Which time a list covers (docs/callrail.md, "Listing calls").

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::answer::{Parameters, Refusal};
use crate::format::{EASTERN, american_offset, american_to_utc};

/// Older calls are not to be had.
const RETENTION: Months = Months::new(25);

/// From the first moment to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
}

impl Range {
    /// What `start_date`, `end_date`, `date_range` and `time_zone` mean now.
    ///
    /// A time at the end covers its very first moment and no more of its minute: whoever relies on more must not
    /// pass here.
    pub(super) fn read(parameters: &Parameters, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let zone = Zone::of(parameters.get("time_zone"));
        let today = zone.date(now);
        let start = parameters
            .get("start_date")
            .map(|text| zone.read(text, Edge::Start))
            .transpose()?;
        let end = parameters
            .get("end_date")
            .map(|text| zone.read(text, Edge::End))
            .transpose()?;
        let days = |first: u64, last: u64| Self {
            from: zone.midnight(today - Days::new(first)),
            until: zone.end_of_day(today - Days::new(last)),
        };
        let range = match (start, end) {
            (Some(from), until) => Self {
                from,
                until: until.unwrap_or(now),
            },
            (None, Some(until)) => Self {
                from: until - TimeDelta::days(7),
                until,
            },
            // An unknown name is ignored like an unknown value of any filter.
            (None, None) => match parameters.get("date_range") {
                Some("today") => days(0, 0),
                Some("yesterday") => days(1, 1),
                Some("last_30_days") => days(29, 0),
                Some("all_time") => Self {
                    from: DateTime::UNIX_EPOCH,
                    until: now,
                },
                _ => days(6, 0),
            },
        };
        if now
            .checked_sub_months(RETENTION)
            .is_some_and(|oldest| range.from < oldest)
        {
            return Err(Refusal::bad_request(
                "The date range may not begin more than 25 months ago",
            ));
        }
        Ok(range)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

/// UTC, or the standard time of a part of the United States, in hours east of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Utc,
    American(i32),
}

impl Zone {
    /// Without a name, or with one that is not known here, it is that of the key's user: US Eastern.
    fn of(name: Option<&str>) -> Self {
        match name {
            Some("UTC" | "Etc/UTC") => Self::Utc,
            Some("America/Chicago") => Self::American(-6),
            Some("America/Denver") => Self::American(-7),
            Some("America/Los_Angeles") => Self::American(-8),
            _ => Self::American(EASTERN),
        }
    }

    fn utc(self, local: NaiveDateTime) -> DateTime<Utc> {
        match self {
            Self::Utc => local.and_utc(),
            Self::American(standard) => american_to_utc(local, standard),
        }
    }

    fn date(self, time: DateTime<Utc>) -> NaiveDate {
        let hours = match self {
            Self::Utc => 0,
            Self::American(standard) => american_offset(time, standard),
        };
        (time + TimeDelta::hours(hours.into())).date_naive()
    }

    fn midnight(self, date: NaiveDate) -> DateTime<Utc> {
        self.utc(date.and_time(NaiveTime::MIN))
    }

    /// The last millisecond of the day: `CallRail`'s times have no more.
    fn end_of_day(self, date: NaiveDate) -> DateTime<Utc> {
        self.midnight(date + Days::new(1)) - TimeDelta::milliseconds(1)
    }

    /// A date, or a date with hour and minute; or with microseconds and an offset without a colon, as a published reader
    /// of calls sends it. Other times with seconds and offsets are refused, as they have been seen to be.
    fn read(self, text: &str, edge: Edge) -> Result<DateTime<Utc>, Refusal> {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M") {
            return Ok(self.utc(time));
        }
        if text.len() == "2026-11-20T19:03:20.236000+0000".len()
            && let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.6f%z")
        {
            return Ok(time.to_utc());
        }
        let date =
            NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| Refusal::bad_request("Invalid date"))?;
        Ok(match edge {
            Edge::Start => self.midnight(date),
            Edge::End => self.end_of_day(date),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(query: &str) -> Result<(String, String), Refusal> {
        let now = "2026-11-24T03:00:00Z".parse().unwrap();
        let range = Range::read(&Parameters::read(query), now)?;
        let text = |time: DateTime<Utc>| time.format("%m-%dT%H:%M:%S%.3f").to_string();
        Ok((text(range.from), text(range.until)))
    }

    fn owned(from: &str, until: &str) -> (String, String) {
        (from.to_owned(), until.to_owned())
    }

    #[test]
    fn dates_are_whole_days_of_the_zone_and_times_are_exact() {
        assert_eq!(
            range("start_date=2026-11-20&end_date=2026-11-20&time_zone=UTC"),
            Ok(owned("11-20T00:00:00.000", "11-20T23:59:59.999"))
        );
        assert_eq!(
            range("start_date=2026-11-20&end_date=2026-11-20"),
            Ok(owned("11-20T05:00:00.000", "11-21T04:59:59.999"))
        );
        assert_eq!(
            range("start_date=2026-07-04&end_date=2026-07-04&time_zone=America/Chicago"),
            Ok(owned("07-04T05:00:00.000", "07-05T04:59:59.999"))
        );
        assert_eq!(
            range("start_date=2026-11-20T19:03&end_date=2026-11-20T19:04&time_zone=UTC"),
            Ok(owned("11-20T19:03:00.000", "11-20T19:04:00.000"))
        );
        assert_eq!(
            range("start_date=2026-11-20T19:03:20.236000%2B0000"),
            Ok(owned("11-20T19:03:20.236", "11-24T03:00:00.000"))
        );
    }

    #[test]
    fn without_dates_the_last_seven_days_are_meant_today_included() {
        // It is still the 23rd on the east coast.
        let expected = Ok(owned("11-17T05:00:00.000", "11-24T04:59:59.999"));
        assert_eq!(range(""), expected);
        assert_eq!(range("date_range=recent"), expected);
        assert_eq!(range("date_range=whenever"), expected);
        assert_eq!(
            range("date_range=yesterday"),
            Ok(owned("11-22T05:00:00.000", "11-23T04:59:59.999"))
        );
    }

    #[test]
    fn what_is_older_than_the_retention_and_what_is_no_date_is_refused() {
        for query in [
            "start_date=2024-10-23&time_zone=UTC",
            "date_range=all_time",
            "start_date=yesterday",
            "start_date=2026-11-20T19:03:20",
            "start_date=2026-11-20T19:03:20.000Z",
            "start_date=2026-11-20T19:03:20.000%2B00:00",
        ] {
            assert_eq!(range(query).unwrap_err().status, 400, "{query}");
        }
        assert!(range("start_date=2024-10-25&time_zone=UTC").is_ok());
    }
}
