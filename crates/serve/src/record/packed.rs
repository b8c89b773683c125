//! The bytes of a record: a third of what JSON takes, so that a group of answers is on the disk sooner.
//!
//! ```text
//! record   = FORM | at text | patient text or 0 | version text | dataset n | values | prediction
//! values   = count n | value z ...
//! prediction = severity b | probabilities: count n | p f ... | rarity b (0: none) | orphan f | threshold f
//!          | nearest: count n | (code text | name text | p f) ... | explained b (0: orphan, else severity + 1) | base f
//!          | contributions: count n | (feature n | value f) ... | warnings: count n | b ...
//!          | note: 0, or count n + 1 | (term text or 0 | stance b | effect f) ...
//! b byte; n LEB128; z zigzag, LEB128; f IEEE 754 double, little endian; text = bytes n + 1 | UTF-8
//! ```

use std::borrow::Cow;

use clinical::note::Stance;
use clinical::{
    Contribution, Explained, Explanation, ModelRef, Nearest, NotePart, Patient, Prediction, Rarity, Severity,
    Warning,
};

use super::Record;

/// First byte of a record; JSON begins with another one.
pub(super) const FORM: u8 = 1;

/// Room for most records, bytes.
const ROOM: usize = 512;

/// By their numbers in a record, which never change.
const WARNINGS: [Warning; 6] = [
    Warning::OrphanSuspected,
    Warning::NotSure,
    Warning::CloseClasses,
    Warning::UnusualPatient,
    Warning::InputsInsufficient,
    Warning::GatesFailed,
];
const STANCES: [Stance; 5] =
    [Stance::Affirmed, Stance::Negated, Stance::Family, Stance::Hypothetical, Stance::FamilyNegated];
const RARITIES: [Option<Rarity>; 3] = [None, Some(Rarity::Common), Some(Rarity::Orphan)];

pub(super) fn pack(record: &Record<'_>) -> Vec<u8> {
    let mut out = Packer(Vec::with_capacity(ROOM));
    out.0.push(FORM);
    out.text(&record.at);
    out.optional(record.patient_id.as_deref());
    out.text(&record.model.version);
    out.number(record.model.dataset_version);
    out.list(record.values.values(), |out, value| out.number(zigzag(*value)));
    out.prediction(&record.prediction);
    out.0
}

struct Packer(Vec<u8>);

impl Packer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn real(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64 + 1);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.0.push(0),
        }
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Packer, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|one| item(self, one));
    }

    fn place<T: PartialEq>(&mut self, known: &[T], one: &T) {
        // One that is not known is refused when it is read; a test holds that there is none.
        self.0.push(known.iter().position(|other| other == one).map_or(u8::MAX, |place| place as u8));
    }

    fn prediction(&mut self, said: &Prediction) {
        self.0.push(said.severity.0);
        self.list(&said.probabilities, |out, p| out.real(*p));
        self.place(&RARITIES, &said.rarity);
        self.real(said.probability_orphan);
        self.real(said.threshold);
        self.list(&said.nearest, |out, disease| {
            out.text(&disease.disease_code);
            out.text(&disease.name);
            out.real(disease.probability);
        });
        self.number(match said.explanation.of {
            Explained::Orphan => 0,
            Explained::Severity(severity) => u64::from(severity.0) + 1,
        });
        self.real(said.explanation.base_value);
        self.list(&said.explanation.contributions, |out, part| {
            out.number(part.feature as u64);
            out.real(part.value);
        });
        self.list(&said.warnings, |out, warning| out.place(&WARNINGS, warning));
        self.number(said.note.as_ref().map_or(0, |parts| parts.len() as u64 + 1));
        for part in said.note.iter().flatten() {
            self.optional(part.term.as_deref());
            self.place(&STANCES, &part.stance);
            self.real(part.effect);
        }
    }
}

fn zigzag(value: i32) -> u64 {
    let value = i64::from(value);
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The record in `bytes`, to their end; `None` where they hold none.
pub(super) fn unpack(bytes: &[u8]) -> Option<Record<'static>> {
    let mut bytes = Unpacker(bytes.strip_prefix(&[FORM])?);
    let at = Cow::Owned(bytes.text()?.to_owned());
    let patient_id = bytes.optional()?.map(|text| Cow::Owned(text.to_owned()));
    let model = ModelRef { version: bytes.text()?.to_owned(), dataset_version: bytes.number()? };
    let values = bytes.list(|bytes| unzigzag(bytes.number()?))?;
    let prediction = bytes.prediction()?;
    bytes.0.is_empty().then_some(Record {
        at,
        patient_id,
        model: Cow::Owned(model),
        values: Cow::Owned(Patient::read_back(values)),
        prediction: Cow::Owned(prediction),
    })
}

/// When the answer in `bytes` was given, of which nothing else is read.
pub(super) fn at(bytes: &[u8]) -> Option<&str> {
    Unpacker(bytes.strip_prefix(&[FORM])?).text()
}

struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            // The tenth byte has room for one bit.
            if shifted >> shift != bits {
                return None;
            }
            number |= shifted;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn real(&mut self) -> Option<f64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*first))
    }

    fn optional(&mut self) -> Option<Option<&'a str>> {
        let Some(bytes) = self.number()?.checked_sub(1) else { return Some(None) };
        let (text, rest) = self.0.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Some)
    }

    fn text(&mut self) -> Option<&'a str> {
        self.optional()?
    }

    fn list<T>(&mut self, item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        self.items(count, item)
    }

    /// Each takes a byte at least, so a count that is too large ends soon.
    fn items<T>(&mut self, count: u64, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..count).map(|_| item(self)).collect()
    }

    fn place<T: Clone>(&mut self, known: &[T]) -> Option<T> {
        known.get(usize::from(self.byte()?)).cloned()
    }

    fn prediction(&mut self) -> Option<Prediction> {
        Some(Prediction {
            severity: Severity(self.byte()?),
            probabilities: self.list(Self::real)?,
            rarity: self.place(&RARITIES)?,
            probability_orphan: self.real()?,
            threshold: self.real()?,
            nearest: self.list(|bytes| {
                Some(Nearest {
                    disease_code: bytes.text()?.to_owned(),
                    name: bytes.text()?.to_owned(),
                    probability: bytes.real()?,
                })
            })?,
            explanation: Explanation {
                of: match self.number()?.checked_sub(1) {
                    None => Explained::Orphan,
                    Some(severity) => Explained::Severity(Severity(u8::try_from(severity).ok()?)),
                },
                base_value: self.real()?,
                contributions: self.list(|bytes| {
                    let feature = usize::try_from(bytes.number()?).ok()?;
                    Some(Contribution { feature, value: bytes.real()? })
                })?,
            },
            warnings: self.list(|bytes| bytes.place(&WARNINGS))?,
            note: match self.number()?.checked_sub(1) {
                None => None,
                Some(count) => Some(self.items(count, |bytes| {
                    let term = bytes.optional()?.map(str::to_owned);
                    Some(NotePart { term, stance: bytes.place(&STANCES)?, effect: bytes.real()? })
                })?),
            },
        })
    }
}

fn unzigzag(number: u64) -> Option<i32> {
    let (half, sign) = ((number >> 1).cast_signed(), (number & 1).cast_signed());
    i32::try_from(half ^ -sign).ok()
}
