//! JSON objects read field by field, without building a tree: a client's types are kept as they came, so
//! that the study's checks can name every problem at once.

use std::{borrow::Cow, fmt};

use clinical::{Issue, IssueCode, Raw};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One value as the client wrote it.
#[derive(Default, PartialEq)]
pub(crate) enum Token<'a> {
    /// Absent or `null`.
    #[default]
    Missing,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Other,
}

impl<'a> Token<'a> {
    pub(crate) fn raw(&self) -> Raw<'_> {
        match self {
            Token::Missing => Raw::Missing,
            Token::Integer(number) => Raw::Integer(*number),
            Token::Real(number) => Raw::Real(*number),
            Token::Text(text) => Raw::Text(text),
            Token::Other => Raw::Other,
        }
    }

    /// Reads one JSON value that is known to be well-formed; `None` for a text with half a surrogate pair.
    fn read(json: &'a str) -> Option<Token<'a>> {
        Some(match json.as_bytes().first() {
            Some(b'n') => Token::Missing,
            Some(b'"') => {
                let inside = &json[1..json.len() - 1];
                if inside.contains('\\') {
                    Token::Text(Cow::Owned(serde_json::from_str(json).ok()?))
                } else {
                    Token::Text(Cow::Borrowed(inside))
                }
            }
            Some(b'-' | b'0'..=b'9') => match json.parse::<i64>() {
                Ok(number) => Token::Integer(number),
                Err(_) => Token::real(json.parse().ok()?),
            },
            _ => Token::Other,
        })
    }

    /// A number beyond a double's range is a number still: larger than any limit.
    fn real(number: f64) -> Token<'a> {
        if number.is_finite() {
            Token::Real(number)
        } else {
            Token::Integer(if number > 0.0 { i64::MAX } else { i64::MIN })
        }
    }

    /// An optional text of at most `limit` characters; an empty one is none.
    ///
    /// # Errors
    /// Not a text, or too long.
    pub(crate) fn text(&self, field: &str, limit: usize) -> Result<Option<&str>, Issue> {
        match self {
            Token::Missing => Ok(None),
            Token::Text(text) if text.is_empty() => Ok(None),
            Token::Text(text) if text.chars().count() <= limit => Ok(Some(text)),
            Token::Text(_) => Err(limited(field, IssueCode::OutOfRange, limit)),
            _ => Err(limited(field, IssueCode::WrongType, limit)),
        }
    }
}

fn limited(field: &str, code: IssueCode, limit: usize) -> Issue {
    Issue::new(field, code).expecting(
        format!("un texto de hasta {limit} caracteres"),
        format!("a text of at most {limit} characters"),
    )
}

/// Why a body is not an object of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAnObject {
    /// Not JSON, or with a repeated field, whose meaning would depend on the reader.
    Broken,
    /// JSON, but a list, a text or a number.
    OtherType,
}

/// Reads the fields that `index` knows (0-based, below `count`) from one JSON object; others are passed over.
pub(crate) fn object<'a>(
    json: &'a [u8],
    count: usize,
    index: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<Token<'a>>, NotAnObject> {
    let json = std::str::from_utf8(json).map_err(|_| NotAnObject::Broken)?;
    let mut reader = serde_json::Deserializer::from_str(json);
    let fields = Fields { count, index };
    match reader.deserialize_map(fields).and_then(|tokens| reader.end().map(|()| tokens)) {
        Ok(tokens) => Ok(tokens),
        Err(_) if is_other_type(json) => Err(NotAnObject::OtherType),
        Err(_) => Err(NotAnObject::Broken),
    }
}

fn is_other_type(json: &str) -> bool {
    !json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

struct Fields<F> {
    count: usize,
    index: F,
}

impl<'de, F: Fn(&str) -> Option<usize>> Visitor<'de> for Fields<F> {
    type Value = Vec<Token<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error;
        let mut tokens: Vec<Token<'de>> = Vec::new();
        tokens.resize_with(self.count, Token::default);
        let mut seen = vec![false; self.count];
        while let Some(field) = map.next_key_seed(Key(&self.index))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &'de RawValue = map.next_value()?;
            if std::mem::replace(&mut seen[field], true) {
                return Err(A::Error::custom("repeated field"));
            }
            tokens[field] = Token::read(value.get()).ok_or_else(|| A::Error::custom("broken text"))?;
        }
        Ok(tokens)
    }
}

struct Key<'f, F>(&'f F);

impl<'de, F: Fn(&str) -> Option<usize>> DeserializeSeed<'de> for Key<'_, F> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<F: Fn(&str) -> Option<usize>> Visitor<'_> for Key<'_, F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Token<'_>>, NotAnObject> {
        object(json.as_bytes(), 2, |name| ["a", "b"].iter().position(|known| *known == name))
    }

    #[test]
    fn values_keep_the_types_that_they_came_with() {
        let one = |json: &str| match read(json) {
            Ok(mut tokens) => format!("{:?}", tokens.swap_remove(0).raw()),
            Err(error) => format!("{error:?}"),
        };
        for (json, expected) in [
            (r#"{"a":54}"#, "Integer(54)"),
            (r#"{ "a" : -0 }"#, "Integer(0)"),
            (r#"{"a":138.0}"#, "Real(138.0)"),
            (r#"{"a":1e2}"#, "Real(100.0)"),
            (r#"{"a":1e999}"#, "Integer(9223372036854775807)"),
            (r#"{"a":-1e999}"#, "Integer(-9223372036854775808)"),
            (r#"{"a":99999999999999999999999}"#, "Real(1e23)"),
            (r#"{"a":"x"}"#, "Text(\"x\")"),
            (r#"{"a":"\u00e9\n"}"#, "Text(\"é\\n\")"),
            (r#"{"a":null}"#, "Missing"),
            (r#"{}"#, "Missing"),
            (r#"{"z":{"a":[1,{"a":2}]},"a":true}"#, "Other"),
            (r#"{"\u0061":1}"#, "Integer(1)"),
            (r#"{"a":[1]}"#, "Other"),
            (r#"{"a":1,"a":1}"#, "Broken"),
            (r#"{"a":"\ud800"}"#, "Broken"),
            (r#"{"a":NaN}"#, "Broken"),
            (r#"{"a":01}"#, "Broken"),
            (r#"{"a":1}x"#, "Broken"),
            (r#"{"a":1"#, "Broken"),
            ("", "Broken"),
            ("nonsense", "Broken"),
            ("[]", "OtherType"),
            ("5", "OtherType"),
            ("null", "OtherType"),
        ] {
            assert_eq!(one(json), expected, "{json}");
        }
        assert!(object(b"{\"a\":\"\xff\"}", 1, |_| Some(0)) == Err(NotAnObject::Broken));
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
        assert!(matches!(read(&deep).as_deref(), Ok([Token::Other, Token::Missing])));
        assert!(matches!(read(&"[".repeat(500_000)), Err(NotAnObject::Broken)));
    }
}
