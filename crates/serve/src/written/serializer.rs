//! The kinds of values that serde knows, as JSON.

use std::fmt::{Display, Write as _};

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};

use super::text::{self, Pieces};

/// A value has no JSON form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no JSON: {0}")]
pub(crate) struct NoJson(String);

impl ser::Error for NoJson {
    fn custom<T: Display>(message: T) -> NoJson {
        NoJson(message.to_string())
    }
}

type Written = Result<(), NoJson>;

/// JSON that grows.
pub(super) struct Writer<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    #[inline]
    fn raw(&mut self, text: &str) -> Written {
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    #[inline]
    fn text(&mut self, text: &str) -> Written {
        text::quote(self.out, text);
        Ok(())
    }

    #[inline]
    fn parts(&mut self, begin: &str, end: &'static str) -> Result<Parts<'_, 'o>, NoJson> {
        self.raw(begin)?;
        Ok(Parts { writer: self, any: false, end })
    }

    /// What follows is the one member of an object, which it leaves open.
    fn variant(&mut self, name: &'static str) -> Written {
        self.raw("{")?;
        text::name(self.out, name);
        Ok(())
    }

    /// A key is a text; numbers and the like become one.
    fn key(&mut self, key: &(impl Serialize + ?Sized)) -> Written {
        let begin = self.out.len();
        key.serialize(&mut *self)?;
        match self.out.get(begin) {
            Some(b'"') => Ok(()),
            Some(b'{' | b'[' | b'n') | None => Err(NoJson::custom("a key is no text")),
            Some(_) => {
                self.out.insert(begin, b'"');
                self.raw("\"")
            }
        }
    }
}

macro_rules! numbers {
    ($($method:ident($number:ty))*) => {
        $(#[inline]
        fn $method(self, number: $number) -> Written {
            self.raw(itoa::Buffer::new().format(number))
        })*
    };
}

macro_rules! reals {
    ($($method:ident($number:ty))*) => {
        $(#[inline]
        fn $method(self, number: $number) -> Written {
            match number.is_finite() {
                true => self.raw(zmij::Buffer::new().format_finite(number)),
                false => self.raw("null"),
            }
        })*
    };
}

impl<'a, 'o> Serializer for &'a mut Writer<'o> {
    type Ok = ();
    type Error = NoJson;
    type SerializeSeq = Parts<'a, 'o>;
    type SerializeTuple = Parts<'a, 'o>;
    type SerializeTupleStruct = Parts<'a, 'o>;
    type SerializeTupleVariant = Parts<'a, 'o>;
    type SerializeMap = Parts<'a, 'o>;
    type SerializeStruct = Parts<'a, 'o>;
    type SerializeStructVariant = Parts<'a, 'o>;

    numbers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
    }
    reals! { serialize_f32(f32) serialize_f64(f64) }

    fn serialize_bool(self, value: bool) -> Written {
        self.raw(if value { "true" } else { "false" })
    }

    fn serialize_char(self, value: char) -> Written {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Written {
        self.text(value)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Written {
        self.raw("\"")?;
        write!(Pieces(self.out), "{value}").map_err(NoJson::custom)?;
        self.raw("\"")
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Written {
        self.raw("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.raw("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.raw("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.raw("}")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a, 'o>, NoJson> {
        self.parts("[", "]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a, 'o>, NoJson> {
        self.parts("[", "]")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'a, 'o>, NoJson> {
        self.parts("[", "]")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a, 'o>, NoJson> {
        self.variant(variant)?;
        self.parts("[", "]}")
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a, 'o>, NoJson> {
        self.parts("{", "}")
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a, 'o>, NoJson> {
        self.parts("{", "}")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a, 'o>, NoJson> {
        self.variant(variant)?;
        self.parts("{", "}}")
    }
}

/// The items of a list or the members of an object.
pub(super) struct Parts<'a, 'o> {
    writer: &'a mut Writer<'o>,
    /// One was written.
    any: bool,
    end: &'static str,
}

impl Parts<'_, '_> {
    #[inline]
    fn next(&mut self) {
        if std::mem::replace(&mut self.any, true) {
            self.writer.out.push(b',');
        }
    }

    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.next();
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        self.next();
        text::name(self.writer.out, name);
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn end(self) -> Written {
        self.writer.raw(self.end)
    }
}

/// The same parts by serde's many names.
macro_rules! parts {
    ($($form:ident: $method:ident($($name:ident)?) as $written:ident;)*) => {
        $(impl ser::$form for Parts<'_, '_> {
            type Ok = ();
            type Error = NoJson;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Written {
                self.$written($($name,)? value)
            }

            #[inline]
            fn end(self) -> Written {
                Parts::end(self)
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element() as item;
    SerializeTuple: serialize_element() as item;
    SerializeTupleStruct: serialize_field() as item;
    SerializeTupleVariant: serialize_field() as item;
    SerializeStruct: serialize_field(name) as member;
    SerializeStructVariant: serialize_field(name) as member;
}

impl ser::SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = NoJson;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.next();
        self.writer.key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.writer.raw(":")?;
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn end(self) -> Written {
        Parts::end(self)
    }
}
