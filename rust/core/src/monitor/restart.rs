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
    /// Restarts so far.
    pub count: u32,
}

impl Restarts {
    /// For a policy.
    pub fn new(policy: Restart) -> Self {
        Self { policy, pause: Duration::ZERO, count: 0 }
    }

    /// A user changed the policy.
    pub fn change(&mut self, policy: Restart) {
        self.policy = policy;
    }

    /// How long to wait before the next start; None: it stays down.
    pub fn next(&mut self, exit_code: i32, stopped_by_user: bool, ran: Duration) -> Option<Duration> {
        let again = !stopped_by_user
            && match self.policy.policy {
                RestartPolicy::No => false,
                RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
                RestartPolicy::OnFailure => {
                    let limit = self.policy.maximum_retry_count;
                    exit_code != 0 && (limit == 0 || self.count < limit)
                }
            };
        if !again {
            return None;
        }
        self.pause =
            if self.pause.is_zero() || ran >= RAN_WELL { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.count += 1;
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts(policy: RestartPolicy, maximum_retry_count: u32) -> Restarts {
        Restarts::new(Restart { policy, maximum_retry_count })
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
    fn stopped_by_user_stays_down() {
        for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::OnFailure] {
            assert_eq!(restarts(policy, 0).next(137, true, Duration::ZERO), None);
        }
    }
}
