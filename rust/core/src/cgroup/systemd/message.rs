//! D-Bus messages, as far as talking to systemd needs them. Pure; see the D-Bus Specification, "Message Protocol".

use crate::{Error, Kind, Result};

/// A value of a property or argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `b`
    Bool(bool),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    Numbers(Vec<u32>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::U64(_) => "t",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::Bytes(_) => "ay",
            Self::Numbers(_) => "au",
            Self::Pairs(_) => "a(ss)",
        }
    }
}

/// A property of a unit.
pub(super) type Property = (&'static str, Value);

/// Marshals values, little-endian, each aligned to its size from the start of the message or body.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn align(&mut self, size: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(size), 0);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend(number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        // A message has at most 2²⁷ bytes: what does not fit is refused by the bus.
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.bytes.extend(signature.as_bytes());
        self.bytes.push(0);
    }

    /// An array; its length does not count the padding before the first element.
    fn array<T>(&mut self, alignment: usize, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.u32(0);
        let at = self.bytes.len();
        self.align(alignment);
        let start = self.bytes.len();
        for item in items {
            each(self, item);
        }
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[at - 4..at].copy_from_slice(&length.to_le_bytes());
    }

    fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        match value {
            Value::Bool(flag) => self.u32(u32::from(*flag)),
            Value::U64(number) => {
                self.align(8);
                self.bytes.extend(number.to_le_bytes());
            }
            Value::Text(text) => self.text(text),
            Value::Texts(texts) => self.array(4, texts, |encoder, text| encoder.text(text)),
            Value::Bytes(bytes) => self.array(1, bytes, |encoder, byte| encoder.bytes.push(*byte)),
            Value::Numbers(numbers) => self.array(4, numbers, |encoder, number| encoder.u32(*number)),
            Value::Pairs(pairs) => self.array(8, pairs, |encoder, (first, second)| {
                encoder.align(8);
                encoder.text(first);
                encoder.text(second);
            }),
        }
    }

    /// `a(sv)`
    pub(super) fn properties(&mut self, properties: &[Property]) {
        self.array(8, properties, |encoder, (name, value)| {
            encoder.align(8);
            encoder.text(name);
            encoder.variant(value);
        });
    }

    /// `a(sa(sv))` without elements.
    pub(super) fn no_auxiliary_units(&mut self) {
        self.array::<()>(8, &[], |_, ()| ());
    }
}

/// A method call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    /// Types of the arguments; empty for none.
    pub(super) signature: &'a str,
}

const LITTLE_ENDIAN: u8 = b'l';
const METHOD_CALL: u8 = 1;
pub(super) const METHOD_RETURN: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;
const PROTOCOL: u8 = 1;

impl Call<'_> {
    /// The whole message.
    pub(super) fn encode(&self, serial: u32, body: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder { bytes: vec![LITTLE_ENDIAN, METHOD_CALL, 0, PROTOCOL] };
        encoder.length(body.len());
        encoder.u32(serial);
        // Header fields, `a(yv)`: 1 path (o), 2 interface (s), 3 member (s), 6 destination (s), 8 signature (g).
        let fields = [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.member),
            (6, "s", self.destination),
            (8, "g", self.signature),
        ];
        encoder.array(8, &fields, |encoder, (code, kind, text)| {
            if text.is_empty() {
                return;
            }
            encoder.align(8);
            encoder.bytes.push(*code);
            encoder.signature(kind);
            if *kind == "g" { encoder.signature(text) } else { encoder.text(text) }
        });
        encoder.align(8);
        encoder.bytes.extend(body);
        encoder.bytes
    }
}

/// A message that came in, as far as it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) reply_serial: Option<u32>,
    pub(super) member: String,
    pub(super) error_name: String,
    /// Types of the body.
    pub(super) signature: String,
    body: Vec<u8>,
    big_endian: bool,
}

/// The fixed part of a header, with the length of the field array.
pub(super) const FIXED_LENGTH: usize = 16;
/// The specification's limit of a message.
const LONGEST: usize = 1 << 27;

/// How long the whole message is whose fixed part this is.
pub(super) fn message_length(fixed: &[u8; FIXED_LENGTH]) -> Result<usize> {
    let big_endian = fixed[0] == b'B';
    if (!big_endian && fixed[0] != LITTLE_ENDIAN) || fixed[3] != PROTOCOL {
        return Err(malformed());
    }
    let decoder = Decoder { bytes: fixed, at: 0, big_endian };
    let size = |at: usize| Decoder { at, ..decoder }.u32().map(|number| number as usize);
    let (body, fields) = (size(4)?, size(12)?);
    let total = (FIXED_LENGTH + fields).next_multiple_of(8) + body;
    if fields > LONGEST || body > LONGEST || total > LONGEST { Err(malformed()) } else { Ok(total) }
}

impl Message {
    /// Parses a whole message.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let big_endian = bytes.first() == Some(&b'B');
        let mut decoder = Decoder { bytes, at: 4, big_endian };
        let body_length = decoder.u32()? as usize;
        let _serial = decoder.u32()?;
        let fields_length = decoder.u32()? as usize;
        let end = decoder.at.checked_add(fields_length).ok_or_else(malformed)?;
        let mut message = Self { kind: *bytes.get(1).ok_or_else(malformed)?, big_endian, ..Self::default() };
        while decoder.at < end {
            decoder.align(8);
            let code = decoder.u8()?;
            let kind = decoder.signature()?;
            match (code, kind) {
                (5, "u") => message.reply_serial = Some(decoder.u32()?),
                (3, "s") => decoder.text()?.clone_into(&mut message.member),
                (4, "s") => decoder.text()?.clone_into(&mut message.error_name),
                (8, "g") => decoder.signature()?.clone_into(&mut message.signature),
                (_, "s" | "o") => drop(decoder.text()?),
                (_, "g") => drop(decoder.signature()?),
                (_, "u") => drop(decoder.u32()?),
                _ => return Err(malformed()),
            }
        }
        decoder.align(8);
        let body = bytes.get(decoder.at..).filter(|body| body.len() == body_length).ok_or_else(malformed)?;
        message.body = body.to_vec();
        Ok(message)
    }

    /// Reads the body.
    pub(super) fn body(&self) -> Decoder<'_> {
        Decoder { bytes: &self.body, at: 0, big_endian: self.big_endian }
    }
}

/// Unmarshals values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Decoder<'a> {
    fn align(&mut self, size: usize) {
        self.at = self.at.next_multiple_of(size);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.align(4);
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| malformed())?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// A string or an object path.
    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.u32()? as usize;
        self.terminated(length)
    }

    fn signature(&mut self) -> Result<&'a str> {
        let length = usize::from(self.u8()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Result<&'a str> {
        let bytes = self.take(length)?;
        if self.u8()? != 0 {
            return Err(malformed());
        }
        std::str::from_utf8(bytes).map_err(|_| malformed())
    }

    /// A variant that must hold a string.
    pub(super) fn variant_text(&mut self) -> Result<&'a str> {
        if self.signature()? == "s" { self.text() } else { Err(malformed()) }
    }
}

fn malformed() -> Error {
    Error::new(Kind::Corrupt, "read", "D-Bus message", "malformed")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Worked out by hand from the specification: `Hello`, the first call on every connection.
    const HELLO: &[u8] = b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x6d\x00\x00\x00\
\x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00\x00\x00\
\x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00\
\x03\x01s\x00\x05\x00\x00\x00Hello\x00\x00\x00\
\x06\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00";

    #[test]
    fn test_call_encode_of_hello_is_what_the_specification_says() {
        let call = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            signature: "",
        };
        let bytes = call.encode(1, &[]);
        // The array of fields is 0x6d bytes long: to the end of the last field, not of the padding after it.
        assert_eq!(bytes, HELLO);
        assert_eq!(message_length(bytes[..16].try_into().unwrap()).unwrap(), 128);
    }

    #[test]
    fn test_properties_encode_aligns_every_element() {
        let mut encoder = Encoder::default();
        encoder.properties(&[("A", Value::Bool(true)), ("B", Value::U64(7))]);
        let expected: &[u8] = &[
            40, 0, 0, 0, 0, 0, 0,
            0, // length of what follows, and padding to the first struct, which it does not count
            1, 0, 0, 0, b'A', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0, // "A", signature, padding to 4, true
            1, 0, 0, 0, b'B', 0, 1, b't', // "B", signature
            0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, // signature's end, padding to 8, 7
        ];
        assert_eq!(encoder.into_bytes(), expected);
    }

    #[test]
    fn test_message_decode_reads_back_what_was_encoded() {
        let mut body = Encoder::default();
        body.u32(5);
        body.text("/job/1");
        let call = Call { destination: "a.b", path: "/p", interface: "i.f", member: "JobRemoved", signature: "uo" };
        let bytes = call.encode(9, &body.into_bytes());
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.member.as_str(), message.signature.as_str()), ("JobRemoved", "uo"));
        let mut decoder = message.body();
        assert_eq!(decoder.u32().unwrap(), 5);
        assert_eq!(decoder.text().unwrap(), "/job/1");
        assert!(decoder.text().is_err());
    }

    #[test]
    fn test_message_decode_of_any_truncation_is_an_error_not_a_panic() {
        let call = Call { destination: "a.b", path: "/p", interface: "i.f", member: "M", signature: "s" };
        let mut body = Encoder::default();
        body.text("hello");
        let bytes = call.encode(9, &body.into_bytes());
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 0xff;
            let _ = Message::decode(&spoilt);
        }
    }
}
