//! Rules for `process`, in a configuration and in `exec --process`.

use oci_spec::runtime::{LinuxSchedulerPolicy, Process, Scheduler};

use super::invalid;
use crate::Result;

/// Checks one process.
pub fn validate(process: &Process) -> Result<()> {
    if process.args().as_deref().unwrap_or_default().is_empty() {
        return Err(invalid("process.args", "is empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(invalid("process.cwd", format!("{:?} is not an absolute path", process.cwd())));
    }
    for variable in process.env().iter().flatten() {
        match variable.split_once('=') {
            Some(("", _)) => {
                return Err(invalid("process.env", format!("{variable:?} has no name")));
            }
            Some(_) => {}
            None => return Err(invalid("process.env", format!("{variable:?} has no ="))),
        }
    }
    check_user(process)?;
    check_rlimits(process)?;
    if process.oom_score_adj().is_some_and(|score| !(-1000..=1000).contains(&score)) {
        return Err(invalid("process.oomScoreAdj", "is outside -1000 to 1000"));
    }
    if process.io_priority().is_some_and(|io| !(0..=7).contains(&io.priority())) {
        return Err(invalid("process.ioPriority", "priority is outside 0 to 7"));
    }
    if let Some(size) = process.console_size()
        && (size.height() > u64::from(u16::MAX) || size.width() > u64::from(u16::MAX))
    {
        return Err(invalid("process.consoleSize", "is larger than 65535"));
    }
    process.scheduler().as_ref().map_or(Ok(()), check_scheduler)
}

/// 4294967295 is -1, which setresuid(2), setresgid(2) and chown(2) read as "leave it": the process would stay root.
fn check_user(process: &Process) -> Result<()> {
    let user = process.user();
    for (field, id) in [("process.user.uid", user.uid()), ("process.user.gid", user.gid())] {
        if id == u32::MAX {
            return Err(invalid(field, "4294967295 is not an id"));
        }
    }
    if user.additional_gids().iter().flatten().any(|gid| *gid == u32::MAX) {
        return Err(invalid("process.user.additionalGids", "4294967295 is not an id"));
    }
    if user.umask().is_some_and(|umask| umask > 0o777) {
        return Err(invalid("process.user.umask", "is larger than 0777"));
    }
    Ok(())
}

fn check_rlimits(process: &Process) -> Result<()> {
    let rlimits = process.rlimits().as_deref().unwrap_or_default();
    for (index, rlimit) in rlimits.iter().enumerate() {
        if rlimit.soft() > rlimit.hard() {
            return Err(invalid("process.rlimits", format!("{} has a soft limit above the hard limit", rlimit.typ())));
        }
        if rlimits[..index].iter().any(|earlier| earlier.typ() == rlimit.typ()) {
            return Err(invalid("process.rlimits", format!("{} is given twice", rlimit.typ())));
        }
    }
    Ok(())
}

/// The table of sched_setattr(2): which value goes with which policy (runc's validator has the same).
fn check_scheduler(scheduler: &Scheduler) -> Result<()> {
    use LinuxSchedulerPolicy::{SchedBatch, SchedDeadline, SchedFifo, SchedIso, SchedOther, SchedRr};
    let policy = scheduler.policy();
    let fail = |reason: String| Err(invalid("process.scheduler", reason));
    if *policy == SchedIso {
        return fail("SCHED_ISO is reserved and not implemented by Linux".to_owned());
    }
    if scheduler.nice().is_some_and(|nice| !(-20..=19).contains(&nice)) {
        return fail("nice is outside -20 to 19".to_owned());
    }
    if scheduler.nice().is_some_and(|nice| nice != 0) && !matches!(policy, SchedOther | SchedBatch) {
        return fail(format!("nice does not go with {policy}"));
    }
    if scheduler.priority().is_some_and(|priority| priority != 0) && !matches!(policy, SchedFifo | SchedRr) {
        return fail(format!("priority does not go with {policy}"));
    }
    let deadline = [scheduler.runtime(), scheduler.deadline(), scheduler.period()];
    if *policy != SchedDeadline && deadline.iter().any(|value| value.is_some_and(|value| value != 0)) {
        return fail(format!("runtime, deadline and period do not go with {policy}"));
    }
    Ok(())
}
