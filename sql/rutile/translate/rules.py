"""Which rule translates which node. A node with no line here is a function, or means the same in both dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate import aggregates, basics, casts, comparisons, conditions, dates, moments, numbers, texts

if TYPE_CHECKING:
    from rutile.translate.translator import Rule

RULES: tuple[tuple[tuple[type[exp.Expr], ...], Rule], ...] = (
    # queries and leaves
    ((exp.Select,), basics.select),
    ((exp.Subquery,), basics.subquery),
    ((exp.Alias,), basics.alias),
    ((exp.Column,), basics.column),
    ((exp.Literal,), basics.literal),
    ((exp.Null,), basics.null),
    ((exp.Boolean,), basics.boolean),
    ((exp.HexString,), basics.hex_string),
    ((exp.BitString,), basics.bit_string),
    ((exp.Introducer, exp.National), basics.introduced_text),
    ((exp.Collate,), basics.collate),
    ((exp.Paren,), basics.paren),
    ((exp.Tuple,), basics.tuple_of),
    # conditions
    ((exp.Where, exp.Having), conditions.filter_clause),
    ((exp.And, exp.Or), conditions.connect),
    ((exp.Not,), conditions.negate),
    ((exp.Xor,), conditions.exclusive_or),
    ((exp.Exists,), conditions.exists),
    ((exp.Is,), conditions.is_test),
    ((exp.Case,), conditions.case),
    ((exp.If,), conditions.if_function),
    ((exp.Coalesce,), conditions.coalesce),
    ((exp.Nullif,), conditions.nullif),
    ((exp.Greatest, exp.Least), conditions.extreme),
    # comparisons
    ((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ), comparisons.compare),
    ((exp.Between,), comparisons.between),
    ((exp.In,), comparisons.membership),
    ((exp.Like,), comparisons.like),
    ((exp.Escape,), comparisons.like_escape),
    ((exp.RegexpLike,), comparisons.regexp_like),
    # numbers
    ((exp.Add, exp.Sub), numbers.add_or_subtract),
    ((exp.Mul,), numbers.multiply),
    ((exp.Div,), numbers.divide),
    ((exp.IntDiv,), numbers.divide_to_integer),
    ((exp.Mod,), numbers.remainder),
    ((exp.Neg,), numbers.minus),
    ((exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor), numbers.bitwise),
    ((exp.BitwiseNot,), numbers.bitwise_not),
    ((exp.BitwiseLeftShift, exp.BitwiseRightShift), numbers.shift),
    ((exp.Round,), numbers.round_to),
    ((exp.Trunc,), numbers.truncate),
    ((exp.Ceil, exp.Floor), numbers.whole),
    ((exp.Abs,), numbers.absolute),
    ((exp.Log,), numbers.logarithm),
    # texts
    ((exp.Length,), texts.length),
    ((exp.Concat, exp.DPipe), texts.concat),
    ((exp.ConcatWs,), texts.concat_with_separator),
    ((exp.Substring,), texts.substring),
    ((exp.StrPosition,), texts.position),
    ((exp.Trim,), texts.trim),
    ((exp.Chr,), texts.characters),
    ((exp.Hex, exp.LowerHex), texts.hexadecimal),
    ((exp.Elt,), texts.element),
    ((exp.NumberToStr,), texts.format_number),
    ((exp.Pad,), texts.pad),
    ((exp.RegexpReplace,), texts.regexp_replace),
    ((exp.RegexpSubstr, exp.RegexpInstr), texts.regexp_find),
    ((exp.SHA2,), texts.sha2),
    ((exp.JSONExtract, exp.JSONExtractScalar), texts.json_extract),
    # casts
    ((exp.Cast, exp.TryCast), casts.cast_to),
    # dates and times
    ((exp.Interval,), dates.interval_function),
    ((exp.DateAdd, exp.DateSub, exp.TimestampAdd), dates.shift),
    ((exp.DateDiff,), dates.days_between),
    ((exp.TimestampDiff,), dates.units_between),
    ((exp.Extract,), dates.extract),
    ((exp.Week,), dates.week),
    ((exp.Hour, exp.Minute, exp.Second), dates.clock_part),
    ((exp.TsOrDsToDate, exp.Date), dates.to_date),
    ((exp.Timestamp,), dates.to_datetime),
    ((exp.Time,), dates.to_time),
    ((exp.TimeToStr,), dates.date_format),
    ((exp.StrToDate, exp.StrToTime), dates.str_to_date),
    ((exp.UnixToTime,), dates.from_unixtime),
    ((exp.TimeFromParts,), dates.maketime),
    ((exp.ConvertTimezone,), dates.convert_tz),
    ((exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtime, exp.Localtimestamp), moments.current),
    # aggregates
    ((exp.Sum,), aggregates.total),
    ((exp.Avg,), aggregates.average),
    ((exp.Min, exp.Max, exp.AnyValue), aggregates.extreme),
    ((exp.Count,), aggregates.count),
    ((exp.StddevPop, exp.StddevSamp, exp.Stddev, exp.VariancePop, exp.Variance), aggregates.spread),
    ((exp.GroupConcat,), aggregates.group_concat),
    ((exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg), aggregates.bits),
    ((exp.Window,), aggregates.window),
    ((exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue), aggregates.neighbour),
    (
        (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.Grouping),
        aggregates.place,
    ),
    ((exp.PercentRank, exp.CumeDist), aggregates.share),
    ((exp.IgnoreNulls, exp.RespectNulls), aggregates.nulls_kept),
)
