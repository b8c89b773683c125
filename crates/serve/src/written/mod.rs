//! JSON as it is written: into the body of an answer, or into the record of one.
//!
//! The bytes are those of `serde_json`, at half of its cost (`bench/run serving`): it looks at the bytes of a text one by one and
//! hands an answer over in hundreds of pieces, while here sixteen bytes are looked at together and everything goes into one vector.

mod serializer;
mod text;

use serde::Serialize;

pub(crate) use self::serializer::NoJson;
use self::serializer::Writer;
pub(crate) use self::text::{Plain, quote};

/// What most answers and records fit into, bytes.
pub(crate) const ROOM: usize = 2560;

/// A value as compact JSON.
///
/// # Errors
/// The value has no JSON form.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, NoJson> {
    let mut out = Vec::with_capacity(ROOM);
    append(&mut out, value)?;
    Ok(out)
}

/// The same after what is there.
///
/// # Errors
/// The value has no JSON form; then a part of it is there.
pub(crate) fn append(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), NoJson> {
    value.serialize(&mut Writer { out })
}

/// A number; one that is not finite is `null`.
pub(crate) fn real(out: &mut Vec<u8>, number: f64) {
    match number.is_finite() {
        true => out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes()),
        false => out.extend_from_slice(b"null"),
    }
}

/// A whole number.
pub(crate) fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json as value;

    use super::*;

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct New(f64);

    #[derive(Serialize)]
    struct Pair(i8, char);

    #[derive(Serialize)]
    enum Form {
        Unit,
        New(u16),
        Tuple(bool, Option<u8>),
        Struct { a: &'static str, b: () },
    }

    #[derive(Serialize)]
    struct Everything<'a> {
        empty: [u8; 0],
        none: Option<u8>,
        some: Option<&'a str>,
        text: &'a str,
        numbers: (i64, u64, f32, f64, f64, f64),
        forms: Vec<Form>,
        others: (Unit, New, Pair),
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        by_number: BTreeMap<i32, New>,
        by_letter: BTreeMap<char, Unit>,
        by_text: BTreeMap<&'a str, serde_json::Value>,
        #[serde(flatten)]
        flat: BTreeMap<String, bool>,
    }

    #[test]
    fn every_kind_of_value_is_what_serde_json_writes() {
        let everything = Everything {
            empty: [],
            none: None,
            some: Some("\"\\\u{7f}\u{0}\u{1f}\t\r\n\u{8}\u{c}é\u{10ffff}"),
            text: "",
            numbers: (i64::MIN, u64::MAX, 0.1, -1e-9, f64::NAN, f64::NEG_INFINITY),
            forms: vec![Form::Unit, Form::New(7), Form::Tuple(true, None), Form::Struct { a: "x", b: () }],
            others: (Unit, New(1e300), Pair(-1, '"')),
            absent: None,
            by_number: BTreeMap::from([(-1, New(1.0)), (2, New(0.0))]),
            by_letter: BTreeMap::from([('"', Unit)]),
            by_text: BTreeMap::from([("a\"b", value!({"x": [1, {"y": null}], "z": {}})), ("", value!([]))]),
            flat: BTreeMap::from([("flat".to_owned(), false)]),
        };
        let expected = serde_json::to_string(&everything).unwrap();
        assert_eq!(String::from_utf8(json(&everything).unwrap()).unwrap(), expected);
        assert!(json(&BTreeMap::from([(vec![1], 1)])).is_err());
        assert!(json(&BTreeMap::from([((), 1)])).is_err());
    }

    #[test]
    fn a_text_of_any_length_with_any_byte_anywhere_is_what_serde_json_writes() {
        for length in (0..70).chain([ROOM - 1, 5 * ROOM]) {
            let plain = "x".repeat(length);
            assert_eq!(json(&plain).unwrap(), serde_json::to_vec(&plain).unwrap(), "{length}");
        }
        for length in 1..36 {
            for place in 0..length {
                for special in (0..=0x7f).map(char::from).chain(['é', '\u{2028}', '\u{10ffff}']) {
                    let mut text = "x".repeat(length);
                    text.replace_range(place..=place, special.encode_utf8(&mut [0; 4]));
                    assert_eq!(json(&text).unwrap(), serde_json::to_vec(&text).unwrap(), "{text:?}");
                }
            }
        }
    }
}
