"""Session variables: which exist, what they start as, what they accept.

MySQL clients set and read a good many variables when they connect; those that change nothing here are accepted with the
values that describe what Rutile does. A value that would ask for something else is refused, and an unknown name is
1193: nothing is accepted and then ignored that a user could rely on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from rutile.errors import (
    ER_INCORRECT_GLOBAL_LOCAL,
    ER_UNKNOWN_SYSTEM_VARIABLE,
    ER_WRONG_VALUE_FOR_VAR,
    SqlError,
    not_supported,
)
from rutile.rows.sql_modes import STRICT, modes_of
from rutile_coprocessor.scalars.moments import zone_of

ER_UNKNOWN_TIME_ZONE = 1298
SERVER_VERSION = "8.0.11-Rutile-0.1.0"
"""Begins as a MySQL 8.0 does: clients choose their dialect by it."""
Value = int | str


@dataclass(frozen=True, slots=True)
class Variable:
    """A system variable."""

    default: Value
    read: Callable[[str, object], Value]
    """Checks and converts what SET gives; raises 1231, 1235 or 1238."""


def _wrong_value(name: str, value: object) -> SqlError:
    return SqlError(ER_WRONG_VALUE_FOR_VAR, f"Variable '{name}' can't be set to the value of '{value}'")


def _switch(name: str, value: object) -> Value:
    text = str(value).strip().lower()
    if text in ("1", "on", "true"):
        return 1
    if text in ("0", "off", "false"):
        return 0
    raise _wrong_value(name, value)


def _number(low: int, high: int) -> Callable[[str, object], Value]:
    def read(name: str, value: object) -> Value:
        if isinstance(value, int | float | Decimal) and low <= value:
            return min(int(value), high)
        raise _wrong_value(name, value)

    return read


def _one_of(*choices: str) -> Callable[[str, object], Value]:
    def read(name: str, value: object) -> Value:
        for choice in choices:
            if str(value).lower() == choice.lower():
                return choice
        raise _wrong_value(name, value)

    return read


def _fixed(*accepted: str) -> Callable[[str, object], Value]:
    """Only what Rutile does anyway; the first is how it is shown."""

    def read(name: str, value: object) -> Value:
        if str(value).lower() in {choice.lower() for choice in accepted}:
            return accepted[0]
        raise not_supported(f"SET {name} = {value}")

    return read


def _read_only(name: str, value: object) -> Value:
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


def _sql_mode(name: str, value: object) -> Value:
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


def _isolation(name: str, value: object) -> Value:
    """The two that TiDB has; the others are refused rather than weakened."""
    level = str(value).upper().replace(" ", "-")
    if level in ("REPEATABLE-READ", "READ-COMMITTED"):
        return level
    if level == "SNAPSHOT":
        return "REPEATABLE-READ"
    raise not_supported(f"SET {name} = {value}")


def zone_name(value: str) -> str:
    """A time_zone as closures and queries know it: "UTC" for all ways to say so."""
    return "UTC" if value.upper() in ("SYSTEM", "UTC", "+00:00", "+0:00", "-00:00", "-0:00") else value


def _time_zone(name: str, value: object) -> Value:
    text = str(value)
    if zone_of(text) is None:
        raise SqlError(ER_UNKNOWN_TIME_ZONE, f"Unknown or incorrect time zone: '{text}'")
    return "SYSTEM" if text.upper() == "SYSTEM" else text


def _snapshot(name: str, value: object) -> Value:
    return value if isinstance(value, int) else "" if value is None else str(value)


_SAME = {"tx_isolation": "transaction_isolation", "tx_read_only": "transaction_read_only"}
"""Older names of variables."""

_UTF8 = _fixed("utf8mb4", "utf8", "utf8mb3", "binary")
_UTF8_OR_NULL = _fixed("utf8mb4", "utf8", "utf8mb3", "binary", "none")
"""NULL, which JDBC sets, asks for results as they are stored: UTF-8."""
_COLLATION = _fixed("utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_0900_ai_ci", "binary")

VARIABLES: dict[str, Variable] = {
    "autocommit": Variable(1, _switch),
    "auto_increment_increment": Variable(1, _fixed("1")),
    "allow_auto_random_explicit_insert": Variable(0, _switch),
    "auto_increment_offset": Variable(1, _fixed("1")),
    "character_set_client": Variable("utf8mb4", _UTF8),
    "character_set_connection": Variable("utf8mb4", _UTF8),
    "character_set_database": Variable("utf8mb4", _UTF8),
    "character_set_results": Variable("utf8mb4", _UTF8_OR_NULL),
    "character_set_server": Variable("utf8mb4", _UTF8),
    "collation_connection": Variable("utf8mb4_bin", _COLLATION),
    "collation_database": Variable("utf8mb4_bin", _COLLATION),
    "collation_server": Variable("utf8mb4_bin", _COLLATION),
    "default_storage_engine": Variable("InnoDB", _fixed("InnoDB")),
    "foreign_key_checks": Variable(1, _switch),
    "gtid_mode": Variable("OFF", _read_only),
    "have_profiling": Variable("NO", _read_only),
    "hostname": Variable("localhost", _read_only),
    "init_connect": Variable("", _read_only),
    "innodb_lock_wait_timeout": Variable(50, _number(1, 1 << 30)),
    "interactive_timeout": Variable(28_800, _number(1, 1 << 31)),
    "license": Variable("Apache License 2.0", _read_only),
    "lower_case_table_names": Variable(2, _read_only),
    "max_allowed_packet": Variable(67_108_864, _number(1024, 1 << 30)),
    "max_execution_time": Variable(0, _number(0, 1 << 31)),
    "net_buffer_length": Variable(16_384, _read_only),
    "net_read_timeout": Variable(30, _number(1, 1 << 31)),
    "net_write_timeout": Variable(60, _number(1, 1 << 31)),
    "performance_schema": Variable(0, _read_only),
    "port": Variable(4000, _read_only),
    "query_cache_size": Variable(0, _read_only),
    "query_cache_type": Variable("OFF", _read_only),
    "read_only": Variable(0, _read_only),
    "rutile_read_mode": Variable("auto", _one_of("auto", "whole", "per_store", "local")),
    "sql_auto_is_null": Variable(0, _fixed("0", "off")),
    "sql_mode": Variable(DEFAULT_SQL_MODE, _sql_mode),
    "sql_quote_show_create": Variable(1, _fixed("1", "on")),
    "sql_notes": Variable(1, _switch),
    "sql_safe_updates": Variable(0, _switch),
    "sql_select_limit": Variable("18446744073709551615", _fixed("18446744073709551615", "default")),
    "super_read_only": Variable(0, _read_only),
    "system_time_zone": Variable("UTC", _read_only),
    "tidb_constraint_check_in_place": Variable(1, _switch),
    "tidb_current_ts": Variable(0, _read_only),
    "tidb_dml_type": Variable("standard", _fixed("standard")),
    "tidb_enable_shared_lock_promotion": Variable(1, _switch),
    "tidb_read_staleness": Variable(0, _number(-(1 << 31), 0)),
    "tidb_slow_log_threshold": Variable(300, _number(0, 1 << 31)),
    "tidb_retry_limit": Variable(10, _number(0, 100)),
    "tidb_snapshot": Variable("", _snapshot),
    "tidb_txn_mode": Variable("pessimistic", _one_of("pessimistic", "optimistic", "")),
    "time_zone": Variable("SYSTEM", _time_zone),
    "transaction_isolation": Variable("REPEATABLE-READ", _isolation),
    "transaction_read_only": Variable(0, _switch),
    "tx_isolation": Variable("REPEATABLE-READ", _isolation),
    "tx_read_only": Variable(0, _switch),
    "unique_checks": Variable(1, _switch),
    "version": Variable(SERVER_VERSION, _read_only),
    "version_comment": Variable("Rutile: TiKV-style storage, MySQL dialect", _read_only),
    "wait_timeout": Variable(28_800, _number(1, 1 << 31)),
}


class SessionVariables:
    """One session's values."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self.modes = STRICT
        """What sql_mode asks for."""

    def get(self, name: str) -> Value:
        """The value of @@name. Raises 1193."""
        known = VARIABLES.get(name)
        if known is None:
            raise unknown_variable(name)
        return self._values.get(_SAME.get(name, name), known.default)

    def set(self, name: str, value: object) -> None:
        """Set @@name; the text "default" (SET x = DEFAULT) goes back to the default. Raises 1193, 1231, 1235, 1238."""
        known = VARIABLES.get(name)
        if known is None:
            raise unknown_variable(name)
        if str(value).lower() == "default" and known.read is not _read_only:
            self._values.pop(_SAME.get(name, name), None)
        else:
            self._values[_SAME.get(name, name)] = known.read(name, value)
        if name == "sql_mode":
            self.modes = modes_of(str(self.get(name)))

    def number(self, name: str) -> int:
        return int(self.get(name))

    def items(self) -> list[tuple[str, str]]:
        """Every variable as SHOW VARIABLES writes it, by name."""
        return [(name, _shown(known, self.get(name))) for name, known in sorted(VARIABLES.items())]


def _shown(known: Variable, value: Value) -> str:
    return ("ON" if value else "OFF") if known.read is _switch else str(value)


def unknown_variable(name: str) -> SqlError:
    """1193."""
    return SqlError(ER_UNKNOWN_SYSTEM_VARIABLE, f"Unknown system variable '{name}'")
