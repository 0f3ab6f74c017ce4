//! Sockets, and waiting for one.

use super::{Result, arch, check, descriptor, fd, nr, open, pad, retry};

/// socket(2) with SOCK_CLOEXEC.
pub fn socket(domain: i32, kind: i32) -> Result<i32> {
    descriptor(call!(SOCKET, fd(domain), fd(kind | open::CLOEXEC), 0))
}

/// accept4(2) with SOCK_CLOEXEC.
pub fn accept(listener: i32) -> Result<i32> {
    retry(|| descriptor(call!(ACCEPT4, fd(listener), 0, 0, fd(open::CLOEXEC))))
}

/// recvfrom(2) of one packet; its length, or 0 when the peer is gone.
pub fn receive(socket: i32, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check(call!(RECVFROM, fd(socket), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0)))
}

/// sendmsg(2) of one packet, with a descriptor when `attached` is not negative.
pub fn send(socket: i32, packet: &[u8], attached: i32) -> Result<()> {
    #[repr(C, align(8))]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: i32,
        padding: i32,
    }
    #[repr(C)]
    struct Header {
        name: usize,
        name_length: u32,
        iov: usize,
        iov_count: usize,
        control: usize,
        control_length: usize,
        flags: i32,
    }
    let control = Control { length: 20, level: 1, kind: 1, fd: attached, padding: 0 };
    let iov = [packet.as_ptr() as usize, packet.len()];
    let with_control = attached >= 0;
    let header = Header {
        name: 0,
        name_length: 0,
        iov: iov.as_ptr() as usize,
        iov_count: 1,
        control: if with_control { &raw const control as usize } else { 0 },
        control_length: if with_control { size_of::<Control>() } else { 0 },
        flags: 0,
    };
    retry(|| check(call!(SENDMSG, fd(socket), &raw const header as usize, 0x4000))).map(drop)
}

/// ppoll(2) of one descriptor for reading; false on time-out.
pub fn readable_within(file: i32, seconds: i64) -> Result<bool> {
    let mut entry = [file, 1];
    let timeout = [seconds, 0];
    let count = retry(|| check(call!(PPOLL, entry.as_mut_ptr() as usize, 1, timeout.as_ptr() as usize, 0, 8)))?;
    Ok(count > 0)
}
