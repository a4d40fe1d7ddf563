"""Commands that run inside a container for the daemon itself: health probes."""

import contextlib
import os

import anyio

from engine.api import Command, Ended, Said, nobody
from engine.process import wire
from engine.session import Session

OUTPUT_BYTES = 4096
KILL = 9


def spec_of(uid: str, command: Command) -> wire.ExecSpec:
    return wire.ExecSpec(
        uid,
        command.argv,
        command.environment,
        command.user,
        command.working_dir,
        command.tty,
        command.detached,
        command.privileged,
    )


async def finish(session: Session, timeout_s: float | None, said: Said = nobody) -> Ended:
    """Wait for the end of a command and keep the end of what it wrote; `said` hears the last line of it, as it may have changed.
    TimeoutError: it took longer, and was killed."""
    with session:
        _, *streams = session.descriptors
        output = bytearray()
        try:
            with anyio.fail_after(timeout_s):
                async with anyio.create_task_group() as readers:
                    for stream in streams:
                        readers.start_soon(_collect, stream, output, said)
                    code = await session.wait()
                    readers.cancel_scope.cancel()
            for stream in streams:
                _drain(stream, output)
            _tell(output, said)
        except TimeoutError:
            with contextlib.suppress(OSError):
                await session.signal(KILL)
            raise
    return Ended(code, output.decode(errors="replace"))


async def _collect(stream: int, output: bytearray, said: Said) -> None:
    os.set_blocking(stream, False)
    while True:
        await anyio.wait_readable(stream)
        if not _drain(stream, output):
            return
        _tell(output, said)


def _tell(output: bytearray, said: Said) -> None:
    if lines := output.decode(errors="replace").strip().splitlines():
        said(lines[-1])


def _drain(stream: int, output: bytearray) -> bool:
    """Take what is there to read. False: nothing more will come."""
    try:
        while found := os.read(stream, 65536):
            output += found
            del output[:-OUTPUT_BYTES]
    except BlockingIOError:
        return True
    return False
