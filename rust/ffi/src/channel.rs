//! A packet socket to a container's monitor.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use pyctr_core::sys::signals::Blocked;
use pyctr_core::{Error, Kind, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};

use crate::error::IntoPython;

/// Descriptors in one packet: a client's three streams.
const FDS_MAX: usize = 3;
const PACKET_MAX: usize = 64 * 1024;

#[pyclass(module = "pyctr._core")]
pub struct Channel {
    socket: Option<OwnedFd>,
}

impl Channel {
    pub(crate) fn socket(&self) -> Result<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd).ok_or_else(|| Error::new(Kind::State, "use", "a channel", "it is closed"))
    }
}

#[pymethods]
impl Channel {
    #[staticmethod]
    fn pair(py: Python<'_>) -> PyResult<(Self, i32)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| Error::kernel("make", "a socket pair", errno))
                .into_python(py)?;
        Ok((Self { socket: Some(ours) }, theirs.into_raw_fd()))
    }

    #[staticmethod]
    fn connect(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| connect(&path)).into_python(py).map(|socket| Self { socket: Some(socket) })
    }

    #[pyo3(signature = (data, fds=Vec::new()))]
    fn send(&self, py: Python<'_>, data: &[u8], fds: Vec<i32>) -> PyResult<()> {
        send(self.socket().into_python(py)?, data, &fds).into_python(py)
    }

    fn recv<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut buffer = vec![0u8; PACKET_MAX];
        loop {
            let socket = self.socket().into_python(py)?;
            // TRUNC: the length the packet had, not the part that fits.
            match rustix::net::recv(socket, &mut buffer[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return Ok(None),
                Ok((_, length)) => {
                    let too_long = || Error::new(Kind::Corrupt, "hear from", "the monitor", "packet too long");
                    let packet = buffer.get(..length).ok_or_else(too_long).into_python(py)?;
                    return Ok(Some(PyBytes::new(py, packet)));
                }
                Err(Errno::AGAIN | Errno::INTR) => wait(py, socket)?,
                Err(errno) => return Err(Error::kernel("hear from", "the monitor", errno)).into_python(py),
            }
        }
    }

    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.socket().map(|socket| socket.as_raw_fd()).into_python(py)
    }

    fn close(&mut self) {
        self.socket = None;
    }
}

/// Waits for a packet. A signal's Python handler runs at once, may raise, and is never left waiting for the next packet.
fn wait(py: Python<'_>, socket: BorrowedFd<'_>) -> PyResult<()> {
    py.check_signals()?;
    let blocked = Blocked::all();
    py.check_signals()?; // one that came before the mask; those after it end the wait
    let waited = py.detach(|| blocked.wait_readable(socket));
    drop(blocked);
    match waited {
        Ok(()) | Err(Errno::INTR) => py.check_signals(),
        Err(errno) => Err(Error::kernel("hear from", "the monitor", errno)).into_python(py),
    }
}

fn connect(path: &Path) -> Result<OwnedFd> {
    let fail = |errno| {
        let error = Error::kernel("connect to", path, errno);
        if matches!(errno, Errno::NOENT | Errno::CONNREFUSED) { error.with_kind(Kind::NotFound) } else { error }
    };
    let (parent, name) = (path.parent().unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, rustix::fs::Mode::empty()).map_err(fail)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(fail)?;
    // A socket's path holds 108 bytes; by way of the directory's descriptor any path fits.
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    rustix::net::connect(&socket, &SocketAddrUnix::new(&short).map_err(fail)?).map_err(fail)?;
    Ok(socket)
}

fn send(socket: BorrowedFd<'_>, data: &[u8], fds: &[i32]) -> Result<()> {
    let fail = |errno| Error::kernel("talk to", "the monitor", errno);
    let too_many = || Error::invalid("send", "descriptors", "more than three");
    if fds.len() > FDS_MAX {
        return Err(too_many());
    }
    // Copies of our own: the numbers come from Python, which may close its files at any time.
    let copies: Vec<OwnedFd> =
        fds.iter().map(|fd| pyctr_core::sys::duplicate(*fd).map_err(fail)).collect::<Result<_>>()?;
    let borrowed: Vec<BorrowedFd<'_>> = copies.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(too_many());
    }
    rustix::net::sendmsg(socket, &[std::io::IoSlice::new(data)], &mut control, SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(fail)
}
