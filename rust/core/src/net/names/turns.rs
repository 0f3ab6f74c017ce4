//! Whose turn it is among several addresses of one name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::message::Kind;

/// Names counted at a time: forgetting them all costs no more than one address out of turn.
const NAMES_MAX: usize = 256;

/// Counts answers by name and kind: clients ask for A and AAAA in pairs, and for several names in turn, so that one count for all
/// would give each of them the same address for ever.
#[derive(Debug, Default)]
pub struct Turns(BTreeMap<String, [usize; 2]>);

impl Turns {
    /// Puts the address first whose turn it is.
    pub fn rotate(&mut self, name: &str, kind: Kind, addresses: &mut [IpAddr]) {
        if addresses.len() < 2 {
            return;
        }
        if self.0.len() >= NAMES_MAX && !self.0.contains_key(name) {
            self.0.clear();
        }
        let counts = self.0.entry(name.to_owned()).or_default();
        let count = &mut counts[usize::from(kind == Kind::Aaaa)];
        addresses.rotate_left(*count % addresses.len());
        *count = count.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_rotate_every_address_has_its_turn_whatever_is_asked_between() {
        let mut turns = Turns::default();
        let mut first = Vec::new();
        for _ in 0..4 {
            let mut addresses: Vec<IpAddr> = vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
            turns.rotate("web", Kind::A, &mut addresses);
            first.push(addresses[0]);
            turns.rotate("web", Kind::Aaaa, &mut addresses.clone());
            turns.rotate("db", Kind::A, &mut addresses);
        }
        assert_eq!(first[..2], first[2..]);
        assert_ne!(first[0], first[1]);
    }

    #[test]
    fn test_rotate_remembers_a_bounded_number_of_names() {
        let mut turns = Turns::default();
        for number in 0..10 * NAMES_MAX {
            turns.rotate(&number.to_string(), Kind::A, &mut [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
        }
        assert!(turns.0.len() <= NAMES_MAX);
    }
}
