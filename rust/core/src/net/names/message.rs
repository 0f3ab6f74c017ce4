//! DNS messages (RFC 1035, section 4; RFC 6891): questions read, answers written. Everything a container sends may be malformed.

use std::net::IpAddr;

/// Of every message.
pub const HEADER_BYTES: usize = 12;
/// A longer question is nobody's: names have 255 bytes.
pub const QUERY_MAX: usize = 4096;
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 255;
/// Without EDNS a datagram holds this much (RFC 1035, section 2.3.4).
const DATAGRAM_MIN: u16 = 512;
/// More is not sent in one, whatever a client says it takes.
const DATAGRAM_MAX: u16 = 4096;
/// Names of containers that come and go are right at once: nobody is to keep an answer.
const TTL_S: u32 = 0;
const CLASS_IN: u16 = 1;
const KIND_OPT: u16 = 41;
const OPT_FIXED_BYTES: usize = 10;
/// A pointer to the question's name, which is always at the same place (RFC 1035, section 4.1.4).
const QUESTION_NAME: [u8; 2] = [0xc0, 0x0c];
/// What stands for a dot within a label, which is no separator.
const DOT_IN_LABEL: char = '\u{fffd}';

/// A record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A name.
    Ptr,
    /// Everything there is.
    Any,
    /// Any other.
    Other,
}

/// Response codes (RFC 1035, section 4.1.1; RFC 6891, section 9).
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
    /// An EDNS version other than 0.
    BadVersion = 16,
}

/// What a client says of itself by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edns {
    payload_bytes: u16,
    version: u8,
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
    edns: Option<Edns>,
}

impl Question {
    /// Bytes a datagram to the client may have.
    pub fn datagram_bytes(&self) -> usize {
        let asked = self.edns.map_or(DATAGRAM_MIN, |edns| edns.payload_bytes);
        usize::from(asked.clamp(DATAGRAM_MIN, DATAGRAM_MAX))
    }

    /// An extension that is not known (RFC 6891, section 6.1.3).
    pub fn has_unknown_edns(&self) -> bool {
        self.edns.is_some_and(|edns| edns.version != 0)
    }
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A name; one that fits into a message ([`fits`]).
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
    if message.len() > QUERY_MAX || number(header, 4) != Some(1) {
        return Err(Some(Code::Malformed));
    }
    let malformed = Some(Code::Malformed);
    let (name, place) = read_name(message).ok_or(malformed)?;
    let (kind, class) = number(message, place).zip(number(message, place + 2)).ok_or(malformed)?;
    let kind = match (kind, class) {
        (1, CLASS_IN) => Kind::A,
        (28, CLASS_IN) => Kind::Aaaa,
        (12, CLASS_IN) => Kind::Ptr,
        (255, CLASS_IN) => Kind::Any,
        _ => Kind::Other,
    };
    let end = place + 4;
    Ok(Question { name, kind, end, edns: find_edns(message, end).map_err(Some)? })
}

fn number(message: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(place..)?.first_chunk()?))
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
        name.extend(label.iter().map(|byte| match byte {
            b'.' => DOT_IN_LABEL,
            byte => char::from(byte.to_ascii_lowercase()),
        }));
        place += length;
    }
}

/// The OPT record among those behind the question.
fn find_edns(message: &[u8], mut place: usize) -> Result<Option<Edns>, Code> {
    let mut found = None;
    for _ in 0..record_count(message).ok_or(Code::Malformed)? {
        let (record, end) = read_record(message, place).ok_or(Code::Malformed)?;
        if let Some(edns) = record {
            // One at most, and the root's (RFC 6891, section 6.1.1).
            if found.is_some() || message[place] != 0 {
                return Err(Code::Malformed);
            }
            found = Some(edns);
        }
        place = end;
    }
    Ok(found)
}

/// Records behind the question.
fn record_count(message: &[u8]) -> Option<u32> {
    Some(u32::from(number(message, 6)?) + u32::from(number(message, 8)?) + u32::from(number(message, 10)?))
}

/// What a record says if it is OPT, and where it ends.
fn read_record(message: &[u8], place: usize) -> Option<(Option<Edns>, usize)> {
    let place = skip_name(message, place)?;
    let fixed = message.get(place..place + OPT_FIXED_BYTES)?;
    let end = place + OPT_FIXED_BYTES + usize::from(number(fixed, 8)?);
    let edns = Edns { payload_bytes: number(fixed, 2)?, version: fixed[5] };
    (end <= message.len()).then_some(((number(fixed, 0)? == KIND_OPT).then_some(edns), end))
}

fn skip_name(message: &[u8], mut place: usize) -> Option<usize> {
    loop {
        let length = *message.get(place)?;
        match length {
            0 => return Some(place + 1),
            1..=63 => place += 1 + usize::from(length),
            0xc0.. => return Some(place + 2),
            _ => return None,
        }
    }
}

/// Writes an answer. `limit_bytes`: what does not fit is left out, and said to be; over a connection there is no such limit.
pub fn answer(
    query: &[u8],
    question: Option<&Question>,
    code: Code,
    records: &[Record],
    limit_bytes: Option<usize>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(usize::from(DATAGRAM_MIN));
    let flags = query.get(2).copied().unwrap_or(0) & 0x79; // opcode and "recursion desired" as asked
    out.extend_from_slice(query.get(..2).unwrap_or(&[0, 0]));
    out.extend_from_slice(&[flags | 0x80, 0x80 | (code as u8 & 15)]);
    let asked = question.and_then(|question| query.get(HEADER_BYTES..question.end));
    out.extend_from_slice(&u16::from(asked.is_some()).to_be_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(asked.unwrap_or_default());
    let has_edns = question.is_some_and(|question| question.edns.is_some());
    let limit = limit_bytes.unwrap_or(usize::from(u16::MAX)) - if has_edns { OPT_FIXED_BYTES + 1 } else { 0 };
    let mut count: u16 = 0;
    for record in records {
        let before = out.len();
        append(&mut out, record);
        if out.len() > limit {
            out.truncate(before);
            out[2] |= 2; // truncated: the client asks again over TCP
            break;
        }
        count += 1;
    }
    out[6..8].copy_from_slice(&count.to_be_bytes());
    if has_edns {
        append_edns(&mut out, code);
    }
    out
}

/// The server's own OPT record, which an answer to a query with one has (RFC 6891, section 6.1.1).
fn append_edns(out: &mut Vec<u8>, code: Code) {
    out[11] = 1;
    out.push(0);
    out.extend_from_slice(&KIND_OPT.to_be_bytes());
    out.extend_from_slice(&DATAGRAM_MAX.to_be_bytes());
    out.extend_from_slice(&[code as u8 >> 4, 0, 0, 0, 0, 0]);
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

/// Whether a name can be written: Docker's may be longer than DNS's.
pub fn fits(name: &str) -> bool {
    let labels = || name.split('.');
    labels().all(|label| (1..=LABEL_MAX).contains(&label.len())) && name.len() + 2 <= NAME_MAX
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
            let digits = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            *octet = digits.parse().ok()?;
        }
        return parts.next().is_none().then(|| octets.into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut octets = [0u8; 16];
    let mut parts = digits.split('.');
    for octet in octets.iter_mut().rev() {
        let mut nibble = || {
            let part = parts.next().filter(|part| part.len() == 1 && *part != "+")?;
            u8::from_str_radix(part, 16).ok()
        };
        *octet = nibble()? | nibble()? << 4;
    }
    parts.next().is_none().then(|| octets.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A query for one name.
    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(encode_name(name));
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    fn query_edns(name: &str, payload_bytes: u16, version: u8) -> Vec<u8> {
        let mut message = query(name, 1);
        message[11] = 1;
        message.extend([0, 0, 41]);
        message.extend(payload_bytes.to_be_bytes());
        message.extend([0, version, 0, 0, 0, 0]);
        message
    }

    #[test]
    fn test_parse_names_are_lower_case_and_kinds_known() {
        let question = parse(&query("Web.Net", 1)).unwrap();
        assert_eq!((question.name.as_str(), question.kind), ("web.net", Kind::A));
        assert_eq!(parse(&query("a", 28)).unwrap().kind, Kind::Aaaa);
        assert_eq!(parse(&query("", 15)).unwrap().name, "");
        let mut dotted = query("web_net", 1);
        dotted[HEADER_BYTES + 4] = b'.';
        assert_ne!(parse(&dotted).unwrap().name, "web.net", "a dot within a label separates nothing");
    }

    #[test]
    fn test_parse_cut_off_anywhere_is_malformed_and_answers_are_not_answered() {
        let whole = query("web.example.test", 1);
        for end in 0..whole.len() {
            let expected = if end < HEADER_BYTES { None } else { Some(Code::Malformed) };
            assert_eq!(parse(&whole[..end]), Err(expected), "{end}");
        }
        let mut changed = whole.clone();
        changed[2] = 0x80;
        assert_eq!(parse(&changed), Err(None));
        changed[2] = 0x10;
        assert_eq!(parse(&changed), Err(Some(Code::NotImplemented)));
        let mut pointer = whole[..HEADER_BYTES].to_vec();
        pointer.extend([0xc0, 0x0c, 0, 1, 0, 1]);
        assert_eq!(parse(&pointer), Err(Some(Code::Malformed)));
        let huge = [whole.as_slice(), &[0; QUERY_MAX]].concat();
        assert_eq!(parse(&huge), Err(Some(Code::Malformed)));
    }

    #[test]
    fn test_parse_edns_says_how_much_the_client_takes() {
        assert_eq!(parse(&query("a", 1)).unwrap().datagram_bytes(), 512);
        for (told, taken) in [(0, 512), (1232, 1232), (65_535, 4096)] {
            assert_eq!(parse(&query_edns("a", told, 0)).unwrap().datagram_bytes(), taken);
        }
        assert!(parse(&query_edns("a", 1232, 1)).unwrap().has_unknown_edns());
        let whole = query_edns("a", 1232, 0);
        for end in query("a", 1).len()..whole.len() {
            assert_eq!(parse(&whole[..end]), Err(Some(Code::Malformed)), "{end}");
        }
        let mut twice = [whole.as_slice(), &whole[query("a", 1).len()..]].concat();
        twice[11] = 2;
        assert_eq!(parse(&twice), Err(Some(Code::Malformed)));
    }

    #[test]
    fn test_answer_records_and_truncation() {
        let query = query("web", 1);
        let question = parse(&query).unwrap();
        let one = [Record::Address([172, 18, 0, 2].into())];
        let bytes = answer(&query, Some(&question), Code::Ok, &one, Some(512));
        assert_eq!(bytes[..12], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes[query.len()..], [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 172, 18, 0, 2]);
        let many: Vec<Record> = (0..100).map(|number| Record::Address([10, 0, 0, number].into())).collect();
        let cut = answer(&query, Some(&question), Code::Ok, &many, Some(512));
        assert!(cut.len() <= 512 && cut[2] & 2 != 0);
        assert_eq!(answer(&query, Some(&question), Code::Ok, &many, None)[7], 100);
    }

    #[test]
    fn test_answer_to_edns_has_edns_and_keeps_to_the_limit() {
        let query = query_edns("web", 1232, 0);
        let question = parse(&query).unwrap();
        let many: Vec<Record> = (0..200).map(|number| Record::Address([10, 0, 0, number].into())).collect();
        let cut = answer(&query, Some(&question), Code::Ok, &many, Some(question.datagram_bytes()));
        assert!((1200..=1232).contains(&cut.len()) && cut[2] & 2 != 0 && cut[11] == 1);
        let bad = answer(&query, Some(&question), Code::BadVersion, &[], Some(512));
        assert_eq!((bad[3] & 15, &bad[bad.len() - 11..]), (0, &[0, 0, 41, 16, 0, 1, 0, 0, 0, 0, 0][..]));
    }

    #[test]
    fn test_fits_names_of_dns_only() {
        assert!(fits("web.net") && fits(&format!("{}.net", "a".repeat(63))));
        for bad in ["", "a..b", ".a", &"a".repeat(64), &vec!["abcdefg"; 33].join(".")] {
            assert!(!fits(bad), "{bad}");
        }
    }

    #[test]
    fn test_reverse_names_of_both_families() {
        assert_eq!(reverse("2.0.18.172.in-addr.arpa"), Some("172.18.0.2".parse().unwrap()));
        let name = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse(name), Some("fd00::2".parse().unwrap()));
        for bad in ["1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "300.0.0.1.in-addr.arpa", "+1.0.0.1.in-addr.arpa"] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
        assert_eq!(reverse("x.ip6.arpa").or(reverse("web")).or(reverse(&name.replacen('2', "+", 1))), None);
    }
}
