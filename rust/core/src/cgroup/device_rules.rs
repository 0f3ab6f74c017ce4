//! Device rules: the specification's list, and what the v1 controller makes of one. Pure.
//!
//! Rules are read in order, and for each kind of access to a device the last one that matches decides; nothing is allowed
//! to begin with. Like runc, the runtime appends what every container needs ([`DEFAULTS`]).

use std::collections::BTreeMap;
use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::{Error, Result};

/// Kinds of access, with the values of `BPF_DEVCG_ACC_*` (linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Access(pub(super) u8);

impl Access {
    pub(super) const MKNOD: Self = Self(1);
    pub(super) const READ: Self = Self(2);
    pub(super) const WRITE: Self = Self(4);
    pub(super) const ALL: Self = Self(7);

    fn parse(text: &str) -> Option<Self> {
        text.chars().try_fold(Self(0), |access, letter| {
            let one = match letter {
                'r' => Self::READ,
                'w' => Self::WRITE,
                'm' => Self::MKNOD,
                _ => return None,
            };
            Some(Self(access.0 | one.0))
        })
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (one, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.0 & one.0 != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Block or character, with the values of `BPF_DEVCG_DEV_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Block = 1,
    Character = 2,
}

/// Which devices a rule is for; None is every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    pub(super) kind: Kind,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let letter = if self.kind == Kind::Block { 'b' } else { 'c' };
        write!(f, "{letter} {}:{}", number(self.major), number(self.minor))
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Every access to every device; what came before is forgotten.
    Everything { allow: bool },
    /// Some accesses to some devices.
    Some { allow: bool, device: Match, access: Access },
}

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
    Rule::Some { allow: true, device: Match { kind, major, minor }, access }
}

/// What runc allows every container: mknod of anything (opening is another matter), null, zero, full, random, urandom, tty, ptmx and pts.
pub(super) const DEFAULTS: [Rule; 10] = [
    allow(Kind::Character, None, None, Access::MKNOD),
    allow(Kind::Block, None, None, Access::MKNOD),
    allow(Kind::Character, Some(1), Some(3), Access::ALL),
    allow(Kind::Character, Some(1), Some(5), Access::ALL),
    allow(Kind::Character, Some(1), Some(7), Access::ALL),
    allow(Kind::Character, Some(1), Some(8), Access::ALL),
    allow(Kind::Character, Some(1), Some(9), Access::ALL),
    allow(Kind::Character, Some(5), Some(0), Access::ALL),
    allow(Kind::Character, Some(5), Some(2), Access::ALL),
    allow(Kind::Character, Some(136), None, Access::ALL),
];

/// The specification's list with [`DEFAULTS`] after it; what precedes the last rule for everything is dropped.
pub(super) fn parse(devices: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>> {
    let mut rules = Vec::with_capacity(devices.len() + DEFAULTS.len());
    for device in devices {
        parse_one(device, &mut rules)?;
    }
    rules.extend(DEFAULTS);
    if let Some(last) = rules.iter().rposition(|rule| matches!(rule, Rule::Everything { .. })) {
        rules.drain(..last);
    }
    Ok(rules)
}

fn parse_one(device: &LinuxDeviceCgroup, rules: &mut Vec<Rule>) -> Result<()> {
    let refuse = |reason: &str| Error::invalid("use device rule", device.to_string().trim_end(), reason);
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(given) => u32::try_from(given).map(Some).map_err(|_| refuse("device number out of range")),
    };
    let (major, minor) = (number(device.major())?, number(device.minor())?);
    let access = device.access().as_deref().unwrap_or("rwm");
    let access = Access::parse(access).ok_or_else(|| refuse("access must consist of r, w and m"))?;
    let allow = device.allow();
    let kinds: &[Kind] = match device.typ().unwrap_or_default() {
        LinuxDeviceType::A if major.is_none() && minor.is_none() && (access == Access::ALL || access.is_empty()) => {
            rules.push(Rule::Everything { allow });
            return Ok(());
        }
        // v1 would read any rule of type `a` as everything, numbers or not; it is taken at its word.
        LinuxDeviceType::A => &[Kind::Block, Kind::Character],
        LinuxDeviceType::B => &[Kind::Block],
        LinuxDeviceType::C | LinuxDeviceType::U => &[Kind::Character],
        LinuxDeviceType::P => return Err(refuse("a FIFO is not a device")),
    };
    if access.is_empty() {
        return Err(refuse("no access given"));
    }
    rules.extend(kinds.iter().map(|kind| Rule::Some { allow, device: Match { kind: *kind, major, minor }, access }));
    Ok(())
}

/// What a v1 devices group holds: a default and the exceptions to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    default_allow: bool,
    exceptions: BTreeMap<Match, Access>,
}

impl List {
    /// What rules amount to. Fails where v1 cannot express them: an exception to an exception with a wildcard.
    pub(super) fn from_rules(rules: &[Rule]) -> Result<Self> {
        let mut list = Self::default();
        for rule in rules {
            match *rule {
                Rule::Everything { allow } => list = Self { default_allow: allow, exceptions: BTreeMap::new() },
                Rule::Some { allow, device, access } if allow == list.default_allow => list.remove(device, access)?,
                Rule::Some { device, access, .. } => list.add(device, access),
            }
        }
        Ok(list)
    }

    /// Parses `devices.list`. In a group that allows by default it shows `a *:* rwm` and hides the exceptions.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut list = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let kind = match fields.next()? {
                "a" => return Some(Self { default_allow: true, exceptions: BTreeMap::new() }),
                "b" => Kind::Block,
                "c" => Kind::Character,
                _ => return None,
            };
            let (major, minor) = fields.next()?.split_once(':')?;
            let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
            let device = Match { kind, major: number(major)?, minor: number(minor)? };
            list.add(device, Access::parse(fields.next()?)?);
        }
        Some(list)
    }

    fn add(&mut self, device: Match, access: Access) {
        let entry = self.exceptions.entry(device).or_default();
        entry.0 |= access.0;
    }

    fn remove(&mut self, device: Match, access: Access) -> Result<()> {
        for wider in [
            Match { major: None, ..device },
            Match { minor: None, ..device },
            Match { major: None, minor: None, ..device },
        ] {
            if wider == device {
                continue;
            }
            // The kernel would silently ignore it (security/device_cgroup.c compares whole exceptions only).
            if self.exceptions.get(&wider).is_some_and(|held| held.0 & access.0 != 0) {
                let rule = format!("{device} {access}");
                return Err(Error::invalid("use device rule", rule, format!("v1 cannot make an exception to {wider}")));
            }
        }
        if let Some(held) = self.exceptions.get_mut(&device) {
            *held = held.minus(access);
            if held.is_empty() {
                self.exceptions.remove(&device);
            }
        }
        Ok(())
    }

    /// The other default without exceptions: what a transition starts from when it must reset.
    pub(super) fn opposite(&self) -> Self {
        Self { default_allow: !self.default_allow, exceptions: BTreeMap::new() }
    }

    /// Whether every device is allowed.
    pub(super) fn allows_all(&self) -> bool {
        self.default_allow && self.exceptions.is_empty()
    }

    /// What to write to `devices.deny` and `devices.allow`, in that order but for `true` in [`Transition::allow_first`].
    ///
    /// Only what differs is written, so that devices in use stay usable meanwhile.
    pub(super) fn transition_from(&self, source: &Self) -> Transition {
        let mut transition = Transition { allow_first: self.default_allow, ..Transition::default() };
        let (to_default, to_exceptions) = if self.default_allow {
            (&mut transition.allow, &mut transition.deny)
        } else {
            (&mut transition.deny, &mut transition.allow)
        };
        // A list that allows by default does not tell its exceptions: it must be reset.
        let reset = source.default_allow != self.default_allow || (source.default_allow && !self.allows_all());
        let none = BTreeMap::new();
        let held = if reset { &none } else { &source.exceptions };
        if reset {
            to_default.push("a".to_owned());
        }
        for (device, access) in held {
            let dropped = access.minus(self.exceptions.get(device).copied().unwrap_or_default());
            if !dropped.is_empty() {
                to_default.push(format!("{device} {dropped}"));
            }
        }
        for (device, access) in &self.exceptions {
            let gained = access.minus(held.get(device).copied().unwrap_or_default());
            if !gained.is_empty() {
                to_exceptions.push(format!("{device} {gained}"));
            }
        }
        transition
    }

    /// The allowed devices of a list that denies by default, for systemd's `DeviceAllow`.
    pub(super) fn allowed(&self) -> Option<impl Iterator<Item = (&Match, &Access)>> {
        (!self.default_allow).then(|| self.exceptions.iter())
    }
}

/// Lines for the two files of a v1 group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Transition {
    /// `devices.allow` before `devices.deny`.
    pub(super) allow_first: bool,
    /// Lines for `devices.deny`.
    pub(super) deny: Vec<String>,
    /// Lines for `devices.allow`.
    pub(super) allow: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    use super::*;

    fn oci(allow: bool, text: &str) -> LinuxDeviceCgroup {
        let fields: Vec<&str> = text.split([' ', ':']).collect();
        let mut builder = LinuxDeviceCgroupBuilder::default().allow(allow).access(fields[3]);
        builder = builder.typ(match fields[0] {
            "a" => LinuxDeviceType::A,
            "b" => LinuxDeviceType::B,
            "p" => LinuxDeviceType::P,
            _ => LinuxDeviceType::C,
        });
        if fields[1] != "*" {
            builder = builder.major(fields[1].parse::<i64>().unwrap());
        }
        if fields[2] != "*" {
            builder = builder.minor(fields[2].parse::<i64>().unwrap());
        }
        builder.build().unwrap()
    }

    fn list(rules: &[(bool, &str)]) -> Result<List> {
        let mut parsed = Vec::new();
        for (allow, text) in rules {
            parse_one(&oci(*allow, text), &mut parsed)?;
        }
        List::from_rules(&parsed)
    }

    #[test]
    fn test_parse_of_dockers_list_needs_one_reset_and_few_lines() {
        let docker = [
            oci(false, "a *:* rwm"),
            oci(true, "c 1:5 rwm"),
            oci(true, "c 1:3 rwm"),
            oci(true, "c 5:1 rwm"),
            oci(false, "c 10:229 rwm"),
        ];
        let list = List::from_rules(&parse(&docker).unwrap()).unwrap();
        let fresh = List { default_allow: true, ..List::default() };
        let transition = list.transition_from(&fresh);
        assert_eq!(transition.deny, ["a"]);
        assert!(!transition.allow_first);
        assert_eq!(transition.allow.len(), 11);
        assert_eq!(transition.allow[0], "b *:* m");
    }

    #[test]
    fn test_parse_of_privileged_allows_all_and_writes_nothing_to_a_fresh_group() {
        let list = List::from_rules(&parse(&[oci(true, "a *:* rwm")]).unwrap()).unwrap();
        assert!(list.allows_all());
        let fresh = List { default_allow: true, ..List::default() };
        assert_eq!(list.transition_from(&fresh), Transition { allow_first: true, ..Transition::default() });
    }

    #[test]
    fn test_parse_of_type_a_with_numbers_is_both_kinds_not_everything() {
        let mut rules = Vec::new();
        parse_one(&oci(true, "a 1:3 r"), &mut rules).unwrap();
        let text: Vec<String> =
            List::from_rules(&rules).unwrap().allowed().unwrap().map(|(d, a)| format!("{d} {a}")).collect();
        assert_eq!(text, ["b 1:3 r", "c 1:3 r"]);
    }

    #[test]
    fn test_parse_of_malformed_rules_is_refused() {
        for bad in ["c 1:3 x", "p 1:3 r", "c -7:3 r", "c 1:99999999999 r", "c 1:3 "] {
            assert!(parse_one(&oci(true, bad), &mut Vec::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn test_list_hole_in_a_wildcard_is_refused_on_v1() {
        assert!(list(&[(true, "c 1:* rw"), (false, "c 1:3 w")]).is_err());
        assert!(list(&[(true, "c 1:* rw"), (false, "c 1:3 m")]).is_ok());
        let whole = list(&[(true, "c 1:* rw"), (false, "c 1:* w")]).unwrap();
        assert_eq!(whole, list(&[(true, "c 1:* r")]).unwrap());
    }

    #[test]
    fn test_transition_writes_only_what_differs() {
        let source = list(&[(true, "c 1:3 rwm"), (true, "c 5:0 rw")]).unwrap();
        let target = list(&[(true, "c 1:3 r"), (true, "b 8:0 r")]).unwrap();
        let transition = target.transition_from(&source);
        assert_eq!(transition.deny, ["c 1:3 wm", "c 5:0 rw"]);
        assert_eq!(transition.allow, ["b 8:0 r"]);
        let to_all = list(&[(true, "a *:* rwm"), (false, "b 8:0 w")]).unwrap().transition_from(&source);
        assert_eq!(
            (to_all.allow_first, to_all.allow, to_all.deny),
            (true, vec!["a".to_owned()], vec!["b 8:0 w".to_owned()])
        );
    }

    #[test]
    fn test_list_parse_reads_the_kernels_form() {
        let text = "c *:* m\nb *:* m\nc 1:3 rwm\nc 136:* rwm\n";
        assert_eq!(
            List::parse(text).unwrap(),
            list(&[(true, "c *:* m"), (true, "b *:* m"), (true, "c 1:3 rwm"), (true, "c 136:* rwm")]).unwrap()
        );
        assert!(List::parse("a *:* rwm\n").unwrap().allows_all());
        assert!(List::parse("x 1:2 r\n").is_none());
    }
}
