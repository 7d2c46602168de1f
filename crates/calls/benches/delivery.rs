//! What a delivery costs between its receipt and its row: `cargo bench --package calls`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without them, and what is measured must work"
)]

use std::hint::black_box;

use callrail::{SigningKeys, parse_object, sign};
use calls::{
    CallEvent, CallState, EventKind, MatchRules, Origin, People, Reading, Receipt, Region, Retention, apply,
    from_callrail,
};
use chrono::Utc;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use uuid::Uuid;

const POST_CALL: &[u8] = include_bytes!("../../../tests/data/webhooks/post_call_answered.json");

fn receipt() -> Receipt {
    Receipt {
        event_id: Uuid::now_v7(),
        kind: EventKind::PostCall,
        origin: Origin::Webhook,
        observed_at: Utc::now(),
        import_id: None,
        company: None,
    }
}

fn event() -> CallEvent {
    let object = parse_object(POST_CALL).unwrap();
    from_callrail(object, receipt(), Reading::from(Region::US)).unwrap()
}

fn accepting(bench: &mut Criterion) {
    let key: SigningKeys = "072e77e426f92738a72fe23c4d1953b4".parse().unwrap();
    let signature = sign(key.iter().next().unwrap(), POST_CALL);
    bench.bench_function("verify the signature", |bench| {
        bench.iter(|| key.verify([&signature], black_box(POST_CALL)).is_ok());
    });
    bench.bench_function("parse the body", |bench| {
        bench.iter(|| parse_object(black_box(POST_CALL)).unwrap());
    });
    let object = parse_object(POST_CALL).unwrap();
    bench.bench_function("redact and normalise", |bench| {
        bench.iter_batched(
            || object.clone(),
            |object| from_callrail(object, receipt(), Reading::from(Region::US)).unwrap(),
            BatchSize::SmallInput,
        );
    });
    let event = event();
    bench.bench_function("encode the event", |bench| {
        bench.iter(|| black_box(&event).encode());
    });
}

fn writing(bench: &mut Criterion) {
    let body = event().encode();
    bench.bench_function("decode the event", |bench| {
        bench.iter(|| CallEvent::decode(black_box(&body)).unwrap());
    });
    let event = event();
    bench.bench_function("name the content", |bench| {
        bench.iter(|| black_box(&event).digest());
    });
    let people = People::default();
    let (rules, retention) = (MatchRules::default(), Retention::default());
    bench.bench_function("apply to a new call", |bench| {
        bench.iter_batched(
            || CallState::new(event.call.call_sid.clone()),
            |state| {
                let events = std::slice::from_ref(&event);
                apply(
                    state,
                    events,
                    Some(&people),
                    &rules,
                    &retention,
                    event.observed_at,
                )
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, accepting, writing);
criterion_main!(benches);
