//! How good the rows of a file are, as counts: small, mergeable, and without a patient in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::study::Accepts;
use crate::{Case, Issue, Study};

/// Bins of a number's histogram, at most; a wider range gets wider bins.
const BINS: i64 = 512;

/// What was found in the rows of one file or source. Profiles of the same study add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityProfile {
    /// Accepted, refused and left out.
    pub rows: u64,
    pub accepted: u64,
    /// Accepted rows whose case was stored already.
    pub duplicates: u64,
    pub refused: u64,
    /// Left out by the mapping or the format's rules.
    pub skipped: u64,
    /// By the field's name; a study's input is here even where nothing was wrong with it.
    pub fields: BTreeMap<String, FieldQuality>,
    /// Accepted rows by severity's code, `unconfirmed` where there is none.
    pub severities: BTreeMap<String, u64>,
}

/// One field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldQuality {
    /// Refused rows by the code of what was wrong (`missing`, `out_of_range`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub issues: BTreeMap<String, u64>,
    /// Of the inconsistent ones: pairs that would be accepted the other way round.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub swapped: u64,
    /// The values of accepted rows; none for a field that is no input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Histogram>,
}

/// Values as counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Histogram {
    /// Bin `i` counts the whole numbers from `first + i * width` on, `width` of them.
    Numbers { first: i32, width: i32, counts: Vec<u64> },
    /// By code, in the study's order.
    Codes { codes: Vec<String>, counts: Vec<u64> },
}

/// What was found in the files of one ingest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityByFile {
    /// By the file's name; many files are counted together under [`QualityByFile::OTHERS`].
    pub files: BTreeMap<String, QualityProfile>,
}

impl QualityByFile {
    /// Files that are kept apart, at most.
    const APART: usize = 32;
    /// The name of all further files.
    pub const OTHERS: &'static str = "(other files)";

    pub fn add(&mut self, file: &str, profile: &QualityProfile) {
        let apart = self.files.len() < Self::APART || self.files.contains_key(file);
        let name = if apart { file } else { Self::OTHERS };
        self.files.entry(name.to_owned()).or_default().add(profile);
    }

    /// All files together.
    pub fn total(&self) -> QualityProfile {
        let mut total = QualityProfile::default();
        self.files.values().for_each(|profile| total.add(profile));
        total
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Histogram {
    fn of(accepts: &Accepts) -> Histogram {
        match accepts {
            Accepts::Number { min, max, .. } => {
                let range = i64::from(*max) - i64::from(*min) + 1;
                let width = (range + BINS - 1) / BINS;
                let bins = (range + width - 1) / width;
                Histogram::Numbers { first: *min, width: width as i32, counts: vec![0; bins as usize] }
            }
            Accepts::Code(codes) => Histogram::Codes { codes: codes.clone(), counts: vec![0; codes.len()] },
        }
    }

    fn count(&mut self, value: i32) {
        let (bin, counts) = match self {
            Histogram::Numbers { first, width, counts } => {
                let above = i64::from(value) - i64::from(*first);
                (if *width == 1 { above } else { above / i64::from((*width).max(1)) }, counts)
            }
            Histogram::Codes { counts, .. } => (i64::from(value), counts),
        };
        if let Some(count) = usize::try_from(bin).ok().and_then(|bin| counts.get_mut(bin)) {
            *count += 1;
        }
    }

    pub fn counts(&self) -> &[u64] {
        match self {
            Histogram::Numbers { counts, .. } | Histogram::Codes { counts, .. } => counts,
        }
    }

    /// How often a number ends in each of the digits 0 to 9; `None` for codes and for bins of several numbers.
    pub fn last_digits(&self) -> Option<[u64; 10]> {
        let Histogram::Numbers { first, width: 1, counts } = self else {
            return None;
        };
        let mut digits = [0; 10];
        for (number, count) in (i64::from(*first)..).zip(counts) {
            digits[number.rem_euclid(10) as usize] += count;
        }
        Some(digits)
    }

    /// Whether both count the same values in the same way.
    fn is_like(&self, other: &Histogram) -> bool {
        match (self, other) {
            (
                Histogram::Numbers { first, width, counts },
                Histogram::Numbers { first: f, width: w, counts: c },
            ) => (first, width, counts.len()) == (f, w, c.len()),
            (Histogram::Codes { codes, .. }, Histogram::Codes { codes: other, .. }) => codes == other,
            _ => false,
        }
    }
}

/// A profile in the making, row by row.
#[derive(Debug)]
pub struct Tally<'s> {
    study: &'s Study,
    profile: QualityProfile,
    /// One per input of the study, in its order.
    values: Vec<Histogram>,
    /// One per severity of the study, then one of unconfirmed cases.
    severities: Vec<u64>,
}

impl<'s> Tally<'s> {
    pub fn new(study: &'s Study) -> Tally<'s> {
        Tally {
            study,
            profile: QualityProfile::default(),
            values: study.inputs().iter().map(|input| Histogram::of(&input.accepts)).collect(),
            severities: vec![0; study.severities().len() + 1],
        }
    }

    pub fn accept(&mut self, case: &Case) {
        self.profile.accepted += 1;
        for (histogram, &value) in self.values.iter_mut().zip(case.patient.values()) {
            histogram.count(value);
        }
        let unconfirmed = self.severities.len() - 1;
        let severity = case.outcome.as_ref().map_or(unconfirmed, |outcome| outcome.severity.index());
        if let Some(count) = self.severities.get_mut(severity) {
            *count += 1;
        }
    }

    /// The last accepted row was stored already.
    pub fn duplicate(&mut self) {
        self.profile.duplicates += 1;
    }

    pub fn refuse(&mut self, issues: &[Issue]) {
        self.profile.refused += 1;
        for issue in issues {
            let field = match self.profile.fields.get_mut(&issue.field) {
                Some(field) => field,
                None => self.profile.fields.entry(issue.field.clone()).or_default(),
            };
            count(&mut field.issues, issue.code.as_str(), 1);
            field.swapped += u64::from(issue.swapped);
        }
    }

    pub fn skip(&mut self) {
        self.profile.skipped += 1;
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.profile.accepted + self.profile.refused + self.profile.skipped
    }

    pub fn finish(mut self) -> QualityProfile {
        self.profile.rows = self.rows();
        for (input, values) in self.study.inputs().iter().zip(self.values) {
            self.profile.fields.entry(input.name.clone()).or_default().values = Some(values);
        }
        let codes = self.study.severities().iter().map(|class| class.code.as_str()).chain(["unconfirmed"]);
        let counted = codes.zip(self.severities).filter(|(_, rows)| *rows > 0);
        self.profile.severities = counted.map(|(code, rows)| (code.to_owned(), rows)).collect();
        self.profile
    }
}

impl QualityProfile {
    /// Adds another profile. Where the study changed between them, a field keeps the histogram that it has.
    pub fn add(&mut self, other: &QualityProfile) {
        self.rows += other.rows;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.skipped += other.skipped;
        for (severity, rows) in &other.severities {
            count(&mut self.severities, severity, *rows);
        }
        for (name, theirs) in &other.fields {
            let field = self.fields.entry(name.clone()).or_default();
            field.swapped += theirs.swapped;
            for (issue, rows) in &theirs.issues {
                count(&mut field.issues, issue, *rows);
            }
            match (&mut field.values, &theirs.values) {
                (Some(own), Some(theirs)) if own.is_like(theirs) => {
                    let (Histogram::Numbers { counts, .. } | Histogram::Codes { counts, .. }) = own;
                    counts.iter_mut().zip(theirs.counts()).for_each(|(own, more)| *own += more);
                }
                (own @ None, Some(theirs)) => *own = Some(theirs.clone()),
                _ => {}
            }
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str, more: u64) {
    match counts.get_mut(key) {
        Some(count) => *count += more,
        None => drop(counts.insert(key.to_owned(), more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Raw;

    fn case(systolic: i64) -> Case {
        let study = Study::default_study();
        let patient = study.check(|input| match input.name.as_str() {
            "gender" => Raw::Text("male"),
            "blood_type" => Raw::Text("AB"),
            "systolic_mmhg" => Raw::Integer(systolic),
            "diastolic_mmhg" => Raw::Integer(70),
            _ => Raw::Integer(3),
        });
        Case {
            case_id: "c".into(),
            patient_id: "p".into(),
            source: "s".into(),
            recorded_at: 0,
            patient: patient.unwrap(),
            note: None,
            outcome: None,
            confirmed_at: None,
        }
    }

    #[test]
    fn rows_are_counted_and_profiles_add() {
        let study = Study::default_study();
        let mut tally = Tally::new(study);
        for systolic in [120, 120, 125] {
            tally.accept(&case(systolic));
        }
        tally.duplicate();
        let swapped = study.check(|input| match input.name.as_str() {
            "gender" => Raw::Text("x"),
            "blood_type" => Raw::Missing,
            "systolic_mmhg" => Raw::Integer(80),
            "diastolic_mmhg" => Raw::Integer(120),
            _ => Raw::Integer(3),
        });
        tally.refuse(&swapped.unwrap_err());
        tally.skip();
        let first = tally.finish();
        assert_eq!((first.rows, first.accepted, first.refused, first.skipped), (5, 3, 1, 1));
        let systolic = &first.fields["systolic_mmhg"];
        assert_eq!((systolic.swapped, systolic.issues["inconsistent"]), (1, 1));
        let digits = systolic.values.as_ref().unwrap().last_digits().unwrap();
        assert_eq!((digits[0], digits[5], digits.iter().sum::<u64>()), (2, 1, 3));
        let blood = &first.fields["blood_type"];
        assert_eq!(
            (blood.issues["missing"], blood.values.as_ref().unwrap().counts()),
            (1, &[0, 0, 3, 0][..])
        );
        let mut both = first.clone();
        both.add(&first);
        assert_eq!((both.rows, both.severities["unconfirmed"]), (10, 6));
        assert_eq!(both.fields["age_years"].values.as_ref().unwrap().counts()[3], 6);
        let stored: QualityProfile = toml::from_str(&toml::to_string(&both).unwrap()).unwrap();
        assert_eq!(stored, both);
    }

    #[test]
    fn a_wide_range_has_wide_bins_and_no_last_digits() {
        let mut wide = Histogram::of(&Accepts::Number { min: -10, max: 9_990, usual: None });
        for value in [-10, 9_990] {
            wide.count(value);
        }
        let counts = wide.counts();
        assert!(counts.len() <= 512 && counts[0] == 1 && counts[counts.len() - 1] == 1);
        assert_eq!(wide.last_digits(), None);
    }
}
