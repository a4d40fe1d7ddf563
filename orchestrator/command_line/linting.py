"""`corral config --lint`: what bites later, on this machine."""

import ipaddress
import json
import os
import socket
from collections.abc import Iterator

from orchestrator.command_line import invocation
from specs import errors, history
from specs.normal import document as normal
from specs.normal.manner import Manner
from specs.telling import lint


def run(
    manner: Manner, services: tuple[str, ...], called: invocation.Invocation, *, as_json: bool, is_strict: bool
) -> int:
    """1: it is strict, and something bites. Raises InvalidFiles."""
    past = history.History()
    prepared = called.prepare(services, history=past)
    found = called.of_files(lambda: normal.of(prepared, manner))
    machine = lint.Machine(tuple(_routes()), _memory_bytes(), os.path.exists)
    told = lint.warnings(lint.Subject(found.document, prepared.document, past.written, machine))
    if as_json:
        called.out.write(json.dumps([_plain(each) for each in told], indent=2, ensure_ascii=False) + "\n")
    else:
        called.out.writelines(f"{each}\n" for each in told)
        called.note(f"{len(told)} {'warning' if len(told) == 1 else 'warnings'}")
    return 1 if told and is_strict else 0


def _plain(each: errors.SpecError) -> dict[str, object]:
    return {**each._asdict(), "path": errors.dotted(each.path)}


def _routes() -> Iterator[lint.Route]:
    """To somewhere in particular; none where the kernel does not tell."""
    from engine.network import links

    try:
        found = links.routes()
    except OSError:
        return
    names = dict(socket.if_nameindex())
    for text, index in found:
        subnet, device = ipaddress.ip_network(text, strict=False), names.get(index, "several links")
        if not subnet.is_link_local and not subnet.is_multicast:
            yield lint.Route(subnet, device, os.path.isdir(f"/sys/class/net/{device}/bridge"))


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
