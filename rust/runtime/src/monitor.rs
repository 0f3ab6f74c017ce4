//! `pyctr-runtime monitor CONTAINER_DIR`: keeps watch over one container of the engine (docs/design.md, "Monitor protocol");
//! `pyctr-runtime session`: over one further process in it ("Exec").

use std::path::Path;

use pyctr_core::Result;
use pyctr_core::sys::inherited;
use pyctr_core::sys::monitor::close_inherited;

/// The first client's socket.
const CLIENT: i32 = 3;
/// The container's lock, held until all is cleaned up.
const LOCK: i32 = 4;
/// What is asked of a session.
const REQUEST: i32 = 4;

/// Watches until the container has ended for good.
pub fn watch(container_dir: &Path) -> Result<u8> {
    close_inherited(LOCK.unsigned_abs() + 1);
    let (client, lock) = (inherited(CLIENT)?, inherited(LOCK)?);
    pyctr_core::monitor::run(container_dir, client, lock).map(|()| 0)
}

/// Watches until the session's process has ended.
pub fn watch_session() -> Result<u8> {
    close_inherited(REQUEST.unsigned_abs() + 1);
    let (client, request) = (inherited(CLIENT)?, inherited(REQUEST)?);
    pyctr_core::monitor::run_session(request, client).map(|()| 0)
}
