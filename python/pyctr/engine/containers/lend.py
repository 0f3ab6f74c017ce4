"""A container's output taken straight from its monitor, by who has no terminal and no signals to lend with it."""

from __future__ import annotations

from pyctr.engine.containers.events import write_event
from pyctr.engine.containers.session import Attach, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.containers import Containers
    from pyctr.engine.containers.session import Session


def start_lent(containers: Containers, container_id: str, stdout: int, stderr: int) -> Session | None:
    """Start a container that writes to these descriptors from its first byte; the session, to be held open as long.

    None: it runs already. Raises what `Containers.start` raises.
    """
    prepared = containers.prepare_start(container_id)
    if prepared is None:
        return None
    session = prepared.session
    try:
        lend(containers, session, stdout, stderr)
        prepared.spawn()
        session.expect("started", "exited")
    except BaseException:
        session.channel.close()
        raise
    return session


def join(containers: Containers, container_id: str, stdout: int, stderr: int) -> Session:
    """Lend descriptors to a container that runs, or is about to run again. Raises StateError for one that has ended."""
    session = connect(containers.store.run_path(container_id), container_id)
    try:
        lend(containers, session, stdout, stderr)
    except BaseException:
        session.channel.close()
        raise
    return session


def lend(containers: Containers, session: Session, stdout: int, stderr: int) -> None:
    """Output and errors; with a terminal there is one stream."""
    record = containers.store.record(session.container_id)
    session.attach(Attach(stdin=None, stdout=stdout, stderr=None if record["Config"]["Tty"] else stderr))
    write_event(containers.engine.root, "attach", record)
