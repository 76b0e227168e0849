"""A pytest plugin: Ibis' own backend suite, which ships in its wheel, with Rutile among the backends.

    pytest -p rutile_suite --pyargs ibis.backends.tests -m 'rutile or duckdb'

It gives the suite the configuration it looks for in `ibis.backends.rutile.tests.conftest`, the data it looks for beside
Ibis' sources (RUTILE_SUITE_DATA), and lets what the suite says of DuckDB (expected failures) count for Rutile, whose
compiler and semantics are DuckDB's. RUTILE_SUITE_TARGET is a SQL server's address; without it, a database in memory.
"""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import ibis
import ibis.backends
import pandas as pd
import pytest
from ibis.backends.tests.base import BackendTest

import rutile.ibis
from rutile.ibis import Backend

ALL_BACKENDS = ibis.backends._get_backend_names()
ibis.backends._get_backend_names = lambda **_: frozenset({"rutile", "duckdb"})  # the others would only be collected
import ibis.backends.conftest as suite  # noqa: E402
from ibis.backends.duckdb.tests.conftest import TestConf as DuckDbConf  # noqa: E402

suite.ALL_BACKENDS = set(ALL_BACKENDS)  # those that the suite's marks may name

DATA = Path(os.environ["RUTILE_SUITE_DATA"])
TARGET = os.environ.get("RUTILE_SUITE_TARGET")
REPORT = Path(os.environ["RUTILE_SUITE_REPORT"]) if "RUTILE_SUITE_REPORT" in os.environ else None
READ_MODE = os.environ.get("RUTILE_SUITE_READ_MODE", "auto")


class TestConf(BackendTest):
    """How the suite loads Rutile: every table is a stored one."""

    supports_map = True
    deps = ("duckdb",)
    stateful = False
    supports_tpch = False
    supports_tpcds = False
    force_sort = True

    @classmethod
    def name(cls) -> str:
        return "rutile"

    @staticmethod
    def connect(*, tmpdir: object, worker_id: object, **options: object) -> Backend:
        con = ibis.rutile.connect(TARGET)
        con.plain(f"SET rutile_read_mode = '{READ_MODE}'")
        return con

    @classmethod
    def assert_series_equal(cls, left: pd.Series, right: pd.Series, *args: object, **kwargs: object) -> None:
        """Dicts cannot be sorted before they are compared: rows of them come in the order asked for."""
        if any(isinstance(value, dict) for value in left):
            pd.testing.assert_series_equal(left, right, *args, **kwargs)
        else:
            super().assert_series_equal(left, right, *args, **kwargs)

    def _load_data(self, **_: object) -> None:
        for name in suite.TEST_TABLES:
            table = ibis.duckdb.connect().read_parquet(DATA / "parquet" / f"{name}.parquet").to_pyarrow()
            self.connection.create_table(name, table, overwrite=True)
        source = ibis.duckdb.connect()
        source.raw_sql((Path(__file__).parent / "duckdb.sql").read_text())
        for name in ("array_types", "struct", "json_t", "win", "map", "topk"):
            table = source.table(name)
            self.connection.create_table(name, table.to_pyarrow(), schema=table.schema(), overwrite=True)


def _install() -> None:
    package = types.ModuleType("ibis.backends.rutile.tests")
    conftest = types.ModuleType("ibis.backends.rutile.tests.conftest")
    conftest.TestConf = TestConf
    sys.modules["ibis.backends.rutile"] = rutile.ibis
    sys.modules["ibis.backends.rutile.tests"] = package
    sys.modules["ibis.backends.rutile.tests.conftest"] = conftest
    DuckDbConf.preload = lambda self: None  # extensions cannot be downloaded
    DuckDbConf.supports_tpch = DuckDbConf.supports_tpcds = False


_install()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return DATA


@pytest.fixture(scope="session")
def worker_id() -> str:
    """What pytest-xdist says when it does nothing."""
    return "master"


@pytest.fixture(autouse=True)
def the_same_sql(request: pytest.FixtureRequest) -> None:
    """SQL text that is compared with a file is to be what DuckDB's backend writes."""
    if "snapshot" in request.fixturenames:
        snapshot = request.getfixturevalue("snapshot")
        folder = Path(snapshot.snapshot_dir)
        snapshot.snapshot_dir = folder.with_name(folder.name.replace("rutile", "duckdb"))


@pytest.hookimpl(tryfirst=True)
def pytest_plugin_registered(plugin: object) -> None:
    """Put our `data_dir` in the place of the one in Ibis' conftest, before its fixtures are looked at."""
    if getattr(plugin, "__name__", "") == "ibis.conftest":
        plugin.data_dir = data_dir  # type: ignore[attr-defined]


def _expect_as_of_duckdb(table: object) -> None:
    """A table of expected values by backend: what is DuckDB's is Rutile's, whose types have DuckDB's names."""
    if isinstance(table, dict) and "duckdb" in table:
        table.setdefault("rutile", table["duckdb"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is expected of DuckDB is expected of Rutile: failures by marks, and values in tables by backend."""
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for table in vars(module).values():
            _expect_as_of_duckdb(table)
    for item in items:
        for name in ("notimpl", "notyet", "never"):
            for mark in item.iter_markers(name=name):
                named = mark.args[0]
                if isinstance(named, list) and "duckdb" in named and "rutile" not in named:
                    named.append("rutile")
        for value in getattr(item, "callspec", NO_PARAMETERS).params.values():
            _expect_as_of_duckdb(value)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A line a test, as soon as it is known: outcome, node, and the end of what went wrong."""
    if REPORT is None or (report.when != "call" and report.outcome == "passed"):
        return
    outcome = "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome
    reason = str(report.longrepr).strip().splitlines()[-1][:300] if report.longrepr else ""
    with REPORT.open("a") as file:
        file.write(json.dumps([outcome, report.nodeid, reason]) + "\n")


NO_PARAMETERS = types.SimpleNamespace(params={})
