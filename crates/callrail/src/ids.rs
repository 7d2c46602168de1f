//! `CallRail`'s identifiers (docs/callrail.md, "Identifiers").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest identifier accepted, in characters. `CallRail`'s own are 35 long; the limit keeps keys and log
/// lines short.
const MAX_LENGTH: usize = 64;

/// The longest number accepted as an identifier, in digits: as many as the largest `u64` has.
const MAX_DIGITS: usize = 20;

/// The identifier of one call: `CAL` and 1 to 61 ASCII letters or digits, or the decimal number of 1 to 20
/// digits that older documentation still shows.
///
/// What follows the prefix is opaque: it is compared, never interpreted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(String);

/// The identifier of one `CallRail` account: `ACC` and 1 to 61 ASCII letters or digits, or the number of 1 to 20
/// digits that the addresses of `CallRail`'s pages show. The API takes either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// The identifier of one company of a `CallRail` account: `COM` and 1 to 61 ASCII letters or digits.
///
/// The number that webhooks carry as `company_id` is not one: it names the same company in another numbering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CompanyId(String);

/// A text that is not the identifier it should be. Carries no part of the text, which may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CallRail {kind} identifier (expected {expected})")]
pub struct InvalidId {
    kind: &'static str,
    expected: &'static str,
}

impl CallId {
    /// Reads an identifier; surrounding whitespace is not tolerated.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if has_prefix("CAL", text) || is_number(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                kind: "call",
                expected: "CAL and up to 61 letters or digits, or a number of up to 20 digits",
            })
        }
    }

    /// The identifier as `CallRail` writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AccountId {
    /// Reads an identifier; surrounding whitespace is not tolerated.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if has_prefix("ACC", text) || is_number(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                kind: "account",
                expected: "ACC and up to 61 letters or digits, or a number of up to 20 digits",
            })
        }
    }

    /// The identifier as `CallRail` writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "client")]
impl AccountId {
    /// For questions that name no account.
    pub(crate) fn none() -> Self {
        Self(String::new())
    }
}

impl CompanyId {
    /// Reads an identifier; surrounding whitespace is not tolerated.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if has_prefix("COM", text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                kind: "company",
                expected: "COM and up to 61 letters or digits",
            })
        }
    }

    /// The identifier as `CallRail` writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the identifiers share with any other text type.
macro_rules! behaves_like_text {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $id {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $id {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> String {
                id.0
            }
        }

        impl AsRef<str> for $id {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

behaves_like_text!(CallId);
behaves_like_text!(AccountId);
behaves_like_text!(CompanyId);

fn has_prefix(prefix: &str, text: &str) -> bool {
    text.len() <= MAX_LENGTH
        && text
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_number(text: &str) -> bool {
    (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_generations_are_accepted() {
        for id in [
            "CAL01a1fa577dac70f6b1ca1ddba8db3bcf",
            "CALz",
            "766970532",
            "18446744073709551615",
        ] {
            assert_eq!(CallId::parse(id).unwrap().as_str(), id);
        }
        let longest = format!("CAL{}", "a".repeat(61));
        assert!(CallId::parse(&longest).is_ok());
    }

    #[test]
    fn anything_else_is_refused_as_a_call_id() {
        let too_long = format!("CAL{}", "a".repeat(62));
        let other_prefix = "SCI01a1fa86f900728b89d96dcde97a430d";
        for id in [
            "",
            "CAL",
            "cal1",
            " CAL1",
            "CAL1\n",
            "CAL-1",
            "CALé",
            "-1",
            "1.5",
            other_prefix,
            &too_long,
        ] {
            assert!(CallId::parse(id).is_err(), "{id:?} was accepted");
        }
        assert!(CallId::parse(&"1".repeat(21)).is_err());
    }

    #[test]
    fn a_company_is_never_a_number() {
        assert!(CompanyId::parse("COMf168ccdd91544c5a8c871bd4b9b757c5").is_ok());
        assert!(CompanyId::parse("COM1").is_ok());
        for id in ["COM", "123456789", "CAL1", "COM/1"] {
            assert!(CompanyId::parse(id).is_err(), "{id:?} was accepted");
        }
    }

    #[test]
    fn an_account_is_named_by_identifier_or_number() {
        for id in ["ACCdef0b17f603245ef8336f6e3e3dcd43c", "100200300"] {
            assert_eq!(AccountId::parse(id).unwrap().as_str(), id);
        }
        for id in ["", "ACC", "COM1", "ACC/1", "a.json"] {
            assert!(AccountId::parse(id).is_err(), "{id:?} was accepted");
        }
    }

    #[test]
    fn ids_are_checked_when_deserialised() {
        let id: CallId = serde_json::from_str("\"CAL1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"CAL1\"");
        assert!(serde_json::from_str::<CallId>("\"TRK1\"").is_err());
        assert!(serde_json::from_str::<CompanyId>("\"CAL1\"").is_err());
    }

    #[test]
    fn the_error_does_not_repeat_what_was_read() {
        assert!(
            !CallId::parse("+14045550123")
                .unwrap_err()
                .to_string()
                .contains("0123")
        );
    }
}
