//! What CallRail sent, as text.

use std::fmt;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use callrail::Object;

/// An object of JSON as text. It is made once and only handed on: whoever passes it on need not know what is in it.
///
/// `Debug` shows its length alone: all of it is personal data.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Original(Box<RawValue>);

impl Original {
    /// Writes an object, without whitespace and sorted by name.
    pub(crate) fn of(object: &Object) -> Self {
        // Every key is a string and every number finite, so there is nothing that JSON could not hold.
        serde_json::value::to_raw_value(object).map_or_else(|_| Self::default(), Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl Default for Original {
    /// An object without members.
    fn default() -> Self {
        Self(RawValue::from_string("{}".to_owned()).unwrap_or_default())
    }
}

impl PartialEq for Original {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Original {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Original({} bytes)", self.as_str().len())
    }
}

impl<'de> Deserialize<'de> for Original {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        if value.get().starts_with('{') {
            Ok(Self(value))
        } else {
            Err(D::Error::invalid_type(
                Unexpected::Other("no object"),
                &"an object",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_an_original() {
        for text in ["{}", r#"{"a":1}"#, " {\"a\" : [{}]} "] {
            let read: Original = serde_json::from_str(text).unwrap();
            assert_eq!(read.as_str(), text.trim());
        }
        for text in ["[]", "null", "1", "\"{}\"", "{", r#"{"a":}"#] {
            assert!(serde_json::from_str::<Original>(text).is_err(), "{text}");
        }
        assert_eq!(Original::default().as_str(), "{}");
    }

    #[test]
    fn it_is_written_as_it_stands_and_shown_without_what_it_holds() {
        let read: Original = serde_json::from_str(r#"{"b":"4045550123", "a":1.50}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"b":"4045550123", "a":1.50}"#
        );
        assert!(!format!("{read:?}").contains("404"));
    }
}
