//! Spans: what was done for whom, from when to when.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::time::SystemTime;

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use uuid::Uuid;

use crate::context::TraceContext;
use crate::sampling::Sampling;

/// Begins spans, or does nothing. Cheap to clone. A trace begins with a webhook only: what belongs to no trace gets no
/// span.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<On>);

#[derive(Clone, Debug)]
struct On {
    tracer: SdkTracer,
    sampling: Sampling,
}

/// Which side of a conversation a span tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something within the process.
    Internal,
    /// A request that was answered.
    Server,
    /// A request to another.
    Client,
    /// A message that was published.
    Producer,
    /// A message that was worked on.
    Consumer,
}

/// What a span may say. No text that comes from outside can be said: spans leave the house, and must name nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word of ours.
    Word(&'static str),
    /// How many.
    Number(usize),
    /// An id of ours.
    Id(Uuid),
}

/// Something that is done. Ends when it is dropped.
#[derive(Default)]
pub struct Span {
    /// What this belongs under.
    parent: Option<TraceContext>,
    /// Boxed, since it goes with each message and mostly is not there.
    told: Option<Box<Told>>,
}

struct Told {
    span: opentelemetry_sdk::trace::Span,
    on: On,
}

impl Tracer {
    pub(crate) fn new(tracer: SdkTracer, sampling: Sampling) -> Self {
        Self(Some(On { tracer, sampling }))
    }

    /// Whether spans are told of at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a trace with something that came from outside at `since`. `told` is what the stranger belongs to: its
    /// names are taken on, its decision whether to tell of it is not.
    pub fn begin_trace(
        &self,
        name: fmt::Arguments<'_>,
        since: impl Into<SystemTime>,
        told: Option<TraceContext>,
    ) -> Span {
        let Some(on) = &self.0 else {
            return Span::default();
        };
        let builder = builder(name, Kind::Server).with_start_time(since);
        on.begin(builder, told.map(|told| on.sampling.adopt(told)))
    }

    /// Begins a span of the trace that `parent` belongs to. Without one there is nothing to tell.
    pub fn begin(&self, name: fmt::Arguments<'_>, kind: Kind, parent: Option<TraceContext>) -> Span {
        match (&self.0, parent) {
            (Some(on), Some(_)) => on.begin(builder(name, kind), parent),
            _ => Span { parent, told: None },
        }
    }

    /// Begins the span of what is done together for messages of several traces: a trace of its own, which links to them.
    pub fn begin_batch(
        &self,
        name: fmt::Arguments<'_>,
        messages: impl Iterator<Item = TraceContext>,
    ) -> Span {
        let Some(on) = &self.0 else {
            return Span::default();
        };
        let links: Vec<Link> = messages
            .map(|context| Link::with_context(to_span_context(context)))
            .collect();
        if links.is_empty() {
            return Span::default();
        }
        on.begin(builder(name, Kind::Internal).with_links(links), None)
    }

    /// The same as [`begin`](Self::begin) for a message that is worked on together with others.
    pub fn begin_in_batch(
        &self,
        name: fmt::Arguments<'_>,
        kind: Kind,
        parent: Option<TraceContext>,
        batch: &Span,
    ) -> Span {
        match (&self.0, parent, batch.context()) {
            (Some(on), Some(_), Some(batch)) => {
                let link = Link::with_context(to_span_context(batch));
                on.begin(builder(name, kind).with_links(vec![link]), parent)
            }
            _ => self.begin(name, kind, parent),
        }
    }
}

impl On {
    fn begin(&self, builder: SpanBuilder, parent: Option<TraceContext>) -> Span {
        let around = Context::new();
        let around = match parent {
            Some(parent) => around.with_remote_span_context(to_span_context(parent)),
            None => around,
        };
        Span {
            parent,
            told: Some(Box::new(Told {
                span: self.tracer.build_with_context(builder, &around),
                on: self.clone(),
            })),
        }
    }
}

impl Span {
    /// What follows from this belongs under. Where no spans are told of, what this belongs under itself.
    pub fn context(&self) -> Option<TraceContext> {
        let of_this = |told: &Told| from_span_context(told.span.span_context());
        match &self.told {
            Some(told) => of_this(told).or(self.parent),
            None => self.parent,
        }
    }

    /// Begins a span under this one.
    #[must_use]
    pub fn child(&self, name: fmt::Arguments<'_>, kind: Kind) -> Span {
        let parent = self.context();
        match &self.told {
            Some(told) => told.on.begin(builder(name, kind), parent),
            None => Span { parent, told: None },
        }
    }

    /// Says something about it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(told) = &mut self.told {
            told.span.set_attribute(attribute(name, value.into()));
        }
    }

    /// Says which call it is about, by CallRail's id: no other text may be given.
    pub fn set_call(&mut self, id: &impl fmt::Display) {
        if let Some(told) = &mut self.told {
            told.span.set_attribute(KeyValue::new("call.id", id.to_string()));
        }
    }

    /// It came to nothing. Why, is in the log: reasons may quote what they were about.
    pub fn fail(&mut self) {
        if let Some(told) = &mut self.told {
            told.span.set_status(Status::error(""));
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.context()).finish()
    }
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

fn attribute(name: &'static str, value: Value) -> KeyValue {
    match value {
        Value::Word(word) => KeyValue::new(name, word),
        Value::Number(number) => KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX)),
        Value::Id(id) => KeyValue::new(name, id.to_string()),
    }
}

fn builder(name: fmt::Arguments<'_>, kind: Kind) -> SpanBuilder {
    let kind = match kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    };
    SpanBuilder::from_name(name.to_string()).with_kind(kind)
}

fn to_span_context(context: TraceContext) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(context.is_sampled);
    SpanContext::new(
        context.trace_id.get().into(),
        context.span_id.get().into(),
        flags,
        true,
        TraceState::default(),
    )
}

/// `None` when telling has ended: then spans have no names any more.
fn from_span_context(context: &SpanContext) -> Option<TraceContext> {
    Some(TraceContext {
        trace_id: NonZeroU128::new(u128::from_be_bytes(context.trace_id().to_bytes()))?,
        span_id: NonZeroU64::new(u64::from_be_bytes(context.span_id().to_bytes()))?,
        is_sampled: context.is_sampled(),
    })
}
