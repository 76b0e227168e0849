"""The DataFrame API: Rutile as a backend of Ibis.

    import ibis
    con = ibis.rutile.connect("shop")              # a directory; nothing: in memory; "host:port": a SQL server
    con = ibis.connect("rutile://127.0.0.1:4001/test")
    item = con.table("item")
    item.filter(item.price > 10).group_by("kind").agg(n=item.count()).to_pandas()

An expression is compiled by Ibis' own DuckDB compiler, and enters the SQL front end through the door for that dialect
(`rutile.session.duckdb_door`): names are resolved in the catalogue, key ranges cut, what stores can do is done there.
`con.explain(expr)` shows what that is. Results come back as Arrow, with DuckDB's semantics and types.

    backend       the class that Ibis asks for, put together of:
    connected     a session: statements, names, schemas
    results       running expressions; plans
    tables        making, filling, changing and dropping tables; views
    column_types  Ibis' types as columns of a table, nested ones included
    files         files on the client's disk, read into temporary tables
    functions     expressions with Python functions: what is below them runs in Rutile, they themselves here
    upsert        updates and inserts at once, with a key or without
    dialect       the SQL dialect under the name "rutile", as Ibis wants to look it up

Views of the catalogue (CREATE VIEW, in MySQL's dialect) are tables to read. What belongs to a connection and goes with
it: memtables, temporary tables, tables read from files, and views made here. Each is held by the front end, in memory,
within `rutile.session.relations.MAX_HELD_BYTES`.
"""

from rutile.ibis.backend import Backend

__all__ = ["Backend"]
