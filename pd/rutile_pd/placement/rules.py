"""A placement rule: how many replicas of a key range, in which role, on stores with which labels.

The JSON form is that of pd-ctl's `config placement-rules`, keys in hex of their storage form:

    {"group_id": "pd", "id": "default", "index": 0, "override": false, "start_key": "", "end_key": "",
     "role": "voter", "count": 3,
     "label_constraints": [{"key": "disk", "op": "in", "values": ["ssd"]}],
     "location_labels": ["zone", "rack"], "isolation_level": "zone"}
"""

import dataclasses
import enum
import json
from dataclasses import dataclass
from typing import Any

from rutile_proto.errors import InvalidRequest

MAX_COUNT = 16


class Role(enum.StrEnum):
    """What the peers of a rule are to be. A follower votes and never leads; a leader leads, and there is but one."""

    VOTER = "voter"
    LEADER = "leader"
    FOLLOWER = "follower"
    LEARNER = "learner"


class Op(enum.StrEnum):
    """How a constraint looks at a label."""

    IN = "in"
    NOT_IN = "notIn"
    EXISTS = "exists"
    NOT_EXISTS = "notExists"


@dataclass(frozen=True, slots=True)
class LabelConstraint:
    """A condition on one label of a store."""

    key: str
    op: Op
    values: tuple[str, ...] = ()

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether a store with these labels satisfies it. A store without the label is in none of the values."""
        match self.op:
            case Op.IN:
                return labels.get(self.key) in self.values
            case Op.NOT_IN:
                return labels.get(self.key) not in self.values
            case Op.EXISTS:
                return self.key in labels
            case Op.NOT_EXISTS:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are set together; groups of a higher index come later, and one that overrides drops those before."""

    id: str
    index: int = 0
    override: bool = False

    @classmethod
    def from_json(cls, text: bytes | str) -> "RuleGroup":
        """InvalidRequest if it is none."""
        given = _object(text)
        group: RuleGroup = _made(cls, given, id=_typed(given, "id", str, None))
        return group

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; (group_id, id) names it. Keys are storage keys, an empty end is infinity."""

    group_id: str
    id: str
    role: Role
    count: int
    index: int = 0
    override: bool = False
    start_key: bytes = b""
    end_key: bytes = b""
    label_constraints: tuple[LabelConstraint, ...] = ()
    location_labels: tuple[str, ...] = ()
    isolation_level: str = ""

    def allows(self, labels: dict[str, str]) -> bool:
        """Whether a store with these labels may hold a peer of the rule.

        A store that carries a label beginning with `$`, or `engine` or `exclusive`, serves only those who ask for it.
        """
        return all(constraint.holds(labels) for constraint in self.label_constraints) and not self._excluded(labels)

    def _excluded(self, labels: dict[str, str]) -> bool:
        wanted = {each.key: None for each in self.label_constraints if each.op in (Op.IN, Op.EXISTS)}
        return any(_is_exclusive(key) and key not in wanted for key in labels)

    @classmethod
    def from_json(cls, text: bytes | str) -> "Rule":
        """InvalidRequest if it is none, or cannot be satisfied by any store."""
        return cls.from_object(_object(text))

    @classmethod
    def from_object(cls, given: dict[str, Any]) -> "Rule":
        """The same from parsed JSON."""
        rule: Rule = _made(
            cls,
            given,
            group_id=_typed(given, "group_id", str, None),
            id=_typed(given, "id", str, None),
            role=_member(Role, given.get("role")),
            count=_typed(given, "count", int, None),
            start_key=_key(given, "start_key"),
            end_key=_key(given, "end_key"),
            label_constraints=tuple(_constraint(each) for each in _typed(given, "label_constraints", list, [])),
            location_labels=_strings(given, "location_labels"),
        )
        return rule.checked()

    def checked(self) -> "Rule":
        """This rule; InvalidRequest if it contradicts itself."""
        if not self.group_id or not self.id or "/" in self.group_id:
            raise InvalidRequest("a rule needs a group_id (without a slash) and an id")
        if not 1 <= self.count <= MAX_COUNT or (self.role is Role.LEADER and self.count > 1):
            raise InvalidRequest(f"rule {self.group_id}/{self.id} wants {self.count} peers of role {self.role}")
        if self.end_key and self.end_key <= self.start_key:
            raise InvalidRequest(f"rule {self.group_id}/{self.id} covers no keys: it ends before it begins")
        if self.isolation_level and self.isolation_level not in self.location_labels:
            raise InvalidRequest(f"isolation_level {self.isolation_level!r} is not among the location_labels")
        return self

    def to_object(self) -> dict[str, Any]:
        """As JSON shows it."""
        shown = dataclasses.asdict(self)
        return shown | {"start_key": self.start_key.hex(), "end_key": self.end_key.hex()}

    def to_json(self) -> bytes:
        return json.dumps(self.to_object()).encode()


_EXCLUSIVE = ("engine", "exclusive")


def _is_exclusive(label: str) -> bool:
    return label.startswith("$") or label in _EXCLUSIVE


def _object(text: bytes | str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidRequest(f"a JSON object is wanted, not {type(given).__name__}")
    return given


def _made(cls: Any, given: dict[str, Any], **converted: Any) -> Any:
    """An instance from the fields given and those converted already."""
    plain = {"index": int, "override": bool, "isolation_level": str}
    taken = {name: _typed(given, name, kind, None) for name, kind in plain.items() if name in given}
    return cls(**{name: value for name, value in (taken | converted).items() if name in cls.__dataclass_fields__})


def _typed(given: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = given.get(name, default)
    if value is None and name in given and default is not None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidRequest(f"{name} must be of type {kind.__name__}, not {json.dumps(value, default=str)}")
    return value


def _strings(given: dict[str, Any], name: str) -> tuple[str, ...]:
    values = _typed(given, name, list, [])
    if not all(isinstance(value, str) for value in values):
        raise InvalidRequest(f"{name} must be a list of strings")
    return tuple(values)


def _member(kind: Any, value: Any) -> Any:
    if value not in [each.value for each in kind]:
        raise InvalidRequest(f"{value!r} is none of {', '.join(each.value for each in kind)}")
    return kind(value)


def _key(given: dict[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(_typed(given, name, str, ""))
    except ValueError as error:
        raise InvalidRequest(f"{name} must be hexadecimal: {error}") from error


def _constraint(given: Any) -> LabelConstraint:
    if not isinstance(given, dict):
        raise InvalidRequest("a label constraint is a JSON object")
    return LabelConstraint(_typed(given, "key", str, None), _member(Op, given.get("op")), _strings(given, "values"))
