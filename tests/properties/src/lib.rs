//! What holds for whatever bytes come in from outside: each function panics when it does not. The tests beside this
//! try them with damaged samples in every `./test`; the targets in `fuzz/` search for as long as they are given.

#![allow(clippy::expect_used, reason = "a property that does not hold is a panic")]

use callrail::client::{CallPage, Usage};
use callrail::{Object, SigningKey, SigningKeys, parse_object, sign};
use calls::{
    CallEvent, CompanyId, EventKind, Origin, PhoneNumber, QuarantinedDelivery, Reading, Receipt, Redaction,
    Region, from_callrail,
};
use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

const KEY: &str = "acaf626921611a05ae1cd72084464653";

/// All is taken out that can be.
const READING: Reading = Reading {
    region: Region::US,
    redaction: Redaction {
        bank_accounts: true,
        social_security_numbers: true,
    },
};

/// All that an event may be of.
const KINDS: [EventKind; 7] = [
    EventKind::PreCall,
    EventKind::RoutingComplete,
    EventKind::PostCall,
    EventKind::CallModified,
    EventKind::OutboundPostCall,
    EventKind::OutboundCallModified,
    EventKind::Import,
];

/// The body of a webhook becomes an event of whatever kind its URL names, or is refused. An event survives its way
/// through a queue, and was redacted to the end: reading its object again comes to the same.
///
/// # Panics
/// When that does not hold.
pub fn webhook_body(body: &[u8]) {
    if let Ok(object) = parse_object(body) {
        for kind in KINDS {
            call_object(object.clone(), kind);
        }
    }
}

/// A signature is taken exactly when it is that of the body: whatever stands in the header.
/// The bytes are the header, a line end, and the body.
///
/// # Panics
/// When that does not hold.
pub fn signature_header(bytes: &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (header, body) = bytes.split_at(end);
    let keys = SigningKeys::parse(KEY).expect("the key is one");
    let right = sign(&SigningKey::parse(KEY).expect("the key is one"), body);
    assert_eq!(keys.verify([header], body).is_ok(), header == right.as_bytes());
    assert!(keys.verify([header, right.as_bytes()], body).is_ok());
}

/// What is read as a telephone number is E.164, and is itself read as the same, whatever the region.
///
/// # Panics
/// When that does not hold.
pub fn phone_number(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let regions = ["US", "GB", "DE"].map(|region| region.parse::<Region>().expect("the region is one"));
    for region in regions {
        let Ok(number) = PhoneNumber::parse(&text, region) else {
            continue;
        };
        let digits = number.as_str().strip_prefix('+').expect("a number begins with +");
        assert!((2..=15).contains(&digits.len()), "{number:?}");
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{number:?}");
        for region in regions {
            assert_eq!(PhoneNumber::parse(number.as_str(), region).as_ref(), Ok(&number));
        }
    }
}

/// A message of a queue is an event that survives being written again, or is refused.
///
/// # Panics
/// When that does not hold.
pub fn call_event(message: &[u8]) {
    if let Ok(event) = CallEvent::decode(message) {
        survives_its_way(&event);
    }
}

/// What is kept of an unreadable body is redacted to the end, survives its way, and may be tried again.
///
/// # Panics
/// When that does not hold.
pub fn quarantined_body(body: &[u8]) {
    let keep =
        |body: &[u8]| QuarantinedDelivery::new(None, DateTime::UNIX_EPOCH, None, body, READING.redaction);
    let kept = keep(body);
    assert_eq!(keep(kept.text.as_bytes()).text, kept.text);
    assert_eq!(
        QuarantinedDelivery::decode(&kept.encode()).ok().as_ref(),
        Some(&kept)
    );
    let _ = kept.read_again(Uuid::nil(), READING);
}

/// A page of CallRail's API is read or refused as a whole, and each of its calls alone.
///
/// # Panics
/// When that does not hold.
pub fn import_page(body: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let Ok(page) = CallPage::from_json(json, Usage::default()) else {
        return;
    };
    for call in page.calls {
        if let Value::Object(object) = call {
            call_object(Object::from(&object), EventKind::Import);
        }
    }
}

fn call_object(object: Object<'_>, kind: EventKind) {
    let read = |object| from_callrail(object, receipt(kind), READING);
    let Ok(event) = read(object) else {
        return;
    };
    survives_its_way(&event);
    let kept = parse_object(event.raw.as_str().as_bytes()).expect("what is kept is an object");
    let again = read(kept).expect("what was read once is read again");
    assert_eq!(again, event);
}

fn survives_its_way(event: &CallEvent) {
    let decoded = CallEvent::decode(&event.encode()).expect("what was written is read");
    assert_eq!(&decoded, event);
    assert_eq!(decoded.digest(), event.digest());
}

fn receipt(kind: EventKind) -> Receipt {
    Receipt {
        event_id: Uuid::nil(),
        kind,
        origin: Origin::Webhook,
        observed_at: DateTime::UNIX_EPOCH,
        import_id: None,
        company: CompanyId::parse("COM1").ok(),
    }
}
