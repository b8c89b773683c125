//! The parts of FHIR R4 resources that a case can be made of. Everything else in them is passed over.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What tells whether a resource is of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    #[serde(default)]
    pub(crate) resource_type: Leaf,
}

/// An entry of a Bundle around a resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry<R> {
    pub(crate) full_url: Option<String>,
    pub(crate) resource: Option<R>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Patient {
    pub(crate) id: Option<String>,
    pub(crate) meta: Option<Meta>,
    pub(crate) gender: Option<String>,
    pub(crate) birth_date: Option<String>,
    #[serde(default)]
    pub(crate) identifier: Vec<Identifier>,
    #[serde(default)]
    pub(crate) extension: Vec<Extension>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Observation {
    pub(crate) id: Option<String>,
    pub(crate) meta: Option<Meta>,
    pub(crate) status: Option<String>,
    pub(crate) code: Option<Concept>,
    pub(crate) subject: Option<Reference>,
    pub(crate) effective_date_time: Option<String>,
    pub(crate) effective_instant: Option<String>,
    pub(crate) effective_period: Option<Period>,
    pub(crate) issued: Option<String>,
    #[serde(flatten)]
    pub(crate) value: AnyValue,
    #[serde(default)]
    pub(crate) component: Vec<Component>,
    #[serde(default)]
    pub(crate) contained: Vec<Contained>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Component {
    pub(crate) code: Option<Concept>,
    #[serde(flatten)]
    pub(crate) value: AnyValue,
}

/// `value[x]`, in the forms that can be one value.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnyValue {
    pub(crate) value_quantity: Option<Quantity>,
    pub(crate) value_integer: Option<Leaf>,
    pub(crate) value_string: Option<Leaf>,
    pub(crate) value_codeable_concept: Option<Concept>,
    pub(crate) value_boolean: Option<Leaf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    pub(crate) id: Option<String>,
    pub(crate) meta: Option<Meta>,
    pub(crate) clinical_status: Option<Concept>,
    pub(crate) verification_status: Option<Concept>,
    pub(crate) severity: Option<Concept>,
    pub(crate) code: Option<Concept>,
    pub(crate) subject: Option<Reference>,
    pub(crate) encounter: Option<Reference>,
    pub(crate) recorded_date: Option<String>,
    pub(crate) onset_date_time: Option<String>,
    pub(crate) onset_period: Option<Period>,
    pub(crate) abatement_date_time: Option<String>,
    pub(crate) abatement_period: Option<Period>,
    #[serde(default)]
    pub(crate) contained: Vec<Contained>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Encounter {
    pub(crate) id: Option<String>,
    pub(crate) meta: Option<Meta>,
    pub(crate) status: Option<String>,
    pub(crate) class: Option<Coding>,
    pub(crate) subject: Option<Reference>,
    pub(crate) period: Option<Period>,
    #[serde(default)]
    pub(crate) contained: Vec<Contained>,
}

/// A resource inside another one; only patients are of interest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contained {
    #[serde(default)]
    pub(crate) resource_type: Leaf,
    #[serde(flatten)]
    pub(crate) patient: LoosePatient,
}

/// A contained patient's fields, or another resource's of the same name, which may have any form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoosePatient {
    pub(crate) id: Option<Leaf>,
    pub(crate) gender: Option<Leaf>,
    pub(crate) birth_date: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) last_updated: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) reference: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Period {
    pub(crate) start: Option<String>,
    pub(crate) end: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Concept {
    #[serde(default)]
    pub(crate) coding: Vec<Coding>,
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Coding {
    pub(crate) system: Option<String>,
    pub(crate) code: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Quantity {
    #[serde(default)]
    pub(crate) value: Leaf,
    pub(crate) comparator: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) code: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Identifier {
    pub(crate) system: Option<String>,
    pub(crate) value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Extension {
    pub(crate) url: Option<String>,
    pub(crate) value_string: Option<Leaf>,
    pub(crate) value_code: Option<Leaf>,
    pub(crate) value_integer: Option<Leaf>,
    pub(crate) value_decimal: Option<Leaf>,
    pub(crate) value_boolean: Option<Leaf>,
    pub(crate) value_date: Option<Leaf>,
    pub(crate) value_coding: Option<Coding>,
    pub(crate) value_codeable_concept: Option<Concept>,
    #[serde(default)]
    pub(crate) extension: Vec<Extension>,
}

/// A primitive of whatever JSON type a sender chose; reading one never fails.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Leaf {
    #[default]
    Missing,
    Number(f64),
    Text(String),
    Flag(bool),
    /// A list or an object.
    Other,
}

impl Leaf {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Leaf::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its characters, where it is a text, a number or a flag.
    pub(crate) fn written(&self) -> Option<String> {
        match self {
            Leaf::Text(text) => Some(text.clone()),
            Leaf::Number(number) => Some(number.to_string()),
            Leaf::Flag(flag) => Some(flag.to_string()),
            Leaf::Missing | Leaf::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Leaf, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Leaf, E> {
        Ok(Leaf::Missing)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Leaf, E> {
        Ok(Leaf::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Leaf, E> {
        Ok(Leaf::Number(number as f64))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Leaf, E> {
        Ok(Leaf::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Leaf, E> {
        Ok(Leaf::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Leaf, E> {
        Ok(Leaf::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Leaf, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Leaf, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }
}
