//! JSON as it is read here: a tree that borrows its texts from the body, since a body has a hundred members, and
//! nearly all of them are only looked at.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// A value of JSON. What it borrows from is the text that it was read from, or a [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text, without its escapes.
    Text(Cow<'a, str>),
    /// A list.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// An object of JSON: its members by name, each name once. Of a name given twice the last holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    /// Sorted by name.
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Object<'a> {
    /// What the member of this name holds.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let place = self.members.binary_search_by(|(other, _)| (**other).cmp(name));
        place.ok().map(|place| &self.members[place].1)
    }

    /// Whether there is a member of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }

    /// The members, by name; what they hold may be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Json<'a>)> {
        self.members.iter_mut().map(|(name, value)| (&**name, value))
    }
}

impl<'a> IntoIterator for Object<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(members: I) -> Self {
        let mut members: Vec<_> = members.into_iter().collect();
        // Members of the same name keep their order.
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        members.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Self { members }
    }
}

impl<'a> From<&'a Map<String, Value>> for Object<'a> {
    fn from(object: &'a Map<String, Value>) -> Self {
        let members = object.iter();
        members
            .map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into()))
            .collect()
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(boolean) => Self::Bool(*boolean),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(values) => Self::Array(values.iter().map(Self::from).collect()),
            Value::Object(object) => Self::Object(object.into()),
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(boolean) => serializer.serialize_bool(*boolean),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        // JSON has no number that is not finite.
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = values.next_element()? {
            all.push(value);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        /// A [`Cow`] by itself is always read as a text of its own.
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut all = Vec::new();
        while let Some((Name(name), value)) = members.next_entry()? {
            all.push((name, value));
        }
        Ok(Json::Object(all.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Json<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn texts_without_escapes_are_borrowed_and_those_with_are_read() {
        let Json::Object(object) = read(r#"{"plain":"Jane","esc\u0061ped":"\u003cb\u003e"}"#) else {
            panic!();
        };
        assert!(matches!(
            object.get("plain"),
            Some(Json::Text(Cow::Borrowed("Jane")))
        ));
        assert_eq!(object.get("escaped"), Some(&Json::Text("<b>".into())));
        assert!(object.has("plain") && !object.has("plai") && !object.is_empty());
    }

    #[test]
    fn of_a_repeated_name_the_last_holds() {
        let text = r#"{"b":1,"a":1,"b":2,"c":{"d":1,"d":2,"d":3},"b":3}"#;
        let written = serde_json::to_string(&read(text)).unwrap();
        assert_eq!(written, r#"{"a":1,"b":3,"c":{"d":3}}"#);
    }

    #[test]
    fn numbers_are_written_as_they_were_read() {
        let numbers = "[0,-1,18446744073709551615,-9223372036854775808,1.5,-0.0,1e300,0.1,27.0]";
        assert_eq!(
            serde_json::to_string(&read(numbers)).unwrap(),
            numbers.replace("1e300", "1e+300")
        );
    }

    proptest! {
        /// The same is read, refused and written as by serde's own tree.
        #[test]
        fn any_text_is_read_as_serde_reads_it(text in r#"[\[\]{}:,"0-9a-c\\untrlse. -]{0,40}"#) {
            let value = serde_json::from_str::<Value>(&text);
            let json = serde_json::from_str::<Json>(&text);
            prop_assert_eq!(value.is_ok(), json.is_ok());
            if let (Ok(value), Ok(json)) = (value, json) {
                prop_assert_eq!(&json, &Json::from(&value));
                prop_assert_eq!(serde_json::to_string(&json).unwrap(), value.to_string());
            }
        }
    }

    #[test]
    fn what_is_made_of_a_tree_is_what_is_read_of_its_text() {
        let value = json!({"z": [null, true, {"b": "x", "a": -1}], "a": "\u{1f600}\"", "m": 0.5});
        let text = value.to_string();
        assert_eq!(read(&text), Json::from(&value));
        assert_eq!(serde_json::to_string(&Json::from(&value)).unwrap(), text);
    }
}
