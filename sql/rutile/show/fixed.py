"""SHOW of what is the same on every server, or of what Rutile has none of."""

from __future__ import annotations

from rutile.privileges.names import Privilege
from rutile.session.charsets import CHARSETS
from rutile.session.result import Result, ResultColumn, Row
from rutile_coprocessor.schema import ColumnType, Kind

_TEXT = ColumnType(Kind.VARCHAR, length=4096)
_ENGINE = ("InnoDB", "DEFAULT", "Rutile's replicated storage under MySQL's name", "YES", "NO", "YES")
_NOTHING: dict[str, str] = {
    "plugins": "Name Status Type Library License",
    "routines": "Db Name Type Definer Modified Created Security_type Comment character_set_client"
    " collation_connection Database_Collation",
    "events": "Db Name Definer Time_zone Type Execute_at Interval_value Interval_field Starts Ends Status Originator"
    " character_set_client collation_connection Database_Collation",
    "triggers": "Trigger Event Table Statement Timing Created sql_mode Definer character_set_client"
    " collation_connection Database_Collation",
    "open tables": "Database Table In_use Name_locked",
    "profiles": "Query_ID Duration Query",
    "profile": "Status Duration",
    "binlog status": "File Position Binlog_Do_DB Binlog_Ignore_DB Executed_Gtid_Set",
    "binlogs": "Log_name File_size Encrypted",
    "nothing": "Server_Id Host Port Source_Id Replica_UUID",
    "empty": "Variable_name Value",
}
"""The columns of lists that are empty here: no plugins, routines, triggers, events, profiles, binary log, replicas."""


def text_result(names: list[str], rows: list[Row]) -> Result:
    """A result set of text columns."""
    return Result.of_rows([ResultColumn(name, _TEXT) for name in names], rows)


def fixed_list(what: str) -> Result | None:
    """The answer, if `what` is one of these."""
    match what:
        case "engines":
            return text_result(["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"], [_ENGINE])
        case "collation":
            names = ["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"]
            shown = [(each.collation, each.name, str(each.collation_id), "Yes", "Yes", "1") for each in CHARSETS]
            return text_result(names, list(shown))
        case "charset":
            names = ["Charset", "Description", "Default collation", "Maxlen"]
            return text_result(
                names, [(each.name, each.description, each.collation, str(each.max_bytes)) for each in CHARSETS]
            )
        case "engine status":
            return text_result(["Type", "Name", "Status"], [("InnoDB", "", "see information_schema.TIDB_TRX")])
        case "privileges":
            rows: list[Row] = [(each.value.title(), "Server Admin,Databases,Tables", "") for each in Privilege]
            return text_result(["Privilege", "Context", "Comment"], rows)
    columns = _NOTHING.get(what)
    return None if columns is None else text_result(columns.split(), [])
