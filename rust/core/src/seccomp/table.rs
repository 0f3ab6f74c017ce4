//! System-call names to numbers. The table is generated from `syscalls.tbl` by the build script: one string of all names and
//! plain number arrays, so it needs no relocation and no work at start.

use super::abi::{Abi, Numbers};

include!(concat!(env!("OUT_DIR"), "/syscall_table.rs"));

/// The numbers of a system call, by binary search; none for a name no ABI here has.
pub fn lookup(name: &str) -> Option<Numbers> {
    let at = |index: usize| &NAMES[usize::from(OFFSETS[index])..usize::from(OFFSETS[index + 1])];
    let (mut low, mut high) = (0, NUMBERS.len());
    while low < high {
        let middle = low.midpoint(high);
        match at(middle).cmp(name) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(Numbers(NUMBERS[middle])),
        }
    }
    None
}

/// The number of a system call under an ABI, as `seccomp_data.nr` shows it.
pub fn syscall_number(name: &str, abi: Abi) -> Option<u32> {
    lookup(name)?.under(abi)
}

/// Every name in the table, sorted.
pub fn syscall_names() -> impl Iterator<Item = &'static str> {
    OFFSETS.windows(2).map(|pair| &NAMES[usize::from(pair[0])..usize::from(pair[1])])
}
