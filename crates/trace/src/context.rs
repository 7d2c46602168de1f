//! What travels: the trace and the span that something belongs to, as W3C's Trace Context writes it.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

/// A span somewhere, which what follows from it belongs under. As text it is a `traceparent`:
/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub(crate) trace_id: NonZeroU128,
    pub(crate) span_id: NonZeroU64,
    pub(crate) is_sampled: bool,
}

/// The text is no `traceparent` of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct InvalidContext;

impl FromStr for TraceContext {
    type Err = InvalidContext;

    /// Takes exactly the form of version 00. Of the flags only whether it is sampled counts.
    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let mut fields = text.split('-');
        let mut field = |digits| hexadecimal(fields.next(), digits).ok_or(InvalidContext);
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        if version != 0 || fields.next().is_some() {
            return Err(InvalidContext);
        }
        Ok(Self {
            trace_id: NonZeroU128::new(trace_id).ok_or(InvalidContext)?,
            span_id: u64::try_from(span_id)
                .ok()
                .and_then(NonZeroU64::new)
                .ok_or(InvalidContext)?,
            is_sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            is_sampled,
        } = self;
        write!(
            f,
            "00-{trace_id:032x}-{span_id:016x}-{:02x}",
            u8::from(*is_sampled)
        )
    }
}

/// So many digits, in lower case as the standard wants them.
fn hexadecimal(text: Option<&str>, digits: usize) -> Option<u128> {
    let text = text.filter(|text| text.len() == digits)?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_the_standard_writes_is_read_and_written_the_same() {
        for text in [SAMPLED, "00-00000000000000000000000000000001-0000000000000001-00"] {
            assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
        }
        let read: TraceContext = SAMPLED.parse().unwrap();
        assert!(read.is_sampled);
        assert_eq!(read.span_id.get(), 0x00f0_67aa_0ba9_02b7);
    }

    #[test]
    fn of_the_flags_only_sampled_is_taken_on() {
        let other = SAMPLED.replace("-01", "-fe").parse::<TraceContext>().unwrap();
        assert!(other.to_string().ends_with("-00"));
    }

    #[test]
    fn whatever_else_comes_is_no_context() {
        let too_long = format!("{SAMPLED}{}", "0".repeat(100_000));
        for wrong in [
            "",
            "00",
            "---",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
            &too_long,
        ] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(InvalidContext), "{wrong:.80}");
        }
    }
}
