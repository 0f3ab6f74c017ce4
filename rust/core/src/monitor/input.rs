//! Input: from clients to the container, one piece at a time, never more than the container takes.

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::client::Client;
use super::container::Running;
use super::event_loop::{CONSOLE, EventLoop, STDIN, token};
use super::protocol::Event;

impl EventLoop {
    /// A regular file cannot be polled: it is always ready, and read through at once.
    pub(super) fn watch_input(&mut self, number: u64) {
        let Some(stdin) = self.clients.get(&number).and_then(|client| client.stdin.as_ref()) else { return };
        let added = epoll::add(&self.epoll, stdin, EventData::new_u64(token(number, 1)), EventFlags::IN);
        if added == Err(Errno::PERM)
            && let Some(client) = self.clients.get_mut(&number)
        {
            client.always_ready = true;
        }
    }

    pub(super) fn read_input(&mut self, number: u64, running: Option<&mut Running>) {
        let Some(running) = running else { return };
        if !self.input.is_empty() {
            return; // the container has not taken the last of it yet
        }
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some(stdin) = &client.stdin else { return };
        let mut bytes = vec![0u8; 16 * 1024];
        match rustix::io::read(stdin, &mut bytes[..]) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => {
                let _ = epoll::delete(&self.epoll, stdin);
                client.stdin = None;
                if self.stdin_once {
                    running.stdin = None;
                }
            }
            Ok(count) => {
                let (passed, detached) = client.keys.feed(&bytes[..count]);
                self.input = passed;
                self.write_input(running);
                if detached && let Some(client) = self.clients.get(&number) {
                    client.send(&Event::Detached);
                    self.drop_client(number);
                }
            }
        }
    }

    /// Input from a regular file, one piece a turn of the loop; whether there may be more.
    pub(super) fn read_always_ready(&mut self, running: &mut Running) -> bool {
        let ready = |client: &Client| client.always_ready && client.stdin.is_some();
        let Some(number) = self.clients.iter().find(|(_, client)| ready(client)).map(|(number, _)| *number) else {
            return false;
        };
        self.read_input(number, Some(running));
        self.input.is_empty()
    }

    /// Gives input to the container; what it does not take now waits, and so do the clients.
    pub(super) fn write_input(&mut self, running: &mut Running) {
        let target = running.console.as_ref().or(running.stdin.as_ref());
        let Some(target) = target else {
            self.input.clear();
            return;
        };
        let waited = !self.input.is_empty();
        while !self.input.is_empty() {
            match rustix::io::write(target, &self.input) {
                Ok(count) => {
                    self.input.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.input.clear();
                    if running.console.is_none() {
                        running.stdin = None;
                    }
                    return;
                }
            }
        }
        if waited {
            self.hold_input(running);
        }
    }

    /// Watches the container's readiness, or the clients' input, whichever is to come next.
    fn hold_input(&self, running: &Running) {
        let pending = !self.input.is_empty();
        if let Some(console) = &running.console {
            let flags = if pending { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let _ = epoll::modify(&self.epoll, console, EventData::new_u64(CONSOLE), flags);
        } else if let Some(stdin) = &running.stdin {
            if pending {
                let _ = epoll::add(&self.epoll, stdin, EventData::new_u64(STDIN), EventFlags::OUT);
            } else {
                let _ = epoll::delete(&self.epoll, stdin);
            }
        }
        let flags = if pending { EventFlags::empty() } else { EventFlags::IN };
        for (number, client) in &self.clients {
            if let Some(stdin) = &client.stdin {
                let _ = epoll::modify(&self.epoll, stdin, EventData::new_u64(token(*number, 1)), flags);
            }
        }
    }
}
