"""Expressions and queries as MySQL's text, to be kept in the catalogue and parsed again later.

What is kept must mean the same whoever reads it. sqlglot's MySQL generator is shared by all of a process, and some
libraries change it: Ibis makes LENGTH (bytes) and CHAR_LENGTH (characters) the same word. So both are spelled here.
"""

from __future__ import annotations

from sqlglot import exp


def stored_text(node: exp.Expr) -> str:
    """The text of `node`; the node stays as it is."""
    return node.transform(_spelled).sql("mysql")


def _spelled(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Length):
        return node
    return exp.Anonymous(this="LENGTH" if node.args.get("binary") else "CHAR_LENGTH", expressions=[node.this])
