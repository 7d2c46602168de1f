//! Which traces are told of, in the names of OpenTelemetry.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::context::TraceContext;

/// Decides of what begins here whether it is told of, and whether what follows in other processes keeps to that.
#[derive(Clone, Debug)]
pub struct Sampling {
    beginning: Sampler,
    keeps_to_the_beginning: bool,
}

/// Name and argument are none of OpenTelemetry's samplers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSampling {
    /// `OTEL_TRACES_SAMPLER`.
    #[error(
        "must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or \
         parentbased_traceidratio"
    )]
    Name,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    #[error("must be a number from 0 to 1")]
    Ratio,
}

impl Sampling {
    /// As `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` say.
    pub fn new(name: &str, argument: Option<&str>) -> Result<Self, InvalidSampling> {
        let (keeps_to_the_beginning, name) = match name.strip_prefix("parentbased_") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let beginning = match name {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio(argument)?),
            _ => return Err(InvalidSampling::Name),
        };
        Ok(Self {
            beginning,
            keeps_to_the_beginning,
        })
    }

    /// What a stranger has told, with our decision in place of his: he may name the trace, not choose what is told of.
    pub(crate) fn adopt(&self, told: TraceContext) -> TraceContext {
        let trace_id = TraceId::from(told.trace_id.get());
        let result = self
            .beginning
            .should_sample(None, trace_id, "", &SpanKind::Server, &[], &[]);
        TraceContext {
            is_sampled: result.decision == SamplingDecision::RecordAndSample,
            ..told
        }
    }
}

fn ratio(argument: Option<&str>) -> Result<f64, InvalidSampling> {
    let ratio: f64 = argument
        .unwrap_or("1")
        .trim()
        .parse()
        .map_err(|_| InvalidSampling::Ratio)?;
    let fits = (0.0..=1.0).contains(&ratio);
    fits.then_some(ratio).ok_or(InvalidSampling::Ratio)
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let before = parent.map(|context| context.span().span_context().clone());
        let before = before.filter(SpanContext::is_valid);
        let decided = match before {
            Some(before) if self.keeps_to_the_beginning => Some(before.is_sampled()),
            // A batch begins a trace of its own: it is told of whenever something in it is.
            None if !links.is_empty() => Some(links.iter().any(|link| link.span_context.is_sampled())),
            _ => None,
        };
        let Some(is_sampled) = decided else {
            return self
                .beginning
                .should_sample(parent, trace_id, name, kind, attributes, links);
        };
        SamplingResult {
            decision: if is_sampled {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(trace_id: u128, is_sampled: bool) -> TraceContext {
        let flags = u8::from(is_sampled);
        format!("00-{trace_id:032x}-0000000000000001-{flags:02x}")
            .parse()
            .unwrap()
    }

    #[test]
    fn opentelemetry_s_names_are_taken_and_others_not() {
        for (name, argument) in [
            ("always_on", None),
            ("always_off", Some("of no meaning")),
            ("traceidratio", Some("0.25")),
            ("parentbased_always_on", None),
            ("parentbased_traceidratio", None),
        ] {
            assert!(Sampling::new(name, argument).is_ok(), "{name}");
        }
        for name in ["", "ALWAYS_ON", "jaeger_remote", "parentbased_"] {
            assert_eq!(
                Sampling::new(name, None).unwrap_err(),
                InvalidSampling::Name,
                "{name}"
            );
        }
        for ratio in ["", "-0.1", "1.1", "NaN", "half"] {
            let sampling = Sampling::new("traceidratio", Some(ratio));
            assert_eq!(sampling.unwrap_err(), InvalidSampling::Ratio, "{ratio}");
        }
    }

    #[test]
    fn a_stranger_does_not_choose_what_is_told_of() {
        let on = Sampling::new("parentbased_always_on", None).unwrap();
        let off = Sampling::new("parentbased_always_off", None).unwrap();
        assert_eq!(on.adopt(told(1, false)), told(1, true));
        assert_eq!(off.adopt(told(1, true)), told(1, false));
    }

    #[test]
    fn a_ratio_takes_about_that_share_of_strangers_traces() {
        let tenth = Sampling::new("parentbased_traceidratio", Some("0.1")).unwrap();
        // Spread over all the bits that the ratio looks at.
        let ids =
            (1..=10_000_u128).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let taken = ids.filter(|id| tenth.adopt(told(*id, true)).is_sampled).count();
        assert!((900..1_100).contains(&taken), "{taken}");
    }
}
