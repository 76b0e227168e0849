"""SQL functions of MySQL that DuckDB lacks or reads differently, as DuckDB macros (or, see `scalars`, in Python).

`install` runs them on a new database before it is locked down. Stores and front end share them, so that a query means
the same wherever it runs. The translator (rutile.translate) decides when one is called, and hands over arguments of the
types it needs; the whitelist has all of them. NULL in gives NULL out, unless a comment says otherwise.

A macro's text is repeated where it is called, arguments and all, so macros call smaller ones rather than repeat much.
"""

from __future__ import annotations

import duckdb

from rutile_coprocessor.scalars import SCALARS, install_scalars
from rutile_coprocessor.size_bounds import MACROS as SIZE_MACROS

_NUMBERS = (
    # The number a text begins with, 0 if none: how MySQL reads text where it wants a number.
    r"""mysql_number(s) AS CASE WHEN s IS NULL THEN NULL ELSE coalesce(try_cast(regexp_extract(s,
        '^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)', 1) AS DOUBLE), 0.0) END""",
    r"""mysql_integer(s) AS CASE WHEN s IS NULL THEN NULL WHEN regexp_matches(s, '^\s*[-+]?\d')
        THEN CAST(trim(regexp_extract(s, '^\s*([-+]?\d+)', 1)) AS BIGINT) ELSE 0 END""",
    # Exact division: numerators as integers; the caller has scaled the first one up and scales the result down.
    """mysql_quotient(a, b) AS CASE WHEN b <> 0 THEN
        CASE WHEN (a < 0) = (b < 0) THEN 1 ELSE -1 END * ((2 * abs(a) + abs(b)) // (2 * abs(b))) END""",
    "mysql_divide(a, b) AS a / nullif(b, 0)",
    "mysql_sqrt(x) AS CASE WHEN x >= 0 THEN sqrt(x) END",
    "mysql_ln(x) AS CASE WHEN x > 0 THEN ln(x) END",
    "mysql_log(b, x) AS CASE WHEN b > 0 AND b <> 1 AND x > 0 THEN ln(x) / ln(b) END",
    "mysql_log2(x) AS CASE WHEN x > 0 THEN log2(x) END",
    "mysql_log10(x) AS CASE WHEN x > 0 THEN log10(x) END",
    "mysql_asin(x) AS CASE WHEN x BETWEEN -1 AND 1 THEN asin(x) END",
    "mysql_acos(x) AS CASE WHEN x BETWEEN -1 AND 1 THEN acos(x) END",
    "mysql_finite(x) AS CASE WHEN x IS NULL OR isfinite(x) THEN x ELSE error('DOUBLE value is out of range') END",
    "mysql_exp(x) AS mysql_finite(exp(x))",
    "mysql_pow(x, y) AS mysql_finite(pow(x, y))",
    # 64-bit patterns: MySQL's bit operators work on BIGINT UNSIGNED whatever they are given.
    "mysql_bits(x) AS CAST(CASE WHEN x < 0 THEN CAST(x AS HUGEINT) + 18446744073709551616 ELSE x END AS UBIGINT)",
    "mysql_signed(x) AS CAST(CASE WHEN x > 9223372036854775807 THEN CAST(x AS HUGEINT) - 18446744073709551616"
    " ELSE x END AS BIGINT)",
    "mysql_shift_left(x, n) AS CASE WHEN n < 0 OR n > 63 THEN CAST(0 AS UBIGINT) ELSE CAST((CAST(x AS HUGEINT) *"
    " CAST(pow(2, n) AS HUGEINT)) % 18446744073709551616 AS UBIGINT) END",
    "mysql_shift_right(x, n) AS CASE WHEN n < 0 OR n > 63 THEN CAST(0 AS UBIGINT) ELSE x >> CAST(n AS UBIGINT) END",
    "mysql_base(x, radix) AS CASE WHEN x <= 9223372036854775807 THEN to_base(CAST(x AS BIGINT), radix) ELSE"
    " to_base(CAST(x // radix AS BIGINT), radix) || to_base(CAST(x % radix AS BIGINT), radix) END",
)

_TEXTS = (
    "mysql_left(s, n) AS left(s, greatest(n, 0))",
    "mysql_right(s, n) AS right(s, greatest(n, 0))",
    "mysql_substring(s, p, n) AS CASE WHEN s IS NULL OR p IS NULL OR n IS NULL THEN NULL"
    " WHEN p = 0 OR n <= 0 OR -p > length(s) THEN '' ELSE substring(s, p, n) END",
    "mysql_substring_from(s, p) AS CASE WHEN s IS NULL OR p IS NULL THEN NULL"
    " WHEN p = 0 OR -p > length(s) THEN '' ELSE substring(s, p) END",
    "mysql_substring_index(s, d, n) AS CASE WHEN s IS NULL OR d IS NULL OR n IS NULL THEN NULL"
    " WHEN n = 0 OR d = '' THEN '' WHEN n > 0 THEN array_to_string(string_split(s, d)[:n], d)"
    " ELSE array_to_string(string_split(s, d)[greatest(n, -len(string_split(s, d))):], d) END",
    "mysql_find_in_set(s, l) AS CASE WHEN s IS NULL OR l IS NULL THEN NULL WHEN l = '' OR contains(s, ',') THEN 0"
    " ELSE coalesce(list_position(string_split(l, ','), s), 0) END",
    "mysql_strcmp(a, b) AS CASE WHEN a < b THEN -1 WHEN a > b THEN 1 WHEN a = b THEN 0 END",
    "mysql_locate(d, s, p) AS CASE WHEN d IS NULL OR s IS NULL OR p IS NULL THEN NULL"
    " WHEN p < 1 OR p > length(s) + 1 OR strpos(substring(s, p), d) = 0 THEN 0"
    " ELSE strpos(substring(s, p), d) + p - 1 END",
    "mysql_lpad(s, n, p) AS CASE WHEN n < 0 THEN NULL WHEN p = '' AND n > length(s) THEN '' ELSE lpad(s, n, p) END",
    "mysql_rpad(s, n, p) AS CASE WHEN n < 0 THEN NULL WHEN p = '' AND n > length(s) THEN '' ELSE rpad(s, n, p) END",
    "mysql_trim_leading(s, r) AS CASE WHEN r = '' THEN s ELSE"
    " regexp_replace(s, '^(?:' || regexp_escape(r) || ')+', '', 's') END",
    "mysql_trim_trailing(s, r) AS CASE WHEN r = '' THEN s ELSE"
    r" regexp_replace(s, '(?:' || regexp_escape(r) || ')+\z', '', 's') END",
    "mysql_trim_both(s, r) AS mysql_trim_trailing(mysql_trim_leading(s, r), r)",
    "mysql_repeat(s, n) AS repeat(s, greatest(n, 0))",
    "mysql_insert(s, p, n, t) AS CASE WHEN p < 1 OR p > length(s) THEN s WHEN n < 0 OR p + n > length(s) THEN"
    " left(s, p - 1) || t ELSE left(s, p - 1) || t || substring(s, p + n) END",
    "mysql_ord(s) AS CASE WHEN s = '' THEN 0 ELSE CAST('0x' || hex(left(s, 1)) AS BIGINT) END",
    "mysql_ascii(s) AS CASE WHEN s = '' THEN 0 ELSE CAST('0x' || left(hex(left(s, 1)), 2) AS BIGINT) END",
    "mysql_unhex(s) AS CASE WHEN regexp_full_match(s, '[0-9A-Fa-f]*') THEN"
    " unhex(CASE WHEN length(s) % 2 = 1 THEN '0' || s ELSE s END) END",
    "mysql_quote(s) AS CASE WHEN s IS NULL THEN 'NULL' ELSE"
    r""" '''' || replace(replace(s, '\', '\\'), '''', '\''') || '''' END""",
    "mysql_to_base64(b) AS rtrim(regexp_replace(to_base64(b), '(.{76})', '\\1' || chr(10), 'g'), chr(10))",
    "mysql_thousands(t) AS CASE WHEN t LIKE '-%' THEN '-' ELSE '' END"
    " || format('{:,}', CAST(ltrim(split_part(t, '.', 1), '-') AS HUGEINT))"
    " || CASE WHEN contains(t, '.') THEN '.' || split_part(t, '.', 2) ELSE '' END",
    "mysql_regexp_substr(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END",
    "mysql_regexp_instr(s, p) AS CASE WHEN s IS NULL OR p IS NULL THEN NULL WHEN regexp_matches(s, p)"
    " THEN length(regexp_extract(s, '(?s)^(.*?)(?:' || p || ')', 1)) + 1 ELSE 0 END",
    "mysql_double_text(x) AS CASE WHEN x = trunc(x) AND abs(x) < 1e15 THEN CAST(CAST(x AS BIGINT) AS VARCHAR)"
    " ELSE replace(CAST(x AS VARCHAR), 'e+', 'e') END",
    "mysql_inet_aton(s) AS CASE WHEN regexp_full_match(s, '\\d{1,3}(\\.\\d{1,3}){3}') THEN"
    " CAST(split_part(s, '.', 1) AS BIGINT) * 16777216 + CAST(split_part(s, '.', 2) AS BIGINT) * 65536"
    " + CAST(split_part(s, '.', 3) AS BIGINT) * 256 + CAST(split_part(s, '.', 4) AS BIGINT) END",
    "mysql_inet_ntoa(n) AS CASE WHEN n BETWEEN 0 AND 4294967295 THEN (n // 16777216) || '.' || (n // 65536 % 256)"
    " || '.' || (n // 256 % 256) || '.' || (n % 256) END",
)

_TIMES = (
    # Text as a moment: what DuckDB reads, and MySQL's forms without separators. NULL for what is no date.
    "mysql_datetime(s) AS coalesce(try_cast(s AS TIMESTAMP),"
    " try_strptime(s, ['%Y%m%d', '%Y%m%d%H%M%S', '%y-%m-%d', '%y%m%d', '%Y/%m/%d', '%Y/%m/%d %H:%M:%S', '%Y.%m.%d']))",
    "mysql_date(s) AS CAST(mysql_datetime(s) AS DATE)",
    "mysql_time_of(d) AS d - date_trunc('day', d)",
    r"""mysql_time(s) AS CASE WHEN regexp_full_match(s, '-?\d{1,3}:\d{1,2}(:\d{1,2}(\.\d{1,6})?)?') THEN
        CAST(s AS INTERVAL) ELSE mysql_time_of(try_cast(s AS TIMESTAMP)) END""",
    "mysql_time_us(t) AS abs(CAST(epoch_us(t) AS BIGINT))",
    "mysql_time_hour(t) AS mysql_time_us(t) // 3600000000",
    "mysql_time_minute(t) AS mysql_time_us(t) // 60000000 % 60",
    "mysql_time_second(t) AS mysql_time_us(t) // 1000000 % 60",
    "mysql_time_microsecond(t) AS mysql_time_us(t) % 1000000",
    "mysql_microsecond(d) AS microsecond(d) % 1000000",
    "mysql_dayofweek(d) AS dayofweek(d) + 1",
    "mysql_weekday(d) AS isodow(d) - 1",
    "mysql_new_year_sunday(d) AS dayofweek(date_trunc('year', d))",
    "mysql_new_year_monday(d) AS isodow(date_trunc('year', d)) - 1",
    "mysql_week0(d) AS (dayofyear(d) + 6 - dayofweek(d)) // 7",
    "mysql_week1(d) AS (dayofyear(d) - 1 + mysql_new_year_monday(d)) // 7"
    " + CASE WHEN mysql_new_year_monday(d) <= 3 THEN 1 ELSE 0 END",
    "mysql_week2(d) AS CASE WHEN mysql_week0(d) = 0 THEN mysql_week0(date_trunc('year', d) - INTERVAL 1 DAY)"
    " ELSE mysql_week0(d) END",
    "mysql_week3(d) AS weekofyear(d)",
    "mysql_week4(d) AS (dayofyear(d) - 1 + mysql_new_year_sunday(d)) // 7"
    " + CASE WHEN mysql_new_year_sunday(d) <= 3 THEN 1 ELSE 0 END",
    "mysql_week5(d) AS (dayofyear(d) + 7 - isodow(d)) // 7",
    "mysql_yearweek0(d) AS (year(d) - CASE WHEN mysql_week0(d) = 0 THEN 1 ELSE 0 END) * 100 + mysql_week2(d)",
    "mysql_yearweek1(d) AS isoyear(d) * 100 + weekofyear(d)",
    "mysql_to_days(d) AS date_diff('day', DATE '1970-01-01', d) + 719528",
    "mysql_from_days(n) AS CAST(DATE '1970-01-01' + to_days(CAST(n - 719528 AS INTEGER)) AS DATE)",
    "mysql_to_seconds(d) AS mysql_to_days(CAST(d AS DATE)) * 86400 + date_diff('second', date_trunc('day', d), d)",
    "mysql_within_month(d) AS day(d) * 86400000000 + date_diff('microsecond', date_trunc('day', d), d)",
    "mysql_month_steps(a, b) AS (year(b) - year(a)) * 12 + month(b) - month(a)",
    "mysql_months_between(a, b) AS mysql_month_steps(a, b) + CASE"
    " WHEN mysql_month_steps(a, b) > 0 AND mysql_within_month(b) < mysql_within_month(a) THEN -1"
    " WHEN mysql_month_steps(a, b) < 0 AND mysql_within_month(b) > mysql_within_month(a) THEN 1 ELSE 0 END",
    "mysql_unix_timestamp(d) AS CAST(epoch_us(d) AS BIGINT) // 1000000",
    "mysql_from_unixtime(x) AS CASE WHEN x >= 0 THEN make_timestamp(CAST(x * CAST(1000000 AS BIGINT) AS BIGINT)) END",
    "mysql_sec_to_time(s) AS to_microseconds(CAST(s * CAST(1000000 AS BIGINT) AS BIGINT))",
    "mysql_makedate(y, n) AS CASE WHEN n > 0 THEN"
    " CAST(make_date(y, 1, 1) + to_days(CAST(n - 1 AS INTEGER)) AS DATE) END",
    "mysql_maketime(h, m, s) AS CASE WHEN m BETWEEN 0 AND 59 AND s >= 0 AND s < 60 THEN"
    " CASE WHEN h < 0 THEN -1 ELSE 1 END * (to_hours(abs(CAST(h AS BIGINT))) + to_minutes(CAST(m AS BIGINT))"
    " + mysql_sec_to_time(s)) END",
    "mysql_time_to_sec(t) AS CAST(epoch_us(t) AS BIGINT) // 1000000",
    "mysql_period(p) AS p // 100 * 12 + p % 100 - 1",
    "mysql_period_add(p, n) AS (mysql_period(p) + n) // 12 * 100 + (mysql_period(p) + n) % 12 + 1",
    "mysql_period_diff(a, b) AS mysql_period(a) - mysql_period(b)",
    "mysql_ordinal_day(d) AS day(d) || CASE WHEN day(d) IN (11, 12, 13) THEN 'th' WHEN day(d) % 10 = 1 THEN 'st'"
    " WHEN day(d) % 10 = 2 THEN 'nd' WHEN day(d) % 10 = 3 THEN 'rd' ELSE 'th' END",
)

_CHANCE = ("mysql_rand() AS random()", "mysql_uuid() AS CAST(uuid() AS VARCHAR)")

_JSON = (
    # ->>: what is neither text nor an integer is written as MySQL writes it.
    "mysql_json_scalar(j, p) AS CASE WHEN json_type(j, p) IN ('VARCHAR', 'BIGINT', 'UBIGINT')"
    " THEN json_extract_string(j, p) ELSE mysql_json_extract_text(j, p) END",
)

_MERGES = (
    # Moments of parts (count, mean, sum of squared distances from it) as those of all: see `partial_aggregate`.
    "rutile_moments(parts) AS list_reduce(parts, lambda a, b: {'n': a.n + b.n,"
    " 'mean': a.mean + (b.mean - a.mean) * b.n / (a.n + b.n),"
    " 'spread': a.spread + b.spread + (b.mean - a.mean) ** 2 * a.n * b.n / (a.n + b.n)})",
    "rutile_var_pop(parts) AS rutile_moments(parts).spread / rutile_moments(parts).n",
    "rutile_var_samp(parts) AS rutile_moments(parts).spread / nullif(rutile_moments(parts).n - 1, 0)",
    "rutile_stddev_pop(parts) AS sqrt(rutile_var_pop(parts))",
    "rutile_stddev_samp(parts) AS sqrt(rutile_var_samp(parts))",
    # The least value that the share p of the values does not exceed, from points of the parts, each of which stands for
    # as many of its part's values (see `partial_aggregate`).
    "rutile_merged_percentile(parts, p) AS (SELECT min(x) FROM (SELECT x, sum(w) OVER (ORDER BY x ROWS UNBOUNDED"
    " PRECEDING) AS below, sum(w) OVER () AS total FROM (SELECT unnest(flatten(list_transform(parts,"
    " lambda part: list_transform(part.points, lambda point: {'x': point, 'w': part.n / len(part.points)}))),"
    " recursive := true))) WHERE below >= total * p - 0.000001)",
)

MACROS: tuple[str, ...] = (*_NUMBERS, *_TEXTS, *_TIMES, *_CHANCE, *_JSON, *_MERGES)

SETTINGS: tuple[str, ...] = ("SET GLOBAL error_on_division_by_zero = false",)
"""MySQL's x DIV 0 and x % 0 are NULL."""

PRELUDE_FUNCTIONS: frozenset[str] = frozenset(macro.partition("(")[0] for macro in MACROS) | SCALARS.keys()


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the macros and the functions in Python in a database, and sets what they rely on."""
    install_scalars(connection)
    for macro in (*MACROS, *SIZE_MACROS):
        connection.execute(f"CREATE MACRO {macro}")
    for setting in SETTINGS:
        connection.execute(setting)
