//! The hugetlb controller.

use oci_spec::runtime::LinuxHugepageLimit;

use super::Setting;

/// v1 files; the reservation limit is newer than the usage limit (Linux 5.7).
pub fn v1(limits: &[LinuxHugepageLimit]) -> Vec<Setting> {
    limits
        .iter()
        .flat_map(|limit| {
            [
                Setting::new(format!("hugetlb.{}.limit_in_bytes", limit.page_size()), limit.limit()),
                Setting::optional(format!("hugetlb.{}.rsvd.limit_in_bytes", limit.page_size()), limit.limit()),
            ]
        })
        .collect()
}

/// v2 files.
pub fn v2(limits: &[LinuxHugepageLimit]) -> Vec<Setting> {
    limits
        .iter()
        .flat_map(|limit| {
            let value = if limit.limit() < 0 { "max".to_owned() } else { limit.limit().to_string() };
            [
                Setting::new(format!("hugetlb.{}.max", limit.page_size()), &value),
                Setting::optional(format!("hugetlb.{}.rsvd.max", limit.page_size()), &value),
            ]
        })
        .collect()
}
