//! Health checks (moby daemon/health.go): a command run in the container now and then, and what its results come to.
//!
//! Here is when and what; running the command is [`super::probe`]'s. A container without a check has no timer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::clock::Time;

/// Results that are kept.
const RESULTS_KEPT: usize = 5;

/// The check of a container, every default filled in by the engine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Between checks, nanoseconds.
    pub interval_ns: u64,
    /// The longest a check may take, nanoseconds.
    pub timeout_ns: u64,
    /// In which failures do not count, from the start on, nanoseconds.
    pub start_period_ns: u64,
    /// Between checks in the start period, nanoseconds.
    pub start_interval_ns: u64,
    /// So many failures in a row mean unhealthy.
    pub retries: u32,
}

/// One result, in the form of Docker's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckResult {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// The command's; -1: it did not end by itself, or did not begin.
    pub exit_code: i32,
    /// What it wrote, the beginning of it.
    pub output: String,
}

/// Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No check has succeeded yet.
    Starting,
    /// The last ones did.
    Healthy,
    /// The last ones did not.
    Unhealthy,
}

impl Status {
    /// As in an event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known of a container's health, in the form of Docker's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last results, oldest first.
    pub log: VecDeque<CheckResult>,
}

/// When a life's checks are due, and their verdict.
#[derive(Debug)]
pub struct Checks {
    /// The check.
    pub check: Check,
    /// The verdict.
    pub health: Health,
    began: Instant,
    next: Instant,
}

impl Checks {
    /// For a life that begins now: the first check is due after one interval.
    pub fn new(check: Check, now: Instant) -> Self {
        let health = Health { status: Status::Starting, failing_streak: 0, log: VecDeque::new() };
        let mut checks = Self { check, health, began: now, next: now };
        checks.schedule(now);
        checks
    }

    /// When the next check is due.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// The next check comes one interval from now.
    pub fn schedule(&mut self, now: Instant) {
        let quick = self.health.status == Status::Starting && self.is_starting_up(now);
        let pause = if quick { self.check.start_interval_ns } else { self.check.interval_ns };
        self.next = now + Duration::from_nanos(pause);
    }

    fn is_starting_up(&self, moment: Instant) -> bool {
        moment.saturating_duration_since(self.began) < Duration::from_nanos(self.check.start_period_ns)
    }

    /// Takes in a result of a check that began at `start`; the verdict if it changed.
    pub fn take(&mut self, start: Instant, result: CheckResult) -> Option<Status> {
        let before = self.health.status;
        let healthy = result.exit_code == 0;
        if self.health.log.len() == RESULTS_KEPT {
            self.health.log.pop_front();
        }
        self.health.log.push_back(result);
        if healthy {
            self.health.failing_streak = 0;
            self.health.status = Status::Healthy;
        } else if before != Status::Starting || !self.is_starting_up(start) {
            self.health.failing_streak += 1;
            if self.health.failing_streak >= self.check.retries {
                self.health.status = Status::Unhealthy;
            }
        }
        (self.health.status != before).then_some(self.health.status)
    }
}

impl CheckResult {
    /// A result whose end is now.
    pub fn ended(start: Time, exit_code: i32, output: String) -> Self {
        Self { start: start.rfc3339_nano(), end: Time::now().rfc3339_nano(), exit_code, output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(start_period_s: u64, retries: u32, now: Instant) -> Checks {
        let second = 1_000_000_000;
        let check = Check {
            command: vec!["true".to_owned()],
            interval_ns: 30 * second,
            timeout_ns: second,
            start_period_ns: start_period_s * second,
            start_interval_ns: second,
            retries,
        };
        Checks::new(check, now)
    }

    fn result(exit_code: i32) -> CheckResult {
        CheckResult::ended(Time::now(), exit_code, String::new())
    }

    #[test]
    fn test_take_failures_in_a_row_mean_unhealthy_and_one_success_heals() {
        let now = Instant::now();
        let mut checks = checks(0, 3, now);
        assert_eq!([1, 2].map(|code| checks.take(now, result(code))), [None, None]);
        assert_eq!(checks.take(now, result(1)), Some(Status::Unhealthy));
        assert_eq!((checks.take(now, result(-1)), checks.health.failing_streak), (None, 4));
        assert_eq!((checks.take(now, result(0)), checks.health.failing_streak), (Some(Status::Healthy), 0));
        assert_eq!(checks.take(now, result(1)), None, "one failure is none");
        assert_eq!(checks.health.log.len(), 5);
    }

    #[test]
    fn test_take_failures_of_the_start_period_do_not_count() {
        let now = Instant::now();
        let mut checks = checks(10, 1, now);
        assert_eq!(checks.take(now + Duration::from_secs(9), result(1)), None);
        assert_eq!(checks.health.failing_streak, 0);
        assert_eq!(checks.take(now + Duration::from_secs(10), result(1)), Some(Status::Unhealthy));
        assert_eq!(checks.take(now + Duration::from_secs(1), result(0)), Some(Status::Healthy));
        // Once healthy, a failure counts also within the period.
        assert_eq!(checks.take(now + Duration::from_secs(2), result(1)), Some(Status::Unhealthy));
    }

    #[test]
    fn test_schedule_is_quick_while_starting_up_only() {
        let now = Instant::now();
        let mut checks = checks(10, 3, now);
        assert_eq!(checks.due(), now + Duration::from_secs(1));
        checks.schedule(now + Duration::from_secs(10));
        assert_eq!(checks.due(), now + Duration::from_secs(40));
        checks.take(now, result(0));
        checks.schedule(now + Duration::from_secs(1));
        assert_eq!(checks.due(), now + Duration::from_secs(31));
    }
}
