//! The properties hold for the samples, and for the samples as no sender would have them.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::path::Path;

use properties::{call_event, import_page, phone_number, quarantined_body, signature_header, webhook_body};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The files of a folder in `tests/data`.
fn samples(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(folder);
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    files.collect()
}

/// A sample with some of its bytes replaced, and perhaps cut.
fn damaged(folder: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let damage = vec((any::<Index>(), any::<u8>()), 0..4);
    (
        select(samples(folder)),
        damage,
        prop::option::weighted(0.2, any::<Index>()),
    )
        .prop_map(|(mut sample, damage, end)| {
            for (place, byte) in damage {
                let place = place.index(sample.len());
                sample[place] = byte;
            }
            if let Some(end) = end {
                sample.truncate(end.index(sample.len()));
            }
            sample
        })
}

/// Bytes as they are, and words of those who write telephone numbers and cards.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let words = select(vec![
        "+1", "(404)", "555-0123", "4111", "1111", "x12", "four", "double", "cvv", "12/27", " ", "-", ".",
        "\n", "é", "٤",
    ]);
    let of_words = vec(words, 0..12).prop_map(|words| words.concat().into_bytes());
    prop_oneof![
        vec(any::<u8>(), 0..64),
        of_words,
        "\\PC{0,40}".prop_map(String::into_bytes)
    ]
}

#[test]
fn the_samples_have_every_property() {
    for sample in samples("webhooks").iter().chain(&samples("api")) {
        webhook_body(sample);
        import_page(sample);
        quarantined_body(sample);
        call_event(sample);
    }
}

proptest! {
    #[test]
    fn a_damaged_webhook_is_read_or_refused(body in damaged("webhooks")) {
        webhook_body(&body);
        quarantined_body(&body);
        signature_header(&body);
    }

    #[test]
    fn a_damaged_page_is_read_or_refused(body in damaged("api")) {
        import_page(&body);
    }

    #[test]
    fn whatever_somebody_writes_is_read_or_refused(text in text()) {
        phone_number(&text);
        quarantined_body(&text);
        signature_header(&text);
        webhook_body(&text);
    }
}
