"""`logging`: what is kept of a container's output."""

from typing import Any

import pytest

from specs.canonical import log_options
from specs.canonical.log_options import Attributes, LogOptions

SIZES = "services:\n  a:\n    image: host\n    logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}\n"


def test_the_canonical_form_has_texts(folder: Any) -> None:
    found = folder.service("logging: {options: {max-size: 1000, max-file: 3}}")
    assert found["logging"] == {"options": {"max-size": "1000", "max-file": "3"}}
    assert folder.project(SIZES).services["a"].logging.options == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("", {"labels": "a", "tag": "t"}, LogOptions()),
        ("", {"max-size": "10m"}, LogOptions(True, 10_000_000)),
        ("json-file", {}, LogOptions(is_json=True)),
        ("json-file", {"max-size": "10m"}, LogOptions(True, 10_000_000, is_json=True)),
        (
            "json-file",
            {"labels": "a, b", "env": "C", "tag": "x{{ .ID }}"},
            LogOptions(is_json=True, attributes=Attributes(("a", "b"), ("C",), "x{{.ID}}")),
        ),
        ("local", {"max-size": "1.5k", "max-file": "4"}, LogOptions(True, 1500, 4)),
        ("json-file", {"max-size": "-1"}, LogOptions(True, -1, is_json=True)),
        ("none", {}, LogOptions(False)),
    ],
)
def test_what_it_means(driver: str, options: dict[str, str], expected: LogOptions) -> None:
    assert log_options.parse(driver, options) == expected


@pytest.mark.key("services.logging.options.labels-regex", "services.logging.options.env-regex")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{driver: splunk}",
            "compose.yaml:4:14: services.a.logging.driver: the driver splunk is not supported, nothing here speaks to it",
        ),
        ("{driver: jsonfile}", "compose.yaml:4:14: services.a.logging.driver: there is no driver 'jsonfile'"),
        ("{options: {max-size: lots}}", "services.a.logging.options.max-size: max-size: 'lots' is not a size"),
        ("{options: {max-file: 0}}", "services.a.logging.options.max-file: max-file: '0' is not a whole number"),
        ("{options: {max-size: '-1', max-file: 2}}", "max-file: a log without end has one file"),
        (
            "{options: {syslog-address: x}}",
            "services.a.logging.options.syslog-address: syslog-address: the driver json-file has no such option",
        ),
        (
            "{driver: local, options: {tag: x}}",
            "services.a.logging.options.tag: tag: the driver local has no such option",
        ),
        (
            "{options: {env-regex: x}}",
            "services.a.logging.options.env-regex: env-regex: is not supported: name them",
        ),
        (
            "{options: {labels-regex: x}}",
            "services.a.logging.options.labels-regex: labels-regex: is not supported: name them",
        ),
        ("{options: {mode: x}}", "services.a.logging.options.mode: mode: 'x' is not blocking or non-blocking"),
        (
            "{driver: syslog, options: {syslog-address: x}}",
            "'x' is not udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH",
        ),
        ("{driver: syslog, options: {syslog-address: 'tcp+tls://x:1'}}", "TLS is not supported"),
        ("{driver: syslog, options: {syslog-facility: x}}", "'x' is not daemon, user, local0"),
        ("{driver: syslog, options: {syslog-format: x}}", "'x' is not rfc3164, rfc5424, rfc5424micro"),
        ("{driver: journald, options: {tag: '{{.Nope}}'}}", "of '{{.Nope}}' corral fills in {{.ID}}"),
        ("{driver: journald, options: {cache-disabled: 'true'}}", "the log is what is sent from, and stays"),
        ("{options: {max-sise: 1m}}", "max-sise: the driver json-file has no such option (did you mean max-size?)"),
    ],
)
def test_what_bad_input_gets(folder: Any, text: str, said: str) -> None:
    found = folder.complaint(f"services:\n  a:\n    image: host\n    logging: {text}\n")
    assert said.removeprefix("compose.yaml:4:14: ") in found
    assert "compose.yaml:4:" in found


def test_an_override_adds_options_and_another_driver_takes_none_of_the_old(folder: Any) -> None:
    folder.write(
        {
            "compose.yaml": SIZES,
            "same.yaml": "services: {a: {logging: {options: {max-size: 20m}}}}\n",
            "other.yaml": "services: {a: {logging: {driver: none}}}\n",
        }
    )

    def merged(*files: str) -> Any:
        return folder.load(files=("compose.yaml", *files)).canonical["services"]["a"]["logging"]

    assert merged("same.yaml") == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "3"}}
    assert merged("other.yaml") == {"driver": "none"}
