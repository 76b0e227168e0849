"""Statements that keep tables well: jobs, checks, statistics, where regions are cut, imports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from sqlglot import exp

from rutile.parse.table_name import TableName


@dataclass(frozen=True, slots=True)
class Admin:
    """ADMIN `what`: show ddl jobs, cancel ddl jobs, check table."""

    what: str
    numbers: tuple[int, ...] = ()
    tables: tuple[TableName, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalyzeTable:
    """ANALYZE TABLE `tables` [COLUMNS `columns`] [WITH n TOPN, n BUCKETS, r SAMPLERATE]; None is the default."""

    tables: tuple[TableName, ...]
    columns: tuple[str, ...] | None = None
    topn: int | None = None
    buckets: int | None = None
    sample_rate: float | None = None


@dataclass(frozen=True, slots=True)
class DropStats:
    """DROP STATS `tables`."""

    tables: tuple[TableName, ...]


SplitValues: TypeAlias = tuple[exp.Expr, ...]
"""What a border is before or at, column by column."""


@dataclass(frozen=True, slots=True)
class SplitTable:
    """SPLIT TABLE [INDEX `index`] BY the values, or BETWEEN the first and the second of them into `regions`."""

    table: TableName
    values: tuple[SplitValues, ...]
    regions: int | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class ShowRegions:
    """SHOW TABLE [INDEX `index`] REGIONS."""

    table: TableName
    index: str | None = None


@dataclass(frozen=True, slots=True)
class ImportInto:
    """IMPORT INTO: a file of the server, or a query."""

    table: TableName
    columns: tuple[str, ...]
    """Where the source's columns go, in their order; one that begins with `@` is left out. Empty: as they are."""
    path: str | None
    format: str | None
    """csv or parquet; None: by the file's ending."""
    query: exp.Query | None
    options: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShowImportJobs:
    """SHOW IMPORT JOBS, or JOB n."""

    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class CancelImportJob:
    job_id: int
