//! How `CallRail` writes numbers, names, durations and times.

use chrono::{
    DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc, Weekday,
};

use crate::caller::national_parts;

/// The number as `CallRail` formats it: `404-555-0123`; what is no such number stays.
pub(crate) fn formatted_number(number: &str) -> String {
    match national_parts(number) {
        Some((area, exchange, line)) => format!("{area}-{exchange}-{line}"),
        None => number.to_owned(),
    }
}

/// In JSON these characters occur inside strings only, so the whole text may be searched.
pub(crate) fn escaped_like_rails(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

pub(crate) fn formatted_call_type(call_type: &str) -> &'static str {
    match call_type {
        "answered" => "Answered Call",
        "abandoned" => "Abandoned Call",
        "voicemail" => "Voicemail",
        "outbound" => "Outbound Call",
        "in_progress" => "In Progress",
        _ => "Missed Call",
    }
}

pub(crate) fn formatted_duration(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m {seconds}s"),
    }
}

/// `DOE JANE` becomes `Doe Jane`.
pub(crate) fn title_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(String::from).unwrap_or_default();
        first + &letters.as_str().to_lowercase()
    };
    name.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Every time carries the offset of US Eastern time, whatever the company's time zone (docs/callrail.md,
/// "Time zones").
pub(crate) fn eastern(time: DateTime<Utc>) -> String {
    let hours = american_offset(time, EASTERN);
    match FixedOffset::east_opt(hours * 3_600) {
        Some(offset) => time
            .with_timezone(&offset)
            .to_rfc3339_opts(SecondsFormat::Millis, false),
        None => time.to_rfc3339_opts(SecondsFormat::Millis, false),
    }
}

/// Standard time of the US east coast, in hours east of UTC.
pub(crate) const EASTERN: i32 = -5;

/// The time in UTC of a clock that goes by this standard time, and by summer time in summer.
pub(crate) fn american_to_utc(local: NaiveDateTime, standard: i32) -> DateTime<Utc> {
    let in_summer = local.and_utc() - TimeDelta::hours(i64::from(standard) + 1);
    if american_offset(in_summer, standard) > standard {
        in_summer
    } else {
        local.and_utc() - TimeDelta::hours(i64::from(standard))
    }
}

/// Hours east of UTC where this is the standard time, in summer an hour more: from 02:00 of the second Sunday in
/// March to 02:00 of the first Sunday in November, local time (15 U.S.C. 260a).
pub(crate) fn american_offset(time: DateTime<Utc>, standard: i32) -> i32 {
    let at = |month, sunday, utc_hour: i32| {
        let day = NaiveDate::from_weekday_of_month_opt(time.year(), month, Weekday::Sun, sunday)?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc() + TimeDelta::hours(i64::from(utc_hour)))
    };
    match (at(3, 2, 2 - standard), at(11, 1, 1 - standard)) {
        (Some(begin), Some(end)) if (begin..end).contains(&time) => standard + 1,
        _ => standard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_eastern_offsets_in_winter_and_summer() {
        let at = |text: &str| eastern(text.parse().unwrap());
        assert_eq!(at("2026-11-20T19:03:20.236Z"), "2026-11-20T14:03:20.236-05:00");
        assert_eq!(at("2026-07-04T12:00:00Z"), "2026-07-04T08:00:00.000-04:00");
        assert_eq!(at("2026-03-08T06:59:59Z"), "2026-03-08T01:59:59.000-05:00");
        assert_eq!(at("2026-03-08T07:00:00Z"), "2026-03-08T03:00:00.000-04:00");
        assert_eq!(at("2026-11-01T05:59:59Z"), "2026-11-01T01:59:59.000-04:00");
        assert_eq!(at("2026-11-01T06:00:00Z"), "2026-11-01T01:00:00.000-05:00");
    }

    #[test]
    fn local_times_become_utc_in_winter_and_summer() {
        let utc = |local: &str, standard| american_to_utc(local.parse().unwrap(), standard).to_rfc3339();
        assert_eq!(utc("2026-11-20T00:00:00", EASTERN), "2026-11-20T05:00:00+00:00");
        assert_eq!(utc("2026-07-04T00:00:00", EASTERN), "2026-07-04T04:00:00+00:00");
        assert_eq!(utc("2026-07-04T00:00:00", -6), "2026-07-04T05:00:00+00:00");
    }

    #[test]
    fn characters_that_html_minds_are_escaped_and_nothing_else_changes() {
        assert_eq!(
            escaped_like_rails(r#"{"a":"x & <b>é\n"}"#),
            r#"{"a":"x \u0026 \u003cb\u003eé\n"}"#
        );
    }

    #[test]
    fn numbers_are_formatted_and_what_is_none_is_left() {
        assert_eq!(formatted_number("+14045550123"), "404-555-0123");
        assert_eq!(formatted_number("anonymous"), "anonymous");
        assert_eq!(formatted_number("+266696687"), "+266696687");
    }

    #[test]
    fn durations_and_names_read_as_in_callrail() {
        assert_eq!(formatted_duration(0), "0s");
        assert_eq!(formatted_duration(184), "3m 4s");
        assert_eq!(title_case("DOE JANE"), "Doe Jane");
    }
}
