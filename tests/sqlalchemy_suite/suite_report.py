"""A pytest plugin: a line a test in the file RUTILE_SUITE_REPORT, as soon as its outcome is known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

REPORT = Path(os.environ["RUTILE_SUITE_REPORT"])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Outcome, test, and the end of what went wrong."""
    if report.when != "call" and report.outcome == "passed":
        return
    reason = str(report.longrepr).strip().splitlines()[-1][:300] if report.longrepr else ""
    error = getattr(getattr(report.longrepr, "reprcrash", None), "message", "").strip().splitlines()
    if error and report.failed:
        reason = error[0][:300]
    with REPORT.open("a") as file:
        file.write(json.dumps([report.outcome, report.nodeid.partition("::")[2], reason]) + "\n")
