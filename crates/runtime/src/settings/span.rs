//! Spans of time, as people write them into settings.

use std::str::FromStr;
use std::time::Duration;

/// A span of time as people write it: `500ms`, `10s`, `1m`, `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Several of them, comma-separated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans(pub Vec<Duration>);

/// The text is no span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a span of time such as 500ms, 10s, 1m or 2h")]
pub struct InvalidSpan;

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let text = text.trim();
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidSpan)?;
        let number: u64 = text[..unit_at].parse().map_err(|_| InvalidSpan)?;
        let milliseconds = match &text[unit_at..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(InvalidSpan),
        };
        number
            .checked_mul(milliseconds)
            .map(Duration::from_millis)
            .map(Self)
            .ok_or(InvalidSpan)
    }
}

impl FromStr for Spans {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        text.split(',')
            .map(|part| Ok(part.parse::<Span>()?.0))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let ladder: Spans = "500ms, 10s,1m,2h".parse().unwrap();
        let milliseconds: Vec<u128> = ladder.0.iter().map(Duration::as_millis).collect();
        assert_eq!(milliseconds, [500, 10_000, 60_000, 7_200_000]);
        for wrong in [
            "",
            "10",
            "s",
            "1d",
            "-1s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(wrong.parse::<Span>(), Err(InvalidSpan), "{wrong}");
        }
    }
}
