//! Digests: `sha256:` and 64 lower-case hexadecimal digits (image-spec, "Digests").

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// A sha256 digest. Validated: its hexadecimal form is safe as a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Parses `sha256:<64 lower-case hex>`, strictly.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |reason: &str| Error::invalid("read digest", text, reason);
        let hex = text.strip_prefix("sha256:").ok_or_else(|| bad("not a sha256 digest"))?;
        if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad("not 64 lower-case hexadecimal digits"));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad("not hexadecimal"))?;
        }
        Ok(Self(bytes))
    }

    /// As it was computed before.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |number: u8| char::from(DIGITS[usize::from(number)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

/// Computes a digest from what passes.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    state: Sha256,
    /// Bytes seen.
    pub length: u64,
}

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

/// What must be true of bytes from elsewhere; checked where they end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Their digest.
    pub digest: Option<Digest>,
    /// How many there are.
    pub size: Option<u64>,
}

impl Expected {
    /// An error that says what differs, if something does.
    pub fn check(&self, what: &str, digest: &Digest, size: u64) -> Result<()> {
        if let Some(expected) = self.size.filter(|expected| *expected != size) {
            return Err(corrupt(what, format!("size is {size}, expected {expected}")));
        }
        match self.digest {
            Some(expected) if expected != *digest => {
                Err(corrupt(what, format!("digest is {digest}, expected {expected}")))
            }
            _ => Ok(()),
        }
    }
}

/// Data that is not what it must be.
pub fn corrupt(what: &str, reason: impl Into<String>) -> Error {
    Error::new(crate::Kind::Corrupt, "verify", what, reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_strict() {
        let good = format!("sha256:{}", "a0".repeat(32));
        assert_eq!(Digest::parse(&good).unwrap().to_string(), good);
        for bad in
            ["", "sha256:", "md5:00", &good.to_uppercase(), &good[..70], "sha256:../../etc/passwd", &format!("{good}0")]
        {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hasher_gives_the_known_digest() {
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish().hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
