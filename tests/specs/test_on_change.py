"""`x-corral.on_change`: what another content of a config, a secret or an env file does."""

from typing import Any

import pytest

from specs.canonical import on_change

PROJECT = """services:
  a:
    image: host
    configs: [c]
    secrets: [s]
    env_file: ./e
    environment: {OWN: "1"}
    x-corral: {on_change: WORDS}
configs: {c: {content: x}}
secrets: {s: {content: x, environment: HOME}}
""".replace("content: x, environment", "environment")


@pytest.mark.key("services.x-corral.on_change")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("restart", {"c": ("restart", ""), "s": ("restart", ""), "env_file": ("restart", "")}),
        ("signal:HUP", {"c": ("signal", "HUP"), "s": ("signal", "HUP"), "env_file": ("recreate", "")}),
        ("{c: ignore, env_file: restart}", {"c": ("ignore", ""), "s": ("recreate", ""), "env_file": ("restart", "")}),
        ("{}", {"c": ("recreate", ""), "env_file": ("recreate", "")}),
    ],
)
def test_what_is_said_of_all_and_of_one(folder: Any, words: str, expected: dict[str, tuple[str, str]]) -> None:
    folder.write({"e": "FROM_FILE=1\nOWN=2\n"})
    service = folder.project(PROJECT.replace("WORDS", words)).services["a"]
    assert {name: on_change.word_of(service.x_corral.on_change, name) for name in expected} == expected
    assert service.environment == {"FROM_FILE": "1", "OWN": "1"}
    assert service.file_variables == ("FROM_FILE",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("replace", "8:16: services.a.x-corral.on_change: 'replace' is not recreate, restart, signal:NAME or ignore"),
        ("signal", "services.a.x-corral.on_change: 'signal' is not recreate"),
        ("signal:HOP", "services.a.x-corral.on_change: 'HOP' is not a signal"),
        ("{d: restart}", "8:28: services.a.x-corral.on_change.d: a has no config or secret d"),
        ("{env_fil: restart}", "on_change.env_fil: a has no config or secret env_fil (did you mean env_file?)"),
        (
            "{env_file: 'signal:HUP'}",
            "on_change.env_file: signal:HUP is not for env files: a process never sees another",
        ),
    ],
)
def test_what_it_cannot_be(folder: Any, words: str, said: str) -> None:
    folder.write({"e": ""})
    assert said in folder.complaint(PROJECT.replace("WORDS", words))


def test_what_config_prints_of_it_reads_the_same_again(folder: Any) -> None:
    folder.write({"e": ""})
    shown = folder.normal(PROJECT.replace("WORDS", "{c: ignore}")).document
    assert shown["services"]["a"]["x-corral"] == {"on_change": {"c": "ignore"}}
