"""Functions by their MySQL names: what their arguments are read as, and what has the same meaning in DuckDB.

Arguments:  t text   n number   d double   i integer   D datetime   a date   T time   b bytes   J JSON of any value
            x anything; after ? arguments may be left out; a letter and * take all arguments from there on, two letters
            in brackets and * all pairs of them
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from rutile.translate.sql_types import BINARY, BOOL, DATE, DOUBLE, INT, JSON, TEXT, TIME, SqlType


@dataclass(frozen=True)
class Function:
    """One function: `arguments` in the letters of the module, the name in DuckDB, the result's type."""

    arguments: str
    duckdb: str
    result: SqlType


FUNCTIONS: dict[str, Function] = {
    # numbers
    "sqrt": Function("d", "mysql_sqrt", DOUBLE), "exp": Function("d", "mysql_exp", DOUBLE),
    "ln": Function("d", "mysql_ln", DOUBLE), "pow": Function("dd", "mysql_pow", DOUBLE),
    "power": Function("dd", "mysql_pow", DOUBLE), "sign": Function("n", "sign", INT), "pi": Function("", "pi", DOUBLE),
    "sin": Function("d", "sin", DOUBLE), "cos": Function("d", "cos", DOUBLE), "tan": Function("d", "tan", DOUBLE),
    "cot": Function("d", "cot", DOUBLE), "asin": Function("d", "mysql_asin", DOUBLE),
    "acos": Function("d", "mysql_acos", DOUBLE), "atan": Function("d", "atan", DOUBLE),
    "atan2": Function("dd", "atan2", DOUBLE), "degrees": Function("d", "degrees", DOUBLE),
    "radians": Function("d", "radians", DOUBLE), "bit_count": Function("i", "bit_count", INT),
    # texts
    "upper": Function("t", "upper", TEXT), "ucase": Function("t", "upper", TEXT), "lower": Function("t", "lower", TEXT),
    "lcase": Function("t", "lower", TEXT), "reverse": Function("t", "reverse", TEXT),
    "repeat": Function("ti", "mysql_repeat", TEXT), "replace": Function("ttt", "replace", TEXT),
    "left": Function("ti", "mysql_left", TEXT), "right": Function("ti", "mysql_right", TEXT),
    "substring_index": Function("tti", "mysql_substring_index", TEXT), "strcmp": Function("tt", "mysql_strcmp", INT),
    "find_in_set": Function("tt", "mysql_find_in_set", INT), "ascii": Function("t", "mysql_ascii", INT),
    "ord": Function("t", "mysql_ord", INT), "insert": Function("tiit", "mysql_insert", TEXT),
    "quote": Function("t", "mysql_quote", TEXT), "md5": Function("t", "md5", TEXT), "sha": Function("t", "sha1", TEXT),
    "sha1": Function("t", "sha1", TEXT), "unhex": Function("t", "mysql_unhex", BINARY),
    "to_base64": Function("b", "mysql_to_base64", TEXT), "bit_length": Function("t", "bit_length", INT),
    "octet_length": Function("b", "octet_length", INT), "inet_aton": Function("t", "mysql_inet_aton", INT),
    "inet_ntoa": Function("i", "mysql_inet_ntoa", TEXT),
    # dates
    "year": Function("a", "year", INT), "quarter": Function("a", "quarter", INT), "month": Function("a", "month", INT),
    "day": Function("a", "day", INT), "dayofmonth": Function("a", "day", INT),
    "dayofyear": Function("a", "dayofyear", INT), "dayofweek": Function("a", "mysql_dayofweek", INT),
    "weekday": Function("a", "mysql_weekday", INT), "weekofyear": Function("a", "weekofyear", INT),
    "dayname": Function("a", "dayname", TEXT), "monthname": Function("a", "monthname", TEXT),
    "last_day": Function("a", "last_day", DATE), "from_days": Function("i", "mysql_from_days", DATE),
    "to_seconds": Function("D", "mysql_to_seconds", INT), "makedate": Function("ii", "mysql_makedate", DATE),
    "sec_to_time": Function("n", "mysql_sec_to_time", TIME), "time_to_sec": Function("T", "mysql_time_to_sec", INT),
    "period_add": Function("ii", "mysql_period_add", INT), "period_diff": Function("ii", "mysql_period_diff", INT),
    # bytes, digests, addresses
    "conv": Function("tii", "mysql_conv", TEXT), "crc32": Function("b", "mysql_crc32", INT),
    "make_set": Function("it*", "mysql_make_set", TEXT), "export_set": Function("itt?ti", "mysql_export_set", TEXT),
    "soundex": Function("t", "mysql_soundex", TEXT), "from_base64": Function("t", "mysql_from_base64", BINARY),
    "sha2": Function("bi", "mysql_sha2", TEXT), "compress": Function("b", "mysql_compress", BINARY),
    "uncompress": Function("b", "mysql_uncompress", BINARY),
    "uncompressed_length": Function("b", "mysql_uncompressed_length", INT),
    "format_bytes": Function("d", "mysql_format_bytes", TEXT),
    "inet6_aton": Function("t", "mysql_inet6_aton", BINARY), "inet6_ntoa": Function("b", "mysql_inet6_ntoa", TEXT),
    "is_ipv4": Function("t", "mysql_is_ipv4", INT), "is_ipv6": Function("t", "mysql_is_ipv6", INT),
    "is_ipv4_compat": Function("b", "mysql_is_ipv4_compat", INT),
    "is_ipv4_mapped": Function("b", "mysql_is_ipv4_mapped", INT), "is_uuid": Function("t", "mysql_is_uuid", BOOL),
    "uuid_to_bin": Function("t?i", "mysql_uuid_to_bin", BINARY),
    "bin_to_uuid": Function("b?i", "mysql_bin_to_uuid", TEXT), "uuid": Function("", "mysql_uuid", TEXT),
    "rand": Function("", "mysql_rand", DOUBLE), "time_format": Function("Tt", "mysql_time_format", TEXT),
    "translate": Function("ttt", "translate", TEXT),
    # JSON
    "json_valid": Function("t", "mysql_json_valid", BOOL), "json_length": Function("t?t", "mysql_json_length", INT),
    "json_type": Function("t", "mysql_json_type", TEXT), "json_unquote": Function("t", "mysql_json_unquote", TEXT),
    "json_quote": Function("t", "mysql_json_quote", JSON), "json_array": Function("J*", "mysql_json_array", JSON),
    "json_keys": Function("t?t", "mysql_json_keys", JSON), "json_depth": Function("t", "mysql_json_depth", INT),
    "json_pretty": Function("t", "mysql_json_pretty", TEXT),
    "json_extract": Function("tt*", "mysql_json_extract", JSON),
    "json_contains": Function("tt?t", "mysql_json_contains", INT),
    "json_contains_path": Function("ttt*", "mysql_json_contains_path", INT),
    "json_overlaps": Function("tt", "mysql_json_overlaps", INT),
    "json_search": Function("ttt?tt", "mysql_json_search", JSON),
    "json_set": Function("t(tJ)*", "mysql_json_set", JSON),
    "json_insert": Function("t(tJ)*", "mysql_json_insert", JSON),
    "json_replace": Function("t(tJ)*", "mysql_json_replace", JSON),
    "json_remove": Function("tt*", "mysql_json_remove", JSON),
    "json_array_append": Function("t(tJ)*", "mysql_json_array_append", JSON),
    "json_array_insert": Function("t(tJ)*", "mysql_json_array_insert", JSON),
    "json_merge": Function("tt*", "mysql_json_merge_preserve", JSON),
    "json_merge_preserve": Function("tt*", "mysql_json_merge_preserve", JSON),
    "json_merge_patch": Function("tt*", "mysql_json_merge_patch", JSON),
}  # fmt: skip

CLASS_NAMES: dict[type[exp.Expr], str] = {
    exp.Sqrt: "sqrt", exp.Exp: "exp", exp.Ln: "ln", exp.Pow: "pow", exp.Sign: "sign", exp.Pi: "pi", exp.Sin: "sin",
    exp.Cos: "cos", exp.Tan: "tan", exp.Cot: "cot", exp.Asin: "asin", exp.Acos: "acos", exp.Atan: "atan",
    exp.Atan2: "atan2", exp.Degrees: "degrees", exp.Radians: "radians", exp.BitwiseCount: "bit_count",
    exp.Upper: "upper", exp.Lower: "lower", exp.Reverse: "reverse", exp.Repeat: "repeat", exp.Replace: "replace",
    exp.Left: "left", exp.Right: "right", exp.SubstringIndex: "substring_index", exp.Ascii: "ascii",
    exp.Stuff: "insert", exp.MD5: "md5", exp.SHA: "sha", exp.Unhex: "unhex", exp.ToBase64: "to_base64",
    exp.BitLength: "bit_length", exp.Year: "year", exp.Quarter: "quarter", exp.Month: "month", exp.Day: "day",
    exp.DayOfMonth: "dayofmonth", exp.DayOfYear: "dayofyear", exp.DayOfWeek: "dayofweek",
    exp.WeekOfYear: "weekofyear", exp.Dayname: "dayname", exp.Monthname: "monthname", exp.LastDay: "last_day",
    exp.JSONType: "json_type", exp.Space: "space", exp.UtcTimestamp: "utc_timestamp", exp.UtcDate: "utc_date",
    exp.UtcTime: "utc_time", exp.Soundex: "soundex", exp.FromBase64: "from_base64", exp.Compress: "compress",
    exp.JSONSet: "json_set", exp.JSONRemove: "json_remove", exp.JSONArrayAppend: "json_array_append",
    exp.JSONArrayInsert: "json_array_insert", exp.JSONKeys: "json_keys", exp.Rand: "rand", exp.Uuid: "uuid",
    exp.SHA2: "sha2", exp.Collation: "collation", exp.Translate: "translate", exp.JSONTable: "json_table",
}  # fmt: skip
"""The functions sqlglot has a class for."""

REFUSED = frozenset({
    "uuid_short", "sleep", "benchmark", "aes_encrypt", "aes_decrypt", "get_lock", "release_lock", "load_file",
    "match", "weight_string", "utc_timestamp", "utc_date", "utc_time", "json_table", "values", "random_bytes",
    "database", "schema", "user", "current_user", "version", "connection_id", "last_insert_id", "row_count",
    "found_rows", "coercibility", "des_encrypt", "encode", "json_schema_valid", "json_storage_size",
    "json_storage_free", "master_pos_wait", "ps_current_thread_id", "validate_password_strength", "statement_digest",
    "is_free_lock", "is_used_lock", "release_all_locks", "extractvalue", "updatexml", "password", "old_password",
    "nextval", "lastval", "setval", "st_astext", "st_geomfromtext", "vec_l2_distance",
})  # fmt: skip
"""MySQL has them and Rutile knows it: error 1235, where 1305 would say that there is no such function."""
