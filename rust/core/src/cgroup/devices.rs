//! Device rules: the specification's list folded into a default and its exceptions; v1 writes it, v2 compiles it.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::Setting;
use crate::{Error, Result};

/// Read, write, make a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(pub u8);

impl Access {
    /// Make a node.
    pub const MKNOD: u8 = 1;
    /// Read.
    pub const READ: u8 = 2;
    /// Write.
    pub const WRITE: u8 = 4;
    const ALL: Self = Self(7);

    fn parse(text: &str) -> Result<Self> {
        text.chars().try_fold(Self(0), |access, letter| match letter {
            'r' => Ok(Self(access.0 | Self::READ)),
            'w' => Ok(Self(access.0 | Self::WRITE)),
            'm' => Ok(Self(access.0 | Self::MKNOD)),
            _ => Err(Error::invalid("read device rule", text, "access is made of r, w and m")),
        })
    }

    fn letters(self) -> String {
        [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::MKNOD, 'm')]
            .iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .map(|(_, letter)| *letter)
            .collect()
    }
}

/// Devices a rule speaks of; None is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `b` or `c`.
    pub kind: char,
    /// Major number.
    pub major: Option<u32>,
    /// Minor number.
    pub minor: Option<u32>,
    /// What may be done, or may not.
    pub access: Access,
}

/// The folded list: what is so in general, and the exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What is not excepted is allowed.
    pub allow_by_default: bool,
    /// What is otherwise.
    pub exceptions: Vec<Rule>,
}

/// Devices every container may use, whatever its list says after a denial (runc's and Docker's list).
const ALWAYS_ALLOWED: [(char, Option<u32>, Option<u32>, u8); 11] = [
    ('c', None, None, Access::MKNOD),
    ('b', None, None, Access::MKNOD),
    ('c', Some(1), Some(3), 7),
    ('c', Some(1), Some(5), 7),
    ('c', Some(1), Some(7), 7),
    ('c', Some(1), Some(8), 7),
    ('c', Some(1), Some(9), 7),
    ('c', Some(5), Some(0), 7),
    ('c', Some(5), Some(1), 7),
    ('c', Some(5), Some(2), 7),
    ('c', Some(136), None, 7),
];

impl Policy {
    /// Folds the specification's rules, later ones over earlier ones, and what every container may use.
    pub fn fold(rules: &[LinuxDeviceCgroup]) -> Result<Self> {
        let mut policy = Self { allow_by_default: true, exceptions: Vec::new() };
        for rule in rules {
            policy.add(rule)?;
        }
        if !policy.allow_by_default {
            for (kind, major, minor, access) in ALWAYS_ALLOWED {
                policy.except(Rule { kind, major, minor, access: Access(access) });
            }
        }
        Ok(policy)
    }

    fn add(&mut self, rule: &LinuxDeviceCgroup) -> Result<()> {
        let access = rule.access().as_deref().map_or(Ok(Access::ALL), Access::parse)?;
        let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
        let (major, minor) = (number(rule.major()), number(rule.minor()));
        let kinds: &[char] = match rule.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::B => &['b'],
            LinuxDeviceType::C | LinuxDeviceType::U => &['c'],
            LinuxDeviceType::P => return Err(Error::invalid("read device rule", "p", "a FIFO is no device")),
            LinuxDeviceType::A => &['b', 'c'],
        };
        if kinds.len() == 2 && major.is_none() && minor.is_none() && access == Access::ALL {
            *self = Self { allow_by_default: rule.allow(), exceptions: Vec::new() };
            return Ok(());
        }
        for &kind in kinds {
            let rule_here = Rule { kind, major, minor, access };
            if rule.allow() == self.allow_by_default { self.withdraw(rule_here) } else { self.except(rule_here) }
        }
        Ok(())
    }

    fn except(&mut self, rule: Rule) {
        if rule.access.0 == 0 {
            return;
        }
        let same = |other: &&mut Rule| (other.kind, other.major, other.minor) == (rule.kind, rule.major, rule.minor);
        match self.exceptions.iter_mut().find(same) {
            Some(existing) => existing.access.0 |= rule.access.0,
            None => self.exceptions.push(rule),
        }
    }

    fn withdraw(&mut self, rule: Rule) {
        for existing in &mut self.exceptions {
            if (existing.kind, existing.major, existing.minor) == (rule.kind, rule.major, rule.minor) {
                existing.access.0 &= !rule.access.0;
            }
        }
        self.exceptions.retain(|rule| rule.access.0 != 0);
    }

    #[cfg(test)] // the reference the program and the lists are compared with
    /// Whether the policy lets a device be used so.
    pub fn allows(&self, kind: char, major: u32, minor: u32, access: u8) -> bool {
        let matching = self.exceptions.iter().filter(|rule| {
            rule.kind == kind && rule.major.is_none_or(|own| own == major) && rule.minor.is_none_or(|own| own == minor)
        });
        if self.allow_by_default {
            !matching.into_iter().any(|rule| rule.access.0 & access != 0)
        } else {
            matching.into_iter().any(|rule| rule.access.0 & access == access)
        }
    }

    /// v1: the default first, which empties the list, then the exceptions.
    pub fn v1(&self) -> Vec<Setting> {
        let (general, exception) =
            if self.allow_by_default { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
        let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
        let rules = self.exceptions.iter().map(|rule| {
            let numbers = format!("{}:{}", number(rule.major), number(rule.minor));
            Setting::new(exception, format!("{} {numbers} {}", rule.kind, rule.access.letters()))
        });
        std::iter::once(Setting::new(general, "a")).chain(rules).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    use super::*;

    fn rule(allow: bool, typ: LinuxDeviceType, numbers: Option<(i64, i64)>, access: &str) -> LinuxDeviceCgroup {
        let builder = LinuxDeviceCgroupBuilder::default().allow(allow).typ(typ).access(access);
        match numbers {
            Some((major, minor)) => builder.major(major).minor(minor).build().unwrap(),
            None => builder.build().unwrap(),
        }
    }

    fn deny_all() -> LinuxDeviceCgroup {
        rule(false, LinuxDeviceType::A, None, "rwm")
    }

    #[test]
    fn denial_leaves_the_standard_devices() {
        let policy = Policy::fold(&[deny_all()]).unwrap();
        assert!(policy.allows('c', 1, 3, Access::READ | Access::WRITE));
        assert!(policy.allows('b', 8, 0, Access::MKNOD));
        assert!(!policy.allows('b', 8, 0, Access::READ));
        assert_eq!(policy.v1()[0], Setting::new("devices.deny", "a"));
    }

    #[test]
    fn later_rule_wins() {
        let allow = rule(true, LinuxDeviceType::B, Some((8, 0)), "rw");
        let deny = rule(false, LinuxDeviceType::B, Some((8, 0)), "w");
        let policy = Policy::fold(&[deny_all(), allow, deny]).unwrap();
        assert!(policy.allows('b', 8, 0, Access::READ));
        assert!(!policy.allows('b', 8, 0, Access::WRITE));
    }

    #[test]
    fn allow_all_is_one_write() {
        let policy = Policy::fold(&[deny_all(), rule(true, LinuxDeviceType::A, None, "rwm")]).unwrap();
        assert_eq!(policy.v1(), [Setting::new("devices.allow", "a")]);
    }

    #[test]
    fn unknown_access_is_refused() {
        assert!(Policy::fold(&[rule(true, LinuxDeviceType::C, Some((1, 3)), "rwx")]).is_err());
    }
}
