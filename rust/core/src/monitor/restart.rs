//! Restart policies and their back-off, as Docker's.

use std::time::Duration;

use super::config::{Restart, RestartPolicy};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A container that ran this long has started well: the pause begins anew.
const RAN_WELL: Duration = Duration::from_secs(10);

/// Decides whether and when a container starts again.
#[derive(Debug)]
pub struct Restarts {
    policy: Restart,
    pause: Duration,
    /// Restarts so far, an earlier monitor's included.
    pub count: u32,
    /// Of these, what the limit still counts.
    tries: u32,
}

impl Restarts {
    /// For a policy.
    pub fn new(policy: Restart) -> Self {
        Self { count: policy.count, tries: policy.count, policy, pause: Duration::ZERO }
    }

    /// A user changed the policy.
    pub fn change(&mut self, policy: Restart) {
        self.policy = policy;
    }

    /// How long to wait before the next start; None: it stays down.
    pub fn next(&mut self, exit_code: i32, stopped_by_user: bool, ran: Duration) -> Option<Duration> {
        if self.policy.window_ms.is_some_and(|window| ran >= Duration::from_millis(window)) {
            self.tries = 0;
        }
        let again = !stopped_by_user
            && match self.policy.policy {
                RestartPolicy::No => false,
                RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
                RestartPolicy::OnFailure => {
                    let limit = self.policy.maximum_retry_count;
                    exit_code != 0 && (limit == 0 || self.tries < limit)
                }
            };
        if !again {
            return None;
        }
        self.pause =
            if self.pause.is_zero() || ran >= RAN_WELL { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.count += 1;
        self.tries += 1;
        Some(self.policy.delay_ms.map_or(self.pause, Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts(policy: RestartPolicy, maximum_retry_count: u32) -> Restarts {
        Restarts::new(Restart { policy, maximum_retry_count, count: 0, delay_ms: None, window_ms: None })
    }

    #[test]
    fn pause_doubles_up_to_a_minute_and_begins_anew() {
        let mut restarts = restarts(RestartPolicy::Always, 0);
        let pauses: Vec<u128> =
            (0..12).filter_map(|_| restarts.next(0, false, Duration::ZERO)).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[11], 60_000);
        assert_eq!(restarts.next(0, false, RAN_WELL), Some(FIRST_PAUSE));
    }

    #[test]
    fn on_failure_counts_and_forgives_success() {
        let mut restarts = restarts(RestartPolicy::OnFailure, 2);
        assert_eq!(restarts.next(0, false, Duration::ZERO), None);
        assert!(restarts.next(1, false, Duration::ZERO).is_some());
        assert!(restarts.next(1, false, Duration::ZERO).is_some());
        assert_eq!(restarts.next(1, false, Duration::ZERO), None);
    }

    #[test]
    fn delay_is_the_pause_and_a_long_life_is_counted_anew() {
        let policy = Restart {
            policy: RestartPolicy::OnFailure,
            maximum_retry_count: 2,
            count: 1,
            delay_ms: Some(5000),
            window_ms: Some(1000),
        };
        let mut restarts = Restarts::new(policy);
        let short = Duration::from_millis(999);
        assert_eq!(restarts.next(1, false, short), Some(Duration::from_secs(5)));
        assert_eq!((restarts.next(1, false, short), restarts.count), (None, 2));
        assert_eq!(restarts.next(1, false, Duration::from_secs(1)), Some(Duration::from_secs(5)));
        assert_eq!((restarts.next(1, false, short).is_some(), restarts.next(1, false, short)), (true, None));
    }

    #[test]
    fn stopped_by_user_stays_down() {
        for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::OnFailure] {
            assert_eq!(restarts(policy, 0).next(137, true, Duration::ZERO), None);
        }
    }
}
