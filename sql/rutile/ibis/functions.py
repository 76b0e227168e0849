"""Expressions with functions written in Python.

A store cannot run them, and no server should. So everything below them is answered by Rutile, and what is left, from
the functions upward, by a DuckDB in the client's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from ibis.expr.operations.udf import InputType

if TYPE_CHECKING:
    from rutile.ibis.results import Results

_IN_PYTHON = (InputType.PYTHON, InputType.PYARROW, InputType.PANDAS)


def has_python_functions(expr: ir.Expr) -> bool:
    """Whether any function in it is Python's."""
    return _calls_python(expr.op())


def answered_below(
    backend: Results, expr: ir.Expr, *, params: Mapping[ir.Scalar, Any] | None, limit: int | str | None
) -> pa.Table:
    """The rows of the expression: Rutile's below its Python functions, computed here above."""
    here = ibis.duckdb.connect()
    try:
        answered = {
            op: ops.InMemoryTable(
                name=ibis.util.gen_name("answered"), schema=op.schema, data=_data(backend, op, params)
            )
            for op in _answerable(expr.op())
        }
        rest = expr.op().replace(answered).to_expr() if answered else expr
        return here.to_pyarrow(rest.as_table(), params=params, limit=limit)
    finally:
        here.disconnect()


def _answerable(root: ops.Node) -> list[ops.Relation]:
    """The biggest relations without a Python function in them."""
    found: dict[ops.Relation, None] = {}
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, ops.Relation) and not isinstance(node, ops.Reference) and not _calls_python(node):
            found[node] = None
        else:
            todo += node.__children__
    return list(found)


def _calls_python(node: ops.Node) -> bool:
    return any(call.__input_type__ in _IN_PYTHON for call in node.find((ops.ScalarUDF, ops.AggUDF)))


def _data(backend: Results, op: ops.Relation, params: Mapping[ir.Scalar, Any] | None) -> Any:
    from ibis.formats.pyarrow import PyArrowTableProxy

    return PyArrowTableProxy(backend.to_pyarrow(op.to_expr(), params=params))
