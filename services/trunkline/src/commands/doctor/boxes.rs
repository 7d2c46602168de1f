//! Whether our addresses stand in the right boxes of CallRail's Webhooks page. Those of others are not shown: they may
//! be secrets of theirs.

use callrail::WebhookKind;
use callrail::client::Integration;
use integration_api::webhooks::Addresses;
use serde_json::Value;

use super::Line;

const SUBJECT: &str = "addresses";

/// The lines, and whose addresses were found.
pub(super) fn boxes(integration: &Integration) -> (Vec<Line>, Vec<Addresses>) {
    let mut lines = Vec::new();
    let mut ours: Vec<Addresses> = Vec::new();
    let mut misplaced = Vec::new();
    for (key, value) in &integration.config {
        let name = box_name(key);
        for text in texts(value) {
            let (addresses, kind) = match Addresses::of_address(text) {
                None => continue,
                Some(Ok(read)) => read,
                Some(Err(error)) => {
                    lines.push(Line::wrong(
                        SUBJECT,
                        format!("in the box {name}, {text} {error}: mend it on the company's Webhooks page"),
                    ));
                    continue;
                }
            };
            if kind.config_key() != key {
                lines.push(Line::wrong(
                    SUBJECT,
                    format!(
                        "the {} address stands in the box {name}: on the company's Webhooks page, move {text} to the \
                         box {}",
                        kind.path(),
                        kind.box_name()
                    ),
                ));
                misplaced.push(text);
            }
            if !ours.contains(&addresses) {
                ours.push(addresses);
            }
        }
    }
    for addresses in &ours {
        for kind in WebhookKind::ALL {
            let ours = addresses.of(kind);
            let is_there = integration.addresses(kind).any(|text| text == ours);
            if !is_there && !misplaced.contains(&ours.as_str()) {
                lines.push(Line::wrong(
                    SUBJECT,
                    format!(
                        "the box {} lacks {ours}: run `trunkline connect`, or add it there",
                        kind.box_name()
                    ),
                ));
            }
        }
    }
    if lines.is_empty() {
        lines.extend(
            ours.iter()
                .map(|addresses| Line::ok(SUBJECT, format!("all six of {addresses} stand in their boxes"))),
        );
    }
    if lines.is_empty() {
        lines.push(Line::wrong(
            SUBJECT,
            "none of Trunkline's stands in CallRail, so no call comes: run `trunkline connect`",
        ));
    }
    (lines, ours)
}

fn box_name(config_key: &str) -> &str {
    let mut kinds = WebhookKind::ALL.into_iter();
    match kinds.find(|kind| kind.config_key() == config_key) {
        Some(kind) => kind.box_name(),
        None => config_key,
    }
}

/// A list is documented.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str();
    let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(config: Value) -> Vec<String> {
        let Value::Object(config) = config else { panic!() };
        let integration = Integration {
            id: 1,
            kind: Integration::WEBHOOKS.to_owned(),
            state: "active".to_owned(),
            config,
            signing_key: None,
        };
        let (lines, _) = boxes(&integration);
        lines.iter().map(ToString::to_string).collect()
    }

    fn all() -> Value {
        let ours = Addresses::of_installation("https://crm.example.com").unwrap();
        let boxes = WebhookKind::ALL.map(|kind| (kind.config_key().to_owned(), json!([ours.of(kind)])));
        Value::Object(boxes.into_iter().collect())
    }

    #[test]
    fn all_six_in_their_boxes_are_one_good_line_beside_the_addresses_of_others() {
        let mut config = all();
        config["sms_sent_webhook"] = json!(["https://other.example.com/hush"]);
        let lines = told(config);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("ok "), "{lines:?}");
        assert!(!lines[0].contains("hush"), "{lines:?}");
    }

    #[test]
    fn an_address_in_a_wrong_box_is_named_with_the_right_one() {
        let mut config = all();
        config["pre_call_webhook"] = config["post_call_webhook"].take();
        let lines = told(config);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("the post-call address stands in the box Pre-Call")
                && lines[0].ends_with("to the box Post-Call"),
            "{lines:?}"
        );
        assert!(lines[1].contains("the box Pre-Call lacks"), "{lines:?}");
    }

    #[test]
    fn a_misspelt_address_is_named() {
        let mut config = all();
        config["pre_call_webhook"] = json!(["https://crm.example.com/api/webhooks/callrail/precall"]);
        let lines = told(config);
        assert!(lines[0].contains("in the box Pre-Call"), "{lines:?}");
        assert!(
            lines[0].contains("/precall names no webhook of ours"),
            "{lines:?}"
        );
        assert!(lines[1].contains("the box Pre-Call lacks"), "{lines:?}");
    }

    #[test]
    fn where_nothing_of_ours_stands_that_is_the_line() {
        let lines = told(json!({"post_call_webhook": ["https://other.example.com/hush"]}));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("wrong ") && lines[0].contains("trunkline connect"),
            "{lines:?}"
        );
        assert!(!lines[0].contains("hush"), "{lines:?}");
    }
}
