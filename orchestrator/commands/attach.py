"""Join this terminal to a container's first process: what it writes from now on, and what it reads.

    corral attach web                       see what it writes; Ctrl-C goes to it
    corral attach --sig-proxy=false web     … and Ctrl-C only ends the looking

What is typed reaches it where the service says `stdin_open`; with `tty`, Ctrl-P Ctrl-Q leaves it running and goes. Any number
may be attached at once. The exit code is the container's, when that ends; 0 after leaving. `corral logs` shows what it wrote
before.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation

DEFAULT_KEYS = "ctrl-p,ctrl-q"


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--detach-keys", default=DEFAULT_KEYS, metavar="KEYS", help=f"what leaves a terminal (default: {DEFAULT_KEYS})")
    add("--index", type=int, default=1, metavar="N", help="which container of the service, from 1")
    add("--no-stdin", action="store_true", help="pass nothing in")
    add("--sig-proxy", type=switch, default=True, metavar="true|false", help="pass signals on (default: true)")
    add("service", metavar="SERVICE", help="the service")


def switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import attaching

    keys = attaching.keys_of(arguments.detach_keys)
    if arguments.index < 1:
        raise errors.UsageError("corral attach: --index counts from 1")
    request = protocol.Attach(arguments.service, arguments.index)
    descriptor = called.receive_descriptor(f"/v1/projects/{called.project_name()}/attach", request)
    code = attaching.pump(descriptor, keys=keys, stdin=-1 if arguments.no_stdin else 0, proxy=arguments.sig_proxy)
    if code is None:
        called.note("left it running")
    return code or 0
