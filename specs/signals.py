"""Signals by their names."""

import signal


def is_signal(text: str) -> bool:
    """Whether the text names a signal: SIGTERM, TERM, 15, SIGRTMIN+3."""
    name = text.upper().removeprefix("SIG")
    if name.isdigit():
        return 0 < int(name) < signal.NSIG
    base, plus, offset = name.partition("+")
    if base == "RTMIN" and plus:
        return offset.isdigit() and signal.SIGRTMIN + int(offset) <= signal.SIGRTMAX
    return f"SIG{name}" in signal.Signals.__members__
