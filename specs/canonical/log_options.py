"""What is kept of a container's output, and who else gets it: `logging` as the file has it, read.

The options are those of docker's log drivers. Sizes as docker reads them: powers of 1000 (go-units FromHumanSize), -1 for no end.
Where the output goes elsewhere it is kept here too (docker's dual logging), so options of the cache are those of the file.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from specs.errors import did_you_mean
from specs.patterns import pattern

DEFAULT = "json-file"
DRIVERS = ("json-file", "local", "none", "syslog", "journald")
LATER = ("awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "splunk")
_ALWAYS = ("mode", "max-buffer-size")
_ATTRIBUTES = ("tag", "labels", "env", "labels-regex", "env-regex")
_CACHE = ("cache-max-size", "cache-max-file", "cache-compress", "cache-disabled")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "json-file": (*_ALWAYS, "max-size", "max-file", "compress", *_ATTRIBUTES),
    "local": (*_ALWAYS, "max-size", "max-file", "compress"),
    "none": (),
    "syslog": (*_ALWAYS, *_CACHE, *_ATTRIBUTES, "syslog-address", "syslog-facility", "syslog-format"),
    "journald": (*_ALWAYS, *_CACHE, *_ATTRIBUTES),
}
MEANINGLESS: Mapping[str, str] = {
    "mode": "a container never waits for whoever gets its output",
    "max-buffer-size": "what was not sent yet is in the log",
    "compress": "nothing is compressed",
    "cache-compress": "nothing is compressed",
}
SYSLOG_PORT = 514
FACILITIES = (  # RFC 5424, 6.2.1, by number
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
DEFAULT_TAG = "{{.ID}}"
_ADDRESS = pattern(r"(udp|tcp)://([\w.-]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?/?")
_LOCAL_ADDRESS = pattern(r"(?:unix|unixgram)://(/.+)")
_FIELD = pattern(r"\{\{ *\.(ID|FullID|Name|ImageName|DaemonName) *\}\}")
_SIZE = pattern(r"(\d+(?:\.\d+)?) ?([kmgt]?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class Attributes(NamedTuple):
    """`labels`, `variables`: names of those that go along with each line; `tag` too, which may hold {{.ID}} and the like."""

    labels: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    tag: str = ""


class Forward(NamedTuple):
    """Where else the output goes. `address`: of syslog, "udp://HOST:PORT", "tcp://HOST:PORT", "unix:///PATH", "" for the
    machine's own. `tag` may hold {{.ID}} and the like."""

    driver: str
    address: str = ""
    facility: int = FACILITIES.index("daemon")
    format: str = ""
    tag: str = DEFAULT_TAG
    attributes: Attributes = Attributes()


class LogOptions(NamedTuple):
    """`file_bytes`: the size of one file, None where the file says nothing, -1: no end. `files`: how many, None: not said.
    `is_json`: as Docker's lines of JSON, with the `attributes`."""

    is_kept: bool = True
    file_bytes: int | None = None
    files: int | None = None
    forward: Forward | None = None
    is_json: bool = False
    attributes: Attributes = Attributes()


def parse(driver: str, options: Mapping[str, str]) -> LogOptions:
    """`driver` "": none is named, and that of the engine is taken, with the options of Docker's. Raises ValueError."""
    is_named, driver = driver != "", driver or DEFAULT
    if driver in LATER:
        raise ValueError(f"the driver {driver} is not supported, nothing here speaks to it: {', '.join(DRIVERS)}")
    if driver not in DRIVERS:
        raise ValueError(f"there is no driver '{driver}': {', '.join(DRIVERS)}")
    for key in options:
        if key not in OPTIONS[driver]:
            close = did_you_mean(key, OPTIONS[driver])
            raise ValueError(f"{key}: the driver {driver} has no such option" + (f" ({close})" if close else ""))
    if driver == "none":
        return LogOptions(is_kept=False)
    for key in ("labels-regex", "env-regex"):
        if key in options:
            raise ValueError(f"{key}: is not supported: name them, with {key.partition('-')[0]}")
    if options.get("cache-disabled", "false") != "false":
        raise ValueError("cache-disabled: the log is what is sent from, and stays")
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise ValueError(f"mode: '{options['mode']}' is not blocking or non-blocking")
    prefix = "cache-" if driver in ("syslog", "journald") else ""
    file_bytes, files = _size_and_files(options, prefix)
    if prefix:
        return LogOptions(True, file_bytes, files, _forward(driver, options))
    if not is_named or driver != "json-file":
        return LogOptions(True, file_bytes, files)
    attributes = _attributes(options)._replace(tag=_tag(options.get("tag", "")))
    return LogOptions(True, file_bytes, files, is_json=True, attributes=attributes)


def _size_and_files(options: Mapping[str, str], prefix: str) -> tuple[int | None, int | None]:
    size = options.get(f"{prefix}max-size")
    file_bytes = None if size is None else parse_size(size, f"{prefix}max-size")
    files = options.get(f"{prefix}max-file")
    if files is not None and not (files.isdecimal() and int(files) > 0):
        raise ValueError(f"{prefix}max-file: '{files}' is not a whole number of 1 or more")
    if files is not None and int(files) > 1 and file_bytes == -1:
        raise ValueError(f"{prefix}max-file: a log without end has one file; give max-size too")
    return file_bytes, int(files) if files else None


def parse_size(text: str, key: str = "max-size") -> int:
    """Bytes; -1. Raises ValueError."""
    if text.strip() == "-1":
        return -1
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * 1000 ** _POWERS[match[2].lower()]) if match else 0
    if size <= 0:
        raise ValueError(f"{key}: '{text}' is not a size such as 10m")
    return size


def _forward(driver: str, options: Mapping[str, str]) -> Forward:
    form = options.get("syslog-format", "")
    if form not in FORMATS:
        raise ValueError(f"syslog-format: '{form}' is not {', '.join(FORMATS[1:])}")
    return Forward(
        driver,
        _address(options.get("syslog-address", "")),
        _facility(options.get("syslog-facility", "daemon")),
        form,
        _tag(options.get("tag") or DEFAULT_TAG),
        _attributes(options),
    )


def _attributes(options: Mapping[str, str]) -> Attributes:
    return Attributes(_names(options.get("labels", "")), _names(options.get("env", "")))


def _address(text: str) -> str:
    if not text:
        return ""
    if text.startswith("tcp+tls:"):
        raise ValueError("syslog-address: TLS is not supported: udp, tcp or unix, as to a relay on this machine")
    if path := _LOCAL_ADDRESS.fullmatch(text):
        return f"unix://{path[1]}"
    if not (found := _ADDRESS.fullmatch(text)):
        raise ValueError(f"syslog-address: '{text}' is not udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH")
    return f"{found[1]}://{found[2]}:{found[3] or SYSLOG_PORT}"


def _facility(text: str) -> int:
    if text in FACILITIES:
        return FACILITIES.index(text)
    if text.isdecimal() and int(text) < len(FACILITIES):
        return int(text)
    raise ValueError(f"syslog-facility: '{text}' is not daemon, user, local0 …")


def _tag(text: str) -> str:
    left = _FIELD.sub("", text)
    if "{{" in left or "}}" in left:
        raise ValueError(
            f"tag: of '{text}' corral fills in {{{{.ID}}}}, .FullID, .Name, .ImageName and .DaemonName only"
        )
    return _FIELD.sub(lambda match: f"{{{{.{match[1]}}}}}", text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
