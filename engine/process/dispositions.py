"""Signal dispositions: what a fork inherits, execve keeps, and a program must not.

Runs in the zygote: the listed stdlib modules only.
"""

import signal

from engine.process import syscalls

LIBRARY = (32, 33)
"""The C library's own. Its posix_spawn leaves them ignored in what it starts, so we may have been born so."""

ALL = frozenset(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, *LIBRARY}


def reset() -> None:
    """Give a program the dispositions and the mask that a login would have: what is ignored stays ignored over execve."""
    for number in ALL:
        signal.signal(number, signal.SIG_DFL)
    for number in LIBRARY:
        syscalls.default_signal(number)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
