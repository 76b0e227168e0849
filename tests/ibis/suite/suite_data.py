"""Data for Ibis' backend suite: made here, in the shapes and with the properties of the sets the suite was written for.

The suite's own files (Lahman's baseball tables, ggplot's diamonds, Impala's functional_alltypes, astronauts) are not in
the wheel. Their schemas are (`ibis.backends.conftest.TEST_TABLES`); rows come from a seeded generator.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ALLTYPES_ROWS_A_DAY = 10
BATTING_ROWS = 5_000
AWARDS_ROWS = 2_000
DIAMONDS_ROWS = 5_394
ASTRONAUTS_ROWS = 1_277
Columns = dict[str, list[object]]


def functional_alltypes() -> Columns:
    """Two years of days, ten rows each: small integers by id, floats 1.1 and 10.1 times them."""
    first = dt.datetime(2009, 1, 1)
    rows = []
    for number in range(730 * ALLTYPES_ROWS_A_DAY):
        day, place = divmod(number, ALLTYPES_ROWS_A_DAY)
        date = first + dt.timedelta(days=day)
        moment = date + dt.timedelta(
            minutes=(date.day - 1) * ALLTYPES_ROWS_A_DAY + place,
            milliseconds=(date.day - 1) * 450 + place * (place - 1) * 50,
        )
        digit = number % 10
        rows.append({
            "id": number, "bool_col": number % 2 == 0, "tinyint_col": digit, "smallint_col": digit, "int_col": digit,
            "bigint_col": digit * 10, "float_col": digit * 1.1, "double_col": digit * 10.1,
            "date_string_col": date.strftime("%m/%d/%y"), "string_col": str(digit), "timestamp_col": moment,
            "year": date.year, "month": date.month,
        })  # fmt: skip
    return _columns(rows)


def batting(rng: random.Random) -> Columns:
    """Seasons of made-up players; old ones without the figures nobody kept then."""
    counted = ("G", "AB", "R", "H", "X2B", "X3B", "HR", "RBI", "SB", "CS", "BB", "SO", "IBB", "HBP", "SH", "SF", "GIDP")
    late = {"CS": 1920, "IBB": 1955, "SF": 1954, "GIDP": 1939, "RBI": 1880, "SB": 1886, "HBP": 1887, "SH": 1894}
    keys: dict[tuple[str, int, int], None] = {}
    while len(keys) < BATTING_ROWS:
        keys[rng.choice(PLAYERS), rng.randint(1871, 2015), 1 if rng.random() < 0.93 else 2] = None
    rows = []
    for player, year, stint in keys:
        games = rng.randint(1, 162)
        at_bats = games * rng.randint(0, 4)
        hits = rng.randint(0, at_bats // 3) if at_bats else 0
        figures = {"G": games, "AB": at_bats, "H": hits, "R": hits // 2}
        row: dict[str, object] = {
            "playerID": player, "yearID": year, "stint": stint, "teamID": rng.choice(TEAMS), "lgID": rng.choice(LEAGUES)
        }  # fmt: skip
        for name in counted:
            value = figures.get(name, rng.randint(0, 1 + hits // 3))
            row[name] = None if year < late.get(name, 0) else value
        rows.append(row)
    return _columns(rows)


def awards_players(rng: random.Random) -> Columns:
    """Awards of the same players; few ties, few notes."""
    awards = (
        "Gold Glove",
        "Most Valuable Player",
        "Rookie of the Year",
        "Silver Slugger",
        "Triple Crown",
        "TSN All-Star",
    )
    keys: dict[tuple[str, str, int], None] = {}
    while len(keys) < AWARDS_ROWS:
        keys[rng.choice(PLAYERS), rng.choice(awards), rng.randint(1877, 2015)] = None
    return _columns([
        {
            "playerID": player, "awardID": award, "yearID": year, "lgID": rng.choice(LEAGUES),
            "tie": "Y" if rng.random() < 0.05 else None, "notes": rng.choice(("P", "C", "1B", "SS", "OF", None)),
        }
        for player, award, year in keys
    ])  # fmt: skip


def diamonds(rng: random.Random) -> Columns:
    """Carats, prices and measures that hang together."""
    rows = []
    for _ in range(DIAMONDS_ROWS):
        carat = round(min(5.01, 0.2 + rng.expovariate(1.7)), 2)
        side = round(6.4 * carat ** (1 / 3) + rng.uniform(-0.1, 0.1), 2)
        rows.append({
            "carat": carat, "cut": rng.choice(("Fair", "Good", "Very Good", "Premium", "Ideal")),
            "color": rng.choice("DEFGHIJ"), "clarity": rng.choice(CLARITIES),
            "depth": round(rng.gauss(61.7, 1.4), 1), "table": float(rng.randint(52, 66)),
            "price": int(min(18_823, 326 + 3_900 * carat**1.7 * rng.uniform(0.7, 1.3))),
            "x": side, "y": round(side + rng.uniform(-0.05, 0.05), 2), "z": round(side * 0.617, 2),
        })  # fmt: skip
    return _columns(rows)


def astronauts(rng: random.Random) -> Columns:
    """Flights of made-up astronauts."""
    rows = []
    for number in range(1, ASTRONAUTS_ROWS + 1):
        born, flown = rng.randint(1921, 1983), rng.randint(1961, 2019)
        made_up = f"{rng.choice(('Adams', 'Bykova', 'Chen', 'Diaz', 'Ito', 'Okafor'))}, {rng.choice('ABCDEFGHIJKLMN')}."
        flights = 7 if number % 90 == 0 else rng.randint(1, 6)
        name = rng.choice(SEVEN_FLIGHTS) if flights == 7 else made_up
        hours = round(rng.uniform(0.6, 10_505.0), 2)
        rows.append({
            "id": number, "number": 1 + number // 2, "nationwide_number": 1 + number // 3, "name": name,
            "original_name": name.upper(), "sex": rng.choice(("male", "male", "female")), "year_of_birth": born,
            "nationality": rng.choice(("U.S.", "U.S.S.R/Russia", "Japan", "Canada", "China")),
            "military_civilian": rng.choice(("military", "civilian")), "selection": rng.choice(("NASA-1", "ESA")),
            "year_of_selection": flown - rng.randint(1, 9), "mission_number": rng.randint(1, 7),
            "total_number_of_missions": flights, "occupation": rng.choice(("commander", "pilot", "MSP")),
            "year_of_mission": flown, "mission_title": rng.choice(("Vostok 1", "STS-61", "Soyuz 4", None)),
            "ascend_shuttle": "STS-61", "in_orbit": rng.choice(("ISS", "Mir", "Salyut 6")), "descend_shuttle": "STS-63",
            "hours_mission": hours, "total_hrs_sum": hours * 2, "field21": rng.randint(0, 5),
            "eva_hrs_mission": round(rng.uniform(0, 28), 2), "total_eva_hrs": round(rng.uniform(0, 78), 2),
        })  # fmt: skip
    return _columns(rows)


def make(directory: Path) -> None:
    """Write every set as CSV and Parquet, and what else the suite opens, below `directory`."""
    rng = random.Random(12)
    sets = {
        "functional_alltypes": functional_alltypes(),
        "batting": batting(rng),
        "awards_players": awards_players(rng),
        "diamonds": diamonds(rng),
        "astronauts": astronauts(rng),
    }
    for kind in ("csv", "parquet", "json"):
        (directory / kind).mkdir(parents=True, exist_ok=True)
    for name, columns in sets.items():
        table = pa.table(columns, schema=_schema(name))
        pq.write_table(table, directory / "parquet" / f"{name}.parquet")
        _write_csv(table, directory / "csv" / f"{name}.csv")
    lines = [{"rowid": place, "js": json.loads(text)} for place, text in enumerate(JSON_TEXTS, start=1)]
    (directory / "json" / "json_t.json").write_text("\n".join(json.dumps(line) for line in lines))


def _schema(name: str) -> pa.Schema:
    from ibis.backends.conftest import TEST_TABLES

    return TEST_TABLES[name].to_pyarrow()


def _write_csv(table: pa.Table, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _columns(rows: list[dict[str, object]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}


PLAYERS = [
    f"{first}{last}01" for first in ("aaron", "bonds", "cobbt", "ruthb", "wille") for last in "abcdefghijklmnopqrst"
]
SEVEN_FLIGHTS = ("Chang-Diaz, Franklin R.", "Ross, Jerry L.")
CLARITIES = ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF")
TEAMS = ("BOS", "NYA", "CHN", "SLN", "PHI", "DET", "CLE", "CIN")
LEAGUES = ("NL", "AL")
JSON_TEXTS = (
    '{"a": [1, 2, 3, 4], "b": 1}',
    '{"a": null, "b": 2}',
    '{"a": "foo", "c": null}',
    "null",
    "[42, 47, 55]",
    "[]",
)
