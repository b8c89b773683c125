//! The checks on a record: raw values of any file or message -> an accepted [`Patient`] or every
//! issue at once. Nothing is clipped, rounded or guessed.

use crate::study::Accepts;
use crate::{Input, Issue, IssueCode, Outcome, Patient, Rarity, Study};

/// A value as it arrived, before it means anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw<'a> {
    Missing,
    /// Typed sources (JSON, Parquet, FHIR): a number is a number, a text is a text.
    Integer(i64),
    Real(f64),
    Text(&'a str),
    /// A cell of a text file: a number is written in it, and only the field's kind tells.
    Written(&'a str),
    /// Anything else (a list, an object, a boolean).
    Other,
}

impl Study {
    /// Checks the inputs of one patient; `value` finds a field's raw value.
    pub fn check<'a>(&self, mut value: impl FnMut(&Input) -> Raw<'a>) -> Result<Patient, Vec<Issue>> {
        let mut issues = Vec::new();
        let mut values = Vec::with_capacity(self.inputs().len());
        let mut accepted = vec![false; self.inputs().len()];
        for (index, input) in self.inputs().iter().enumerate() {
            match input.accept(value(input)) {
                Ok(number) => {
                    accepted[index] = true;
                    values.push(number);
                }
                Err(issue) => {
                    issues.push(issue);
                    values.push(0);
                }
            }
        }
        for feature in self.features().iter().filter(|feature| feature.descending) {
            let range = feature.inputs.clone();
            for higher in range.start..range.end.saturating_sub(1) {
                let lower = higher + 1;
                if accepted[higher] && accepted[lower] && values[higher] <= values[lower] {
                    let (top, bottom) = (values[higher], values[lower]);
                    let (higher, lower) = (&self.inputs()[higher], &self.inputs()[lower]);
                    let swapped = top != bottom && higher.accepts(bottom) && lower.accepts(top);
                    let found = Issue::new(&higher.name, IssueCode::Inconsistent);
                    issues.push(Issue { range: higher.range(), swapped, ..found }.expecting(
                        format!("mayor que {}", lower.label.es.to_lowercase()),
                        format!("greater than {}", lower.label.en.to_lowercase()),
                    ));
                }
            }
        }
        if issues.is_empty() { Ok(Patient(values)) } else { Err(issues) }
    }

    /// Checks a confirmed outcome. All fields empty means not confirmed yet; a severity needs a
    /// rarity exactly when it is a disease, and only a disease has a code.
    pub fn check_outcome(
        &self,
        severity: Raw<'_>,
        rarity: Raw<'_>,
        disease_code: Raw<'_>,
    ) -> Result<Option<Outcome>, Vec<Issue>> {
        let mut issues = Vec::new();
        let mut text = |field: &str, raw: Raw<'_>| match raw {
            Raw::Missing => None,
            Raw::Text(text) | Raw::Written(text) => {
                Some(text.trim().to_owned()).filter(|text| !text.is_empty())
            }
            _ => {
                issues.push(Issue::new(field, IssueCode::WrongType).expecting("un texto", "text"));
                None
            }
        };
        let severity_code = text("severity", severity);
        let rarity_code = text("rarity", rarity);
        let disease_code = text("disease_code", disease_code);
        let severity = severity_code.as_deref().and_then(|code| {
            let known = self.severity_from_code(code);
            if known.is_none() {
                let codes: Vec<&str> = self.severities().iter().map(|class| class.code.as_str()).collect();
                issues.push(unknown("severity", &codes));
            }
            known
        });
        let rarity = rarity_code.as_deref().and_then(|code| {
            let known = Rarity::from_code(code);
            if known.is_none() {
                issues.push(unknown("rarity", &Rarity::ALL.map(Rarity::code)));
            }
            known
        });
        if !issues.is_empty() {
            return Err(issues);
        }
        match (severity, rarity) {
            (None, None) if disease_code.is_none() => Ok(None),
            (None, _) => Err(vec![
                Issue::new("severity", IssueCode::Missing)
                    .expecting("la gravedad confirmada", "the confirmed severity"),
            ]),
            (Some(severity), rarity) if (severity == self.healthy()) != rarity.is_none() => {
                Err(vec![Issue::new("rarity", IssueCode::Inconsistent).expecting(
                    "vacía sin enfermedad y común u huérfana con enfermedad",
                    "empty without disease and common or orphan with one",
                )])
            }
            (Some(severity), _) if severity == self.healthy() && disease_code.is_some() => Err(vec![
                Issue::new("disease_code", IssueCode::Inconsistent)
                    .expecting("vacío sin enfermedad", "empty without disease"),
            ]),
            (Some(severity), rarity) => Ok(Some(Outcome { severity, rarity, disease_code })),
        }
    }
}

impl Input {
    /// The accepted range, for numbers.
    pub fn range(&self) -> Option<(i32, i32)> {
        match &self.accepts {
            Accepts::Number { min, max, .. } => Some((*min, *max)),
            Accepts::Code(_) => None,
        }
    }

    /// Whether a number lies in the accepted range; not asked of codes.
    fn accepts(&self, number: i32) -> bool {
        self.range().is_some_and(|(min, max)| (min..=max).contains(&number))
    }

    /// One raw value -> the stored number (the number itself, or the position of the code).
    pub fn accept(&self, raw: Raw<'_>) -> Result<i32, Issue> {
        match &self.accepts {
            Accepts::Number { min, max, .. } => self.accept_number(raw, *min, *max),
            Accepts::Code(codes) => self.accept_code(raw, codes),
        }
    }

    fn accept_number(&self, raw: Raw<'_>, min: i32, max: i32) -> Result<i32, Issue> {
        let wrong = || {
            Issue::new(&self.name, IssueCode::WrongType)
                .within(min, max)
                .expecting("un número entero", "a whole number")
        };
        let out = || Issue::new(&self.name, IssueCode::OutOfRange).within(min, max);
        let number = match raw {
            Raw::Missing => {
                return Err(Issue::new(&self.name, IssueCode::Missing).within(min, max).expecting(
                    format!("un número entero de {min} a {max}"),
                    format!("a whole number from {min} to {max}"),
                ));
            }
            Raw::Integer(number) => number,
            Raw::Real(number) => whole(number).ok_or_else(wrong)?,
            Raw::Written(text) => match written_number(text.trim()) {
                Written::Empty => return self.accept_number(Raw::Missing, min, max),
                Written::Whole(number) => number,
                Written::Huge => return Err(out()),
                Written::Not => return Err(wrong()),
            },
            Raw::Text(_) | Raw::Other => return Err(wrong()),
        };
        match i32::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(out()),
        }
    }

    fn accept_code(&self, raw: Raw<'_>, codes: &[String]) -> Result<i32, Issue> {
        let text = match raw {
            Raw::Text(text) => text,
            Raw::Written(text) => text.trim(),
            Raw::Missing => "",
            Raw::Integer(_) | Raw::Real(_) | Raw::Other => {
                return Err(Issue::new(&self.name, IssueCode::WrongType).expecting(
                    format!("uno de {}", codes.join(", ")),
                    format!("one of {}", codes.join(", ")),
                ));
            }
        };
        if text.is_empty() {
            return Err(Issue::new(&self.name, IssueCode::Missing)
                .expecting(format!("uno de {}", codes.join(", ")), format!("one of {}", codes.join(", "))));
        }
        let position = codes.iter().position(|code| code == text);
        position
            .and_then(|position| i32::try_from(position).ok())
            .ok_or_else(|| unknown(&self.name, &codes.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

fn unknown(field: &str, codes: &[&str]) -> Issue {
    let list = codes.join(", ");
    Issue::new(field, IssueCode::UnknownCode).expecting(list.clone(), list)
}

/// A real that is a whole number (`138.0`) is one; beyond 2^53 the value is out of every range anyway.
fn whole(number: f64) -> Option<i64> {
    (number.is_finite() && number.fract() == 0.0).then(|| number.clamp(-9e15, 9e15) as i64)
}

enum Written {
    Empty,
    Whole(i64),
    /// Digits only, but beyond any machine number.
    Huge,
    Not,
}

fn written_number(text: &str) -> Written {
    if text.is_empty() {
        return Written::Empty;
    }
    if let Ok(number) = text.parse::<i64>() {
        return Written::Whole(number);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Written::Huge;
    }
    // `138.0` as spreadsheets and data frames write it; `inf`, `nan` and words are not numbers here.
    let decimal =
        digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    match text.parse::<f64>().ok().filter(|_| decimal).and_then(whole) {
        Some(number) => Written::Whole(number),
        None => Written::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(input: &Input) -> Raw<'static> {
        match input.name.as_str() {
            "age_years" => Raw::Integer(54),
            "gender" => Raw::Text("female"),
            "blood_type" => Raw::Text("O"),
            "systolic_mmhg" => Raw::Integer(138),
            "diastolic_mmhg" => Raw::Integer(86),
            _ => Raw::Written("6"),
        }
    }

    fn codes(result: Result<Patient, Vec<Issue>>) -> Vec<String> {
        result.map_or_else(|issues| issues.iter().map(Issue::reason).collect(), |_| Vec::new())
    }

    #[test]
    fn a_good_record_becomes_its_cell() {
        let study = Study::default_study();
        let patient = study.check(good).unwrap();
        assert_eq!(patient.values(), &[54, 0, 3, 138, 86, 6]);
        assert_eq!(study.levels(&patient), [54, 0, 3, 2, 6]);
    }

    #[test]
    fn every_problem_of_a_record_is_reported_at_once() {
        let study = Study::default_study();
        let bad = |input: &Input| match input.name.as_str() {
            "age_years" => Raw::Text("54"),
            "gender" => Raw::Text("x"),
            "blood_type" => Raw::Missing,
            "systolic_mmhg" => Raw::Integer(300),
            "diastolic_mmhg" => Raw::Real(86.5),
            _ => Raw::Integer(-1),
        };
        assert_eq!(
            codes(study.check(bad)),
            [
                "age_years:wrong_type",
                "gender:unknown_code",
                "blood_type:missing",
                "systolic_mmhg:out_of_range",
                "diastolic_mmhg:wrong_type",
                "exercise_days_per_month:out_of_range",
            ]
        );
    }

    #[test]
    fn a_swapped_pressure_is_inconsistent_and_an_equal_one_too() {
        let study = Study::default_study();
        for (systolic, diastolic) in [(80, 120), (90, 90)] {
            let swapped = |input: &Input| match input.name.as_str() {
                "systolic_mmhg" => Raw::Integer(systolic),
                "diastolic_mmhg" => Raw::Integer(diastolic),
                _ => good(input),
            };
            assert_eq!(study.check(swapped).unwrap_err()[0].swapped, systolic != diastolic);
            assert_eq!(codes(study.check(swapped)), ["systolic_mmhg:inconsistent"]);
        }
    }

    #[test]
    fn written_numbers_are_whole_or_refused() {
        let age = Study::default_study().input("age_years").unwrap();
        for (text, expected) in [
            ("54", Ok(54)),
            (" 54 ", Ok(54)),
            ("54.0", Ok(54)),
            ("5.4e1", Ok(54)),
            ("", Err(IssueCode::Missing)),
            ("54.5", Err(IssueCode::WrongType)),
            ("nan", Err(IssueCode::WrongType)),
            ("inf", Err(IssueCode::WrongType)),
            ("0x10", Err(IssueCode::WrongType)),
            ("-1", Err(IssueCode::OutOfRange)),
            ("19710", Err(IssueCode::OutOfRange)),
            ("99999999999999999999999", Err(IssueCode::OutOfRange)),
            ("1e300", Err(IssueCode::OutOfRange)),
            ("5.397605e-79", Err(IssueCode::WrongType)),
        ] {
            assert_eq!(age.accept(Raw::Written(text)).map_err(|issue| issue.code), expected, "{text}");
        }
    }

    #[test]
    fn a_disease_needs_a_rarity_and_health_has_none() {
        let study = Study::default_study();
        let check =
            |severity, rarity| study.check_outcome(Raw::Text(severity), Raw::Text(rarity), Raw::Missing);
        assert!(check("mild", "common").unwrap().is_some());
        assert!(check("healthy", "").unwrap().is_some());
        assert!(check("", "").unwrap().is_none());
        assert!(check("healthy", "common").is_err());
        assert!(check("mild", "").is_err());
        assert!(check("", "orphan").is_err());
        assert!(check("ill", "common").is_err());
        let coded = study.check_outcome(Raw::Text("healthy"), Raw::Missing, Raw::Text("ICD-10:I10"));
        assert_eq!(coded.unwrap_err()[0].reason(), "disease_code:inconsistent");
    }
}
