"""`--config FILE` and `--set NAME=VALUE`: what a role can be told, and what it refuses."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from rutile.cli.settings import add_settings_options, with_settings
from rutile_proto.errors import InvalidRequest


@dataclass(frozen=True)
class Fruit:
    address: str = "127.0.0.1:1"
    name: str = "fig"
    weight: float = 1.5
    count: int = 3
    ripe: bool = False
    owner: str | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


def parsed(*arguments: str) -> Fruit:
    parser = argparse.ArgumentParser()
    add_settings_options(parser)
    return with_settings(Fruit(), parser.parse_args(arguments))


def test_the_command_line_is_stronger_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fruit.toml"
    path.write_text('name = "date"\nweight = 2\ncount = 7\n')
    assert parsed("--config", str(path), "--set", "count=1_000", "--set", "ripe=true") == Fruit(
        name="date", weight=2.0, count=1000, ripe=True
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "colour=red"], "no setting 'colour': there are count, name, ripe, weight"),
        (["--set", "address=0.0.0.0:1"], "no setting 'address'"),
        (["--set", "count"], "want NAME=VALUE"),
        (["--set", "count=many"], "count=many: want a whole number"),
        (["--set", "count=-1"], "must not be negative"),
        (["--set", "ripe=perhaps"], "want true or false"),
        (["--set", "weight=heavy"], "want a number"),
        (["--config", "nowhere.toml"], "No such file"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parsed(*arguments)


def test_a_file_must_be_toml_with_values_of_the_right_type(tmp_path: Path) -> None:
    path = tmp_path / "fruit.toml"
    path.write_text("count = [")
    with pytest.raises(InvalidRequest, match=r"fruit\.toml"):
        parsed("--config", str(path))
    path.write_text("count = true")
    with pytest.raises(InvalidRequest, match="whole number"):
        parsed("--config", str(path))
