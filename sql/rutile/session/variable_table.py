"""Which system variables there are: what they start as, what they accept, whose they are.

MySQL clients set and read a good many of them when they connect; those that change nothing here are accepted with the
values that describe what Rutile does. A value that would ask for something else is refused, and an unknown name is
1193: nothing is accepted and then ignored that a user could rely on.
"""

from __future__ import annotations

from rutile.session.variable_kinds import (
    DEFAULT_SQL_MODE,
    Scope,
    Value,
    Variable,
    charset,
    collation,
    engines,
    fixed,
    isolation,
    number,
    one_of,
    read_only,
    snapshot,
    sql_mode,
    switch,
    text,
    time_zone,
)

SERVER_VERSION = "8.0.11-Rutile-0.1.0"
"""Begins as a MySQL 8.0 does: clients choose their dialect by it."""
SAME = {"tx_isolation": "transaction_isolation", "tx_read_only": "transaction_read_only"}
"""Older names of variables."""
VARIABLES: dict[str, Variable] = {
    "autocommit": Variable(1, switch),
    "auto_increment_increment": Variable(1, fixed("1")),
    "allow_auto_random_explicit_insert": Variable(0, switch),
    "auto_increment_offset": Variable(1, fixed("1")),
    "character_set_client": Variable("utf8mb4", charset),
    "character_set_connection": Variable("utf8mb4", charset),
    "character_set_database": Variable("utf8mb4", charset),
    "character_set_results": Variable("utf8mb4", charset),
    "character_set_server": Variable("utf8mb4", charset),
    "collation_connection": Variable("utf8mb4_bin", collation),
    "collation_database": Variable("utf8mb4_bin", collation),
    "collation_server": Variable("utf8mb4_bin", collation),
    "default_storage_engine": Variable("InnoDB", fixed("InnoDB")),
    "foreign_key_checks": Variable(1, switch),
    "gtid_mode": Variable("OFF", read_only),
    "have_profiling": Variable("NO", read_only),
    "hostname": Variable("localhost", read_only),
    "init_connect": Variable("", read_only),
    "innodb_lock_wait_timeout": Variable(50, number(1, 1 << 30)),
    "interactive_timeout": Variable(28_800, number(1, 1 << 31)),
    "license": Variable("Apache License 2.0", read_only),
    "lower_case_table_names": Variable(2, read_only),
    "max_connections": Variable(1000, number(1, 100_000), Scope.GLOBAL),
    "max_allowed_packet": Variable(67_108_864, number(1024, 1 << 30)),
    "max_execution_time": Variable(0, number(0, 1 << 31)),
    "net_buffer_length": Variable(16_384, read_only),
    "net_read_timeout": Variable(30, number(1, 1 << 31)),
    "net_write_timeout": Variable(60, number(1, 1 << 31)),
    "performance_schema": Variable(0, read_only),
    "port": Variable(4000, read_only),
    "query_cache_size": Variable(0, read_only),
    "query_cache_type": Variable("OFF", read_only),
    "read_only": Variable(0, read_only),
    "rutile_read_mode": Variable("auto", one_of("auto", "whole", "per_store", "local")),
    "session_track_schema": Variable(1, switch),
    "session_track_state_change": Variable(0, switch),
    "session_track_system_variables": Variable(
        "time_zone,autocommit,character_set_client,character_set_results,character_set_connection", text
    ),
    "session_track_transaction_info": Variable("OFF", fixed("OFF", "0")),
    "sql_auto_is_null": Variable(0, fixed("0", "off")),
    "sql_mode": Variable(DEFAULT_SQL_MODE, sql_mode),
    "sql_quote_show_create": Variable(1, fixed("1", "on")),
    "sql_notes": Variable(1, switch),
    "sql_safe_updates": Variable(0, switch),
    "sql_select_limit": Variable("18446744073709551615", fixed("18446744073709551615", "default")),
    "super_read_only": Variable(0, read_only),
    "system_time_zone": Variable("UTC", read_only),
    "tidb_broadcast_join_threshold_count": Variable(10 * 1024, number(0, 1 << 63)),
    "tidb_broadcast_join_threshold_size": Variable(100 << 20, number(0, 1 << 63)),
    "tidb_constraint_check_in_place": Variable(1, switch),
    "tidb_current_ts": Variable(0, read_only, Scope.SESSION),
    "tidb_dml_type": Variable("standard", fixed("standard")),
    "tidb_enable_shared_lock_promotion": Variable(1, switch),
    "tidb_isolation_read_engines": Variable("tikv,tiflash,tidb", engines),
    "tidb_read_staleness": Variable(0, number(-(1 << 31), 0)),
    "tidb_slow_log_threshold": Variable(300, number(0, 1 << 31)),
    "tidb_retry_limit": Variable(10, number(0, 100)),
    "tidb_snapshot": Variable("", snapshot, Scope.SESSION),
    "tidb_txn_mode": Variable("pessimistic", one_of("pessimistic", "optimistic", "")),
    "time_zone": Variable("SYSTEM", time_zone),
    "transaction_isolation": Variable("REPEATABLE-READ", isolation),
    "transaction_read_only": Variable(0, switch),
    "tx_isolation": Variable("REPEATABLE-READ", isolation),
    "tx_read_only": Variable(0, switch),
    "unique_checks": Variable(1, switch),
    "version": Variable(SERVER_VERSION, read_only),
    "version_comment": Variable("Rutile: TiKV-style storage, MySQL dialect", read_only),
    "wait_timeout": Variable(28_800, number(1, 1 << 31)),
}
DEFAULTS: dict[str, Value] = {
    name: each.default for name, each in VARIABLES.items() if name not in SAME and each.scope is not Scope.GLOBAL
}
"""What a session's values are where nobody set another."""
