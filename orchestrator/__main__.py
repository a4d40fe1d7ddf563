"""`corral`, and `python -m orchestrator`: runs the command line and exits with what it says."""

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process, without the interpreter's own clearing up (3 ms of every command)."""
    # what is imported stays: to look at it again and again costs 7 ms of every command
    gc.set_threshold(50_000, 10, 10)
    if "_ARGCOMPLETE" in os.environ:
        from orchestrator.command_line import completion

        completion.answer()
    from orchestrator.command_line import cli

    code = cli.run(sys.argv[1:], called_as=os.path.basename(sys.argv[0]))
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # who read it has had enough
        pass
    os._exit(code)


if __name__ == "__main__":
    main()
