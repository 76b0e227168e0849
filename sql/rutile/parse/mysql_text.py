"""Trees as MySQL's text: kept in the catalogue and parsed again later, or shown in messages and plans.

What is written must mean the same, and read the same, whatever else the process has loaded. sqlglot's MySQL generator
is shared by all of a process and some libraries change it: with Ibis, LENGTH (bytes) and CHAR_LENGTH (characters) are
one word, and REGEXP_LIKE loses its flags. A generator of our own cannot be derived from it where sqlglot is compiled
(the extra `fast`): so the functions that are changed are spelled here, before it sees them.
"""

from __future__ import annotations

from sqlglot import exp

SPELLED: dict[type[exp.Expr], str] = {
    exp.Length: "CHAR_LENGTH", exp.RegexpLike: "REGEXP_LIKE",
    exp.LogicalAnd: "MIN", exp.LogicalOr: "MAX",
    exp.Stddev: "STDDEV_SAMP", exp.StddevPop: "STDDEV_POP", exp.StddevSamp: "STDDEV_SAMP",
    exp.Variance: "VAR_SAMP", exp.VariancePop: "VAR_POP",
}  # fmt: skip
"""All that Ibis gives words of its own in MySQL's generator; a test compares."""


def mysql_text(node: exp.Expr) -> str:
    """The text of `node`; the node stays as it is."""
    root = node.copy()
    for each in list(root.find_all(*SPELLED)):
        spelled = _spelled(each)
        if each is root:
            root = spelled
        else:
            each.replace(spelled)
    return root.sql("mysql", copy=False)


def _spelled(node: exp.Expr) -> exp.Expr:
    """The call by its name; it takes the node's arguments over."""
    name = "LENGTH" if node.args.get("binary") else SPELLED[type(node)]
    arguments = [node.args[each] for each in node.arg_types if isinstance(node.args.get(each), exp.Expr)]
    return exp.Anonymous(this=name, expressions=arguments)
