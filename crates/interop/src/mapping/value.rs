//! What a mapping does to one field's value.

use crate::cell::Cell;

/// A value written in a mapping file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    /// Equal to a cell with the same characters.
    Text(String),
    /// Equal to a cell with the same number, however it is written (`7777`, `7777.0`).
    Number(f64),
}

impl Scalar {
    pub(crate) fn matches(&self, cell: Cell<'_>) -> bool {
        match self {
            Scalar::Text(text) => match cell.text() {
                Some(found) => found == text,
                None => text.is_empty() && cell == Cell::Missing,
            },
            Scalar::Number(number) if number.is_nan() => match cell {
                Cell::Real(found) => found.is_nan(),
                Cell::Written(text) => text.trim().eq_ignore_ascii_case("nan"),
                _ => false,
            },
            Scalar::Number(number) => cell.number() == Some(*number),
        }
    }

    fn cell(&self) -> Cell<'_> {
        match self {
            // As if written in a text file: the field's kind tells whether a number is meant.
            Scalar::Text(text) => Cell::Written(text),
            Scalar::Number(number) => Cell::Real(*number),
        }
    }
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum From {
    /// Positions in the mapping's list of columns: one, or several whose mean is meant.
    Columns(Vec<usize>),
    Constant(Scalar),
}

/// A change of unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Convert {
    /// Whole years of 365.2425 days.
    DaysToCompletedYears,
    MonthsToCompletedYears,
    /// A month is a twelfth of 365.25 days: times 4.348.
    DaysAWeekToDaysAMonth,
    /// 1 kPa = 7.500617 mmHg (conventional millimetre of mercury, ISO 80000-4).
    KpaToMmhg,
    Factor(f64),
}

impl Convert {
    /// The conversions that have a name.
    pub(crate) const NAMED: [(&'static str, Convert); 4] = [
        ("days_to_completed_years", Convert::DaysToCompletedYears),
        ("months_to_completed_years", Convert::MonthsToCompletedYears),
        ("days_a_week_to_days_a_month", Convert::DaysAWeekToDaysAMonth),
        ("kpa_to_mmhg", Convert::KpaToMmhg),
    ];

    fn apply(self, number: f64) -> f64 {
        match self {
            Convert::DaysToCompletedYears => (number / 365.2425).floor(),
            Convert::MonthsToCompletedYears => (number / 12.0).floor(),
            Convert::DaysAWeekToDaysAMonth => number * 365.25 / 84.0,
            Convert::KpaToMmhg => number * 7.500_617,
            Convert::Factor(factor) => number * factor,
        }
    }
}

/// What is done to one field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValueRule {
    /// Of the key that declares it.
    pub(crate) line: usize,
    pub(crate) from: From,
    pub(crate) missing: Vec<Scalar>,
    pub(crate) recode: Vec<(String, Scalar)>,
    /// Numbers nearer to zero than this are zero.
    pub(crate) zero_below: Option<f64>,
    /// Numbers below this mean: not known.
    pub(crate) missing_below: Option<f64>,
    pub(crate) convert: Option<Convert>,
    pub(crate) round: bool,
    pub(crate) prefix: Option<String>,
}

impl ValueRule {
    /// The field's value; `cell` finds a column of the mapping's list. A value that is not the number
    /// that a numeric key needs stays as it is, and the study's checks refuse it.
    pub(crate) fn value<'a>(&'a self, cell: impl Fn(usize) -> Cell<'a>) -> Cell<'a> {
        let single = match &self.from {
            From::Constant(constant) => constant.cell(),
            From::Columns(columns) => match columns.as_slice() {
                [column] => self.one(cell(*column)),
                columns => self.mean(columns, cell),
            },
        };
        if self.convert.is_none() && !self.round {
            return single;
        }
        let Some(number) = single.number() else {
            return single;
        };
        let number = self.convert.map_or(number, |convert| convert.apply(number));
        Cell::Real(if self.round { number.round() } else { number })
    }

    fn one<'a>(&'a self, cell: Cell<'a>) -> Cell<'a> {
        if self.missing.iter().any(|code| code.matches(cell)) {
            return Cell::Missing;
        }
        let cell = match cell.text().and_then(|text| self.recode.iter().find(|(from, _)| from == text)) {
            Some((_, to)) => to.cell(),
            None => match (cell, self.recode.is_empty()) {
                (Cell::Integer(number), false) => {
                    let text = number.to_string();
                    self.recode.iter().find(|(from, _)| *from == text).map_or(cell, |(_, to)| to.cell())
                }
                _ => cell,
            },
        };
        if self.zero_below.is_none() && self.missing_below.is_none() {
            return cell;
        }
        match cell.number() {
            Some(number) => {
                let zero = self.zero_below.is_some_and(|limit| number.abs() < limit);
                let number = if zero { 0.0 } else { number };
                match self.missing_below.is_some_and(|limit| number < limit) {
                    true => Cell::Missing,
                    false if zero => Cell::Real(0.0),
                    false => cell,
                }
            }
            None => cell,
        }
    }

    fn mean<'a>(&'a self, columns: &[usize], cell: impl Fn(usize) -> Cell<'a>) -> Cell<'a> {
        let (mut sum, mut count) = (0.0, 0u32);
        for &column in columns {
            let one = self.one(cell(column));
            if one.is_empty() {
                continue;
            }
            let Some(number) = one.number() else {
                return one;
            };
            sum += number;
            count += 1;
        }
        if count == 0 { Cell::Missing } else { Cell::Real(sum / f64::from(count)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(change: impl FnOnce(&mut ValueRule)) -> ValueRule {
        let mut rule = ValueRule {
            line: 1,
            from: From::Columns(vec![0]),
            missing: Vec::new(),
            recode: Vec::new(),
            zero_below: None,
            missing_below: None,
            convert: None,
            round: false,
            prefix: None,
        };
        change(&mut rule);
        rule
    }

    #[test]
    fn codes_for_missing_are_compared_as_what_they_are_written_as() {
        let rule =
            rule(|rule| rule.missing = vec![Scalar::Number(7777.0), Scalar::Text("Refused".to_owned())]);
        for text in ["7777", "7777.0", " 7777 ", "Refused"] {
            assert_eq!(rule.value(|_| Cell::Written(text)), Cell::Missing, "{text}");
        }
        assert_eq!(rule.value(|_| Cell::Written("777")), Cell::Written("777"));
        assert_eq!(rule.value(|_| Cell::Integer(7777)), Cell::Missing);
    }

    #[test]
    fn a_sas_zero_is_zero_and_a_silent_diastolic_is_missing() {
        let zero = rule(|rule| rule.zero_below = Some(1e-60));
        assert_eq!(zero.value(|_| Cell::Written("5.397605e-79")), Cell::Real(0.0));
        assert_eq!(zero.value(|_| Cell::Written("0.001")), Cell::Written("0.001"));
        let silent = rule(|rule| {
            rule.zero_below = Some(1e-60);
            rule.missing_below = Some(1.0);
        });
        assert_eq!(silent.value(|_| Cell::Written("5.397605e-79")), Cell::Missing);
        assert_eq!(silent.value(|_| Cell::Written("42")), Cell::Written("42"));
    }

    #[test]
    fn the_mean_is_of_the_readings_that_are_there_and_is_rounded_when_asked() {
        let readings = |texts: [&'static str; 3]| move |column: usize| Cell::Written(texts[column]);
        let mean = rule(|rule| {
            rule.from = From::Columns(vec![0, 1, 2]);
            rule.missing_below = Some(1.0);
            rule.round = true;
        });
        assert_eq!(mean.value(readings(["122", "122", "124"])), Cell::Real(123.0));
        assert_eq!(mean.value(readings(["", "122", "0"])), Cell::Real(122.0));
        assert_eq!(mean.value(readings(["", "", "0"])), Cell::Missing);
        assert_eq!(mean.value(readings(["", "high", "0"])), Cell::Written("high"));
    }

    #[test]
    fn units_are_converted_as_declared() {
        for (convert, from, to) in [
            (Convert::DaysToCompletedYears, "6574", 17.0),
            (Convert::DaysToCompletedYears, "6575", 18.0),
            (Convert::MonthsToCompletedYears, "23", 1.0),
            (Convert::Factor(10.0), "12", 120.0),
        ] {
            assert_eq!(
                rule(|rule| rule.convert = Some(convert)).value(|_| Cell::Written(from)),
                Cell::Real(to)
            );
        }
        let month = rule(|rule| {
            rule.convert = Some(Convert::DaysAWeekToDaysAMonth);
            rule.round = true;
        });
        let days: Vec<Cell<'_>> = (0..=7).map(|week| month.value(|_| Cell::Integer(week))).collect();
        assert_eq!(days, [0.0, 4.0, 9.0, 13.0, 17.0, 22.0, 26.0, 30.0].map(Cell::Real));
        assert_eq!(month.value(|_| Cell::Written("daily")), Cell::Written("daily"));
    }
}
