"""Transfers side by side: the first that fails stops the others."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from pyctr.engine.transfer.partial import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from pyctr.image.manifest import Descriptor

    #: And its diff id.
    Layer = tuple[Descriptor, str]


def side_by_side(
    job: Callable[[Descriptor, str], None], layers: Sequence[Layer], *, threads: int, name: str, cancelled: Event
) -> None:
    """Run a job for each layer, so many at once, in this order. Raises what one failed of, after all have ended.

    `cancelled` is set for those that run when one fails, or when the caller is interrupted.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        futures = [pool.submit(job, *layer) for layer in layers]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            failed = any(future.done() and not future.cancelled() and future.exception() for future in futures)
            if failed or not all(future.done() for future in futures):
                cancelled.set()
                for future in futures:
                    future.cancel()
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    # Who was told to stop is not who failed.
    errors.sort(key=lambda error: isinstance(error, Cancelled))
    if errors:
        raise errors[0]
