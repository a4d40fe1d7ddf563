"""Work that nobody waits for."""

import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)


async def quietly(work: Coroutine[object, object, object]) -> None:
    """The next look finds what it did not do. Whatever fails in it (a fault of ours, too) must not stop everything else."""
    try:
        await work
    except Exception:
        log.warning("background work failed", exc_info=True)
