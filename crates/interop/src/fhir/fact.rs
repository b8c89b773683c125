//! What one resource says of a patient, small and as bytes, so that more of it than memory holds can be sorted.

use super::reference::Key;
use crate::built::Place;

/// One statement about one patient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fact {
    pub(super) place: Place,
    /// 64-bit name of the resource; 0 where it has no id. The newest version of a resource counts.
    pub(super) resource: u64,
    /// `meta.lastUpdated`, where there is one.
    pub(super) updated: i64,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// This version of the resource says nothing: entered in error, refuted, cancelled.
    Nothing,
    Patient(Person),
    Reading(Reading),
    Condition(Box<Diagnosis>),
    Encounter(Visit),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) gender: Option<String>,
    /// UTC microseconds; `None` where it is not known to the day.
    pub(super) birth: Option<i64>,
    /// The birth date is there, but not to the day.
    pub(super) birth_is_partial: bool,
    pub(super) extensions: Vec<Option<String>>,
}

/// One value of an observation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// Which of the plan's values.
    pub(super) value: u16,
    pub(super) at: Option<i64>,
    pub(super) found: Found,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Diagnosis {
    pub(super) id: String,
    pub(super) encounter: Option<Key>,
    /// `SYSTEM:CODE`.
    pub(super) codes: Vec<String>,
    pub(super) clinical: Option<String>,
    pub(super) verification: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) recorded: Option<i64>,
    pub(super) onset: Option<i64>,
    pub(super) abated: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Visit {
    pub(super) id: String,
    pub(super) key: Key,
    pub(super) class: Option<String>,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
}

impl Fact {
    /// Appends its bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.place.file.to_le_bytes());
        for number in [self.place.line, self.place.index, self.resource] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.updated.to_le_bytes());
        match &self.what {
            What::Nothing => out.push(0),
            What::Patient(person) => {
                out.push(1);
                text(out, &person.id);
                maybe(out, person.gender.as_ref(), |out, gender| text(out, gender));
                instant(out, person.birth);
                out.push(u8::from(person.birth_is_partial));
                out.extend((person.extensions.len() as u32).to_le_bytes());
                for extension in &person.extensions {
                    maybe(out, extension.as_ref(), |out, value| text(out, value));
                }
            }
            What::Reading(reading) => {
                out.push(2);
                out.extend(reading.value.to_le_bytes());
                instant(out, reading.at);
                match &reading.found {
                    Found::Number(number) => {
                        out.push(0);
                        out.extend(number.to_le_bytes());
                    }
                    Found::Text(found) => {
                        out.push(1);
                        text(out, found);
                    }
                }
            }
            What::Condition(condition) => {
                out.push(3);
                text(out, &condition.id);
                maybe(out, condition.encounter, |out, key| out.extend(key.to_le_bytes()));
                out.extend((condition.codes.len() as u32).to_le_bytes());
                condition.codes.iter().for_each(|code| text(out, code));
                for word in [&condition.clinical, &condition.verification, &condition.severity] {
                    maybe(out, word.as_ref(), |out, word| text(out, word));
                }
                [condition.recorded, condition.onset, condition.abated]
                    .into_iter()
                    .for_each(|at| instant(out, at));
            }
            What::Encounter(visit) => {
                out.push(4);
                text(out, &visit.id);
                out.extend(visit.key.to_le_bytes());
                maybe(out, visit.class.as_ref(), |out, class| text(out, class));
                instant(out, visit.start);
                instant(out, visit.end);
            }
        }
    }

    /// Reads what [`Fact::write`] wrote; `None` for anything else.
    pub(super) fn read(bytes: &[u8]) -> Option<Fact> {
        let mut from = Bytes(bytes);
        let place = Place {
            file: u32::from_le_bytes(from.take()?),
            line: u64::from_le_bytes(from.take()?),
            index: u64::from_le_bytes(from.take()?),
        };
        let resource = u64::from_le_bytes(from.take()?);
        let updated = i64::from_le_bytes(from.take()?);
        let what = match from.byte()? {
            0 => What::Nothing,
            1 => What::Patient(Person {
                id: from.text()?,
                gender: from.maybe(Bytes::text)?,
                birth: from.instant()?,
                birth_is_partial: from.byte()? == 1,
                extensions: {
                    let count = u32::from_le_bytes(from.take()?);
                    (0..count).map(|_| from.maybe(Bytes::text)).collect::<Option<_>>()?
                },
            }),
            2 => What::Reading(Reading {
                value: u16::from_le_bytes(from.take()?),
                at: from.instant()?,
                found: match from.byte()? {
                    0 => Found::Number(f64::from_le_bytes(from.take()?)),
                    _ => Found::Text(from.text()?),
                },
            }),
            3 => What::Condition(Box::new(Diagnosis {
                id: from.text()?,
                encounter: from.maybe(|from| Some(u128::from_le_bytes(from.take()?)))?,
                codes: {
                    let count = u32::from_le_bytes(from.take()?);
                    (0..count).map(|_| from.text()).collect::<Option<_>>()?
                },
                clinical: from.maybe(Bytes::text)?,
                verification: from.maybe(Bytes::text)?,
                severity: from.maybe(Bytes::text)?,
                recorded: from.instant()?,
                onset: from.instant()?,
                abated: from.instant()?,
            })),
            4 => What::Encounter(Visit {
                id: from.text()?,
                key: u128::from_le_bytes(from.take()?),
                class: from.maybe(Bytes::text)?,
                start: from.instant()?,
                end: from.instant()?,
            }),
            _ => return None,
        };
        from.0.is_empty().then_some(Fact { place, resource, updated, what })
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn maybe<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(out, value);
    }
}

fn instant(out: &mut Vec<u8>, at: Option<i64>) {
    maybe(out, at, |out, at| out.extend(at.to_le_bytes()));
}

/// What is left to read.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn text(&mut self) -> Option<String> {
        let length = u32::from_le_bytes(self.take()?) as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(taken.to_vec()).ok()
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }

    fn instant(&mut self) -> Option<Option<i64>> {
        self.maybe(|from| Some(i64::from_le_bytes(from.take()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_a_fact() {
        let place = Place { file: 3, line: 1 << 40, index: 7 };
        let all = [
            What::Nothing,
            What::Patient(Person {
                id: "ñ".to_owned(),
                gender: Some("female".to_owned()),
                birth: Some(-5),
                birth_is_partial: true,
                extensions: vec![None, Some("x".to_owned())],
            }),
            What::Reading(Reading { value: 2, at: Some(9), found: Found::Number(120.5) }),
            What::Reading(Reading { value: 2, at: None, found: Found::Text("A".to_owned()) }),
            What::Condition(Box::new(Diagnosis {
                id: "c".to_owned(),
                encounter: Some(u128::MAX),
                codes: vec!["ICD-10:I10".to_owned()],
                recorded: Some(1),
                ..Diagnosis::default()
            })),
            What::Encounter(Visit { id: "e".to_owned(), key: 4, start: Some(1), ..Visit::default() }),
        ];
        for what in all {
            let fact = Fact { place, resource: 9, updated: i64::MIN, what };
            let mut bytes = Vec::new();
            fact.write(&mut bytes);
            assert_eq!(Fact::read(&bytes), Some(fact));
            for cut in 0..bytes.len() {
                assert_eq!(Fact::read(&bytes[..cut]), None);
            }
        }
    }
}
