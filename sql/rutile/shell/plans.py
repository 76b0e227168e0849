"""EXPLAIN [ANALYZE] at a glance: the tree with rows, time and place beside it, details below each operator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rutile.display.text import cut, padded, width_of

_PLANNED = ["id", "estRows", "task", "access object", "operator info"]
_ANALYZED = ["id", "actRows", "task", "access object", "execution info", "operator info"]
_NUMBER = re.compile(r"_\d+(?=\(|$)")
_TREE = re.compile(r"^[ │├└─]*")
_TIME = re.compile(r"\btime:([\d.]+)ms")
_WHERE = {"root": "here", "cop[rutile]": "stores"}
_NO_WIDTH = 1 << 30


def is_plan(names: Sequence[str]) -> bool:
    """Whether a result set is what EXPLAIN gives."""
    return list(names) in (_PLANNED, _ANALYZED)


def plan_text(names: Sequence[str], rows: Sequence[tuple[Any, ...]], width: int | None = None) -> str:
    """The plan in lines of at most `width` columns. The longest operator's share of the time is drawn as a bar."""
    records = [dict(zip(names, map(str, row), strict=True)) for row in rows]
    analyzed = "execution info" in names
    times = [_milliseconds(record.get("execution info", "")) for record in records]
    total = max((time for time in times if time is not None), default=0.0)
    heads = [_NUMBER.sub("", record["id"]) for record in records]
    tree_width = max(map(width_of, [*heads, "operator"]))
    lines = [_head(tree_width, analyzed)]
    for at, (record, head, time) in enumerate(zip(records, heads, times, strict=True)):
        rows_text = record["actRows"] if analyzed else record["estRows"]
        columns = [padded(head, tree_width), f"{_rows_text(rows_text):>12}"]
        if analyzed:
            columns.append(f"{'' if time is None else f'{time:,.2f} ms':>13} {_bar(time, total)}")
        columns.append(f"{_WHERE.get(record['task'], record['task']):<6}")
        lines.append("  ".join(columns).rstrip())
        following = records[at + 1]["id"] if at + 1 < len(records) else ""
        indent = _indent(record["id"], following)
        lines += [f"{indent}{detail}" for detail in _details(record)]
    return "".join(cut(line, width or _NO_WIDTH) + "\n" for line in lines)


def _head(tree_width: int, analyzed: bool) -> str:
    columns = [padded("operator", tree_width), f"{'rows' if analyzed else 'rows (est.)':>12}"]
    if analyzed:
        columns.append(f"{'time':>13} {'':<10}")
    return "  ".join([*columns, "where"])


def _bar(time: float | None, total: float) -> str:
    eighths = round((time or 0.0) / total * 80) if total else 0
    full, part = divmod(eighths, 8)
    return f"{'█' * full + ' ▏▎▍▌▋▊▉'[part].strip():<10}"


def _milliseconds(execution: str) -> float | None:
    found = _TIME.search(execution)
    return float(found[1]) if found else None


def _rows_text(text: str) -> str:
    return f"{int(text):,}" if text.isdigit() else "" if text == "N/A" else text


def _indent(identity: str, following: str) -> str:
    """Under an operator: what goes on of the tree's lines beside the details."""
    own = _TREE.match(identity)
    below = _TREE.match(following)
    assert own is not None and below is not None
    depth = len(own.group())
    passing = own.group().replace("├─", "│ ").replace("└─", "  ")
    child = "│ " if len(below.group()) > depth else "  "
    return passing + child + " "


def _details(record: dict[str, str]) -> list[str]:
    """What else there is to say of an operator: on what, how, and what each store did."""
    objects = ", ".join(part for part in (record["access object"], record["operator info"]) if part)
    execution = _TIME.sub("", record.get("execution info", ""), count=1)
    parts = [part.strip(" ,") for part in execution.split(";")]
    return [text for text in (objects, *parts) if text]
