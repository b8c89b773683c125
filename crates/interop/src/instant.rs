//! Dates of case files <-> UTC microseconds since 1970.

use time::{
    Date, Month, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::datetime,
};

/// Why a text is not a time that a case can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAnInstant {
    /// Neither RFC 3339 nor YYYY-MM-DD, or no such day.
    Malformed,
    /// Outside the years 1900 to 2100.
    OutOfRange,
}

const MICROS_PER_DAY: i64 = 86_400_000_000;
const FIRST: i64 = datetime!(1900-01-01 00:00 UTC).unix_timestamp() * 1_000_000;
const END: i64 = datetime!(2101-01-01 00:00 UTC).unix_timestamp() * 1_000_000;

/// `2026-01-31` (its midnight in UTC) or RFC 3339 (`2026-01-31T08:00:00+01:00`; a space may stand for
/// the `T`, as the standard allows), strictly. Fractions below a microsecond are cut.
pub(crate) fn parse(text: &str) -> Result<i64, NotAnInstant> {
    let bytes = text.as_bytes();
    let micros = match bytes.get(10) {
        None => day(bytes).ok_or(NotAnInstant::Malformed)? * MICROS_PER_DAY,
        Some(b'T' | b't' | b' ') => {
            let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotAnInstant::Malformed)?;
            i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000))
                .map_err(|_| NotAnInstant::OutOfRange)?
        }
        Some(_) => return Err(NotAnInstant::Malformed),
    };
    in_range(micros)
}

/// Holds a time of a typed file to the same range.
pub(crate) fn in_range(micros: i64) -> Result<i64, NotAnInstant> {
    if (FIRST..END).contains(&micros) { Ok(micros) } else { Err(NotAnInstant::OutOfRange) }
}

/// RFC 3339 in UTC, with a fraction only where there is one; `None` outside years 0 to 9999.
pub(crate) fn format(micros: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
    time.to_offset(UtcOffset::UTC).format(&Rfc3339).ok()
}

/// Days since 1970 of `YYYY-MM-DD`.
fn day(bytes: &[u8]) -> Option<i64> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0u16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
    };
    let year = i32::from(number(&[y1, y2, y3, y4])?);
    let month = Month::try_from(u8::try_from(number(&[m1, m2])?).ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, u8::try_from(number(&[d1, d2])?).ok()?).ok()?;
    Some(i64::from(date.to_julian_day() - time::macros::date!(1970 - 01 - 01).to_julian_day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_midnight_and_an_offset_is_taken_off() {
        assert_eq!(parse("1970-01-02"), Ok(MICROS_PER_DAY));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(parse("1969-12-31T23:59:59.999999999Z"), Ok(-1));
        assert_eq!(parse("1970-01-01 00:00:00.25z"), Ok(250_000));
        assert_eq!(parse("2024-02-29"), Ok(1_709_164_800_000_000));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2026",
            "2026-1-1",
            "2026-02-30",
            "2023-02-29",
            "01/02/2026",
            "2026-01-01T",
            "2026-01-01T10:00",
            "2026-01-01T10:00:00",
            "2026-01-01x10:00:00Z",
            "20260101",
            "2026-13-01",
            "2026-01-01T25:00:00Z",
            "+026-01-01",
            "２０２６-01-01",
        ] {
            assert_eq!(parse(text), Err(NotAnInstant::Malformed), "{text}");
        }
        for text in ["1899-12-31", "2101-01-01", "0001-01-01", "1899-12-31T23:59:59Z"] {
            assert_eq!(parse(text), Err(NotAnInstant::OutOfRange), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for micros in [0, -1, 1, 1_709_164_800_000_001, FIRST, END - 1] {
            assert_eq!(format(micros).map(|text| parse(&text)), Some(Ok(micros)));
        }
    }
}
