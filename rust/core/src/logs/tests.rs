#![allow(clippy::unwrap_used)]
use std::io::Write;
use std::os::fd::AsFd;

use super::*;
use crate::monitor::log::Encoder;

const FORMATS: [Format; 2] = [Format::JsonFile, Format::Local];

/// What a driver writes for some reads of a container's output.
fn encoded(format: Format, reads: &[(Stream, &[u8])]) -> Vec<u8> {
    let mut encoder = Encoder::new(format == Format::JsonFile, &[("k".to_owned(), "a b,c".to_owned())].into());
    let mut out = Vec::new();
    for (stream, bytes) in reads {
        out.extend(encoder.write(*stream, bytes));
    }
    out.extend(encoder.finish());
    out
}

fn shown(format: Format, data: &[u8], window: &Window) -> Vec<(Stream, Vec<u8>)> {
    let (consumed, runs) = format.decode(data, window);
    assert_eq!(consumed, data.len());
    runs.into_iter().map(|run| (run.stream, run.bytes)).collect()
}

#[test]
fn test_decode_is_the_reverse_of_what_the_drivers_write() {
    let long = vec![b'x'; 100_000];
    let reads: [(Stream, &[u8]); 6] = [
        (Stream::Stdout, b"one\ntwo\n\n"),
        (Stream::Stderr, "caf\u{e9} <&> \"\\\t\u{2028}\n".as_bytes()),
        (Stream::Stdout, &long),
        (Stream::Stdout, b"\nhalf"),
        (Stream::Stderr, b"end"),
        (Stream::Stderr, b"\n"),
    ];
    for format in FORMATS {
        let data = encoded(format, &reads);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let written: Vec<u8> =
                reads.iter().filter(|read| read.0 == stream).flat_map(|read| read.1.to_vec()).collect();
            let read: Vec<u8> = shown(format, &data, &Window::default())
                .into_iter()
                .filter(|run| run.0 == stream)
                .flat_map(|run| run.1)
                .collect();
            assert!(read == written, "{format:?} {stream:?}");
        }
    }
}

#[test]
fn test_decode_whole_entries_only_whatever_the_cut() {
    for format in FORMATS {
        let data = encoded(format, &[(Stream::Stdout, b"one\ntwo\nthree\n")]);
        for cut in 0..data.len() {
            let (first, mut runs) = format.decode(&data[..cut], &Window::default());
            assert!(first <= cut);
            let (second, rest) = format.decode(&data[first..], &Window::default());
            assert_eq!(first + second, data.len());
            runs.extend(rest);
            assert_eq!(runs.iter().flat_map(|run| run.bytes.clone()).collect::<Vec<_>>(), b"one\ntwo\nthree\n");
        }
    }
}

#[test]
fn test_tail_and_whole_end_find_entries_from_behind() {
    for format in FORMATS {
        let lines: Vec<String> = (0..3000).map(|number| format!("{number}\n")).collect();
        let data = encoded(format, &[(Stream::Stdout, lines.concat().as_bytes())]);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        file.write_all(&data[..7]).unwrap(); // of a monitor that was killed
        let end = format.whole_end(file.as_fd(), (data.len() + 7) as u64).unwrap();
        assert_eq!(end, data.len() as u64, "{format:?}");
        for count in [0, 1, 2, 2999, 3000, 4000] {
            let (start, found) = format.tail(file.as_fd(), end, count).unwrap();
            assert_eq!(found, count.min(3000), "{format:?}");
            let start = usize::try_from(start).unwrap();
            let text: Vec<u8> =
                shown(format, &data[start..], &Window::default()).into_iter().flat_map(|run| run.1).collect();
            assert_eq!(text, lines[3000 - found..].concat().as_bytes());
        }
    }
}

#[test]
fn test_decode_window_bounds_times_and_details() {
    let line = br#"{"log":"x\n","stream":"stderr","attrs":{"a":"1 2","b":"c,d"},"time":"1970-01-01T00:00:10.5Z"}"#;
    let data = [&line[..], b"\n"].concat();
    let window = Window { timestamps: true, details: true, ..Window::default() };
    let expected = b"1970-01-01T00:00:10.500000000Z a=1+2,b=c%2Cd x\n".to_vec();
    assert_eq!(shown(Format::JsonFile, &data, &window), [(Stream::Stderr, expected)]);
    let moment = 10_500_000_000;
    for (since_ns, until_ns, held) in
        [(Some(moment), Some(moment), true), (Some(moment + 1), None, false), (None, Some(moment - 1), false)]
    {
        let window = Window { since_ns, until_ns, ..Window::default() };
        assert_eq!(!shown(Format::JsonFile, &data, &window).is_empty(), held);
    }
}

#[test]
fn test_decode_broken_entries_are_passed_over() {
    let good = encoded(Format::JsonFile, &[(Stream::Stdout, b"good\n")]);
    let data = [&good[..], b"garbage\n{\"log\":\"x\",\"stream\":\"other\"}\n", &good].concat();
    assert_eq!(shown(Format::JsonFile, &data, &Window::default()), [(Stream::Stdout, b"good\ngood\n".to_vec())]);
    let good = encoded(Format::Local, &[(Stream::Stdout, b"good\n")]);
    let mut lengths_differ = good.clone();
    *lengths_differ.last_mut().unwrap() ^= 1;
    let data = [&lengths_differ[..], &good].concat();
    assert_eq!(shown(Format::Local, &data, &Window::default()), [(Stream::Stdout, b"good\n".to_vec())]);
    let data = [&good[..], &[0xff; 64]].concat();
    assert_eq!(shown(Format::Local, &data, &Window::default()), [(Stream::Stdout, b"good\n".to_vec())]);
}
