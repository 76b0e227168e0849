"""Finds the types of columns in a qualified query: of base tables from their schemas, of derived tables from inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from rutile.translate.sql_types import BOOL, INT, UNKNOWN, SqlType, common, of_column
from rutile_coprocessor.schema import HIDDEN_HANDLE, TableSchema

TypeOf = Callable[[exp.Expr], SqlType]


class ColumnTypes:
    """Types of the columns of one query. `schemas` are by table name as the query writes it, in lower case."""

    def __init__(self, query: exp.Expr, schemas: Mapping[str, TableSchema], type_of: TypeOf) -> None:
        self._schemas = schemas
        self._type_of = type_of
        self._scopes: dict[int, Scope] = {}
        self._open: set[tuple[int, str]] = set()
        if isinstance(query, exp.Query):
            for scope in traverse_scope(query):
                for column in scope.columns:
                    self._scopes[id(column)] = scope

    def of(self, column: exp.Column) -> SqlType:
        """The type of a column reference of the query; UNKNOWN where its table is not known."""
        scope = self._scopes.get(id(column))
        while scope is not None:
            source = scope.sources.get(column.table)
            if source is not None:
                return self._in_source(source, column.name)
            scope = scope.parent
        return UNKNOWN

    def _in_source(self, source: exp.Expr | Scope, name: str) -> SqlType:
        if isinstance(source, exp.Table):
            schema = self._schemas.get(source.name.lower())
            if schema is None:
                return UNKNOWN
            if schema.has_column(name):
                return of_column(schema.column(name).type)
            return INT if name == HIDDEN_HANDLE else UNKNOWN
        if not isinstance(source, Scope):
            return UNKNOWN
        return self._output(source.expression, name, source)

    def _output(self, query: exp.Expr, name: str, scope: Scope) -> SqlType:
        """The type of a derived table's column; of a recursive CTE's, as its first half has it."""
        names = list(scope.outer_columns) or [item.alias_or_name for item in _selects(query)]
        if name not in names or (id(query), name) in self._open:
            return UNKNOWN
        self._open.add((id(query), name))
        found = self._at(query, names.index(name))
        self._open.discard((id(query), name))
        return found

    def _at(self, query: exp.Expr, place: int) -> SqlType:
        if isinstance(query, exp.Subquery):
            return self._at(query.this, place)
        if isinstance(query, exp.SetOperation):
            left = self._at(query.left, place)
            right = self._at(query.right, place)
            return left if right == UNKNOWN else common((left, right))
        items = _selects(query)
        found = self._type_of(items[place]) if place < len(items) else UNKNOWN
        return INT if found == BOOL else found  # SELECT turns truth values into numbers


def _selects(query: exp.Expr) -> list[exp.Expr]:
    return query.selects if isinstance(query, exp.Query) else []
