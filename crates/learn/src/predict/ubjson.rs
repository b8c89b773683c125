//! A bounded reader of UBJSON (draft 12, <https://ubjson.org>), the form of XGBoost's model files.
//!
//! Accepted is what XGBoost writes: objects and lists without a count, numeric lists with a type and
//! a count, texts, numbers, booleans and null. Memory grows with the bytes that are there, never with a
//! length that they announce.

use std::collections::BTreeMap;

/// Objects and lists inside each other at most.
const DEEPEST: usize = 64;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list of numbers alone.
    Numbers(Vec<f64>),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

type Read<T> = Result<T, String>;

impl Value {
    /// The value that `bytes` are, wholly.
    pub(super) fn parse(bytes: &[u8]) -> Read<Value> {
        let mut rest = Bytes(bytes);
        let marker = rest.byte()?;
        let value = rest.value(marker, 0)?;
        if rest.0.is_empty() { Ok(value) } else { Err("something follows its end".into()) }
    }

    fn of(items: Vec<Value>) -> Value {
        let number = |item: &Value| if let Value::Number(number) = item { Some(*number) } else { None };
        let numbers: Option<Vec<f64>> = items.iter().map(number).collect();
        numbers.filter(|numbers| !numbers.is_empty()).map_or(Value::List(items), Value::Numbers)
    }

    /// The value at a path of object keys and list positions, `a/b/0`.
    pub(super) fn at(&self, path: &str) -> Read<&Value> {
        let mut value = self;
        for key in path.split('/') {
            let inner = match value {
                Value::Object(fields) => fields.get(key),
                Value::List(items) => key.parse().ok().and_then(|i: usize| items.get(i)),
                _ => None,
            };
            value = inner.ok_or_else(|| format!("{path} is missing"))?;
        }
        Ok(value)
    }

    pub(super) fn text(&self, path: &str) -> Read<&str> {
        match self.at(path)? {
            Value::Text(text) => Ok(text),
            _ => Err(format!("{path} is no text")),
        }
    }

    pub(super) fn list(&self, path: &str) -> Read<&[Value]> {
        match self.at(path)? {
            Value::List(items) => Ok(items),
            Value::Numbers(numbers) if numbers.is_empty() => Ok(&[]),
            _ => Err(format!("{path} is no list")),
        }
    }

    pub(super) fn numbers(&self, path: &str) -> Read<&[f64]> {
        match self.at(path)? {
            Value::Numbers(numbers) => Ok(numbers),
            Value::List(items) if items.is_empty() => Ok(&[]),
            _ => Err(format!("{path} is no list of numbers")),
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "it is cut off".to_owned())
    }

    fn value(&mut self, marker: u8, depth: usize) -> Read<Value> {
        if depth > DEEPEST {
            return Err("it is nested too deeply".into());
        }
        match marker {
            b'Z' => Ok(Value::Null),
            b'T' => Ok(Value::Bool(true)),
            b'F' => Ok(Value::Bool(false)),
            b'S' => Ok(Value::Text(self.text()?)),
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            number => Ok(Value::Number(self.number(number)?)),
        }
    }

    /// A whole number above 2^53 is rounded; no model holds one.
    fn number(&mut self, marker: u8) -> Read<f64> {
        match marker {
            b'i' => Ok(f64::from(i8::from_be_bytes(self.array()?))),
            b'U' => Ok(f64::from(self.byte()?)),
            b'I' => Ok(f64::from(i16::from_be_bytes(self.array()?))),
            b'l' => Ok(f64::from(i32::from_be_bytes(self.array()?))),
            b'L' => Ok(i64::from_be_bytes(self.array()?) as f64),
            b'd' => Ok(f64::from(f32::from_be_bytes(self.array()?))),
            b'D' => Ok(f64::from_be_bytes(self.array()?)),
            other => Err(format!("the marker {other:#04x} is not supported")),
        }
    }

    fn length(&mut self) -> Read<usize> {
        let marker = self.byte()?;
        if matches!(marker, b'd' | b'D') {
            return Err("a length is no whole number".into());
        }
        let length = self.number(marker)?;
        // Every counted thing takes at least a byte.
        if length < 0.0 || length > self.0.len() as f64 {
            return Err("it is cut off".into());
        }
        Ok(length as usize)
    }

    fn text(&mut self) -> Read<String> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| "a text is not UTF-8".to_owned())
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        let mut fields = BTreeMap::new();
        loop {
            if self.0.first() == Some(&b'}') {
                self.byte()?;
                return Ok(Value::Object(fields));
            }
            let key = self.text()?;
            let marker = self.byte()?;
            let value = self.value(marker, depth + 1)?;
            if fields.insert(key, value).is_some() {
                return Err("a key is there twice".into());
            }
        }
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        let mut marker = self.byte()?;
        if marker == b'$' {
            return self.numbers();
        }
        if marker == b'#' {
            let count = self.length()?;
            for _ in 0..count {
                let marker = self.byte()?;
                items.push(self.value(marker, depth + 1)?);
            }
            return Ok(Value::of(items));
        }
        while marker != b']' {
            items.push(self.value(marker, depth + 1)?);
            marker = self.byte()?;
        }
        Ok(Value::of(items))
    }

    fn numbers(&mut self) -> Read<Value> {
        let kind = self.byte()?;
        if self.byte()? != b'#' {
            return Err("a typed list has no count".into());
        }
        let count = self.length()?;
        (0..count).map(|_| self.number(kind)).collect::<Read<_>>().map(Value::Numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] =
        b"{i\x01aSi\x02hii\x01b[$d#L\0\0\0\0\0\0\0\x02\x3f\x80\0\0\xc0\0\0\0i\x01c[TZ]i\x01d[#i\x01{}i\x01e[U\x07i\xff]}";

    #[test]
    fn every_form_that_models_use_is_read() {
        let value = Value::parse(SAMPLE).unwrap();
        assert_eq!(value.text("a").unwrap(), "hi");
        assert_eq!(value.numbers("b").unwrap(), [1.0, -2.0]);
        assert_eq!(value.numbers("e").unwrap(), [7.0, -1.0]);
        assert_eq!(value.list("c").unwrap(), [Value::Bool(true), Value::Null]);
        assert_eq!(value.at("d/0").unwrap(), &Value::Object(BTreeMap::new()));
        assert!(value.at("d/1").is_err() && value.text("b").is_err());
    }

    #[test]
    fn what_is_cut_off_or_nested_without_end_is_refused() {
        for end in 0..SAMPLE.len() {
            assert!(Value::parse(&SAMPLE[..end]).is_err(), "cut at {end}");
        }
        assert!(Value::parse(&[SAMPLE, b"Z"].concat()).is_err());
        assert!(Value::parse(&[b'['; 100_000]).unwrap_err().contains("deep"));
        assert!(Value::parse(b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff").unwrap_err().contains("cut off"));
    }
}
