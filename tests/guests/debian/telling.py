"""A plugin for pytest in the guest: it says at once why a test has failed, since a run that is cut short has no end to say it at."""

import sys

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        sys.stdout.write(f"\n{report.nodeid} {report.when}:\n{report.longreprtext}\n")
        for title, text in report.sections:
            sys.stdout.write(f"{title}\n{text[-2000:]}\n")
        sys.stdout.flush()
