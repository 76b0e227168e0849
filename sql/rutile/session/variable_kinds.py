"""What values system variables take: one reader a kind, which checks and converts what SET gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from rutile.errors import (
    ER_INCORRECT_GLOBAL_LOCAL,
    ER_WRONG_VALUE_FOR_VAR,
    SqlError,
    not_supported,
)
from rutile.session.charsets import charset_named, charset_of_collation
from rutile_coprocessor.scalars.moments import zone_of

ER_UNKNOWN_TIME_ZONE = 1298
ER_UNKNOWN_COLLATION = 1273
Value = int | str
Read = Callable[[str, object], Value]
"""From a variable's name and what SET gives it to its value; raises 1231, 1235 or 1238."""


class Scope(Enum):
    """Whose a variable is."""

    BOTH = "both"
    """The cluster's, which new sessions begin with, and each session's own."""
    SESSION = "session"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Variable:
    """A system variable."""

    default: Value
    read: Read
    scope: Scope = Scope.BOTH

    @property
    def is_read_only(self) -> bool:
        return self.read is read_only

    def shown(self, value: Value) -> str:
        """As SHOW VARIABLES writes it."""
        return ("ON" if value else "OFF") if self.read is switch else str(value)


def wrong_value(name: str, value: object) -> SqlError:
    return SqlError(ER_WRONG_VALUE_FOR_VAR, f"Variable '{name}' can't be set to the value of '{value}'")


def switch(name: str, value: object) -> Value:
    text = str(value).strip().lower()
    if text in ("1", "on", "true"):
        return 1
    if text in ("0", "off", "false"):
        return 0
    raise wrong_value(name, value)


def text(name: str, value: object) -> Value:
    return "" if value is None else str(value)


def number(low: int, high: int) -> Read:
    def read(name: str, value: object) -> Value:
        if isinstance(value, int | float | Decimal) and low <= value:
            return min(int(value), high)
        raise wrong_value(name, value)

    return read


def one_of(*choices: str) -> Read:
    def read(name: str, value: object) -> Value:
        for choice in choices:
            if str(value).lower() == choice.lower():
                return choice
        raise wrong_value(name, value)

    return read


def fixed(*accepted: str) -> Read:
    """Only what Rutile does anyway; the first is how it is shown."""

    def read(name: str, value: object) -> Value:
        if str(value).lower() in {choice.lower() for choice in accepted}:
            return accepted[0]
        raise not_supported(f"SET {name} = {value}")

    return read


def read_only(name: str, value: object) -> Value:
    raise SqlError(ER_INCORRECT_GLOBAL_LOCAL, f"Variable '{name}' is a read only variable")


_SQL_MODES = frozenset({
    "only_full_group_by", "strict_trans_tables", "strict_all_tables", "error_for_division_by_zero", "ansi_quotes",
    "no_backslash_escapes", "no_auto_value_on_zero",
    # What is always so here: no zero dates, no engine to substitute, nobody created by GRANT, no folders of files, no
    # meaning of the space before a parenthesis.
    "no_zero_in_date", "no_zero_date", "no_engine_substitution", "no_auto_create_user", "no_dir_in_create",
    "ignore_space",
})  # fmt: skip
_TRADITIONAL = (
    "STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO",
    "TRADITIONAL", "NO_AUTO_CREATE_USER", "NO_ENGINE_SUBSTITUTION",
)  # fmt: skip
"""What TRADITIONAL stands for."""
DEFAULT_SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION"
)


def sql_mode(name: str, value: object) -> Value:
    """The modes of `rutile.rows.sql_modes`, and those that ask for what Rutile does anyway. Raises 1235 for others."""
    modes: dict[str, None] = {}
    for mode in filter(None, (mode.strip().upper() for mode in str(value).split(","))):
        if mode == "TRADITIONAL":
            modes.update(dict.fromkeys(_TRADITIONAL))
        elif mode.lower() in _SQL_MODES:
            modes[mode] = None
        else:
            raise not_supported(f"sql_mode {mode}")
    return ",".join(modes)


def engines(name: str, value: object) -> Value:
    """Storages to read from; one of those that hold tables must be among them."""
    found = list(dict.fromkeys(part.strip().lower() for part in str(value).split(",")))
    if not set(found) <= {"tikv", "tiflash", "tidb"} or not set(found) & {"tikv", "tiflash"}:
        raise wrong_value(name, value)
    return ",".join(found)


def isolation(name: str, value: object) -> Value:
    """The two that TiDB has; the others are refused rather than weakened."""
    level = str(value).upper().replace(" ", "-")
    if level in ("REPEATABLE-READ", "READ-COMMITTED"):
        return level
    if level == "SNAPSHOT":
        return "REPEATABLE-READ"
    raise not_supported(f"SET {name} = {value}")


def time_zone(name: str, value: object) -> Value:
    zone = str(value)
    if zone_of(zone) is None:
        raise SqlError(ER_UNKNOWN_TIME_ZONE, f"Unknown or incorrect time zone: '{zone}'")
    return "SYSTEM" if zone.upper() == "SYSTEM" else zone


def snapshot(name: str, value: object) -> Value:
    return value if isinstance(value, int) else text(name, value)


def charset(name: str, value: object) -> Value:
    """A character set of the wire, by the name it is shown with. NULL, which JDBC sets for results, asks for them as
    they are stored: UTF-8. Raises 1115."""
    return charset_named("utf8mb4" if value is None else str(value)).name


def collation(name: str, value: object) -> Value:
    """A collation of such a set; whichever it is, texts compare by their bytes. Raises 1273."""
    found = charset_of_collation(str(value))
    if found is None:
        raise SqlError(ER_UNKNOWN_COLLATION, f"Unknown collation: '{value}'")
    return found.collation
