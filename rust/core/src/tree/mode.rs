//! `--chmod`: permissions in digits, or chmod(1)'s words.

use crate::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clause {
    /// Which of the bits 0o7777 the clause is about.
    who: u32,
    operator: u8,
    permissions: Permissions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permissions {
    /// Bits for everybody, and whether `X` was among them.
    Bits(u32, bool),
    /// Those that user, group or others have already: the shift of their bits.
    CopyOf(u32),
}

/// What happens to a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// It becomes this.
    Absolute(u32),
    /// Clauses, one after the other.
    Symbolic(Vec<Clauses>),
}

/// Clauses of one comma-separated part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clauses(Vec<Clause>);

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHERS: u32 = 0o1007;

impl ModeChange {
    /// Parses `0755`, `u+x`, `u=rwX,go=rX`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || Error::invalid("read mode", text, "neither octal digits nor symbolic (u=rwX,go=rX)");
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            return if mode <= 0o7777 { Ok(Self::Absolute(mode)) } else { Err(bad()) };
        }
        text.split(',')
            .map(|part| parse_part(part.as_bytes()).map(Clauses).ok_or_else(bad))
            .collect::<Result<_>>()
            .map(Self::Symbolic)
    }

    /// The mode that becomes of one.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Absolute(mode) => *mode,
            Self::Symbolic(parts) => parts
                .iter()
                .flat_map(|part| &part.0)
                .fold(mode & 0o7777, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

fn parse_part(text: &[u8]) -> Option<Vec<Clause>> {
    let mut at = 0;
    let mut who = 0;
    while let Some(&letter) = text.get(at) {
        who |= match letter {
            b'u' => USER,
            b'g' => GROUP,
            b'o' => OTHERS,
            b'a' => 0o7777,
            _ => break,
        };
        at += 1;
    }
    let who = if who == 0 { 0o7777 } else { who };
    let mut clauses = Vec::new();
    while let Some(&operator) = text.get(at) {
        if !matches!(operator, b'+' | b'-' | b'=') {
            return None;
        }
        at += 1;
        let (permissions, length) = parse_permissions(&text[at..])?;
        at += length;
        clauses.push(Clause { who, operator, permissions });
    }
    (!clauses.is_empty()).then_some(clauses)
}

fn parse_permissions(text: &[u8]) -> Option<(Permissions, usize)> {
    let copied = match text.first() {
        Some(b'u') => Some(6),
        Some(b'g') => Some(3),
        Some(b'o') => Some(0),
        _ => None,
    };
    if let Some(shift) = copied {
        return Some((Permissions::CopyOf(shift), 1));
    }
    let (mut bits, mut special, mut length) = (0, false, 0);
    for &letter in text {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= 0o111,
            b'X' => special = true,
            b's' => bits |= 0o6000,
            b't' => bits |= 0o1000,
            b'+' | b'-' | b'=' => break,
            _ => return None,
        }
        length += 1;
    }
    Some((Permissions::Bits(bits, special), length))
}

impl Clause {
    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let bits = match self.permissions {
            Permissions::CopyOf(shift) => {
                let bits = mode >> shift & 0o7;
                bits << 6 | bits << 3 | bits
            }
            Permissions::Bits(bits, special) => {
                let executes = special && (is_directory || mode & 0o111 != 0);
                if executes { bits | 0o111 } else { bits }
            }
        } & self.who;
        match self.operator {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            // GNU chmod keeps a directory's set-id bits unless they are named.
            _ => mode & !(self.who & if is_directory { 0o1777 } else { 0o7777 }) | bits,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn change(text: &str, mode: u32, is_directory: bool) -> u32 {
        ModeChange::parse(text).unwrap().apply(mode, is_directory)
    }

    #[test]
    fn digits_and_words_are_chmods() {
        assert_eq!(change("0755", 0o600, false), 0o755);
        assert_eq!(change("u+x", 0o644, false), 0o744);
        assert_eq!(change("+x", 0o644, false), 0o755);
        assert_eq!(change("a-w", 0o666, false), 0o444);
        assert_eq!(change("u=rwX,go=rX", 0o600, false), 0o644);
        assert_eq!(change("u=rwX,go=rX", 0o700, false), 0o755);
        assert_eq!(change("u=rwX,go=rX", 0o600, true), 0o755);
        assert_eq!(change("g=u", 0o640, false), 0o660);
        assert_eq!(change("u+s,o+t", 0o755, false), 0o5755);
        assert_eq!(change("go=", 0o777, false), 0o700);
        assert_eq!(change("u-x+w", 0o500, false), 0o600);
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["", "8", "77777", "u", "x+u", "u+q", "u=rw,", "rwx"] {
            assert!(ModeChange::parse(text).is_err(), "{text}");
        }
    }
}
