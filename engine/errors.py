"""What can go wrong in the engine, and whether trying again may help.

EngineError                  retryable: the loop tries again with back-off
├── TerminalEngineError      trying again with the same Config cannot help (a limit the kernel refuses, no such binary)
├── Superseded               the thing is no longer what the verb was planned for: nothing was done, look again
├── Paused                   its processes stand still, by order: nothing was done
└── RecordError              a record of ours was edited, half-written, or made by a newer version

Messages are lowercase and read "cannot <do> <which>: <why>", with the path and the value.
`OSError` never leaves this package.
"""


class EngineError(Exception):
    """A verb did not do what it promises; trying again later may help."""


class TerminalEngineError(EngineError):
    """A verb cannot succeed for this Config: only an edit helps."""


class Superseded(EngineError):
    """The target is not the incarnation the verb was planned for. Nothing was done."""


class Paused(EngineError):
    """No command begins in a container that is paused. Nothing was done."""


class RecordError(EngineError):
    """A record in our own state directories cannot be trusted; the message names the file."""
