"""Words about a container that daemon and command line both say."""

from collections.abc import Mapping
from typing import Any


def probe_words(probe: Mapping[str, Any]) -> str:
    """Why the last probe is a failure, in a line."""
    code, said = probe.get("ExitCode"), " ".join(str(probe.get("Output", "")).split())
    how = "its healthcheck" if code is None or code < 0 else f"its healthcheck exited {code}"
    return f"{how}: {said}" if said else how


def bracketed(address: str) -> str:
    """An address in front of a port."""
    return f"[{address}]" if ":" in address else address
