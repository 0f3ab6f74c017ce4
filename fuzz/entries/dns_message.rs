//! Whatever a container sends to its name server: it is answered in a message that can be read, or not at all.

use pyctr_core::net::names::message::{self, Code, HEADER_BYTES, Record};

/// Panics if an answer breaks what DNS demands of it.
pub fn run(data: &[u8]) {
    let question = match message::parse(data) {
        Ok(question) => question,
        Err(None) => {
            assert!(data.len() < HEADER_BYTES || data[2] & 0x80 != 0, "only what is no query stays unanswered");
            return;
        }
        Err(Some(code)) => {
            let bytes = message::answer(data, None, code, &[], None);
            assert_eq!((bytes.len(), &bytes[..2], bytes[3] & 15), (HEADER_BYTES, &data[..2], code as u8));
            return;
        }
    };
    assert!(question.name.chars().count() <= 255);
    let many = (0..200).map(|number| Record::Address([10, 0, 0, number].into()));
    let name = Some(question.name.clone()).filter(|name| message::fits(name)).map(Record::Name);
    let records: Vec<Record> = name.into_iter().chain(many).collect();
    let address = message::reverse(&question.name);
    assert!(address.is_none() || question.name.contains(".arpa"));
    for limit in [Some(question.datagram_bytes()), None] {
        let bytes = message::answer(data, Some(&question), Code::Ok, &records, limit);
        assert!(bytes.len() <= limit.unwrap_or(65_535), "{} bytes", bytes.len());
        let told = count(&bytes, 6);
        assert_eq!(told < records.len(), bytes[2] & 2 != 0, "what is left out is said to be");
        assert_eq!((&bytes[..2], bytes[2] & 0x80, count(&bytes, 4)), (&data[..2], 0x80, 1));
        check_records(&bytes, told + count(&bytes, 10));
    }
}

fn count(message: &[u8], place: usize) -> usize {
    usize::from(u16::from_be_bytes([message[place], message[place + 1]]))
}

/// Every record is whole, and nothing stands behind the last.
fn check_records(message: &[u8], records: usize) {
    let mut place = skip_name(message, HEADER_BYTES) + 4;
    for _ in 0..records {
        place = skip_name(message, place) + 8;
        place += 2 + count(message, place);
    }
    assert_eq!(place, message.len());
}

fn skip_name(message: &[u8], mut place: usize) -> usize {
    loop {
        match message[place] {
            0 => return place + 1,
            0xc0.. => return place + 2,
            length => place += 1 + usize::from(length),
        }
    }
}
