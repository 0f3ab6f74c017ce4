//! Bytes handed from one thread to another in large pieces, whose memory goes back.

use std::io::{BufRead, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::digest::{Digest, Hasher};

/// Size of a piece.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Pieces between two threads: 2 MiB, so that neither waits for the other's every breath.
const CHUNKS: usize = 8;

/// Two ends.
pub fn channel() -> (Sender, Chunks) {
    let (sender, receiver) = sync_channel(CHUNKS);
    let (recycle, recycled) = sync_channel(CHUNKS + 2);
    (
        Sender { sender, recycled },
        Chunks { receiver, recycle, current: Vec::new(), position: 0, hasher: Hasher::default() },
    )
}

/// The end that gives.
pub struct Sender {
    sender: SyncSender<Vec<u8>>,
    recycled: Receiver<Vec<u8>>,
}

impl Sender {
    /// Memory for the next piece: empty, or with old bytes in it.
    pub fn space(&self) -> Vec<u8> {
        self.recycled.try_recv().unwrap_or_default()
    }

    /// Hands a piece over; false if nobody takes it any more.
    pub fn send(&self, chunk: Vec<u8>) -> bool {
        self.sender.send(chunk).is_ok()
    }
}

/// The end that takes: a stream, hashed as it is read.
pub struct Chunks {
    receiver: Receiver<Vec<u8>>,
    recycle: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    hasher: Hasher,
}

impl Chunks {
    fn next(&mut self) -> bool {
        let used = std::mem::take(&mut self.current);
        let _ = self.recycle.try_send(used);
        self.position = 0;
        match self.receiver.recv() {
            Ok(chunk) => {
                self.hasher.update(&chunk);
                self.current = chunk;
                true
            }
            Err(_) => false,
        }
    }

    /// The digest of the stream, read to its end.
    pub fn finish(mut self) -> Digest {
        while self.next() {}
        self.hasher.finish()
    }

    /// Pieces as they come, not hashed; each goes back when it is done with.
    pub fn each<E>(&mut self, mut take: impl FnMut(Vec<u8>) -> Result<Option<Vec<u8>>, E>) -> Result<(), E> {
        while let Ok(chunk) = self.receiver.recv() {
            if let Some(used) = take(chunk)? {
                let _ = self.recycle.try_send(used);
            }
        }
        Ok(())
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.position == self.current.len() {
            self.next();
        }
        Ok(&self.current[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// The end that gives, as a stream.
pub struct ChunkWriter {
    sender: Sender,
    current: Vec<u8>,
}

impl ChunkWriter {
    /// Fills one piece after another.
    pub fn new(sender: Sender) -> Self {
        let current = Vec::with_capacity(CHUNK_BYTES);
        Self { sender, current }
    }

    /// Lets `read` fill up to `max` bytes of the current piece; how many it did.
    pub fn fill(
        &mut self,
        max: u64,
        read: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
    ) -> std::io::Result<usize> {
        if self.current.len() == CHUNK_BYTES {
            self.flush()?;
        }
        let start = self.current.len();
        let room = usize::try_from(max).unwrap_or(usize::MAX).min(CHUNK_BYTES - start);
        self.current.resize(start + room, 0);
        let result = read(&mut self.current[start..]);
        self.current.truncate(start + *result.as_ref().unwrap_or(&0));
        Ok(result?)
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if self.current.len() == CHUNK_BYTES {
            self.flush()?;
        }
        let count = buffer.len().min(CHUNK_BYTES - self.current.len());
        self.current.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Hands over what there is, though the piece is not full.
    fn flush(&mut self) -> std::io::Result<()> {
        if self.current.is_empty() {
            return Ok(());
        }
        let mut next = self.sender.space();
        next.clear();
        let full = std::mem::replace(&mut self.current, next);
        if self.sender.send(full) { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    }
}
