//! DNS messages (RFC 1035, section 4): questions read, answers written. Everything a container sends may be malformed.

use std::net::IpAddr;

const HEADER_BYTES: usize = 12;
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 255;
/// Without EDNS a datagram holds this much (RFC 1035, section 2.3.4).
const DATAGRAM_MAX: usize = 512;
/// As long as Docker says.
const TTL_S: u32 = 600;
const CLASS_IN: u16 = 1;
/// A pointer to the question's name, which is always at the same place (RFC 1035, section 4.1.4).
const QUESTION_NAME: [u8; 2] = [0xc0, 0x0c];

/// A record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A name.
    Ptr,
    /// Any other.
    Other,
}

/// Response codes (RFC 1035, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Answered, perhaps with nothing.
    Ok = 0,
    /// Not understood.
    Malformed = 1,
    /// Nobody could be asked.
    Failed = 2,
    /// There is no such name.
    NoName = 3,
    /// Not a question.
    NotImplemented = 4,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Lower case, without the last dot.
    pub name: String,
    /// What is asked for.
    pub kind: Kind,
    /// Where the question ends in its message.
    end: usize,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A name.
    Name(String),
}

/// Reads a query; an error is what to answer, None if not even that can be.
pub fn parse(message: &[u8]) -> Result<Question, Option<Code>> {
    let header = message.get(..HEADER_BYTES).ok_or(None)?;
    if header[2] & 0x80 != 0 {
        return Err(None); // an answer: answering it might go on for ever
    }
    if header[2] & 0x78 != 0 {
        return Err(Some(Code::NotImplemented));
    }
    if u16::from_be_bytes([header[4], header[5]]) != 1 {
        return Err(Some(Code::Malformed));
    }
    let (name, place) = read_name(message).ok_or(Some(Code::Malformed))?;
    let rest = message.get(place..place + 4).ok_or(Some(Code::Malformed))?;
    let kind = match (u16::from_be_bytes([rest[0], rest[1]]), u16::from_be_bytes([rest[2], rest[3]])) {
        (1, CLASS_IN) => Kind::A,
        (28, CLASS_IN) => Kind::Aaaa,
        (12, CLASS_IN) => Kind::Ptr,
        _ => Kind::Other,
    };
    Ok(Question { name, kind, end: place + 4 })
}

/// The name behind the header, and where it ends. Pointers have nothing to point at there.
fn read_name(message: &[u8]) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut place = HEADER_BYTES;
    loop {
        let length = usize::from(*message.get(place)?);
        place += 1;
        if length == 0 {
            return (place - HEADER_BYTES <= NAME_MAX).then_some((name, place));
        }
        if length > LABEL_MAX {
            return None;
        }
        let label = message.get(place..place + length)?;
        if !name.is_empty() {
            name.push('.');
        }
        // Bytes that are no letters stay apart from each other and match nothing of ours.
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        place += length;
    }
}

/// Writes an answer. Over datagrams what does not fit is left out, and said to be.
pub fn answer(query: &[u8], question: Option<&Question>, code: Code, records: &[Record], datagram: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(DATAGRAM_MAX);
    let flags = query.get(2).copied().unwrap_or(0) & 0x79; // opcode and "recursion desired" as asked
    out.extend_from_slice(query.get(..2).unwrap_or(&[0, 0]));
    out.extend_from_slice(&[flags | 0x80, 0x80 | code as u8]);
    let asked = question.and_then(|question| query.get(HEADER_BYTES..question.end));
    out.extend_from_slice(&u16::from(asked.is_some()).to_be_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(asked.unwrap_or_default());
    let mut count: u16 = 0;
    for record in records {
        let before = out.len();
        append(&mut out, record);
        if datagram && out.len() > DATAGRAM_MAX {
            out.truncate(before);
            out[2] |= 2; // truncated: the client asks again over TCP
            break;
        }
        count += 1;
    }
    out[6..8].copy_from_slice(&count.to_be_bytes());
    out
}

fn append(out: &mut Vec<u8>, record: &Record) {
    let (kind, data): (u16, Vec<u8>) = match record {
        Record::Address(IpAddr::V4(address)) => (1, address.octets().to_vec()),
        Record::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
        Record::Name(name) => (12, encode_name(name)),
    };
    out.extend_from_slice(&QUESTION_NAME);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&TTL_S.to_be_bytes());
    out.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&data);
}

fn encode_name(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let bytes = &label.as_bytes()[..label.len().min(LABEL_MAX)];
        out.push(u8::try_from(bytes.len()).unwrap_or(0));
        out.extend_from_slice(bytes);
    }
    out.push(0);
    out
}

/// The address a reverse name asks about (RFC 1035, section 3.5; RFC 3596, section 2.5).
pub fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0u8; 4];
        let mut parts = digits.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = parts.next()?.parse().ok()?;
        }
        return parts.next().is_none().then(|| octets.into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut octets = [0u8; 16];
    let mut parts = digits.split('.');
    for octet in octets.iter_mut().rev() {
        let mut nibble =
            || parts.next().filter(|part| part.len() == 1).and_then(|part| u8::from_str_radix(part, 16).ok());
        *octet = nibble()? | nibble()? << 4;
    }
    parts.next().is_none().then(|| octets.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A query for one name.
    pub fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(encode_name(name));
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn test_parse_names_are_lower_case_and_kinds_known() {
        let question = parse(&query("Web.Net", 1)).unwrap();
        assert_eq!((question.name.as_str(), question.kind), ("web.net", Kind::A));
        assert_eq!(parse(&query("a", 28)).unwrap().kind, Kind::Aaaa);
        assert_eq!(parse(&query("", 15)).unwrap().name, "");
    }

    #[test]
    fn test_parse_no_bytes_panic_and_answers_are_not_answered() {
        let whole = query("web.example.test", 1);
        for end in 0..whole.len() {
            let expected = if end < HEADER_BYTES { None } else { Some(Code::Malformed) };
            assert_eq!(parse(&whole[..end]), Err(expected), "{end}");
        }
        let mut changed = whole.clone();
        changed[2] = 0x80;
        assert_eq!(parse(&changed), Err(None));
        let mut seed = 9u32;
        for _ in 0..50_000 {
            let mut message = whole.clone();
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let index = usize::try_from(seed >> 8).unwrap() % message.len();
                message[index] = seed.to_le_bytes()[3];
            }
            if let Ok(question) = parse(&message) {
                answer(&message, Some(&question), Code::Ok, &[Record::Name(question.name.clone())], true);
            }
        }
        let mut pointer = whole[..HEADER_BYTES].to_vec();
        pointer.extend([0xc0, 0x0c, 0, 1, 0, 1]);
        assert_eq!(parse(&pointer), Err(Some(Code::Malformed)));
    }

    #[test]
    fn test_answer_records_and_truncation() {
        let query = query("web", 1);
        let question = parse(&query).unwrap();
        let one = [Record::Address([172, 18, 0, 2].into())];
        let bytes = answer(&query, Some(&question), Code::Ok, &one, true);
        assert_eq!(bytes[..12], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes[query.len()..], [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 172, 18, 0, 2]);
        let many: Vec<Record> = (0..100).map(|number| Record::Address([10, 0, 0, number].into())).collect();
        let cut = answer(&query, Some(&question), Code::Ok, &many, true);
        assert!(cut.len() <= 512 && cut[2] & 2 != 0);
        assert_eq!(answer(&query, Some(&question), Code::Ok, &many, false)[7], 100);
    }

    #[test]
    fn test_reverse_names_of_both_families() {
        assert_eq!(reverse("2.0.18.172.in-addr.arpa"), Some("172.18.0.2".parse().unwrap()));
        let name = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse(name), Some("fd00::2".parse().unwrap()));
        for bad in ["1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "300.0.0.1.in-addr.arpa", "x.ip6.arpa", "web"] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }
}
