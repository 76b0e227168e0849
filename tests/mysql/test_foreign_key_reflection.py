"""SQLAlchemy on foreign keys, ENUM, SET and BIT: what it makes it finds again, and clients get bytes for BIT."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from mysql_world import World, play
from sqlalchemy.dialects import mysql


def _made_and_reflected(port: int) -> None:
    engine = sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{port}/test")
    metadata = sa.MetaData()
    sa.Table(
        "parent", metadata, sa.Column("a", sa.Integer, primary_key=True), sa.Column("b", sa.Integer, primary_key=True)
    )
    sa.Table(
        "child",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("a", sa.Integer),
        sa.Column("b", sa.Integer),
        sa.Column("size", sa.Enum("small", "it's", "large")),
        sa.Column("colours", mysql.SET("red", "green")),
        sa.Column("flags", mysql.BIT(10)),
        sa.ForeignKeyConstraint(["a", "b"], ["parent.a", "parent.b"], name="both", ondelete="CASCADE"),
    )
    try:
        metadata.create_all(engine)
        inspector = sa.inspect(engine)
        (found,) = inspector.get_foreign_keys("child")
        assert (found["name"], found["constrained_columns"]) == ("both", ["a", "b"])
        assert (found["referred_table"], found["referred_columns"]) == ("parent", ["a", "b"])
        assert found["options"] == {"ondelete": "CASCADE"}
        kinds = {column["name"]: column["type"] for column in inspector.get_columns("child")}
        assert kinds["size"].enums == ["small", "it's", "large"]
        assert kinds["colours"].values == ("red", "green")
        reflected = sa.Table("child", sa.MetaData(), autoload_with=engine)
        assert len(reflected.foreign_key_constraints) == 1
        with engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO parent VALUES (1, 2)"))
            connection.execute(sa.text("INSERT INTO child VALUES (1, 1, 2, 'it''s', 'green,red', 515)"))
            row = connection.execute(sa.text("SELECT size, colours, flags FROM child")).one()
            assert tuple(row) == ("it's", "red,green", b"\x02\x03")
            connection.execute(sa.text("DELETE FROM parent"))
            assert connection.execute(sa.text("SELECT COUNT(*) FROM child")).scalar() == 0
        metadata.drop_all(engine)
    finally:
        engine.dispose()


def test_sqlalchemy_makes_and_finds_them() -> None:
    async def scenario(world: World) -> None:
        port = int(world.server.address.rpartition(":")[2])
        await asyncio.to_thread(_made_and_reflected, port)

    play(scenario)
