//! JSON in which every name is given once: of a name that is given twice, readers take one value or
//! the other, and nobody is told.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{cell::Cell, fmt};

/// Any value; an object with a name twice in it is an error that says the name.
pub struct UniqueJson(pub Value);

/// The same of somebody whom nobody knows: a value takes up to a hundred times the room of its letters,
/// so there are at most [`MOST_VALUES`] in it.
pub struct BoundedJson(pub Value);

/// As many as ten thousand messages have, and as much again twice over.
pub const MOST_VALUES: usize = 100_000;

/// What is said of one with more.
pub(crate) const TOO_MANY: &str = "too many values";

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnyValue { left: &Cell::new(usize::MAX) }.deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for BoundedJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnyValue { left: &Cell::new(MOST_VALUES) }.deserialize(deserializer).map(Self)
    }
}

/// A value and those within it, of which so many may come yet.
#[derive(Clone, Copy)]
struct AnyValue<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom(TOO_MANY))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(self)? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            object.insert(name, fields.next_value_seed(self)?);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_read_as_it_is_unless_a_name_stands_twice() {
        let text = r#"{"a": [null, true, -1, 18446744073709551615, 0.5, "x"], "b": {"a": {}}}"#;
        let UniqueJson(value) = serde_json::from_str(text).unwrap();
        assert_eq!(value, json!({"a": [null, true, -1, u64::MAX, 0.5, "x"], "b": {"a": {}}}));
        for twice in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "b": 2, "\u0061": 3}}]"#] {
            let error = serde_json::from_str::<UniqueJson>(twice).err().unwrap();
            assert!(error.is_data() && error.to_string().contains("`a`"), "{error}");
        }
    }

    #[test]
    fn a_small_text_that_would_take_much_room_is_refused() {
        let of = |n: usize| format!("[{}{{}}]", r#"{"":0},"#.repeat(n));
        let read = |n| serde_json::from_str::<BoundedJson>(&of(n)).map(|_| ());
        // Each object and the number in it, the last object, and the list.
        let most = (MOST_VALUES - 2) / 2;
        assert!(read(most).is_ok());
        let error = read(most + 1).unwrap_err();
        assert!(error.is_data() && error.to_string().starts_with(TOO_MANY), "{error}");
        assert!(serde_json::from_str::<UniqueJson>(&of(most + 1)).is_ok());
    }
}
