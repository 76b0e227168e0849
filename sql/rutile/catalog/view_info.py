"""A view: a query under a name, with the columns it had when it was made."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rutile_coprocessor.schema import TableSchema


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """A view. Its columns' types are what the query gave when the view was made; only tools ask for them."""

    schema: TableSchema
    """The columns, and the view's name and database; the id is 0."""
    sql: str
    """The SELECT as written, stars spelled out. Tables without a database are in the view's own."""

    def to_bytes(self) -> bytes:
        body = {"schema": json.loads(self.schema.to_bytes()), "sql": self.sql}
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> ViewInfo:
        body = json.loads(data)
        return ViewInfo(TableSchema.from_bytes(json.dumps(body["schema"]).encode()), body["sql"])
