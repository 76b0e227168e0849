"""What a fragment may contain: every kind of syntax node, and every function, by name.

The lists name what is allowed, so what a new version of sqlglot or DuckDB learns is refused until it was looked at.
Left out on purpose: whatever reads outside the scans (files, settings, variables, sequences, the catalogue), whatever
changes anything, table functions, lambdas, and functions whose answer depends on the moment or on chance (the front end
puts the statement's own NOW() into the text; a store's clock is not the user's).
"""

from __future__ import annotations

from typing import TypeAlias

from sqlglot import exp

from rutile_coprocessor.prelude import PRELUDE_FUNCTIONS

Nodes: TypeAlias = frozenset[type[exp.Expr]]

QUERY_NODES: Nodes = frozenset({
    exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE, exp.From, exp.Table,
    exp.TableAlias, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit,
    exp.Offset, exp.Fetch, exp.Distinct, exp.Values, exp.Window, exp.WindowSpec, exp.GroupingSets, exp.Rollup,
    exp.Cube, exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls,
})  # fmt: skip

VALUE_NODES: Nodes = frozenset({
    exp.Column, exp.Identifier, exp.Star, exp.Alias, exp.Literal, exp.Null, exp.Boolean, exp.HexString, exp.Paren,
    exp.Tuple, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.Like,
    exp.ILike, exp.Escape, exp.Between, exp.In, exp.Any, exp.All, exp.Not, exp.Neg, exp.Add, exp.Sub, exp.Mul,
    exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot,
    exp.BitwiseLeftShift, exp.BitwiseRightShift, exp.DataType, exp.DataTypeParam,
    exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript, exp.Interval, exp.Var,
})  # fmt: skip

_CONTROL = {
    exp.And, exp.Or, exp.Xor, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Cast, exp.TryCast, exp.Exists,
    exp.Greatest, exp.Least,
}  # fmt: skip

_AGGREGATES = {
    exp.Count, exp.CountIf, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.AnyValue, exp.First, exp.Last, exp.ArgMax,
    exp.ArgMin, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.CovarPop,
    exp.CovarSamp, exp.Corr, exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.LogicalAnd, exp.LogicalOr,
    exp.GroupConcat, exp.Median, exp.Quantile, exp.PercentileCont, exp.PercentileDisc, exp.ApproxDistinct, exp.Mode,
    exp.Grouping, exp.GroupingId,
}  # fmt: skip

_WINDOWS = {
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue, exp.NthValue,
}  # fmt: skip

_NUMBERS = {
    exp.Abs, exp.Acos, exp.Asin, exp.Atan, exp.Atan2, exp.Cbrt, exp.Ceil, exp.Cos, exp.Cot, exp.Degrees, exp.Exp,
    exp.Floor, exp.Ln, exp.Log, exp.Pi, exp.Pow, exp.Radians, exp.Round, exp.Sign, exp.Sin, exp.Sqrt, exp.Tan,
    exp.Trunc, exp.IsNan, exp.IsInf, exp.BitwiseCount,
}  # fmt: skip

_STRINGS = {
    exp.Ascii, exp.Chr, exp.Concat, exp.ConcatWs, exp.Contains, exp.EndsWith, exp.Hex, exp.Unhex, exp.Left,
    exp.Length, exp.Lower, exp.MD5, exp.Pad, exp.RegexpExtract, exp.RegexpFullMatch, exp.RegexpLike,
    exp.RegexpILike, exp.RegexpReplace, exp.Repeat, exp.Replace, exp.Reverse, exp.Right, exp.SHA, exp.SHA2,
    exp.SplitPart, exp.StartsWith, exp.StrPosition, exp.Substring, exp.Translate, exp.Trim, exp.Unicode, exp.Upper,
    exp.Encode, exp.Decode, exp.ByteLength, exp.BitLength, exp.ToBase64, exp.FromBase64, exp.Base64Encode,
}  # fmt: skip

_TIMES = {
    exp.Extract, exp.Date, exp.DateAdd, exp.DateSub, exp.DateDiff, exp.DateFromParts, exp.DateTrunc,
    exp.TimestampTrunc, exp.TimestampFromParts, exp.TimeFromParts, exp.LastDay, exp.Year, exp.Month, exp.Day,
    exp.DayOfMonth, exp.DayOfWeek, exp.DayOfWeekIso, exp.DayOfYear, exp.Dayname, exp.Monthname, exp.Hour,
    exp.Minute, exp.Second, exp.Quarter, exp.Week, exp.WeekOfYear, exp.StrToTime, exp.StrToDate, exp.TimeToStr,
    exp.UnixToTime, exp.TsOrDsToDate, exp.TsOrDsToTimestamp, exp.ToDays, exp.MakeInterval,
}  # fmt: skip

_JSON = {exp.JSONExtract, exp.JSONExtractScalar, exp.JSONKeys, exp.JSONType, exp.JSONArray, exp.JSONObject}

FUNCTION_NODES: Nodes = frozenset().union(_CONTROL, _AGGREGATES, _WINDOWS, _NUMBERS, _STRINGS, _TIMES, _JSON)

FUNCTION_NAMES: frozenset[str] = PRELUDE_FUNCTIONS | {
    "bit_count", "octet_length", "strlen", "instr", "lpad", "rpad", "ltrim", "rtrim", "bit_length", "format", "printf",
    "regexp_matches", "to_base", "ord", "bin", "position", "prefix", "suffix", "concat", "concat_ws", "add",
    "subtract", "multiply", "divide", "fmod", "mod", "trunc", "gcd", "lcm", "log2", "log10", "log", "xor",
    "round_even", "isfinite", "sha256", "sha1", "date_part", "datepart", "date_add", "date_sub", "datesub",
    "date_diff", "datediff", "epoch", "epoch_us", "epoch_ms", "make_date", "make_timestamp", "make_time",
    "strftime", "strptime", "try_strptime", "to_years", "to_months", "to_weeks", "to_days", "to_hours",
    "to_minutes", "to_seconds", "to_milliseconds", "to_microseconds", "microsecond", "millisecond", "isodow",
    "isoyear", "weekday", "yearweek", "era", "century", "decade", "julian", "last_day", "normalized_interval",
    "time_bucket", "json_array_length", "json_valid", "json_extract", "json_extract_string", "json_contains",
    "json_type", "json_keys", "json_quote", "json_object", "json_array", "json_structure", "json_merge_patch",
    "to_json", "json_group_array", "json_group_object", "bool_and", "bool_or",  "any_value", "arg_min",
    "arg_max", "first", "last", "string_agg", "group_concat", "listagg", "list_sort", "fsum", "favg", "product",
    "kurtosis", "skewness", "entropy", "regr_slope", "regr_intercept", "regr_r2", "regr_count", "mad",
    "quantile_cont", "quantile_disc", "approx_quantile", "count_star", "stddev_pop", "stddev_samp", "var_pop",
    "var_samp",
}  # fmt: skip
"""Functions sqlglot has no class of its own for, as DuckDB names them, and our own macros."""

SYSTEM_NAME_PREFIXES = ("duckdb_", "pragma_", "sqlite_", "pg_", "information_schema")
"""Names of DuckDB's own views; a scan or CTE may not take one, so no name in a fragment can mean one."""
