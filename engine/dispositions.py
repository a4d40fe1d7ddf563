"""Signal dispositions: what a fork inherits, execve keeps, and a program must not.

Runs in the zygote: the listed stdlib modules only.
"""

import signal

ALL = frozenset(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}  # 32 and 33 are the C library's own


def reset() -> None:
    """Give a program the dispositions and the mask that a login would have: what is ignored stays ignored over execve."""
    for number in ALL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
