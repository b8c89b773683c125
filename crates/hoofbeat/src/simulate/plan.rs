//! Plan: when the simulated hospital begins and ends, and what happens to it meanwhile.

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use time::{Date, Duration, Month};

/// The first simulated day.
const BEGIN: (i32, Month, u8) = (2026, Month::January, 1);
/// Months of a year, in which the events have their places.
const YEAR: u32 = 12;

/// What happens to a hospital.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Nothing
    Calm,
    /// Everybody's blood pressure rises
    Pressure,
    /// A device of one source exchanges the two pressures
    Device,
    /// An orphan disease appears that nobody has seen before
    Orphan,
    /// A user reports wrong labels in masses
    Careless,
    /// All of these
    All,
}

/// One of the things that happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Orphan,
    Careless,
    Device,
    Pressure,
}

impl What {
    const ALL: [What; 4] = [What::Orphan, What::Careless, What::Device, What::Pressure];

    /// The month of a year, from 0, in which it begins; the day of it; and its days, where it ends before the year.
    fn place(self) -> (u32, u8, Option<i64>) {
        match self {
            What::Orphan => (2, 1, None),
            What::Careless => (4, 4, Some(10)),
            What::Device => (5, 8, Some(21)),
            What::Pressure => (8, 1, None),
        }
    }

    fn belongs_to(self, scenario: Scenario) -> bool {
        match scenario {
            Scenario::Calm => false,
            Scenario::All => true,
            Scenario::Pressure => self == What::Pressure,
            Scenario::Device => self == What::Device,
            Scenario::Orphan => self == What::Orphan,
            Scenario::Careless => self == What::Careless,
        }
    }

    /// Sentences for the timeline: of its beginning and of its end.
    pub(super) fn about(self) -> [&'static str; 2] {
        match self {
            What::Orphan => {
                ["an orphan disease appears that the model has never seen", "the new disease is gone"]
            }
            What::Careless => ["a careless user begins to report wrong labels", "the careless user stops"],
            What::Device => ["a device exchanges the two pressures of some patients", "the device is mended"],
            What::Pressure => ["everybody's blood pressure rises", "blood pressure is as before"],
        }
    }
}

/// Something that happens, with its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Event {
    pub what: What,
    /// Its first day.
    #[serde(serialize_with = "written")]
    pub from: Date,
    /// The first day without it; the day after the simulation's last one where it stays.
    #[serde(serialize_with = "written")]
    pub until: Date,
}

impl Event {
    pub(super) fn is_on(&self, day: Date) -> bool {
        self.from <= day && day < self.until
    }
}

/// The simulated time and its events.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    #[serde(serialize_with = "written")]
    pub begin: Date,
    /// The day after the last one.
    #[serde(serialize_with = "written")]
    pub end: Date,
    pub events: Vec<Event>,
}

impl Plan {
    /// `months` of a scenario. Its events have the same places in a short simulation as in a year.
    pub(super) fn of(scenario: Scenario, months: u32) -> Plan {
        let (begin, end) = (month(0), month(months));
        let event = |what: What| {
            let (at, day, days) = what.place();
            // Whole months where there are enough of them: events begin where a month does.
            let first = month(at * months / YEAR);
            let from = if months < YEAR { first } else { first + Duration::days(i64::from(day) - 1) };
            let until = days.map_or(end, |days| (from + Duration::days(days)).min(end));
            Event { what, from, until }
        };
        let events = What::ALL.into_iter().filter(|what| what.belongs_to(scenario)).map(event);
        Plan { begin, end, events: events.collect() }
    }

    pub(super) fn event(&self, what: What) -> Option<&Event> {
        self.events.iter().find(|event| event.what == what)
    }

    /// Whether something is happening on a day.
    pub(super) fn is_on(&self, what: What, day: Date) -> bool {
        self.event(what).is_some_and(|event| event.is_on(day))
    }

    pub(super) fn days(&self) -> impl Iterator<Item = Date> + use<> {
        let (begin, end) = (self.begin, self.end);
        (0..(end - begin).whole_days()).map(move |day| begin + Duration::days(day))
    }
}

/// A day in JSON: `YYYY-MM-DD`.
pub(super) fn written<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// The first day of a month, counted from the first simulated one.
fn month(index: u32) -> Date {
    let (year, first, day) = BEGIN;
    let at = u32::from(u8::from(first)) - 1 + index;
    let month = Month::January.nth_next((at % YEAR) as u8);
    let year = year + (at / YEAR) as i32;
    // The first day of any month exists.
    Date::from_calendar_date(year, month, day).unwrap_or(Date::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn a_year_has_every_event_once_and_a_short_span_has_them_in_the_same_order() {
        let year = Plan::of(Scenario::All, 12);
        assert_eq!(
            (year.begin, year.end, year.days().count()),
            (date!(2026 - 01 - 01), date!(2027 - 01 - 01), 365)
        );
        let froms: Vec<Date> = year.events.iter().map(|event| event.from).collect();
        assert_eq!(
            froms,
            [date!(2026 - 03 - 01), date!(2026 - 05 - 04), date!(2026 - 06 - 08), date!(2026 - 09 - 01)]
        );
        assert_eq!(year.event(What::Device).unwrap().until, date!(2026 - 06 - 29));
        assert_eq!(year.event(What::Pressure).unwrap().until, year.end);

        let short = Plan::of(Scenario::Device, 2);
        assert_eq!((short.end, short.events.len()), (date!(2026 - 03 - 01), 1));
        assert_eq!(short.events[0].from, date!(2026 - 01 - 01));
        assert!(Plan::of(Scenario::Calm, 24).events.is_empty());
        assert_eq!(Plan::of(Scenario::Calm, 24).end, date!(2028 - 01 - 01));
    }
}
