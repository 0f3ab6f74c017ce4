//! `start`.

use pyctr_core::{Error, Kind, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{Context, hooks, launch};
use crate::args::Parsed;
use crate::container::{Directory, State, Status};
use crate::process;

/// Lets a created container's command run.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.locked(parsed)?;
    let fail = |message: &str| Err(Error::new(Kind::State, message, "", ""));
    match process::status(&directory, &state)? {
        Status::Created => {}
        Status::Stopped => return fail("cannot start a container that has stopped"),
        Status::Running => return fail("cannot start an already running container"),
        other => return fail(&format!("cannot start a container in the {} state", other.as_str())),
    }
    open_gate(&directory, &state)?;
    directory.remove_gate()?;
    directory.unlock()?;
    hooks::run("poststart", &state.pyctr.poststart, &state, Status::Running).map(|()| 0).inspect_err(|_| {
        // runtime-spec 1.1, "Lifecycle" 9: an error of a poststart hook stops the container.
        let _ = process::signal(&state, libc::SIGKILL);
    })
}

/// Connects to the gate; the child closes the connection by its exec, or says with four bytes why that failed.
fn open_gate(directory: &Directory, state: &State) -> Result<()> {
    let fail = |errno| Error::kernel("start container", &state.id, errno);
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(fail)?;
    let address = launch::gate_address(directory).map_err(fail)?;
    rustix::net::connect(&socket, &address).map_err(fail)?;
    let mut answer = [0; 4];
    let mut length = 0;
    while length < answer.len() {
        match rustix::io::read(&socket, &mut answer[length..]) {
            Ok(0) | Err(Errno::CONNRESET) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            // The child died with our connection still in its queue.
            Err(errno) => return Err(fail(errno)),
        }
    }
    if length < answer.len() {
        return Ok(());
    }
    directory.remove_gate()?;
    let errno = Errno::from_raw_os_error(i32::from_le_bytes(answer));
    let kind = match errno {
        Errno::NOENT | Errno::NOTDIR => Kind::CommandNotFound,
        Errno::ACCESS | Errno::NOEXEC | Errno::ISDIR => Kind::CommandNotExecutable,
        _ => Kind::Kernel,
    };
    let error = Error::kernel("unable to start container process: exec", &state.pyctr.command, errno).with_kind(kind);
    Err(launch::explain_exec(error, &state.pyctr.command))
}
