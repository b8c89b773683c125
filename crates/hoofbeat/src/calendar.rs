//! Schedules: when something is owed, as a pure function of times that are passed in.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, Weekday};

/// What runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// First, so that what is retrained on the same day is retrained after a look at the data.
    Monitor,
    Orphan,
    Incremental,
    Full,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Monitor, Kind::Orphan, Kind::Incremental, Kind::Full];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Monitor => "monitor",
            Kind::Orphan => "orphan",
            Kind::Incremental => "incremental",
            Kind::Full => "full",
        }
    }
}

/// How often, all times UTC: `daily 02:00`, `weekly sunday 03:00`, `monthly 1 03:00`, `quarterly 1 04:00`, `at once`. Day and
/// time may be left out: the first day, three o'clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Every {
    Day(Time),
    Week(Weekday, Time),
    /// The day of the month; the last one of shorter months.
    Month(u8, Time),
    /// The same of January, April, July and October.
    Quarter(u8, Time),
    /// As soon as there is something to do.
    Once,
}

const THREE: Time = time::macros::time!(03:00);

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        let refused = || {
            format!(
                "`{text}` is no schedule: daily 02:00, weekly sunday 03:00, monthly 1 03:00, quarterly 1 03:00 or at once"
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (time, words) = match words.split_last() {
            Some((last, rest)) if last.contains(':') => (clock(last).ok_or_else(refused)?, rest),
            _ => (THREE, words.as_slice()),
        };
        let day = |word: Option<&&str>| match word {
            None => Ok(1),
            Some(day) => day.parse().ok().filter(|day| (1..=31).contains(day)).ok_or_else(refused),
        };
        match words {
            ["at", "once"] if !text.contains(':') => Ok(Every::Once),
            ["daily"] => Ok(Every::Day(time)),
            ["weekly"] => Ok(Every::Week(Weekday::Sunday, time)),
            ["weekly", name] => Ok(Every::Week(weekday(name).ok_or_else(refused)?, time)),
            ["monthly", rest @ ..] if rest.len() < 2 => Ok(Every::Month(day(rest.first())?, time)),
            ["quarterly", rest @ ..] if rest.len() < 2 => Ok(Every::Quarter(day(rest.first())?, time)),
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Every {
    type Error = String;

    fn try_from(text: String) -> Result<Every, String> {
        text.parse()
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |time: &Time| format!("{:02}:{:02}", time.hour(), time.minute());
        match self {
            Every::Day(time) => write!(f, "daily {}", at(time)),
            Every::Week(day, time) => write!(f, "weekly {} {}", day.to_string().to_lowercase(), at(time)),
            Every::Month(day, time) => write!(f, "monthly {day} {}", at(time)),
            Every::Quarter(day, time) => write!(f, "quarterly {day} {}", at(time)),
            Every::Once => f.write_str("at once"),
        }
    }
}

fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, 0).ok()
}

fn weekday(name: &str) -> Option<Weekday> {
    let name = name.to_ascii_lowercase();
    let days = std::iter::successors(Some(Weekday::Monday), |day| Some(day.next())).take(7);
    days.into_iter().find(|day| day.to_string().to_ascii_lowercase() == name)
}

impl Every {
    /// The newest slot after `since` and not after `now`. Earlier ones that were missed are made up for by it. None for
    /// what has no times of its own.
    pub fn newest(&self, since: OffsetDateTime, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let slots = self.slots_around(now);
        slots.into_iter().filter(|&slot| since < slot && slot <= now).max()
    }

    /// The first slot after `now`.
    pub fn next(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.slots_around(now).into_iter().filter(|&slot| slot > now).min()
    }

    /// The slots near a moment: at least one before and one after it.
    fn slots_around(&self, now: OffsetDateTime) -> Vec<OffsetDateTime> {
        let today = now.date();
        let days = |from: i64, to: i64| (from..=to).filter_map(move |n| today.checked_add(Duration::days(n)));
        let at = |date: Date, time: Time| PrimitiveDateTime::new(date, time).assume_utc();
        let months = |every: i32, day: u8| {
            (-(2 * every)..=2 * every)
                .filter_map(move |n| month_day(today, n, day))
                .filter(move |date| every == 1 || (u8::from(date.month()) - 1) % 3 == 0)
        };
        match *self {
            Every::Day(time) => days(-2, 2).map(|date| at(date, time)).collect(),
            Every::Week(day, time) => {
                days(-8, 8).filter(|date| date.weekday() == day).map(|date| at(date, time)).collect()
            }
            Every::Month(day, time) => months(1, day).map(|date| at(date, time)).collect(),
            Every::Quarter(day, time) => months(3, day).map(|date| at(date, time)).collect(),
            Every::Once => Vec::new(),
        }
    }
}

/// A day of the month that is `months` away.
fn month_day(from: Date, months: i32, day: u8) -> Option<Date> {
    let index = from.year() * 12 + i32::from(u8::from(from.month())) - 1 + months;
    let month = Month::try_from(u8::try_from(index.rem_euclid(12) + 1).ok()?).ok()?;
    let year = index.div_euclid(12);
    Date::from_calendar_date(year, month, day.min(month.length(year))).ok()
}

/// What is known about a kind of work when it is asked what is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub every: Every,
    /// Since when the schedule holds.
    pub since: OffsetDateTime,
    /// The dataset version with work for what is done at once.
    pub ready: Option<u64>,
}

/// Something that is owed: its key is the same whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub kind: Kind,
    pub key: String,
}

/// What is owed at a moment: per kind the newest slot at most. Whether it was done already is known by its key.
pub fn due(known: &[(Kind, Known)], now: OffsetDateTime) -> Vec<Slot> {
    let slot = |(kind, known): &(Kind, Known)| {
        let name = kind.name();
        let key = match known.every {
            Every::Once => format!("{name}@dataset-{}", known.ready?),
            every => {
                let at = every.newest(known.since, now)?;
                format!("{name}@{}T{:02}:{:02}Z", at.date(), at.hour(), at.minute())
            }
        };
        Some(Slot { kind: *kind, key })
    };
    known.iter().filter_map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn every(text: &str) -> Every {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn schedules_are_read_and_written() {
        for text in
            ["daily 02:30", "weekly monday 23:59", "monthly 31 03:00", "quarterly 15 04:05", "at once"]
        {
            assert_eq!(every(text).to_string(), text);
        }
        assert_eq!(every("monthly").to_string(), "monthly 1 03:00");
        assert_eq!(every("weekly").to_string(), "weekly sunday 03:00");
        assert_eq!(every("quarterly 05:00").to_string(), "quarterly 1 05:00");
        for wrong in [
            "",
            "yearly",
            "monthly 0",
            "monthly 32",
            "daily 25:00",
            "weekly x",
            "at once 03:00",
            "monthly 1 2",
        ] {
            assert!(wrong.parse::<Every>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_slot_that_was_reached_is_owed_and_no_earlier_one() {
        let began = datetime!(2026-01-01 00:00 UTC);
        for (text, now, newest, next) in [
            ("daily 02:00", datetime!(2026-01-01 01:59 UTC), None, datetime!(2026-01-01 02:00 UTC)),
            (
                "daily 02:00",
                datetime!(2026-01-01 02:00 UTC),
                Some(datetime!(2026-01-01 02:00 UTC)),
                datetime!(2026-01-02 02:00 UTC),
            ),
            (
                "daily 02:00",
                datetime!(2026-03-01 01:00 UTC),
                Some(datetime!(2026-02-28 02:00 UTC)),
                datetime!(2026-03-01 02:00 UTC),
            ),
            (
                "weekly sunday 03:00",
                datetime!(2026-01-10 12:00 UTC),
                Some(datetime!(2026-01-04 03:00 UTC)),
                datetime!(2026-01-11 03:00 UTC),
            ),
            (
                "monthly 31 03:00",
                datetime!(2026-03-01 00:00 UTC),
                Some(datetime!(2026-02-28 03:00 UTC)),
                datetime!(2026-03-31 03:00 UTC),
            ),
            (
                "quarterly",
                datetime!(2026-03-31 00:00 UTC),
                Some(datetime!(2026-01-01 03:00 UTC)),
                datetime!(2026-04-01 03:00 UTC),
            ),
            (
                "quarterly 15",
                datetime!(2026-12-31 00:00 UTC),
                Some(datetime!(2026-10-15 03:00 UTC)),
                datetime!(2027-01-15 03:00 UTC),
            ),
        ] {
            let schedule = every(text);
            assert_eq!(schedule.newest(began, now), newest, "{text} at {now}");
            assert_eq!(schedule.next(now), Some(next), "{text} at {now}");
        }
        // What lay before the schedule began is not owed.
        let late = datetime!(2026-02-10 00:00 UTC);
        assert_eq!(every("monthly").newest(late, datetime!(2026-02-20 00:00 UTC)), None);
    }

    #[test]
    fn a_year_owes_each_slot_once() {
        let since = datetime!(2026-01-01 12:00 UTC);
        let of = |text: &str| Known { every: every(text), since, ready: None };
        let known = [
            (Kind::Monitor, of("daily")),
            (Kind::Incremental, of("monthly")),
            (Kind::Full, of("quarterly")),
            (Kind::Orphan, Known { ready: Some(7), ..of("at once") }),
        ];
        let mut keys = std::collections::BTreeSet::new();
        // Asked at any times, by anybody.
        for hours in 0..365 * 24 {
            keys.extend(due(&known, since + Duration::hours(hours)).into_iter().map(|slot| slot.key));
        }
        let count = |kind: Kind| keys.iter().filter(|key| key.starts_with(kind.name())).count();
        assert_eq!(Kind::ALL.map(count), [365, 1, 12, 4]);
        assert!(
            keys.contains("incremental@2026-02-01T03:00Z") && keys.contains("orphan@dataset-7"),
            "{keys:?}"
        );
        assert!(keys.contains("full@2026-04-01T03:00Z"));
    }
}
