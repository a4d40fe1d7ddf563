"""What a spec asks of this machine that it has not got: told with its place in the file, before the daemon is asked for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from specs import errors
from specs.canonical import security_options
from specs.model import bodies

REAL_TIME = ("cpu_rt_runtime", "cpu_rt_period")
WAY_OUT = "cap_add: [SYS_NICE] and ulimits: {rtprio: 99}, without a budget of its own"


def refusals(canonical: Mapping[str, Any]) -> Iterator[errors.SpecError]:
    """What cannot be had, with its path in the document."""
    asked = [(*path, key) for path, said in bodies.of_document(canonical) for key in REAL_TIME if said.get(key)]
    if asked and (why := why_no_real_time()):
        for path in asked:
            yield errors.SpecError(path, why, hint=WAY_OUT)
    yield from _apparmor(canonical)


def why_no_real_time() -> str:
    """Why no container can have a budget of real-time CPU time here; "" if it can."""
    from engine import errors as engine_errors
    from engine.cgroups import layout, real_time

    try:
        return real_time.refusal(layout.detect())
    except engine_errors.EngineError:
        return ""  # the daemon says what is wrong with this machine


def _apparmor(canonical: Mapping[str, Any]) -> Iterator[errors.SpecError]:
    from engine.rights import apparmor

    for path, said in bodies.of_document(canonical):
        for index, text in enumerate(said.get("security_opt") or ()):
            try:
                profile = security_options.parse((text,)).apparmor
            except ValueError:
                continue  # which is told elsewhere
            why, way_out = apparmor.refusal(profile) if profile else ("", "")
            if why:
                message = f"the AppArmor profile {profile} cannot be applied: {why}"
                yield errors.SpecError((*path, "security_opt", index), message, hint=way_out)
