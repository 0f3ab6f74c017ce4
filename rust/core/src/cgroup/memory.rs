//! The memory controller.

use oci_spec::runtime::LinuxMemory;

use super::Setting;
use crate::{Error, Result};

/// v1 files. The order of limit and swap limit matters: the kernel refuses a swap limit below the limit at every moment, so
/// raising writes the larger first (memory.memsw.limit_in_bytes ≥ memory.limit_in_bytes). `current_swap` is what the swap
/// limit is now, None in a fresh cgroup, where it is unlimited.
pub fn v1(memory: &LinuxMemory, current_swap: Option<i64>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let limit = memory.limit().map(|bytes| Setting::new("memory.limit_in_bytes", bytes));
    let swap = memory.swap().map(|bytes| Setting::new("memory.memsw.limit_in_bytes", bytes));
    let grows = match (memory.limit(), current_swap) {
        (Some(limit), Some(current)) if current >= 0 => limit < 0 || limit > current,
        _ => false,
    };
    if grows {
        settings.extend(swap.into_iter().chain(limit));
    } else {
        settings.extend(limit.into_iter().chain(swap));
    }
    if let Some(bytes) = memory.reservation() {
        settings.push(Setting::new("memory.soft_limit_in_bytes", bytes));
    }
    if let Some(bytes) = memory.kernel_tcp() {
        settings.push(Setting::optional("memory.kmem.tcp.limit_in_bytes", bytes));
    }
    if let Some(percent) = memory.swappiness() {
        settings.push(Setting::new("memory.swappiness", percent));
    }
    if memory.disable_oom_killer().unwrap_or(false) {
        settings.push(Setting::new("memory.oom_control", 1));
    }
    settings
}

/// v2 files. OCI's swap is memory plus swap, v2's is swap alone.
pub fn v2(memory: &LinuxMemory) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    let max = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
    if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
        let value = match memory.limit().unwrap_or(0) {
            _ if swap < 0 => "max".to_owned(),
            limit if limit <= 0 => {
                return Err(Error::invalid(
                    "set memory.swap.max",
                    swap.to_string(),
                    "a swap limit needs a memory limit",
                ));
            }
            limit if swap < limit => {
                return Err(Error::invalid(
                    "set memory.swap.max",
                    swap.to_string(),
                    "memory+swap is below the memory limit",
                ));
            }
            limit => (swap - limit).to_string(),
        };
        settings.push(Setting { file: "memory.swap.max".into(), optional: value == "max" || value == "0", value });
    }
    if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
        settings.push(Setting::new("memory.max", max(limit)));
    }
    if let Some(bytes) = memory.reservation().filter(|bytes| *bytes != 0) {
        settings.push(Setting::new("memory.low", max(bytes)));
    }
    Ok(settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::LinuxMemoryBuilder;

    use super::*;

    #[test]
    fn v1_raising_both_writes_swap_first() {
        let memory = LinuxMemoryBuilder::default().limit(200).swap(400).build().unwrap();
        assert_eq!(v1(&memory, Some(100))[0].file, "memory.memsw.limit_in_bytes");
        assert_eq!(v1(&memory, None)[0].file, "memory.limit_in_bytes");
    }

    #[test]
    fn v2_swap_is_what_is_over_the_limit() {
        let memory = LinuxMemoryBuilder::default().limit(100).swap(250).build().unwrap();
        assert_eq!(v2(&memory).unwrap(), [Setting::new("memory.swap.max", 150), Setting::new("memory.max", 100)]);
    }

    #[test]
    fn v2_swap_without_limit_is_refused() {
        let memory = LinuxMemoryBuilder::default().swap(250).build().unwrap();
        assert!(v2(&memory).is_err());
    }
}
