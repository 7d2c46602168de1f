//! JSON written again as Rails, and so `CallRail`, writes it (docs/callrail.md, "Signature").

/// What becomes of the whitespace between tokens.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Spaces {
    Keep,
    Drop,
}

/// What becomes of the escapes in strings.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Escapes {
    Keep,
    AsRails,
}

/// Writes JSON again as text, without parsing it, so that the order of keys and the form of numbers stay:
/// whitespace between tokens dropped, and in strings the escapes that Rails uses.
pub(crate) fn rewrite(json: &[u8], spaces: Spaces, escapes: Escapes) -> Vec<u8> {
    let mut written = Vec::with_capacity(json.len());
    let mut in_string = false;
    let mut rest = json;
    while let [byte, after @ ..] = rest {
        match byte {
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string && spaces == Spaces::Drop => {
                rest = after;
                continue;
            }
            _ if !in_string => {}
            b'\\' => {
                rest = &after[write_escape(after, escapes, &mut written)..];
                continue;
            }
            _ if escapes == Escapes::AsRails => {
                if let Some((escape, length)) = rails_escape(rest) {
                    written.extend_from_slice(escape.as_bytes());
                    rest = &after[length - 1..];
                    continue;
                }
            }
            _ => {}
        }
        written.push(*byte);
        rest = after;
    }
    written
}

/// How Rails writes the letter at the start of a string's rest, where that differs, and how many bytes the
/// letter has.
fn rails_escape(rest: &[u8]) -> Option<(&'static str, usize)> {
    match rest {
        [b'&', ..] => Some(("\\u0026", 1)),
        [b'<', ..] => Some(("\\u003c", 1)),
        [b'>', ..] => Some(("\\u003e", 1)),
        [0xE2, 0x80, 0xA8, ..] => Some(("\\u2028", 3)),
        [0xE2, 0x80, 0xA9, ..] => Some(("\\u2029", 3)),
        _ => None,
    }
}

/// Writes one escape, given what follows its backslash, and says how many bytes of that it took. Rails writes
/// `/` and the letters outside ASCII as they are; other writers escape them.
fn write_escape(after: &[u8], escapes: Escapes, written: &mut Vec<u8>) -> usize {
    if escapes == Escapes::AsRails {
        if after.first() == Some(&b'/') {
            written.push(b'/');
            return 1;
        }
        if let Some((letter, length)) = escaped_letter(after)
            && !letter.is_ascii()
            && !matches!(letter, '\u{2028}' | '\u{2029}')
        {
            written.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            return length;
        }
    }
    written.push(b'\\');
    let taken = after.len().min(1);
    written.extend_from_slice(&after[..taken]);
    taken
}

/// The letter of `uXXXX`, or of two of them with a backslash between where it takes a surrogate pair, and its
/// length.
fn escaped_letter(after: &[u8]) -> Option<(char, usize)> {
    let unit = |escape: &[u8]| {
        let digits = escape.strip_prefix(b"u")?.get(..4)?;
        digits.iter().try_fold(0, |unit, &digit| {
            Some(unit * 16 + char::from(digit).to_digit(16)?)
        })
    };
    let first = unit(after)?;
    if let Some(letter) = char::from_u32(first) {
        return Some((letter, 5));
    }
    let second = unit(after.get(5..)?.strip_prefix(b"\\")?)?;
    if (0xD800..0xDC00).contains(&first) && (0xDC00..0xE000).contains(&second) {
        let letter = char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))?;
        return Some((letter, 11));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_that_rails_does_not_write_are_undone() {
        let theirs = "{\"a\":\"Zoë 😀 http://x \\u2028 \\u003c \\\\ \\\" \\n\"}";
        let ours = r#"{ "a" : "Zo\u00eb \uD83D\uDE00 http:\/\/x \u2028 < \\ \" \n" }"#;
        assert_eq!(
            rewrite(ours.as_bytes(), Spaces::Drop, Escapes::AsRails),
            theirs.as_bytes()
        );
        let raw = "{\"a\":\"\u{2028}\u{2029}&<>\"}";
        let escaped = br#"{"a":"\u2028\u2029\u0026\u003c\u003e"}"#;
        assert_eq!(rewrite(raw.as_bytes(), Spaces::Keep, Escapes::AsRails), escaped);
    }

    #[test]
    fn truncated_json_is_rewritten_without_harm() {
        for json in [
            "\"\\",
            "\"\\u",
            "\"\\u12",
            "\"\\ud83d",
            "\"\\ud83d\\u",
            "\"\\ud83d\\u0041\"",
            "{\"a",
        ] {
            assert_eq!(
                rewrite(json.as_bytes(), Spaces::Drop, Escapes::AsRails),
                json.as_bytes()
            );
        }
    }
}
