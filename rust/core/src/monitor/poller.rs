//! The one epoll, and descriptors that are watched by it exactly as long as they live.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData};
use rustix::io::Errno;

pub use rustix::event::epoll::EventFlags;

use crate::{Error, Result};

/// How many events one wait brings; the rest comes with the next.
const EVENTS_AT_ONCE: usize = 16;

/// The epoll.
#[derive(Debug, Clone)]
pub struct Poller {
    epoll: Rc<OwnedFd>,
}

impl Poller {
    /// A new one.
    pub fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|errno| Error::kernel("make", "epoll", errno))?;
        Ok(Self { epoll: Rc::new(epoll) })
    }

    /// Takes over a descriptor, not watched yet; events name it by `token`.
    pub fn source(&self, fd: OwnedFd, token: u64) -> Source {
        Source { fd, poller: self.clone(), token, watched: EventFlags::empty() }
    }

    /// Waits for events, without end where there is no `limit`; their tokens replace what is in `tokens`.
    pub fn wait(&self, tokens: &mut Vec<u64>, limit: Option<Duration>) -> Result<()> {
        tokens.clear();
        let limit = limit.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS_AT_ONCE];
        match epoll::wait(&*self.epoll, &mut events[..], limit.as_ref()) {
            Ok(count) => tokens.extend(events[..count].iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::kernel("wait for", "events", errno)),
        }
        Ok(())
    }
}

/// A descriptor of the loop's. Dropped, it is not watched any more, also where another process shares its description and
/// keeps it open (epoll(7), "Questions and answers", 6).
#[derive(Debug)]
pub struct Source {
    fd: OwnedFd,
    poller: Poller,
    token: u64,
    watched: EventFlags,
}

impl Source {
    /// Watches for these events only; for none at all, not even a hang-up, which a level-triggered epoll would repeat for ever.
    ///
    /// EPERM says that the descriptor cannot be watched because it is always ready: a regular file.
    pub fn watch(&mut self, flags: EventFlags) -> rustix::io::Result<()> {
        let (epoll, data) = (&*self.poller.epoll, EventData::new_u64(self.token));
        match (self.watched.is_empty(), flags.is_empty()) {
            _ if self.watched == flags => Ok(()),
            (true, _) => epoll::add(epoll, &self.fd, data, flags),
            (false, true) => epoll::delete(epoll, &self.fd),
            (false, false) => epoll::modify(epoll, &self.fd, data, flags),
        }?;
        self.watched = flags;
        Ok(())
    }

    /// The descriptor.
    pub fn owned(&self) -> &OwnedFd {
        &self.fd
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.watch(EventFlags::empty());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_source_unwatched_hang_up_is_not_reported() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut source = poller.source(reader, 7);
        source.watch(EventFlags::IN).unwrap();
        drop(writer);
        let mut tokens = Vec::new();
        poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
        assert_eq!(tokens, [7]);
        source.watch(EventFlags::empty()).unwrap();
        poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
        assert!(tokens.is_empty());
    }

    #[test]
    fn test_source_dropped_shared_description_is_not_reported() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let shared = rustix::io::dup(&reader).unwrap();
        let mut source = poller.source(reader, 7);
        source.watch(EventFlags::IN).unwrap();
        drop(source);
        rustix::io::write(&writer, b"x").unwrap();
        let mut tokens = Vec::new();
        poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
        assert!(tokens.is_empty());
        drop(shared);
    }

    #[test]
    fn test_source_regular_file_is_always_ready() {
        let poller = Poller::new().unwrap();
        let file = tempfile::tempfile().unwrap();
        assert_eq!(poller.source(file.into(), 1).watch(EventFlags::IN), Err(Errno::PERM));
    }
}
