"""A small init: the container's first process stays, and runs the program as its child.

It reaps whatever is orphaned in the pid namespace, hands every signal on to the program, and ends as the program ends; with
that the kernel kills the rest. It has the program's user and confinement, and none of our descriptors.

Runs in the zygote: the listed stdlib modules only.
"""

import fcntl
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from engine.process import dispositions, identity, init_program, syscalls, title
from engine.process.frames import Socket

OURS = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU}


Execve = Callable[[str, tuple[str, ...], dict[str, str]], object]
"""What takes a path, arguments and an environment, as `os.execve` does."""


def run(
    execute: Callable[[Execve], None], settle: Callable[[], None], channel: Socket, tty: bool, name: str
) -> NoReturn:
    """Let a child be the program, which `execute` calls the given function with, and stay. Raises what `execute` raises where
    there is no child. `settle` does what an execve of ours would have done, where we go on without one. `channel` is all that is
    open beside the program's streams."""
    signal.pthread_sigmask(signal.SIG_BLOCK, dispositions.ALL)
    children: list[int] = []
    if tty:
        children.append(_fork_to_terminal(execute))
    else:
        # a fork would copy our page tables, and then our pages: 3 ms
        execute(lambda *program: children.append(syscalls.spawn(*program)))
    called = b"corral init " + os.fsencode(name)
    child = children[0]
    try:
        if os.getpid() != 1:  # in another's pid namespace orphans would go to that one's first process
            _be_subreaper()
        _become_small(child, called)  # its execve closes the channel: then it is told to be started
        settle()
        channel.close()
        title.show(title.area(), called)
        if os.geteuid() != 0:
            syscalls.capset(0, 0, 0)  # as an execve would have done
        os._exit(_until_end(child))
    finally:
        os._exit(1)


def _fork_to_terminal(execute: Callable[[Execve], None]) -> int:
    """Fork the program, in a process group of its own which has the terminal before it begins."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())  # SIGTTOU is blocked
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        dispositions.reset()
        execute(os.execve)
    return child


def _be_subreaper() -> None:
    try:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    except OSError:
        pass  # a profile of the user's knows no prctl


def _become_small(child: int, called: bytes) -> None:
    """Execute the program that does the rest; returns where there is none, or it cannot be executed. The mask stays."""
    image = init_program.image(child)
    if not image or "small-init" in syscalls.missing:
        return
    program = -1
    try:
        program = os.memfd_create("corral-init", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(program, image)
        fcntl.fcntl(program, fcntl.F_ADD_SEALS, syscalls.SEALS)
        os.execve(program, [called], {})
    except OSError:
        if program >= 0:
            os.close(program)


def _until_end(child: int) -> int:
    """Forward and reap until the program has ended; gives its exit code."""
    while True:
        number = signal.sigwait(dispositions.ALL)
        if number == signal.SIGCHLD:
            code = _reap(child)
            if code is not None:
                return code
        elif number not in OURS:
            os.kill(child, number)


def _reap(child: int) -> int | None:
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = identity.code_of(status)
