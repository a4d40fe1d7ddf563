"""A real browser, Chromium without a window, on the machine of the tests: it asks that machine's hosts file and uses its network.

It is spoken to in the DevTools protocol over two pipes, which `--remote-debugging-pipe` puts at the descriptors 3 and 4; a message
is JSON and a zero byte: https://chromedevtools.github.io/devtools-protocol/
"""

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Self

from tests import slowness
from tests.e2e.lab import TOP, Lab, eventually

CHROMIUM = "/usr/bin/chromium"
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--no-proxy-server")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    *QUIET,
)
ANSWER_S = 60.0
MISSING = """ // not the icon that every browser asks for
[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .filter(each => each.responseStatus >= 400 || !each.responseStatus).map(each => each.name)
    .filter(each => each != location.origin + '/favicon.ico')
    .concat([...document.images].filter(each => !each.naturalWidth).map(each => each.src))
"""


class Browser:
    """One window. What is clicked and read is what a user sees: pages are built by scripts."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._numbers = itertools.count(1)
        self._unread = b""
        self._session: dict[str, str] = {}

    def open_window(self) -> Self:
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        return self

    def open(self, url: str) -> None:
        failed = self._ask("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"

    def reload(self) -> None:
        self.value("window.before = true")
        self._ask("Page.reload")
        eventually(lambda: self.value("!window.before") and self.is_whole, 30)

    @property
    def is_whole(self) -> bool:
        return bool(self.value("document.readyState == 'complete' && document.body.innerText.trim()"))

    @property
    def missing(self) -> list[str]:
        """The addresses of what the page would have beside its text, and has not got: style sheets, scripts, pictures, data."""
        return list(self.value(MISSING) or ())

    @property
    def links(self) -> list[str]:
        return list(self.value("[...new Set([...document.links].map(a => a.href.replace(/#.*/, '')))]") or ())

    @property
    def url(self) -> str:
        return str(self.value("location.href"))

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def value(self, script: str) -> Any:
        """None while a page gives way to another."""
        return self._ask("Runtime.evaluate", expression=script, returnByValue=True).get("result", {}).get("value")

    def sees(self, text: str, timeout_s: float = 30) -> None:
        """Wait until the page says so."""
        try:
            eventually(lambda: text in self.text, timeout_s)
        except AssertionError:
            raise AssertionError(f"{self.url} does not say {text!r}:\n{self.text[:3000]}") from None

    def follow(self, link: str, timeout_s: float = 30) -> str:
        """Click the first visible link whose address matches the regular expression, as soon as there is one. Its address."""
        found = f"[...document.links].find(a => /{link}/.test(a.href) && a.offsetParent)"
        click = f"(a => a ? (a.removeAttribute('target'), a.click(), a.href) : '')({found})"
        try:
            return str(eventually(lambda: self.value(click), timeout_s))
        except AssertionError:
            links = self.value("[...document.links].map(a => a.href).join('\\n')")
            raise AssertionError(f"{self.url} has no link /{link}/:\n{links}\n{self.text[:2000]}") from None

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **self._session}
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + slowness.scaled(ANSWER_S)
        while True:
            *messages, self._unread = self._unread.split(b"\0")
            for answer in map(json.loads, messages):
                if answer.get("id") == number:
                    assert "error" not in answer, f"{method}: {answer['error']}"
                    result = answer["result"]
                    assert isinstance(result, dict)
                    return result
            assert select.select([self._answers], [], [], max(0, deadline - time.monotonic()))[0], (
                f"{method}: no answer"
            )
            self._unread += os.read(self._answers, 1 << 20)


@contextlib.contextmanager
def profile_folder() -> Iterator[str]:
    """Gone afterwards, though some of a browser's processes end after it, and write until then."""
    with tempfile.TemporaryDirectory(prefix="corral-chromium-", ignore_cleanup_errors=True) as folder:
        yield folder
    eventually(lambda: shutil.rmtree(folder, ignore_errors=True) or not os.path.exists(folder))


@contextlib.contextmanager
def on_the_machine_of(lab: Lab) -> Iterator[Browser]:
    subprocess.run([TOP / "tools/system-packages", "chromium"], check=True)
    requests_there, requests = os.pipe()
    answers, answers_there = os.pipe()
    with profile_folder() as profile:
        script = f'exec {CHROMIUM} "$@" 3<&{requests_there} 4>&{answers_there}'
        try:
            process = subprocess.Popen(
                ["bash", "-c", script, "chromium", *FLAGS, f"--user-data-dir={profile}"],
                preexec_fn=lab.machine.enter(profile),
                pass_fds=(requests_there, answers_there),
                stderr=subprocess.DEVNULL,
                env=os.environ | {"HOME": profile},
            )
        finally:
            lab.machine.entered()
            os.close(requests_there)
            os.close(answers_there)
        try:
            yield Browser(requests, answers).open_window()
        finally:
            process.terminate()
            process.wait(20)
            os.close(requests)
            os.close(answers)
