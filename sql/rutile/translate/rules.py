"""Which rule translates which node. A node with no line here is a function, or means the same in both dialects.

The third column names the parts of the node that the rule looks at, besides this, expression and expressions; "*" is
all of them. A node that has anything else is refused, so that no modifier gets lost on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate import (
    aggregates,
    basics,
    casts,
    comparisons,
    conditions,
    dates,
    documents,
    intervals,
    moments,
    numbers,
    texts,
)

if TYPE_CHECKING:
    from rutile.translate.translator import Rule

RULES: tuple[tuple[tuple[type[exp.Expr], ...], Rule, str], ...] = (
    # queries and leaves
    ((exp.Select,), basics.select, "*"),
    ((exp.Subquery,), basics.subquery, "*"),
    ((exp.Table,), basics.table, "alias db catalog joins hints"),
    ((exp.Join,), basics.join, "*"),
    ((exp.Order,), basics.order, ""),
    ((exp.Ordered,), basics.ordered, "*"),
    ((exp.Alias,), basics.alias, "alias"),
    ((exp.Column,), basics.column, "table db catalog"),
    ((exp.Literal,), basics.literal, "is_string"),
    ((exp.Null,), basics.null, ""),
    ((exp.Boolean,), basics.boolean, ""),
    ((exp.HexString,), basics.hex_string, ""),
    ((exp.BitString,), basics.bit_string, ""),
    ((exp.Introducer, exp.National), basics.introduced_text, ""),
    ((exp.Collate,), basics.collate, ""),
    ((exp.Paren,), basics.paren, ""),
    ((exp.Tuple,), basics.tuple_of, ""),
    # conditions
    ((exp.Where, exp.Having), conditions.filter_clause, ""),
    ((exp.And, exp.Or), conditions.connect, ""),
    ((exp.Not,), conditions.negate, ""),
    ((exp.Xor,), conditions.exclusive_or, ""),
    ((exp.Exists,), conditions.exists, "*"),
    ((exp.Is,), conditions.is_test, ""),
    ((exp.Case,), conditions.case, "ifs default"),
    ((exp.If,), conditions.if_function, "true false"),
    ((exp.Coalesce,), conditions.coalesce, "is_nvl is_null"),
    ((exp.Nullif,), conditions.nullif, ""),
    ((exp.Greatest, exp.Least), conditions.extreme, "ignore_nulls"),
    # comparisons
    ((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ), comparisons.compare, ""),
    ((exp.Between,), comparisons.between, "low high"),
    ((exp.In,), comparisons.membership, "query field"),
    ((exp.Like,), comparisons.like, "negate"),
    ((exp.Escape,), comparisons.like_escape, ""),
    ((exp.RegexpLike,), comparisons.regexp_like, "flag full_match"),
    # numbers
    ((exp.Add, exp.Sub), numbers.add_or_subtract, ""),
    ((exp.Mul,), numbers.multiply, ""),
    ((exp.Div,), numbers.divide, "typed safe"),
    ((exp.IntDiv,), numbers.divide_to_integer, ""),
    ((exp.Mod,), numbers.remainder, ""),
    ((exp.Neg,), numbers.minus, ""),
    ((exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor), numbers.bitwise, ""),
    ((exp.BitwiseNot,), numbers.bitwise_not, ""),
    ((exp.BitwiseLeftShift, exp.BitwiseRightShift), numbers.shift, ""),
    ((exp.Round,), numbers.round_to, "decimals"),
    ((exp.Trunc,), numbers.truncate, "decimals"),
    ((exp.Ceil, exp.Floor), numbers.whole, ""),
    ((exp.Abs,), numbers.absolute, ""),
    ((exp.Log,), numbers.logarithm, ""),
    # texts
    ((exp.Length,), texts.length, "binary"),
    ((exp.Concat, exp.DPipe), texts.concat, "safe coalesce"),
    ((exp.ConcatWs,), texts.concat_with_separator, "safe coalesce"),
    ((exp.Substring,), texts.substring, "start length zero_start"),
    ((exp.StrPosition,), texts.position, "substr position occurrence"),
    ((exp.Trim,), texts.trim, "position"),
    ((exp.Chr,), texts.characters, "charset"),
    ((exp.Hex, exp.LowerHex), texts.hexadecimal, ""),
    ((exp.Elt,), texts.element, ""),
    ((exp.NumberToStr,), texts.format_number, "format culture"),
    ((exp.Pad,), texts.pad, "fill_pattern is_left"),
    ((exp.RegexpReplace,), texts.regexp_replace, "replacement position occurrence modifiers"),
    ((exp.RegexpSubstr, exp.RegexpInstr), texts.regexp_find, "position occurrence option parameters group"),
    # JSON
    ((exp.JSONExtract, exp.JSONExtractScalar), documents.extract, "only_json_types scalar_only"),
    ((exp.JSONPath,), documents.path, "*"),
    ((exp.JSONValue,), documents.value, "path returning on_condition"),
    ((exp.JSONObject,), documents.object_of, ""),
    ((exp.JSONObjectAgg,), documents.object_aggregate, ""),
    ((exp.JSONArrayContains,), documents.member_of, ""),
    # casts
    ((exp.Cast, exp.TryCast), casts.cast_to, "to"),
    # dates and times
    ((exp.Interval,), intervals.interval_function, "unit"),
    ((exp.DateAdd, exp.DateSub, exp.TimestampAdd), intervals.shift, "unit"),
    ((exp.DateDiff,), dates.days_between, "unit date_part_boundary"),
    ((exp.TimestampDiff,), dates.units_between, "unit"),
    ((exp.Extract,), dates.extract, ""),
    ((exp.Week,), dates.week, "mode"),
    ((exp.Hour, exp.Minute, exp.Second), dates.clock_part, ""),
    ((exp.TsOrDsToDate, exp.Date), dates.to_date, ""),
    ((exp.Timestamp, exp.TsOrDsToTimestamp), dates.to_datetime, "zone"),
    ((exp.Time,), dates.to_time, ""),
    ((exp.TimeToStr,), dates.date_format, "format"),
    ((exp.StrToDate, exp.StrToTime), dates.str_to_date, "format"),
    ((exp.UnixToTime,), dates.from_unixtime, "format"),
    ((exp.TimeFromParts,), dates.maketime, "hour min sec"),
    ((exp.ConvertTimezone,), dates.convert_tz, "*"),
    (
        (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtime, exp.Localtimestamp),
        moments.current,
        "sysdate",
    ),
    # aggregates
    ((exp.Sum,), aggregates.total, ""),
    ((exp.Avg,), aggregates.average, ""),
    ((exp.Min, exp.Max, exp.AnyValue), aggregates.extreme, ""),
    ((exp.Count,), aggregates.count, "big_int"),
    ((exp.StddevPop, exp.StddevSamp, exp.Stddev, exp.VariancePop, exp.Variance), aggregates.spread, ""),
    ((exp.GroupConcat,), aggregates.group_concat, "separator"),
    ((exp.ApproxDistinct,), aggregates.approximate_distinct, ""),
    ((exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg), aggregates.bits, ""),
    ((exp.Window,), aggregates.window, "*"),
    ((exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue), aggregates.neighbour, "offset default"),
    ((exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.Grouping), aggregates.place, "*"),
    ((exp.PercentRank, exp.CumeDist), aggregates.share, "*"),
    ((exp.IgnoreNulls, exp.RespectNulls), aggregates.nulls_kept, ""),
)
