//! Takes card data out of what people say and type, before anything can become durable.
//!
//! [`fields`] says which fields are searched. What is searched is read by [`numbers`] and judged by [`search`](mod@search):
//! card numbers, however they are grouped, in digits or spoken ([`card`]); near them expiry and security code; and by
//! setting bank accounts and social security numbers. Telephone numbers, dates and amounts stay.
//!
//! Lists are searched as one text, since a card number is said in several phrases; and once more for each who speaks,
//! since the other may repeat it.

mod card;
mod fields;
mod numbers;
mod search;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use callrail::{Json, Object};

use crate::phone::{PhoneNumber, Region};
use fields::Content;
use numbers::Numbers;
use search::{BANK_REMOVED, CARD_REMOVED, DETAILS_REMOVED, SOCIAL_SECURITY_REMOVED, search};

/// What is taken out besides card data, which always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redaction {
    /// Routing numbers, and account numbers that are told with a bank.
    pub bank_accounts: bool,
    /// The numbers of the United States' social security.
    pub social_security_numbers: bool,
}

/// The text names something that is not known to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of bank-accounts and social-security-numbers")]
pub struct InvalidRedaction;

impl FromStr for Redaction {
    type Err = InvalidRedaction;

    fn from_str(text: &str) -> Result<Self, InvalidRedaction> {
        let mut redaction = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "bank-accounts" => redaction.bank_accounts = true,
                "social-security-numbers" => redaction.social_security_numbers = true,
                _ => return Err(InvalidRedaction),
            }
        }
        Ok(redaction)
    }
}

const KEYPAD: &str = "keypad_entries";
const KEYPAD_REMOVED: &str = "[removed]";

/// What may stand in the place of what was removed.
const LABELS: [&str; 5] = [
    CARD_REMOVED,
    DETAILS_REMOVED,
    BANK_REMOVED,
    SOCIAL_SECURITY_REMOVED,
    KEYPAD_REMOVED,
];

/// A conversation is searched until nothing is found any more, which takes two or three rounds; never more than so
/// many, so that it takes no longer than its length.
const MAX_ROUNDS: usize = 6;

/// A text below a field that is searched.
struct FreeText<'a, 'j> {
    /// Of the member that holds it.
    name: &'a str,
    /// Who said it, if that stands beside it.
    speaker: String,
    text: &'a mut Cow<'j, str>,
}

impl Redaction {
    /// Redacts a call object, and drops the NUL characters that PostgreSQL cannot store, everywhere in it.
    /// Doing it again changes nothing.
    pub(crate) fn redact_object(self, object: &mut Object<'_>) {
        self.redact_names(object);
        for (name, value) in object.iter_mut() {
            let mut found = Vec::new();
            self.prepare(value, Content::of_field(name), (name, ""), &mut found);
            self.redact_together(&mut found);
        }
    }

    /// Redacts text of unknown shape: a body that could not be read.
    pub(crate) fn redact_text(self, text: &str) -> String {
        let text = self.with_phrases_redacted(&without_keypad_entries(text));
        self.redact_one(&text).unwrap_or(text)
    }

    /// Searches the phrases in a body of JSON as one, since their speakers and times stand between them.
    fn with_phrases_redacted(self, body: &str) -> String {
        const PHRASE: &str = "\"phrase\"";
        let mut spans = Vec::new();
        let mut at = 0;
        while let Some(found) = body[at..].find(PHRASE) {
            at += found + PHRASE.len();
            let value = body[at..].trim_start().strip_prefix(':').map(str::trim_start);
            let Some(value) = value.and_then(|value| value.strip_prefix('"')) else {
                continue;
            };
            let start = body.len() - value.len();
            at = start + end_of_value("\"", value);
            spans.push(start..at);
        }
        let phrases: Vec<&str> = spans.iter().map(|span| &body[span.clone()]).collect();
        let redacted = self.redact(&phrases);
        let mut written = String::with_capacity(body.len());
        let mut kept_to = 0;
        for (span, redacted) in spans.into_iter().zip(redacted) {
            if let Some(redacted) = redacted {
                written.push_str(&body[kept_to..span.start]);
                written.push_str(&redacted);
                kept_to = span.end;
            }
        }
        written.push_str(&body[kept_to..]);
        written
    }

    /// Looks at everything below a value: replaces what the keypad gave, and finds what is to be searched.
    fn prepare<'a, 'j>(
        self,
        value: &'a mut Json<'j>,
        content: Content,
        (name, speaker): (&'a str, &str),
        found: &mut Vec<FreeText<'a, 'j>>,
    ) {
        if content == Content::Keypad {
            if !is_empty(value) {
                *value = Json::Text(KEYPAD_REMOVED.into());
            }
            return;
        }
        if content == Content::FreeText
            && let Json::Number(number) = value
            && let Some(redacted) = self.redact_one(&number.to_string())
        {
            *value = Json::Text(redacted.into());
            return;
        }
        match value {
            Json::Text(text) => {
                if text.contains('\0') {
                    *text = text.replace('\0', "").into();
                }
                if content == Content::FreeText && !text.is_empty() {
                    let speaker = speaker.to_owned();
                    found.push(FreeText { name, speaker, text });
                }
            }
            Json::Array(values) => {
                for value in values {
                    self.prepare(value, content, (name, speaker), found);
                }
            }
            Json::Object(object) => {
                self.redact_names(object);
                let speaker = match object.get("speaker") {
                    Some(Json::Text(named)) => named.to_string(),
                    _ => speaker.to_owned(),
                };
                for (name, value) in object.iter_mut() {
                    self.prepare(value, content.of_member(name), (name, &speaker), found);
                }
            }
            _ => {}
        }
    }

    /// Names of members that are not CallRail's may hold anything, too.
    fn redact_names(self, object: &mut Object<'_>) {
        let renamed = |name: &str| {
            let redacted = if Content::is_known(name) {
                None
            } else {
                self.redact_one(name)
            };
            redacted.or_else(|| name.contains('\0').then(|| name.to_owned()))
        };
        if object.iter().all(|(name, _)| renamed(name).is_none()) {
            return;
        }
        *object = std::mem::take(object)
            .into_iter()
            .map(|(name, value)| match renamed(&name) {
                Some(renamed) => (renamed.replace('\0', "").into(), value),
                None => (name, value),
            })
            .collect();
    }

    /// Searches the texts of one name as one, and those of each speaker. What is found in one way may show what must
    /// go in the other: the agent's repetition of a card number that the caller spoke.
    fn redact_together(self, found: &mut [FreeText<'_, '_>]) {
        if found.is_empty() {
            return;
        }
        let mut of_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut of_speaker: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
        for (at, one) in found.iter().enumerate() {
            of_name.entry(one.name).or_default().push(at);
            let of_speaker = of_speaker.entry((one.name, one.speaker.clone())).or_default();
            of_speaker.push(at);
        }
        let has_speakers = of_speaker.len() > of_name.len();
        let of_speaker = of_speaker.into_values().filter(|_| has_speakers);
        let ways: Vec<Vec<usize>> = of_name.into_values().chain(of_speaker).collect();
        for _ in 0..MAX_ROUNDS {
            let mut is_changed = false;
            for members in &ways {
                let texts: Vec<&str> = members.iter().map(|at| &**found[*at].text).collect();
                let redacted = self.redact(&texts);
                for (at, redacted) in members.iter().zip(redacted) {
                    if let Some(redacted) = redacted {
                        *found[*at].text = redacted.into();
                        is_changed = true;
                    }
                }
            }
            if !is_changed || !has_speakers {
                break;
            }
        }
    }

    fn redact_one(self, text: &str) -> Option<String> {
        self.redact(&[text]).pop().flatten()
    }

    /// Searches texts as one. Gives those that change, each in its place; nothing when they hold no number at all.
    fn redact(self, texts: &[&str]) -> Vec<Option<String>> {
        let numbers = Numbers::read(texts);
        if numbers.groups.is_empty() {
            return Vec::new();
        }
        let mut redacted: Vec<Option<String>> = vec![None; texts.len()];
        let mut kept_to = vec![0; texts.len()];
        for (groups, label) in search(&numbers, self) {
            for groups in numbers.groups[groups].chunk_by(|one, next| one.text == next.text) {
                let (first, last) = (&groups[0], &groups[groups.len() - 1]);
                let text = first.text;
                let written = redacted[text].get_or_insert_default();
                written.push_str(&texts[text][kept_to[text]..first.span.start]);
                written.push_str(label);
                kept_to[text] = last.span.end;
            }
        }
        for (text, written) in redacted.iter_mut().enumerate() {
            if let Some(written) = written {
                written.push_str(&texts[text][kept_to[text]..]);
            }
        }
        redacted
    }
}

/// The telephone numbers that a text names: those of North America, and others with their country code.
pub(crate) fn telephone_numbers(text: &str) -> BTreeSet<PhoneNumber> {
    let numbers = Numbers::read(&[text]);
    let found = search::telephone_numbers(&numbers).into_iter();
    found
        .filter_map(|digits| PhoneNumber::parse(&format!("+{digits}"), Region::US).ok())
        .collect()
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Text(text) => text.is_empty(),
        Json::Array(values) => values.is_empty(),
        Json::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// Replaces in a body, be it JSON or a form, what the keypad gave.
fn without_keypad_entries(body: &str) -> String {
    let mut written = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find(KEYPAD) {
        let (before, behind) = rest.split_at(at + KEYPAD.len());
        written.push_str(before);
        rest = behind;
        // Within JSON that stands in JSON, quotes have a backslash before them.
        let sign = behind.trim_start_matches(['"', '\\', ' ', '\t', '\r', '\n']);
        let Some(value) = sign.strip_prefix([':', '=']) else {
            continue;
        };
        let value = value.trim_start();
        let quote = ["\\\"", "\""]
            .into_iter()
            .find(|quote| value.starts_with(quote))
            .unwrap_or("");
        let value = &value[quote.len()..];
        written.push_str(&behind[..behind.len() - value.len()]);
        let (value, end) = value.split_at(end_of_value(quote, value));
        rest = end;
        if value.is_empty() || value == "null" {
            written.push_str(value);
        } else if quote.is_empty() && sign.starts_with(':') {
            written.push('"');
            written.push_str(KEYPAD_REMOVED);
            written.push('"');
        } else {
            written.push_str(KEYPAD_REMOVED);
        }
    }
    written.push_str(rest);
    written
}

/// Where a value ends that stands behind this quote, or none.
fn end_of_value(quote: &str, value: &str) -> usize {
    let end = match (quote, value.chars().next()) {
        ("\"", _) => {
            let mut is_escaped = false;
            value.find(|letter| {
                let is_end = letter == '"' && !is_escaped;
                is_escaped = letter == '\\' && !is_escaped;
                is_end
            })
        }
        ("\\\"", _) => value.find("\\\""),
        (_, Some('[')) => value.find(']').map(|end| end + 1),
        (_, Some('{')) => value.find('}').map(|end| end + 1),
        _ => value.find(|c: char| matches!(c, ',' | '}' | ']' | '&') || c.is_whitespace()),
    };
    end.unwrap_or(value.len())
}

#[cfg(test)]
mod tests;
