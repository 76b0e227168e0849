"""What SQLAlchemy's compliance suite may ask of a MySQL: the facts that its own test tree states for that dialect.

The suite ships in SQLAlchemy's wheel, the list of what each database can do does not: this is that list for MySQL 8.0
through PyMySQL, the same for every server under test, so that their results can be set side by side.
"""

from __future__ import annotations

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

HAS = (
    "autocommit", "boolean_col_expressions", "check_constraint_reflection", "column_collation_reflection",
    "comment_reflection", "comment_reflection_full_unicode", "computed_columns", "computed_columns_reflect_persisted",
    "computed_columns_stored", "computed_columns_virtual", "create_or_replace_view", "create_table_as",
    "create_temp_table_as", "cross_schema_fk_reflection", "ctes", "ctes_with_update_delete", "date_historic",
    "datetime_historic", "datetime_literals", "dbapi_lastrowid", "delete_from", "emulated_lastrowid",
    "expressions_against_unbounded_text", "fk_constraint_option_reflection_ondelete_noaction",
    "fk_constraint_option_reflection_ondelete_restrict", "fk_constraint_option_reflection_onupdate_restrict",
    "foreign_key_constraint_name_reflection", "foreign_key_constraint_option_reflection_ondelete",
    "foreign_key_constraint_option_reflection_onupdate", "foreign_keys_reflect_as_index",
    "inline_check_constraint_reflection", "isolation_level", "json_type", "legacy_unconditional_json_extract",
    "mod_operator_as_percent_sign", "nvarchar_types", "order_by_label_with_expression", "percent_schema_names",
    "precision_numerics_enotation_small", "precision_numerics_many_significant_digits",
    "precision_numerics_retains_significant_digits", "reflect_table_options", "regexp_match", "regexp_replace",
    "repeated_remote_col_foreign_keys", "savepoints", "schema_create_delete", "schemas", "server_defaults",
    "server_side_cursors", "skip_autocommit_rollback", "supports_bitwise_and", "supports_bitwise_not",
    "supports_bitwise_or", "supports_bitwise_shift", "supports_bitwise_xor", "table_ddl_if_exists", "tuple_in",
    "unicode_ddl", "unique_constraints_reflect_as_index", "unique_index_reflect_as_unique_constraints", "update_from",
    "views", "window_functions", "window_range", "window_range_numeric",
)  # fmt: skip
"""What the suite asks only of those that say they have it."""
HAS_NOT = (
    "cast_precision_numerics_many_significant_digits", "date_implicit_bound", "datetime_implicit_bound",
    "datetime_microseconds", "deferrable_fks", "sql_expression_limit_offset", "time_implicit_bound",
    "time_microseconds", "timestamp_microseconds", "unbounded_varchar", "update_where_target_in_subquery",
)  # fmt: skip
"""What it takes for granted, and MySQL has not (DATETIME and TIME alone keep no fractions)."""


class Requirements(SuiteRequirements):
    """MySQL 8.0 through PyMySQL; see `HAS` and `HAS_NOT`."""


# A new answer each time it is asked for: the suite adds to the one it is given.
for _name in HAS:
    setattr(Requirements, _name, property(lambda _: exclusions.open()))
for _name in HAS_NOT:
    setattr(Requirements, _name, property(lambda _: exclusions.closed()))
