//! Attributes of a process that are numbers to the kernel: scheduling, I/O priority, affinity, limits, execution domain.

use oci_spec::runtime::{IOPriorityClass, LinuxPersonalityDomain, PosixRlimitType, Process, Scheduler};
use pyctr_init::SetupOp;

use super::SetupList;
use crate::{Error, Result};

/// Scheduling policy and I/O priority.
pub(super) fn push_scheduling(list: &mut SetupList, process: &Process) -> Result<()> {
    if let Some(scheduler) = process.scheduler() {
        list.push(&SetupOp::Scheduler { attributes: &scheduler_attributes(scheduler)? });
    }
    if let Some(io) = process.io_priority() {
        let class: u32 = match io.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = u32::try_from(io.priority())
            .ok()
            .filter(|level| *level < 8)
            .ok_or_else(|| Error::invalid("read ioPriority", io.priority().to_string(), "not in 0-7"))?;
        list.push(&SetupOp::IoPriority { priority: class << 13 | level });
    }
    Ok(())
}

/// The kernel's `struct sched_attr`, version 0 (48 bytes).
fn scheduler_attributes(scheduler: &Scheduler) -> Result<Vec<u8>> {
    // The specification lists policies and flags in the order of the kernel's numbers (include/uapi/linux/sched.h).
    let policy = *scheduler.policy() as u32;
    let mut flags = 0u64;
    for flag in scheduler.flags().iter().flatten() {
        flags |= 1 << (*flag as u64);
    }
    let priority = u32::try_from(scheduler.priority().unwrap_or(0))
        .map_err(|_| Error::invalid("read scheduler", "priority", "negative"))?;
    let mut bytes = Vec::with_capacity(48);
    bytes.extend(48u32.to_ne_bytes());
    bytes.extend(policy.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(scheduler.nice().unwrap_or(0).to_ne_bytes());
    bytes.extend(priority.to_ne_bytes());
    for time_ns in [scheduler.runtime(), scheduler.deadline(), scheduler.period()] {
        bytes.extend(time_ns.unwrap_or(0).to_ne_bytes());
    }
    Ok(bytes)
}

/// execCPUAffinity.initial as sched_setaffinity's mask.
pub(super) fn affinity(process: &Process) -> Result<Option<Vec<u8>>> {
    let Some(text) = process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.initial().clone()) else {
        return Ok(None);
    };
    let bad = || Error::invalid("read execCPUAffinity", &text, "not a list of CPUs");
    let mut mask = vec![0u8; 128];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) =
            (first.trim().parse().map_err(|_| bad())?, last.trim().parse().map_err(|_| bad())?);
        if first > last || last >= mask.len() * 8 {
            return Err(bad());
        }
        for cpu in first..=last {
            mask[cpu / 8] |= 1 << (cpu % 8);
        }
    }
    Ok(Some(mask))
}

/// The number of a resource (include/uapi/asm-generic/resource.h).
pub(super) fn resource(kind: PosixRlimitType) -> u32 {
    match kind {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}

/// linux.personality as personality(2) takes it.
pub(super) fn persona(domain: LinuxPersonalityDomain) -> u64 {
    match domain {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}
