"""SQL writes and analytical queries in turn, through a whole node: every sum is that of the rows as they are."""

import random

import rutile

ROWS, STEPS = 200, 15
SUMS = "SELECT kind, COUNT(*), SUM(amount), MAX(note) FROM item GROUP BY kind ORDER BY kind"

Item = tuple[int, int, str]


def sums(items: dict[int, Item]) -> list[tuple[int, int, int, str]]:
    kinds = sorted({kind for kind, _, _ in items.values()})
    groups = {kind: [item for item in items.values() if item[0] == kind] for kind in kinds}
    return [
        (kind, len(group), sum(item[1] for item in group), max(item[2] for item in group))
        for kind, group in groups.items()
    ]


def change(cursor: rutile.Cursor, draw: random.Random, items: dict[int, Item]) -> None:
    number = draw.randrange(ROWS + 50)
    item = draw.randrange(5), draw.randrange(1000), draw.choice(("short", "long " * 100))
    if number not in items:
        cursor.execute("INSERT INTO item VALUES (?, ?, ?, ?)", (number, *item))
        items[number] = item
    elif draw.random() < 0.3:
        cursor.execute("DELETE FROM item WHERE id = ?", (number,))
        del items[number]
    else:
        cursor.execute("UPDATE item SET kind = ?, amount = ?, note = ? WHERE id = ?", (*item, number))
        items[number] = item


def test_sums_are_exact_while_rows_change() -> None:
    draw = random.Random(20)
    items: dict[int, Item] = {number: (number % 5, number, "new") for number in range(ROWS)}
    paths = []
    with rutile.connect(":memory:") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE item (id INT PRIMARY KEY, kind INT, amount INT, note VARCHAR(600))")
        cursor.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", [(key, *item) for key, item in items.items()])
        connection.commit()
        for _ in range(STEPS):
            for _ in range(draw.randrange(4)):
                change(cursor, draw, items)
            connection.commit()
            cursor.execute(SUMS)
            assert [tuple(map(str, row)) for row in cursor.fetchall()] == [tuple(map(str, row)) for row in sums(items)]
            cursor.execute(f"EXPLAIN ANALYZE {SUMS}")
            paths += [column for row in cursor.fetchall() for column in row if "path:" in column]
    assert not [path for path in paths[1:] if "path:rows" in path], "once there is a base, no write sends a query back"
