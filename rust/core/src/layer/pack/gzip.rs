//! gzip in two threads: a sequence of members of 1 MiB each (RFC 1952, section 2.2), the same bytes on every machine.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::Compression;

const MEMBER_BYTES: usize = 1 << 20;
const WORKERS: usize = 2;
/// Members a worker may have before it: so that it never waits while the other is behind.
const QUEUE: usize = 2;

/// A thread that makes members, in the order it got them.
struct Worker {
    input: SyncSender<Vec<u8>>,
    output: Receiver<std::io::Result<Vec<u8>>>,
}

/// Compresses what is written to it.
pub struct GzipWriter<W> {
    sink: W,
    workers: Vec<Worker>,
    pending: Vec<u8>,
    sent: usize,
    received: usize,
}

impl Worker {
    fn start(level: u32) -> Self {
        let (input, blocks) = sync_channel::<Vec<u8>>(QUEUE);
        let (members, output) = sync_channel(QUEUE);
        std::thread::spawn(move || {
            for block in blocks {
                if members.send(member(&block, level)).is_err() {
                    return;
                }
            }
        });
        Self { input, output }
    }
}

/// One member: no name, no time (RFC 1952, MTIME = 0), nothing of this machine.
fn member(block: &[u8], level: u32) -> std::io::Result<Vec<u8>> {
    let room = Vec::with_capacity(block.len() / 2);
    let mut encoder = flate2::GzBuilder::new().operating_system(255).write(room, Compression::new(level));
    encoder.write_all(block)?;
    encoder.finish()
}

impl<W: Write> GzipWriter<W> {
    /// Writes members to a sink.
    pub fn new(sink: W, level: u32) -> Self {
        let workers = (0..WORKERS).map(|_| Worker::start(level)).collect();
        Self { sink, workers, pending: Vec::with_capacity(MEMBER_BYTES), sent: 0, received: 0 }
    }

    fn dispatch(&mut self) -> std::io::Result<()> {
        if self.sent - self.received == WORKERS * QUEUE {
            self.collect()?;
        }
        let block = std::mem::replace(&mut self.pending, Vec::with_capacity(MEMBER_BYTES));
        self.workers[self.sent % WORKERS].input.send(block).map_err(|_| ended())?;
        self.sent += 1;
        Ok(())
    }

    fn collect(&mut self) -> std::io::Result<()> {
        let member = self.workers[self.received % WORKERS].output.recv().map_err(|_| ended())??;
        self.received += 1;
        self.sink.write_all(&member)
    }

    /// Writes what is left; the sink.
    pub fn finish(mut self) -> std::io::Result<W> {
        // An empty stream is one empty member: nothing at all would not be gzip.
        if !self.pending.is_empty() || self.sent == 0 {
            self.dispatch()?;
        }
        while self.received < self.sent {
            self.collect()?;
        }
        Ok(self.sink)
    }
}

fn ended() -> std::io::Error {
    std::io::Error::other("a compressing thread ended early")
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(MEMBER_BYTES - self.pending.len());
        self.pending.extend_from_slice(&buffer[..count]);
        if self.pending.len() == MEMBER_BYTES {
            self.dispatch()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(()) // a member ends where it is full: flushing would change the bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;

    fn compressed(data: &[u8], piece: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), 6);
        data.chunks(piece.max(1)).for_each(|part| writer.write_all(part).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn any_length_comes_back_and_pieces_do_not_matter() {
        for length in [0, 1, MEMBER_BYTES - 1, MEMBER_BYTES, MEMBER_BYTES + 1, 7 * MEMBER_BYTES + 5] {
            let data: Vec<u8> = (0..length).map(|at| (at * at / 7).to_le_bytes()[0]).collect();
            let bytes = compressed(&data, 100_000);
            assert_eq!(bytes, compressed(&data, 3_333_333));
            let mut back = Vec::new();
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut back).unwrap();
            assert!(back == data, "{length}");
            assert_eq!(bytes[3..9], [0, 0, 0, 0, 0, bytes[8]]);
        }
    }
}
