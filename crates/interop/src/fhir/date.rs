//! FHIR's dates: a year, a month, a day or an instant.

use time::{Date, Month, OffsetDateTime};

use crate::instant;

/// How exactly a date is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Year,
    Month,
    Day,
}

/// Microseconds of one day.
pub(super) const DAY: i64 = 86_400_000_000;

/// The first instant of a `date`, `dateTime` or `instant`, UTC microseconds, and its precision; `None`
/// where it is none or lies outside the years 1900 to 2100.
pub(super) fn parse(text: &str) -> Option<(i64, Precision)> {
    let text = text.trim();
    let (whole, precision) = match text.len() {
        4 => (format!("{text}-01-01"), Precision::Year),
        7 => (format!("{text}-01"), Precision::Month),
        _ => (text.to_owned(), Precision::Day),
    };
    instant::parse(&whole).ok().map(|micros| (micros, precision))
}

/// A birth day; a year's or month's middle where that is allowed.
pub(super) fn birth_day(text: &str, by_middle: bool) -> Option<i64> {
    match parse(text)? {
        (micros, Precision::Day) => Some(micros),
        (micros, Precision::Year) if by_middle => Some(micros + 182 * DAY),
        (micros, Precision::Month) if by_middle => Some(micros + 14 * DAY),
        _ => None,
    }
}

/// Days since 1970.
pub(super) fn day(micros: i64) -> i64 {
    micros.div_euclid(DAY)
}

/// Completed years from a birth day to an instant; `None` before the birth.
pub(super) fn completed_years(birth: i64, at: i64) -> Option<i64> {
    let (birth, at) = (date(birth)?, date(at)?);
    let had_birthday = (month(at), at.day()) >= (month(birth), birth.day());
    let years = at.year() - birth.year() - i32::from(!had_birthday);
    (years >= 0).then_some(i64::from(years))
}

fn month(date: Date) -> u8 {
    Month::into(date.month())
}

fn date(micros: i64) -> Option<Date> {
    OffsetDateTime::from_unix_timestamp(micros.div_euclid(1_000_000)).ok().map(OffsetDateTime::date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_dates_keep_their_precision() {
        assert_eq!(parse("1970"), Some((0, Precision::Year)));
        assert_eq!(parse("1970-02"), Some((31 * DAY, Precision::Month)));
        assert_eq!(parse("1970-01-02"), Some((DAY, Precision::Day)));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Some((0, Precision::Day)));
        for wrong in ["", "70", "1970-13", "1970-1", "abcd", "1970-01-01T10", "ñ70-1", "0001"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(birth_day("1970", false), None);
        assert_eq!(birth_day("1970", true), Some(182 * DAY));
    }

    #[test]
    fn years_are_completed_on_the_birthday() {
        let at = |text: &str| parse(text).unwrap().0;
        let born = at("1980-02-29");
        for (day, years) in [("2000-02-28", 19), ("2000-02-29", 20), ("2001-02-28", 20), ("2001-03-01", 21)] {
            assert_eq!(completed_years(born, at(day)), Some(years), "{day}");
        }
        assert_eq!(completed_years(born, at("1979-01-01")), None);
    }
}
