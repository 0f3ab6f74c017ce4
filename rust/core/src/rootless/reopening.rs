//! When a way out that is missing under running containers is opened again: soon, then later and later, then not unasked.

use std::time::{Duration, Instant};

/// Before the first try, and doubled from one to the next: what is in the way (a predecessor that has not let go of its link, a
/// machine without memory) passes, or takes its time.
const FIRST: Duration = Duration::from_millis(100);
/// Tries before it is given up, of which the last comes after some 25 seconds.
const TRIES: u32 = 8;
/// A way out that lasted this long worked: what ended it begins a new count.
const LASTING: Duration = Duration::from_secs(60);

/// The tries made for one cause, and when the next one is due.
#[derive(Debug, Default)]
pub struct Reopening {
    tries: u32,
    due: Option<Instant>,
}

impl Reopening {
    /// It ended, having lived for some time.
    pub fn ended(&mut self, lived: Duration, now: Instant) {
        if lived >= LASTING {
            self.tries = 0;
        }
        self.missed(now);
    }

    /// It is not there: the next try, if there is one left.
    pub fn missed(&mut self, now: Instant) {
        self.due = (self.tries < TRIES).then(|| now + FIRST * 2u32.pow(self.tries));
        self.tries = (self.tries + 1).min(TRIES);
    }

    /// It is there; the tries are forgotten when it has lasted.
    pub fn opened(&mut self) {
        self.due = None;
    }

    /// How long until the next try; None where there is none.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }

    /// Whether it is time.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits before each try where every one fails at once.
    fn waits(reopening: &mut Reopening, now: &mut Instant) -> Vec<u128> {
        let mut waits = Vec::new();
        while let Some(left) = reopening.wait(*now) {
            waits.push(left.as_millis());
            *now += left;
            assert!(reopening.is_due(*now));
            reopening.missed(*now);
        }
        waits
    }

    #[test]
    fn what_fails_again_and_again_is_tried_later_and_later_and_then_no_more() {
        let (mut reopening, mut now) = (Reopening::default(), Instant::now());
        assert_eq!(reopening.wait(now), None);
        reopening.missed(now);
        assert!(!reopening.is_due(now));
        assert_eq!(waits(&mut reopening, &mut now), [100, 200, 400, 800, 1600, 3200, 6400, 12800]);
        assert!(!reopening.is_due(now + LASTING));
    }

    #[test]
    fn one_that_was_opened_is_tried_no_more_until_it_ends() {
        let (mut reopening, now) = (Reopening::default(), Instant::now());
        reopening.missed(now);
        reopening.opened();
        assert_eq!(reopening.wait(now), None);
        reopening.ended(Duration::ZERO, now);
        assert_eq!(reopening.wait(now), Some(FIRST * 2));
    }

    #[test]
    fn one_that_lasted_begins_a_new_count() {
        let (mut reopening, mut now) = (Reopening::default(), Instant::now());
        reopening.missed(now);
        assert_eq!(waits(&mut reopening, &mut now).len(), 8);
        reopening.ended(LASTING / 2, now);
        assert_eq!(reopening.wait(now), None);
        reopening.ended(LASTING, now);
        assert_eq!(reopening.wait(now), Some(FIRST));
    }
}
