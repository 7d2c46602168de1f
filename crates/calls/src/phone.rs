//! Telephone numbers: one parser for both sides of every comparison.

use std::fmt;
use std::str::FromStr;

use phonenumber::country;
use serde::{Deserialize, Serialize};

/// A telephone number in E.164 form (ITU-T E.164: `+`, country code, national number, 15 digits at most).
///
/// Two numbers are the same line exactly when they are equal: an extension is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

/// The text is not a telephone number that anybody could call. Holds no part of it: it may be personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a telephone number")]
pub struct UnreadableNumber;

/// No number that people write is longer; what is longer is not looked at.
const MAX_TEXT: usize = 64;

/// A plus and 15 digits (E.164). Some plans in the library allow longer ones.
const MAX_E164: usize = 16;

/// What Twilio-based systems send for a withheld number: the word spelt on a keypad, and the words themselves.
/// See `docs/callrail.md`, "Withheld numbers".
const WITHHELD: [&str; 11] = [
    "+266696687",
    "+7378742833",
    "+2562533",
    "+8656696",
    "+86282452253",
    "anonymous",
    "restricted",
    "blocked",
    "unknown",
    "unavailable",
    "private",
];

impl PhoneNumber {
    /// Reads a number as people and systems write it: `(404) 555-0123`, `404.555.0123`, `+1 404 555 0123`,
    /// `4045550123 x12`. A number without a country code is one of `region`.
    pub fn parse(text: &str, region: Region) -> Result<Self, UnreadableNumber> {
        let text = text.trim();
        if text.len() > MAX_TEXT || is_withheld(text) {
            return Err(UnreadableNumber);
        }
        if is_north_american_e164(text) {
            return Ok(Self(text.to_owned()));
        }
        let number = read(text, region).ok_or(UnreadableNumber)?;
        // In North America the numbering plan itself is the rule: the library's list of area codes is always a
        // little older than the newest area code.
        let e164 = format!("+{}{}", number.country().code(), number.national());
        if number.country().code() == 1 {
            return if is_north_american_e164(&e164) {
                Ok(Self(e164))
            } else {
                Err(UnreadableNumber)
            };
        }
        let written =
            |number: &phonenumber::PhoneNumber| number.format().mode(phonenumber::Mode::E164).to_string();
        let e164 = written(&number);
        // The library makes a number of some texts that it does not take for one itself.
        let again = phonenumber::parse(None, &e164);
        let is_one = again.is_ok_and(|again| again.is_valid() && written(&again) == e164);
        if !is_one || e164.len() > MAX_E164 {
            return Err(UnreadableNumber);
        }
        Ok(Self(e164))
    }

    /// The number, `+` and digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads with the library. Where it is told a region it takes that region's national prefix off the numbers of all
/// countries, so that `+49 171 1234567` would become a number in Stuttgart: a number that names its country is read
/// without one.
fn read(text: &str, region: Region) -> Option<phonenumber::PhoneNumber> {
    let first = text.find(|c: char| "+＋".contains(c) || c.is_ascii_digit());
    if first.is_some_and(|at| text[at..].starts_with(['+', '＋'])) {
        return phonenumber::parse(None, text).ok();
    }
    let number = phonenumber::parse(Some(region.0), text).ok()?;
    let code = number.code().value();
    // The 1 of North America could not be told from those of 011 below.
    if number.code().source() != country::Source::Idd || code == 1 {
        return Some(number);
    }
    // It begins with what one dials to leave the country: 011, 00, 810, and behind that the code.
    let code = code.to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let from_code = digits.get(2..)?.find(&code)? + 2;
    phonenumber::parse(None, format!("+{}", &digits[from_code..])).ok()
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

/// Takes the E.164 form only: what was stored by [`PhoneNumber::parse`].
impl TryFrom<String> for PhoneNumber {
    type Error = UnreadableNumber;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix('+').ok_or(UnreadableNumber)?;
        let plausible = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plausible {
            Ok(Self(text))
        } else {
            Err(UnreadableNumber)
        }
    }
}

/// The country (ISO 3166-1 alpha-2) that a number without a country code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(country::Id);

impl Region {
    /// The United States; numbers of Canada and the other countries of `+1` read the same.
    pub const US: Self = Self(country::US);
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.trim().to_ascii_uppercase();
        upper.parse().map(Self).map_err(|_| UnknownRegion)
    }
}

/// The text is not the two-letter code of a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the two-letter code of a country (ISO 3166-1), such as US")]
pub struct UnknownRegion;

/// One end of a call: the number when it can be read, and the text as CallRail sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// `None`: withheld or unreadable.
    pub e164: Option<PhoneNumber>,
    /// At most 64 characters of the original.
    pub text: String,
}

impl Party {
    /// Reads a number as far as it can be read.
    pub fn read(text: &str, region: Region) -> Self {
        let e164 = PhoneNumber::parse(text, region).ok();
        Self {
            e164,
            text: text.chars().take(MAX_TEXT).collect(),
        }
    }

    /// What a person reads: the E.164 form, else the original text.
    pub fn display(&self) -> &str {
        self.e164.as_ref().map_or(&self.text, PhoneNumber::as_str)
    }
}

/// Whether the caller withheld the number. Such a "number" belongs to thousands of people: it never matches.
pub fn is_withheld(text: &str) -> bool {
    let text = text.trim();
    WITHHELD
        .iter()
        .any(|withheld| withheld.eq_ignore_ascii_case(text))
}

/// The North American numbering plan: area code and exchange both start with 2 to 9, ten digits in all.
fn is_north_american_e164(text: &str) -> bool {
    let Some(national) = text.strip_prefix("+1") else {
        return false;
    };
    let bytes = national.as_bytes();
    bytes.len() == 10
        && bytes.iter().all(u8::is_ascii_digit)
        && (b'2'..=b'9').contains(&bytes[0])
        && (b'2'..=b'9').contains(&bytes[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn e164(text: &str) -> Option<String> {
        PhoneNumber::parse(text, Region::US).ok().map(String::from)
    }

    #[test]
    fn the_spellings_people_use_are_one_number() {
        for text in [
            "(404) 555-0123",
            "404.555.0123",
            "404-555-0123",
            "+1 404 555 0123",
            "1 404 555 0123",
            "4045550123 x12",
            "404 555 0123 ext. 7",
            "+14045550123",
            " 4045550123 ",
        ] {
            assert_eq!(e164(text).as_deref(), Some("+14045550123"), "{text}");
        }
    }

    #[test]
    fn an_area_code_that_the_library_does_not_know_is_still_a_number() {
        assert_eq!(e164("+15555550123").as_deref(), Some("+15555550123"));
        assert_eq!(e164("(555) 555-0123").as_deref(), Some("+15555550123"));
    }

    #[test]
    fn withheld_numbers_are_no_numbers() {
        for text in [
            "+266696687",
            "+7378742833",
            "+2562533",
            "+8656696",
            "+86282452253",
            "Anonymous",
            "RESTRICTED",
        ] {
            assert_eq!(e164(text), None, "{text}");
        }
    }

    #[test]
    fn what_nobody_could_call_is_unreadable() {
        let endless = "4".repeat(10_000);
        for text in [
            "",
            "555-0123",
            "911",
            "hello",
            "+",
            "+1",
            "+1404555012",
            "+1 004 555 0123",
            "+4955501234111404",
            "+441444444",
            endless.as_str(),
        ] {
            assert_eq!(e164(text), None, "{}", &text[..text.len().min(20)]);
        }
    }

    #[test]
    fn numbers_of_other_countries_keep_their_code() {
        assert_eq!(e164("+44 20 7946 0123").as_deref(), Some("+442079460123"));
        let uk = "gb".parse().unwrap();
        assert_eq!(
            PhoneNumber::parse("020 7946 0123", uk).unwrap().as_str(),
            "+442079460123"
        );
        let italy = "IT".parse().unwrap();
        assert_eq!(
            PhoneNumber::parse("06 6982 1234", italy).unwrap().as_str(),
            "+390669821234"
        );
    }

    #[test]
    fn a_number_that_names_its_country_is_the_same_in_every_region() {
        for (text, number) in [
            ("+49 171 1234567", "+491711234567"),
            ("(+44) 1444 444442", "+441444444442"),
            ("+55 11 91234 5678", "+5511912345678"),
            ("+36 1 234 5678", "+3612345678"),
            ("+39 06 6982 1234", "+390669821234"),
            ("+1 (404) 555-0123", "+14045550123"),
        ] {
            for region in ["US", "GB", "DE", "HU"] {
                let read = PhoneNumber::parse(text, region.parse().unwrap());
                assert_eq!(
                    read.as_ref().map(PhoneNumber::as_str),
                    Ok(number),
                    "{text} in {region}"
                );
            }
        }
        for (text, region) in [
            ("011 49 171 1234567", "US"),
            ("00 49 171 1234567", "GB"),
            ("0049 171 1234567", "DE"),
        ] {
            let read = PhoneNumber::parse(text, region.parse().unwrap());
            assert_eq!(
                read.as_ref().map(PhoneNumber::as_str),
                Ok("+491711234567"),
                "{text}"
            );
        }
        assert_eq!(e164("011 1 404 555 0123").as_deref(), Some("+14045550123"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            let _ = PhoneNumber::parse(&text, Region::US);
        }

        #[test]
        fn parsing_again_changes_nothing(area in 201u16..999, exchange in 201u16..999, line in 0u16..9999) {
            let written = format!("({area}) {exchange}-{line:04}");
            if let Ok(number) = PhoneNumber::parse(&written, Region::US) {
                prop_assert_eq!(PhoneNumber::parse(number.as_str(), Region::US), Ok(number));
            }
        }
    }
}
