"""The harlequin adapter, where harlequin is installed (not by the extra `test`: it pins tools of its own)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("harlequin", reason="harlequin is not installed: pip install 'rutile[harlequin]'")


def test_an_afternoon_with_harlequin(tmp_path: Path) -> None:
    from harlequin.exception import HarlequinQueryError

    from rutile.harlequin_adapter import RutileAdapter

    connection = RutileAdapter([str(tmp_path)]).connect()
    try:
        assert connection.execute("CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20))") is None
        connection.execute("INSERT INTO item VALUES (1, 'a'), (2, 'b')")
        cursor = connection.execute("SELECT * FROM item ORDER BY id")
        assert cursor is not None and cursor.columns() == [("id", "int"), ("name", "varchar(20)")]
        assert cursor.set_limit(1).fetchall().to_pylist() == [{"id": 1, "name": "a"}]
        (database,) = [item for item in connection.get_catalog().items if item.label == "test"]
        assert [column.label for column in database.children[0].children] == ["id", "name"]
        with pytest.raises(HarlequinQueryError):
            connection.execute("SELEC")
    finally:
        connection.close()


def test_nobody_listens() -> None:
    from harlequin.exception import HarlequinConnectionError

    from rutile.harlequin_adapter import RutileAdapter

    with pytest.raises(HarlequinConnectionError):
        RutileAdapter(["127.0.0.1:1"]).connect()
