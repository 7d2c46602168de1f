//! Says why a signature does not hold, for a person who has key, signature and body at hand
//! (docs/callrail.md, "Signature").

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::rails_json::{Escapes, Spaces, rewrite};
use crate::signature::{SIGNATURE_LENGTH, SigningKey, decode};

/// What [`diagnose`] found. `Display` says it in a sentence or two, with what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diagnosis {
    /// The signature holds for exactly these bytes.
    Genuine,
    /// It holds without the line break (or breaks) at the end of the body.
    TrailingNewline,
    /// It holds with a line break more at the end.
    MissingTrailingNewline,
    /// It holds without the byte order mark at the start.
    ByteOrderMark,
    /// It holds with `\n` where the body has `\r\n`.
    LineEndings,
    /// It holds for the same JSON written as `CallRail` writes it: the body was parsed and written again.
    Reserialised,
    /// It holds with whitespace around the key: the sender's key was read with it.
    KeyWithWhitespace,
    /// It holds with the hex-decoded key, which `CallRail` never uses.
    KeyHexDecoded,
    /// It cannot be a signature of `CallRail`'s, whatever key and body; the text says why.
    NotASignature(&'static str),
    /// None of the usual mistakes: another key made it, or the body differs.
    WrongKeyOrChangedBody,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences = match self {
            Self::Genuine => "The signature is genuine: this key made it for exactly these bytes.",
            Self::TrailingNewline => {
                "The key is right, but the body has a line break at its end that was not signed. \
                 Save it without one (printf '%s', not echo; many editors add one)."
            }
            Self::MissingTrailingNewline => {
                "The key is right, but the signed body had a line break at its end that is missing here. \
                 Keep the request body as it was sent."
            }
            Self::ByteOrderMark => {
                "The key is right, but the body starts with a byte order mark that was not signed. \
                 Save it as UTF-8 without one."
            }
            Self::LineEndings => {
                "The key is right, but line breaks were turned into \\r\\n on the way. \
                 Move the body as binary data."
            }
            Self::Reserialised => {
                "The key is right, but the JSON was parsed and written again: spaces or escapes such as \\u0026 \
                 differ. Hand on the bytes of the request body as they came."
            }
            Self::KeyWithWhitespace => {
                "The sender's key has whitespace around it, probably the line break at the end of a file. \
                 Trim the key there."
            }
            Self::KeyHexDecoded => {
                "The sender decoded the key from hexadecimal before use; CallRail does not, so this is another sender. \
                 Use the key as the text it is."
            }
            Self::NotASignature(reason) => {
                return write!(formatter, "This is not a CallRail signature: {reason}.");
            }
            Self::WrongKeyOrChangedBody => {
                "Either another key made the signature or the body was changed. Compare the key with the one on the \
                 Webhooks page of the same company in CallRail, and use the bytes of the request body as they came."
            }
        };
        formatter.write_str(sentences)
    }
}

/// Finds out why `signature`, the value of the header, does or does not hold for `body` under `key`.
///
/// Tries the exact bytes first, then the mistakes people make with body and key, one at a time and the usual
/// ones together. For a person at a terminal: a receiver asks [`crate::SigningKeys::verify`].
pub fn diagnose(key: &SigningKey, signature: &str, body: &[u8]) -> Diagnosis {
    let Some(signature) = decode(signature.as_bytes()) else {
        return Diagnosis::NotASignature(why_not_a_signature(signature));
    };
    let holds = |key: &[u8], body: &[u8]| {
        Hmac::<Sha1>::new_from_slice(key)
            .is_ok_and(|hmac| hmac.chain_update(body).verify_slice(&signature).is_ok())
    };
    let secret = key.secret();
    if holds(secret, body) {
        return Diagnosis::Genuine;
    }
    if let Some((diagnosis, _)) = other_bodies(body)
        .into_iter()
        .find(|(_, body)| holds(secret, body))
    {
        return diagnosis;
    }
    if let Ok(decoded) = hex::decode(secret)
        && holds(&decoded, body)
    {
        return Diagnosis::KeyHexDecoded;
    }
    let padded = [("", "\n"), ("", "\r\n"), ("", " "), (" ", "")]
        .map(|(before, after)| [before.as_bytes(), secret, after.as_bytes()].concat());
    if padded.iter().any(|secret| holds(secret, body)) {
        return Diagnosis::KeyWithWhitespace;
    }
    Diagnosis::WrongKeyOrChangedBody
}

/// The bodies that may have been signed instead, the likelier first.
fn other_bodies(body: &[u8]) -> Vec<(Diagnosis, Vec<u8>)> {
    let without_mark = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let unix = without_carriage_returns(without_mark);
    let bare = without_final_breaks(&unix).to_vec();
    let one_break_less = body
        .strip_suffix(b"\n")
        .map_or(body, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    vec![
        (Diagnosis::TrailingNewline, one_break_less.to_vec()),
        (Diagnosis::TrailingNewline, without_final_breaks(body).to_vec()),
        (Diagnosis::MissingTrailingNewline, [body, b"\n"].concat()),
        (Diagnosis::MissingTrailingNewline, [body, b"\r\n"].concat()),
        (Diagnosis::ByteOrderMark, without_mark.to_vec()),
        (
            Diagnosis::ByteOrderMark,
            without_final_breaks(without_mark).to_vec(),
        ),
        (Diagnosis::LineEndings, unix),
        (Diagnosis::LineEndings, bare.clone()),
        (
            Diagnosis::Reserialised,
            rewrite(&bare, Spaces::Drop, Escapes::Keep),
        ),
        (
            Diagnosis::Reserialised,
            rewrite(&bare, Spaces::Keep, Escapes::AsRails),
        ),
        (
            Diagnosis::Reserialised,
            rewrite(&bare, Spaces::Drop, Escapes::AsRails),
        ),
    ]
}

fn without_final_breaks(mut body: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r'] = body {
        body = rest;
    }
    body
}

fn without_carriage_returns(body: &[u8]) -> Vec<u8> {
    let mut unix = Vec::with_capacity(body.len());
    for (index, &byte) in body.iter().enumerate() {
        if byte != b'\r' || body.get(index + 1) != Some(&b'\n') {
            unix.push(byte);
        }
    }
    unix
}

fn why_not_a_signature(text: &str) -> &'static str {
    let trimmed = text.trim();
    let length = |bytes: Result<Vec<u8>, base64::DecodeError>| bytes.ok().map(|bytes| bytes.len());
    if trimmed.is_empty() {
        return "it is empty";
    }
    // Hexadecimal first: it is readable as base64 too.
    if let Ok(bytes) = hex::decode(trimmed) {
        match bytes.len() {
            SIGNATURE_LENGTH => return "it is hexadecimal, and CallRail sends base64",
            32 => return "it is a SHA-256 in hexadecimal, and CallRail sends an HMAC-SHA1 in base64",
            _ => {}
        }
    }
    if length(STANDARD.decode(trimmed)) == Some(SIGNATURE_LENGTH) {
        return "it has whitespace around it; pass the value alone";
    }
    if length(STANDARD.decode(trimmed)) == Some(32) {
        return "it has 32 bytes as a SHA-256 has, and CallRail sends an HMAC-SHA1, which has 20";
    }
    if trimmed.contains(['=', ':']) && trimmed.to_ascii_lowercase().starts_with("sha") {
        return "it names its algorithm in front, and CallRail sends the base64 alone";
    }
    if [STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .any(|other| length(other.decode(trimmed)) == Some(SIGNATURE_LENGTH))
    {
        return "it is base64 without padding or of the URL-safe kind, and CallRail sends the standard kind";
    }
    if STANDARD.decode(trimmed).is_ok() {
        return "it is base64, but not of 20 bytes";
    }
    "it is not base64"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::sign;

    const KEY: &str = "072e77e426f92738a72fe23c4d1953b4";

    /// A body as `CallRail` writes it, and its signature.
    fn sample() -> (SigningKey, Vec<u8>, String) {
        let body = include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/webhooks/call_modified_transcription.json"
        ));
        let key = SigningKey::parse(KEY).unwrap();
        let signature = sign(&key, body);
        (key, body.to_vec(), signature)
    }

    /// The same JSON as people's tools write it: on many lines, and without the escapes that JSON does not
    /// need.
    fn pretty(json: &[u8]) -> Vec<u8> {
        let mut written = String::new();
        let mut in_string = false;
        for letter in std::str::from_utf8(json).unwrap().replace("\\u0026", "&").chars() {
            in_string ^= letter == '"';
            match letter {
                ',' | '{' | '[' if !in_string => written.extend([letter, '\n', ' ', ' ']),
                ':' if !in_string => written.push_str(": "),
                _ => written.push(letter),
            }
        }
        written.into_bytes()
    }

    #[test]
    fn the_exact_bytes_are_genuine() {
        let (key, body, signature) = sample();
        assert_eq!(diagnose(&key, &signature, &body), Diagnosis::Genuine);
    }

    #[test]
    fn a_line_break_more_or_less_at_the_end_is_named() {
        let (key, body, signature) = sample();
        for end in ["\n", "\r\n", "\n\n"] {
            let saved = [&body, end.as_bytes()].concat();
            assert_eq!(diagnose(&key, &signature, &saved), Diagnosis::TrailingNewline);
        }
        for end in ["\n", "\r\n"] {
            let signature = sign(&key, &[&body, end.as_bytes()].concat());
            assert_eq!(
                diagnose(&key, &signature, &body),
                Diagnosis::MissingTrailingNewline
            );
        }
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        let (key, body, signature) = sample();
        let saved = [b"\xEF\xBB\xBF", &body[..]].concat();
        assert_eq!(diagnose(&key, &signature, &saved), Diagnosis::ByteOrderMark);
    }

    #[test]
    fn changed_line_breaks_are_named() {
        let (key, ..) = sample();
        let signature = sign(&key, b"{\n\"a\":1}\n");
        assert_eq!(
            diagnose(&key, &signature, b"{\r\n\"a\":1}\r\n"),
            Diagnosis::LineEndings
        );
    }

    #[test]
    fn a_pretty_printed_body_is_reserialised() {
        let (key, body, signature) = sample();
        let printed = pretty(&body);
        assert_ne!(printed, body);
        assert_eq!(diagnose(&key, &signature, &printed), Diagnosis::Reserialised);
    }

    #[test]
    fn a_body_minified_again_without_rails_escapes_is_reserialised() {
        let (key, body, signature) = sample();
        let minified = rewrite(&pretty(&body), Spaces::Drop, Escapes::Keep);
        assert_eq!(
            minified,
            String::from_utf8(body)
                .unwrap()
                .replace("\\u0026", "&")
                .as_bytes()
        );
        assert_eq!(diagnose(&key, &signature, &minified), Diagnosis::Reserialised);
    }

    #[test]
    fn a_body_that_only_lost_its_spaces_or_escapes_is_reserialised() {
        let (key, body, signature) = sample();
        let unescaped = String::from_utf8(body).unwrap().replace("\\u0026", "&");
        assert_eq!(
            diagnose(&key, &signature, unescaped.as_bytes()),
            Diagnosis::Reserialised
        );
    }

    #[test]
    fn mistakes_with_the_key_are_named() {
        let (key, body, _) = sample();
        let signed_with = |secret: &[u8]| {
            STANDARD.encode(
                Hmac::<Sha1>::new_from_slice(secret)
                    .unwrap()
                    .chain_update(&body)
                    .finalize()
                    .into_bytes(),
            )
        };
        let newline = signed_with(format!("{KEY}\n").as_bytes());
        assert_eq!(diagnose(&key, &newline, &body), Diagnosis::KeyWithWhitespace);
        let decoded = signed_with(&hex::decode(KEY).unwrap());
        assert_eq!(diagnose(&key, &decoded, &body), Diagnosis::KeyHexDecoded);
        let other = signed_with(b"another");
        assert_eq!(diagnose(&key, &other, &body), Diagnosis::WrongKeyOrChangedBody);
    }

    #[test]
    fn what_is_no_signature_is_told_by_its_form() {
        let (key, body, signature) = sample();
        let hexadecimal = hex::encode(decode(signature.as_bytes()).unwrap());
        for (value, word) in [
            ("", "empty"),
            (hexadecimal.as_str(), "hexadecimal"),
            (&"ab".repeat(32), "SHA-256"),
            (&STANDARD.encode([7; 32]), "SHA-256"),
            (&format!("sha1={hexadecimal}"), "algorithm"),
            (&format!(" {signature}\n"), "whitespace"),
            (signature.trim_end_matches('='), "padding"),
            ("AAAA", "not of 20 bytes"),
            ("ümlaut", "not base64"),
        ] {
            let diagnosis = diagnose(&key, value, &body);
            assert!(
                matches!(diagnosis, Diagnosis::NotASignature(_)),
                "{value:?} gave {diagnosis:?}"
            );
            assert!(diagnosis.to_string().contains(word), "{value:?} gave {diagnosis}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_gets_a_diagnosis(
            signature in ".*",
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
        ) {
            let (key, ..) = sample();
            let _ = diagnose(&key, &signature, &body).to_string();
            let genuine = sign(&key, &body);
            assert_eq!(diagnose(&key, &genuine, &body), Diagnosis::Genuine);
        }

        #[test]
        fn rewriting_any_text_ends(text in r#"[\\"u0d8a-f&<{ é]*"#) {
            let (key, _, signature) = sample();
            let _ = diagnose(&key, &signature, text.as_bytes());
        }
    }
}
