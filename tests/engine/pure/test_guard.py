"""What is made of a kernel that refuses the guard of a cable."""

import errno
from collections.abc import Iterator

import pytest

from engine.network import guard


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The errors with which the next calls are refused; those after them succeed. Each call takes one away."""
    waiting: list[int] = []

    def put(link: str, code: bytes) -> None:
        if waiting and (number := waiting.pop(0)):
            raise OSError(number, "refused")

    monkeypatch.setattr(guard, "_put", put)
    monkeypatch.setattr(guard, "_lacking", [])
    yield waiting
    assert not waiting


def test_a_qdisc_that_somebody_takes_away_in_that_moment_does_not_mean_that_the_kernel_lacks_it(
    refusals: list[int],
) -> None:
    refusals += [errno.ENOENT, 0]
    guard.put("link", b"")
    assert guard.is_possible()


def test_a_kernel_that_refuses_twice_lacks_it_and_is_not_asked_again(refusals: list[int]) -> None:
    refusals += [errno.EOPNOTSUPP, errno.EOPNOTSUPP]
    guard.put("link", b"")
    assert not guard.is_possible()
    guard.put("link", b"")


@pytest.mark.parametrize("before", [[], [errno.ENOENT]])
def test_another_refusal_is_an_error_of_this_cable(refusals: list[int], before: list[int]) -> None:
    refusals += [*before, errno.ENODEV]
    with pytest.raises(OSError, match="refused"):
        guard.put("link", b"")
    assert guard.is_possible()
