//! The blkio (v1) and io (v2) controllers.

use oci_spec::runtime::LinuxBlockIo;

use super::Setting;

/// v1 files. Weights exist only with the bfq scheduler, under one of two names.
pub fn v1(io: &LinuxBlockIo) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        settings.push(Setting::optional("blkio.weight", weight));
        settings.push(Setting::optional("blkio.bfq.weight", weight));
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            settings.push(Setting::optional("blkio.weight_device", &value));
            settings.push(Setting::optional("blkio.bfq.weight_device", &value));
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
    ] {
        for device in devices.iter().flatten() {
            settings.push(Setting::new(file, format!("{}:{} {}", device.major(), device.minor(), device.rate())));
        }
    }
    settings
}

/// v2 files.
pub fn v2(io: &LinuxBlockIo) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        settings.push(Setting::optional("io.bfq.weight", weight));
        settings.push(Setting::optional("io.weight", format!("default {}", weight_v2(weight))));
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            settings
                .push(Setting::optional("io.bfq.weight", format!("{}:{} {weight}", device.major(), device.minor())));
        }
    }
    for (key, devices) in [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ] {
        for device in devices.iter().flatten() {
            settings
                .push(Setting::new("io.max", format!("{}:{} {key}={}", device.major(), device.minor(), device.rate())));
        }
    }
    settings
}

/// v1 weight (10 to 1000) as io.weight (1 to 10000), as runc converts.
fn weight_v2(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9_999 / 990
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::{LinuxBlockIoBuilder, LinuxThrottleDeviceBuilder};

    use super::*;

    #[test]
    fn throttle_names_the_device() {
        let device = LinuxThrottleDeviceBuilder::default().major(8).minor(0).rate(1024u64).build().unwrap();
        let io = LinuxBlockIoBuilder::default().throttle_read_bps_device(vec![device]).build().unwrap();
        assert_eq!(v1(&io), [Setting::new("blkio.throttle.read_bps_device", "8:0 1024")]);
        assert_eq!(v2(&io), [Setting::new("io.max", "8:0 rbps=1024")]);
    }

    #[test]
    fn weight_keeps_the_ends_of_the_range() {
        assert_eq!((weight_v2(10), weight_v2(1000)), (1, 10_000));
    }
}
