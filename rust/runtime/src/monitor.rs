//! `pyctr-runtime monitor CONTAINER_DIR`: keeps watch over one container of the engine (docs/design.md, "Monitor protocol");
//! `pyctr-runtime session`: over one further process in it ("Exec");
//! `pyctr-runtime keeper RUN_ROOT UIDS GIDS`: holds an ordinary user's namespaces (docs/rootless.md).

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

/// Holds an ordinary user's namespaces until nobody needs them.
pub fn keep(run_root: &Path, uids: &str, gids: &str) -> Result<u8> {
    close_inherited(CLIENT.unsigned_abs() + 1);
    pyctr_core::rootless::keep(run_root, uids, gids, inherited(CLIENT)?).map(|()| 0)
}

/// Watches until the session's process has ended.
pub fn watch_session() -> Result<u8> {
    close_inherited(REQUEST.unsigned_abs() + 1);
    let (client, request) = (inherited(CLIENT)?, inherited(REQUEST)?);
    pyctr_core::monitor::run_session(request, client).map(|()| 0)
}
