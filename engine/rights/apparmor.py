"""Whether this machine can confine a container by an AppArmor profile. Corral loads none: that is the machine's
(`apparmor_parser`, or what dockerd has loaded)."""

import os

from engine.process import wire

ENABLED = "/sys/module/apparmor/parameters/enabled"
PROFILES = "/sys/kernel/security/apparmor/profiles"
ATTRIBUTES = ("/proc/self/attr/apparmor", "/proc/self/attr")  # the first since Linux 5.8
STACKED = "//&"  # apparmor.d(5): both profiles at once
NO_APPARMOR_WAY_OUT = "leave it out, or say apparmor=unconfined: a user namespace and corral:strict need no AppArmor"
NOT_LOADED_WAY_OUT = "load it: apparmor_parser -r FILE"


def is_on() -> bool:
    return (_text(ENABLED) or "").startswith("Y")


def refusal(profile: str) -> tuple[str, str]:
    """Why this machine cannot apply the profile, and the way out; ("", "") if it can. Where the kernel does not tell which
    profiles are loaded it is asked at the start."""
    if not is_on():
        return "AppArmor is not there, or switched off, on this machine", NO_APPARMOR_WAY_OUT
    told = _text(PROFILES)
    if told is None:
        return "", ""
    loaded = {line.rpartition(" (")[0] for line in told.splitlines()}
    # ":NAMESPACE:NAME" is listed relative to ours
    missing = [each for each in profile.split(STACKED) if not each.startswith(":") and each not in loaded]
    if missing:
        return f"no profile {missing[0]} is loaded", NOT_LOADED_WAY_OUT
    return "", ""


def of(profile: str) -> wire.AppArmor | None:
    """What a child is told; "" is no profile."""
    if not profile:
        return None
    found = (each for each in ATTRIBUTES if os.path.exists(os.path.join(each, "exec")))
    return wire.AppArmor(profile, next(found, ATTRIBUTES[0]))


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
