//! What time it is. The clock is read here and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::{Duration, OffsetDateTime};

/// The clock of a deployment: what it does, it does at this clock's time.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// One that is put forward by hand: a year may pass in a minute.
    Manual(ManualClock),
}

impl Clock {
    pub fn now(&self) -> OffsetDateTime {
        match self {
            Clock::System => OffsetDateTime::now_utc(),
            Clock::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that stands still until it is set; clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `at`; from 1677 to 2262.
    pub fn at(at: OffsetDateTime) -> ManualClock {
        let clock = ManualClock(Arc::default());
        clock.set(at);
        clock
    }

    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::nanoseconds(self.0.load(Ordering::SeqCst))
    }

    pub fn set(&self, at: OffsetDateTime) {
        self.0.store(at.unix_timestamp_nanos() as i64, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_clock_that_is_set_by_hand_stands_still_and_is_one_clock_for_all_who_hold_it() {
        let hand = ManualClock::at(datetime!(2026-01-01 03:00:00.000001 UTC));
        let clock = Clock::Manual(hand.clone());
        assert_eq!(clock.now(), datetime!(2026-01-01 03:00:00.000001 UTC));
        assert_eq!(clock.now(), clock.now());
        hand.set(datetime!(2027-01-01 00:00 UTC));
        assert_eq!(clock.now(), datetime!(2027-01-01 00:00 UTC));
    }
}
