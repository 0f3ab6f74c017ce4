//! The monitor protocol, version 1 (docs/design.md): one JSON object a packet.

use serde::{Deserialize, Serialize};

use super::control::Update;

/// Longest packet.
pub const PACKET_MAX: usize = 64 * 1024;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    /// Lend stdio; the descriptors of the true ones come with the packet, in this order.
    Attach {
        /// Protocol of the client.
        version: u32,
        /// Lends standard input.
        #[serde(default)]
        stdin: bool,
        /// Lends standard output.
        #[serde(default)]
        stdout: bool,
        /// Lends standard error.
        #[serde(default)]
        stderr: bool,
        /// Keys that let go, as Docker writes them.
        #[serde(default)]
        detach_keys: String,
        /// Rows and columns of its terminal.
        #[serde(default)]
        size: Option<(u16, u16)>,
    },
    /// Wants to know of the start only.
    Watch {
        /// Protocol of the client.
        version: u32,
    },
    /// Its terminal changed.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// A signal the client got.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// A signal a user asked for.
    Kill {
        /// Its number.
        signal: i32,
    },
    /// Wants every process stopped.
    Pause,
    /// Wants them to go on.
    Unpause,
    /// Wants limits or the restart policy changed.
    Update(Box<Update>),
    /// Has written other networks into `monitor.json`.
    Network,
    /// Wants to know of the end.
    Wait,
}

/// What the monitor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The command was execed.
    Started {
        /// Its pid on the host.
        pid: i32,
    },
    /// The start failed.
    Error {
        /// One line.
        message: String,
        /// What the client exits with.
        code: i32,
    },
    /// The container has ended.
    Exited {
        /// Exit code.
        code: i32,
        /// For lack of memory.
        oom_killed: bool,
    },
    /// Detach keys were typed.
    Detached,
    /// Done.
    Ok,
}

/// Parses detach keys: `ctrl-<value>` or a single character, separated by commas; None if malformed.
pub fn detach_keys(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(key).collect()
}

fn key(word: &str) -> Option<u8> {
    match (word.strip_prefix("ctrl-"), word.as_bytes()) {
        (Some(letter), _) => match letter.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'@'] => Some(0),
            [b'['] => Some(27),
            [b'\\'] => Some(28),
            [b']'] => Some(29),
            [b'^'] => Some(30),
            [b'_'] => Some(31),
            _ => None,
        },
        (None, [byte]) => Some(*byte),
        _ => None,
    }
}

/// Finds detach keys in what is typed, also when they come in several reads.
#[derive(Debug, Default)]
pub struct KeyMatcher {
    keys: Vec<u8>,
    matched: usize,
}

impl KeyMatcher {
    /// For these keys; none never match.
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of `typed` goes to the container, and whether the keys are complete. Keys that turn out to be none are passed on.
    pub fn feed(&mut self, typed: Vec<u8>) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (typed, false);
        }
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(byte == self.keys[0]);
            if self.matched == 0 {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_across_reads() {
        let mut matcher = KeyMatcher::new(detach_keys("ctrl-p,ctrl-q").unwrap());
        assert_eq!(matcher.feed(b"ab\x10".to_vec()), (b"ab".to_vec(), false));
        assert_eq!(matcher.feed(b"\x11rest".to_vec()), (Vec::new(), true));
    }

    #[test]
    fn half_of_the_keys_is_passed_on() {
        let mut matcher = KeyMatcher::new(vec![16, 17]);
        assert_eq!(matcher.feed(b"\x10x".to_vec()), (b"\x10x".to_vec(), false));
        assert_eq!(matcher.feed(b"\x10\x10\x11".to_vec()), (b"\x10".to_vec(), true));
    }

    #[test]
    fn malformed_keys_are_refused() {
        assert_eq!(detach_keys("ctrl-P"), None);
        assert_eq!(detach_keys("ab"), None);
        assert_eq!(detach_keys(""), Some(Vec::new()));
        assert_eq!(detach_keys("ctrl-@,a"), Some(vec![0, b'a']));
    }

    #[test]
    fn requests_and_events_have_the_documented_form() {
        let request: Request =
            serde_json::from_str(r#"{"op":"attach","version":1,"stdout":true,"size":[24,80]}"#).unwrap();
        assert!(matches!(request, Request::Attach { stdout: true, stdin: false, size: Some((24, 80)), .. }));
        let event = serde_json::to_string(&Event::Exited { code: 3, oom_killed: false }).unwrap();
        assert_eq!(event, r#"{"event":"exited","code":3,"oom_killed":false}"#);
        assert!(serde_json::from_str::<Request>(r#"{"op":"fly"}"#).is_err());
    }
}
