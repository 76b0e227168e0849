"""Settings of a role beyond its options: `--config FILE` (TOML) and `--set NAME=VALUE`, the latter winning.

A setting is a field of the role's configuration class under its own name, so what can be set is what is documented
there: `rutile kv --set gc_life_time_seconds=60`, or a line `gc_life_time_seconds = 60` in the file.
"""

from __future__ import annotations

import argparse
import dataclasses
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rutile_proto.errors import InvalidRequest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
Scalar = bool | int | float | str


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """`--config` and `--set`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, one `name = value` a line (TOML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
        help="one setting, stronger than the file; a wrong name lists the right ones",
    )  # fmt: skip


def with_settings(config: Config, options: argparse.Namespace) -> Config:
    """`config` with what the file and the command line set.

    Raises InvalidRequest for an unreadable file, a name that is no setting, or a value of the wrong type.
    """
    chosen: dict[str, object] = {**_from_file(options.config), **dict(map(_split, options.settings))}
    current = _settings(config)
    for name, value in chosen.items():
        if name not in current:
            raise InvalidRequest(f"no setting {name!r}: there are {', '.join(sorted(current))}")
        chosen[name] = _fitting(name, value, current[name])
    try:
        return dataclasses.replace(config, **chosen)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def _settings(config: DataclassInstance) -> dict[str, Scalar]:
    """The fields a person may set, with their present values. Addresses have options of their own, which check them."""
    fields = ((field.name, getattr(config, field.name)) for field in dataclasses.fields(config))
    return {name: value for name, value in fields if isinstance(value, Scalar) and not name.endswith("address")}


def _from_file(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidRequest(f"--config {path}: {error.strerror}") from error
    except ValueError as error:  # TOML that is none, or text that is not UTF-8
        raise InvalidRequest(f"--config {path}: {error}") from error


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequest(f"--set {text}: want NAME=VALUE")
    return name.strip(), value.strip()


def _fitting(name: str, value: object, current: Scalar) -> Scalar:
    """`value` (text from the command line, or TOML's) in the type the setting has."""
    kind = type(current)
    if isinstance(value, str) and kind is bool:
        value = {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, str) and kind in (int, float):
        try:
            value = kind(value.replace("_", ""))
        except ValueError:
            raise InvalidRequest(f"{name}={value}: want {_article(kind)}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise InvalidRequest(f"{name}={value}: want {_article(kind)}")
    return value


def _article(kind: type) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
