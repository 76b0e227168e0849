"""What the catalogue knows, as immutable values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum

from rutile.catalog.auto_random import AutoRandom
from rutile.catalog.column_change import ColumnChange
from rutile.catalog.foreign_keys import ForeignKey, Referrer
from rutile.catalog.indexes import IndexInfo, IndexState
from rutile.catalog.partitions import Partition, Partitioning
from rutile.catalog.rules import NO_RULES, RuleSet
from rutile.catalog.sequence_info import SequenceInfo
from rutile.catalog.view_info import ViewInfo
from rutile.privileges.model import User, UserKey
from rutile_coprocessor.schema import TableSchema


class TableState(StrEnum):
    """Who sees a table."""

    PUBLIC = "public"
    IMPORTING = "importing"
    """Being loaded: the name is taken, sessions do not see it yet."""


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """A database (schema)."""

    database_id: int
    name: str

    def to_bytes(self) -> bytes:
        return json.dumps({"id": self.database_id, "name": self.name}).encode()

    @staticmethod
    def from_bytes(data: bytes) -> DatabaseInfo:
        body = json.loads(data)
        return DatabaseInfo(body["id"], body["name"])


@dataclass(frozen=True)
class TableInfo:
    """A table: its schema (with its id, name and database) and what only the catalogue needs."""

    schema: TableSchema
    state: TableState = TableState.PUBLIC
    comment: str = ""
    indexes: tuple[IndexInfo, ...] = ()
    """Secondary indexes in any state, in the order they were made."""
    last_index_id: int = 0
    """The highest index id ever given here; none is used twice."""
    rules: RuleSet = NO_RULES
    foreign_keys: tuple[ForeignKey, ...] = ()
    referrers: tuple[Referrer, ...] = ()
    """The foreign keys that lead here, in order; kept by every change of the catalogue."""
    auto_random: AutoRandom | None = None
    """How the primary key is made when a row does not give it."""
    is_temporary: bool = False
    """A session's own table (`rutile.session.temporary`), which is in no catalogue."""
    partitioning: Partitioning | None = None
    changing: ColumnChange | None = None
    """The column that is becoming another."""

    @property
    def physical_ids(self) -> tuple[int, ...]:
        """The ids that rows and index entries lie under: its own, or its partitions'."""
        if self.partitioning is None:
            return (self.schema.table_id,)
        return tuple(each.partition_id for each in self.partitioning.partitions)

    @property
    def create_options(self) -> str:
        """As SHOW TABLE STATUS has it."""
        return "partitioned" if self.partitioning is not None else ""

    def of_partition(self, part: Partition) -> TableInfo:
        """One partition as a table of its own."""
        return replace(self, schema=replace(self.schema, table_id=part.partition_id), partitioning=None)

    @property
    def table_id(self) -> int:
        return self.schema.table_id

    @property
    def public_indexes(self) -> tuple[IndexInfo, ...]:
        """Those that queries may read."""
        return tuple(index for index in self.indexes if index.state is IndexState.PUBLIC)

    def index(self, name: str) -> IndexInfo | None:
        """The index of that name, in any state; names are compared without case."""
        return next((index for index in self.indexes if index.name.lower() == name.lower()), None)

    def to_bytes(self) -> bytes:
        body = {
            "schema": json.loads(self.schema.to_bytes()), "state": self.state.value, "comment": self.comment,
            "indexes": [index.to_json() for index in self.indexes], "last_index_id": self.last_index_id,
            "rules": self.rules.to_json(), "foreign_keys": [each.to_json() for each in self.foreign_keys],
            "referrers": [[each.database, each.table, each.foreign_key] for each in self.referrers],
            "auto_random": astuple(self.auto_random) if self.auto_random is not None else None,
            "partitioning": self.partitioning.to_json() if self.partitioning is not None else None,
            "changing": self.changing.to_json() if self.changing is not None else None,
        }  # fmt: skip
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> TableInfo:
        """What `to_bytes` wrote; tables of before there were indexes or foreign keys have none."""
        body = json.loads(data)
        schema = TableSchema.from_bytes(json.dumps(body["schema"]).encode())
        indexes = tuple(IndexInfo.from_json(index) for index in body.get("indexes", ()))
        rules = RuleSet.from_json(body["rules"]) if "rules" in body else RuleSet()
        state = TableState(body["state"])
        foreign_keys = tuple(ForeignKey.from_json(each) for each in body.get("foreign_keys", ()))
        referrers = tuple(Referrer(*each) for each in body.get("referrers", ()))
        last_id = body.get("last_index_id", 0)
        random = AutoRandom(*body["auto_random"]) if body.get("auto_random") else None
        partitioning = Partitioning.from_json(body["partitioning"]) if body.get("partitioning") else None
        return TableInfo(
            schema, state, body["comment"], indexes, last_id, rules, foreign_keys, referrers, random,
            partitioning=partitioning,
            changing=ColumnChange.from_json(body["changing"]) if body.get("changing") else None,
        )  # fmt: skip


@dataclass(frozen=True)
class CatalogSnapshot:
    """The catalogue at one version. Keys are names in lower case: MySQL compares them without case here."""

    version: int
    databases: Mapping[str, DatabaseInfo] = field(default_factory=dict)
    tables: Mapping[tuple[str, str], TableInfo] = field(default_factory=dict)
    views: Mapping[tuple[str, str], ViewInfo] = field(default_factory=dict)
    users: Mapping[UserKey, User] = field(default_factory=dict)
    """Those that have a record: root has none until it is changed (`rutile.privileges.accounts`)."""

    sequences: Mapping[tuple[str, str], SequenceInfo] = field(default_factory=dict)
    variables: Mapping[str, int | str] = field(default_factory=dict)
    """What SET GLOBAL gave, by name (`rutile.session.variables`)."""

    def database(self, name: str) -> DatabaseInfo | None:
        return self.databases.get(name.lower())

    def table(self, database: str, name: str) -> TableInfo | None:
        """The table if sessions may see it."""
        info = self.tables.get((database.lower(), name.lower()))
        return info if info is not None and info.state is TableState.PUBLIC else None

    def has_name(self, database: str, name: str) -> bool:
        """Whether a table in any state, a view or a sequence has the name: they share one space of names."""
        key = database.lower(), name.lower()
        return key in self.tables or key in self.views or key in self.sequences

    def sequence(self, database: str, name: str) -> SequenceInfo | None:
        return self.sequences.get((database.lower(), name.lower()))

    def sequences_of(self, database: str) -> list[SequenceInfo]:
        """The sequences of a database, by name."""
        found = [info for (owner, _), info in self.sequences.items() if owner == database.lower()]
        return sorted(found, key=lambda info: info.name)

    def view(self, database: str, name: str) -> ViewInfo | None:
        return self.views.get((database.lower(), name.lower()))

    def views_of(self, database: str) -> list[ViewInfo]:
        """The views of a database, by name."""
        found = [view for (owner, _), view in self.views.items() if owner == database.lower()]
        return sorted(found, key=lambda view: view.schema.name)

    def tables_of(self, database: str) -> list[TableInfo]:
        """The tables sessions see in a database, by name."""
        wanted = database.lower()
        found = [
            info for (owner, _), info in self.tables.items() if owner == wanted and info.state is TableState.PUBLIC
        ]
        return sorted(found, key=lambda info: info.schema.name)
