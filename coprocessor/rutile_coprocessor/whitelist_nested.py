"""The whitelist's second page: what a query written in DuckDB's own dialect uses beyond MySQL's words.

Lists, structs, maps and lambdas; JSON, dates and texts under DuckDB's names. All are pure, so a store runs them as well
as the front end does. `HERE_NODES` and `HERE_NAMES` are not: they look at the clock or roll dice, which is right once a
query, in the front end, and would differ from store to store.
"""

from __future__ import annotations

from typing import TypeAlias

from sqlglot import exp

Nodes: TypeAlias = frozenset[type[exp.Expr]]

NESTED_NODES: Nodes = frozenset({
    exp.Array, exp.ArrayAgg, exp.ArrayAll, exp.ArrayAny, exp.ArrayAppend, exp.ArrayConcat, exp.ArrayContains,
    exp.ArrayContainsAll, exp.ArrayDistinct, exp.ArrayExcept, exp.ArrayFilter, exp.ArrayFirst, exp.ArrayIntersect,
    exp.ArrayLast, exp.ArrayMax, exp.ArrayMin, exp.ArrayOverlaps, exp.ArrayPosition, exp.ArrayPrepend, exp.ArrayRemove,
    exp.ArrayReverse, exp.ArraySize, exp.ArraySlice, exp.ArraySort, exp.ArraySum, exp.ArrayToString, exp.ArraysZip,
    exp.List, exp.Flatten, exp.Explode, exp.Unnest, exp.GenerateSeries, exp.Reduce, exp.Transform,
    exp.Struct, exp.StructExtract, exp.PropertyEQ, exp.Map, exp.ToMap, exp.MapFromEntries, exp.MapKeys,
    exp.MapContainsKey, exp.MapCat, exp.MapSize, exp.Bracket, exp.Slice, exp.Dot, exp.Lambda, exp.Kwarg, exp.ColumnDef,
    exp.IntervalSpan,
})  # fmt: skip

DUCKDB_NODES: Nodes = frozenset({
    exp.Acosh, exp.Asinh, exp.Atanh, exp.Cosh, exp.Coth, exp.Sinh, exp.Tanh, exp.Factorial, exp.Kurtosis, exp.Skewness,
    exp.ApproxQuantile, exp.ApproxTopK, exp.RegrAvgx, exp.RegrAvgy, exp.RegrCount, exp.RegrIntercept, exp.RegrR2,
    exp.RegrSlope, exp.RegrSxx, exp.RegrSxy, exp.RegrSyy, exp.Getbit, exp.EuclideanDistance, exp.CosineDistance,
    exp.DotProduct, exp.Levenshtein, exp.JarowinklerSimilarity, exp.RegexpExtractAll, exp.RegexpSplit, exp.RegexpCount,
    exp.Split, exp.StringToArray, exp.Initcap, exp.Glob, exp.SimilarTo, exp.RegexpInstr,
    exp.Format, exp.NumberToStr, exp.LowerHex, exp.SHA1Digest, exp.SHA2Digest, exp.MD5Digest, exp.Typeof, exp.Try,
    exp.ParseJSON, exp.JSONExists, exp.JSONBExtract, exp.JSONArrayContains, exp.JSONCast, exp.JSONArrayAgg,
    exp.JSONObjectAgg, exp.JSONPathWildcard, exp.JSONPathRecursive, exp.JSONPathSlice,
    exp.AtTimeZone, exp.StrToUnix, exp.TimeToUnix, exp.TimeStrToTime, exp.TsOrDsDiff, exp.TsOrDsAdd, exp.TimestampAdd,
    exp.TimestampDiff, exp.TimestampSub, exp.TimeAdd, exp.TimeSub, exp.TimeTrunc, exp.DatetimeTrunc, exp.DateBin,
    exp.Time, exp.Timestamp, exp.UnixDate, exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros, exp.YearOfWeek,
    exp.YearOfWeekIso, exp.HavingMax, exp.Lateral,
    exp.Collate, exp.Nvl2, exp.WidthBucket, exp.Overlay, exp.Normalize, exp.ByteString, exp.UnicodeString,
    exp.PseudoType, exp.Aliases, exp.SafeDivide, exp.IsArray, exp.FromBase, exp.ToBinary,
})  # fmt: skip

HERE_NODES: Nodes = frozenset({
    exp.Rand, exp.Uuid, exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentTimestampLTZ,
    exp.CurrentDatetime, exp.CurrentDatabase, exp.CurrentSchema, exp.CurrentCatalog, exp.CurrentUser, exp.Localtime,
    exp.Localtimestamp, exp.TableSample,
})  # fmt: skip

_NUMBER_NAMES = """
    abs acos acosh asin asinh atan atan2 atanh bit_count bit_position cbrt ceil ceiling cos cosh cot degrees divide
    even exp factorial fdiv floor fmod gamma gcd greatest_common_divisor lcm least_common_multiple ln lgamma log
    log10 log2 mod multiply nextafter pi pow power radians round roundbankers sign signbit sin sinh sqrt subtract
    tan tanh trunc xor isnan isinf isfinite set_bit get_bit bitstring equi_width_bins hash
"""
_TEXT_NAMES = """
    ascii bar base64 bin chr char_length character_length concat concat_ws contains damerau_levenshtein decode
    editdist3 encode ends_with format formatreadablesize format_bytes from_base64 from_binary from_hex hamming hex
    instr jaccard jaro_similarity jaro_winkler_similarity lcase left left_grapheme length length_grapheme
    levenshtein like_escape lower lpad ltrim md5 md5_number mismatches nfc_normalize not_like_escape
    not_ilike_escape ilike_escape octet_length ord overlay parse_dirname parse_dirpath parse_filename parse_path
    position prefix printf regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
    regexp_replace regexp_split_to_array repeat replace reverse right right_grapheme rpad rtrim sha1 sha256 split
    split_part starts_with str_split str_split_regex string_split string_split_regex string_to_array strip_accents
    strlen strpos substr substring substring_grapheme suffix to_base64 to_binary to_hex translate trim ucase unbin
    unhex unicode upper url_decode url_encode
"""
_TIME_NAMES = """
    age century date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
    dayofweek dayofyear decade epoch epoch_ms epoch_ns epoch_us era hour isodow isoyear julian last_day make_date
    make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond
    minute month monthname nanosecond quarter second strftime strptime time_bucket timezone timezone_hour
    timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes
    to_months to_quarters to_seconds to_timestamp to_weeks to_years try_strptime week weekday weekofyear year
    yearweek
"""
_LIST_NAMES = """
    aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
    array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct
    array_dot_product array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof
    array_inner_product array_intersect array_length array_negative_dot_product array_negative_inner_product
    array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front array_reduce
    array_resize array_reverse array_reverse_sort array_select array_slice array_sort array_to_string
    array_transform array_unique array_value array_where array_zip element_at filter flatten generate_series
    generate_subscripts grade_up len list_aggr list_aggregate list_any_value list_append list_apply
    list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat
    list_concat list_contains list_cosine_distance list_cosine_similarity list_count list_distance list_distinct
    list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up list_has
    list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis
    list_kurtosis_pop list_last list_mad list_max list_median list_min list_mode list_pack list_position
    list_prepend list_product list_reduce list_resize list_reverse list_reverse_sort list_select list_sem
    list_skewness list_slice list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform
    list_unique list_value list_var_pop list_var_samp list_where list_zip range reduce unnest unpivot_list
"""
_STRUCT_NAMES = """
    row struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert
    struct_keys struct_pack struct_position struct_update struct_values remap_struct cardinality map map_concat
    map_contains map_contains_entry map_contains_value map_entries map_extract map_extract_value map_from_entries
    map_keys map_values union_extract union_tag union_value enum_code enum_first enum_last enum_range typeof
    uuid_extract_timestamp uuid_extract_version
"""
_JSON_NAMES = """
    array_to_json from_json from_json_strict json json_array json_array_length json_contains json_deep_merge
    json_exists json_extract json_extract_path json_extract_path_text json_extract_string json_group_structure
    json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform
    json_transform_strict json_type json_valid json_value row_to_json to_json
"""
_AGGREGATE_NAMES = """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last
    arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bitstring_agg
    bool_and bool_or corr count count_if countif covar_pop covar_samp entropy favg first fsum geomean geometric_mean
    histogram histogram_exact kahan_sum kurtosis kurtosis_pop last list mad max max_by mean median min min_by mode
    product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
    regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp sum sumkahan var_pop var_samp variance
    weighted_avg wavg
"""
_PAGES = (
    _NUMBER_NAMES, _TEXT_NAMES, _TIME_NAMES, _LIST_NAMES, _STRUCT_NAMES, _JSON_NAMES, _AGGREGATE_NAMES,
)  # fmt: skip

DUCKDB_NAMES: frozenset[str] = frozenset(name for page in _PAGES for name in page.split())

HERE_NAMES: frozenset[str] = frozenset({
    "random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "now", "today", "get_current_timestamp",
    "transaction_timestamp", "current_localtimestamp", "current_localtime", "current_database", "current_schema",
})  # fmt: skip
