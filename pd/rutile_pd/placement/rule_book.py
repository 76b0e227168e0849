"""All placement rules, and which of them hold where.

Rules come in groups. Those that cover a key apply in the order (index of the group, its id, index of the rule, its id);
a rule that overrides drops the rules of its group before it, a group that overrides drops the groups before it. Where
rules begin and end cuts the key space into segments with one list of rules each; a region must not cross a border
between two different lists, so it is split there.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import groupby

from rutile_pd.config import PdConfig
from rutile_pd.placement.rules import Role, Rule, RuleGroup
from rutile_proto.errors import InvalidRequest

DEFAULT_GROUP = "pd"
DEFAULT_ID = "default"


def default_rule(config: PdConfig) -> Rule:
    """What holds when nothing was set: `max_replicas` voters, spread over the location labels."""
    return Rule(
        DEFAULT_GROUP,
        DEFAULT_ID,
        Role.VOTER,
        config.max_replicas,
        location_labels=config.location_labels,
        isolation_level=config.isolation_level,
    ).checked()


class RuleBook:
    """Never changed: `changed` and `with_config` return another book, or raise InvalidRequest and nothing happened."""

    def __init__(self, config: PdConfig, rules: Iterable[Rule] = (), groups: Iterable[RuleGroup] = ()) -> None:
        """`rules` are those that were set. InvalidRequest if a key would be left without a voter."""
        self._config = config
        self._set = {(rule.group_id, rule.id): rule for rule in rules}
        self._groups = {group.id: group for group in groups}
        default = default_rule(config)
        named = {(DEFAULT_GROUP, DEFAULT_ID): default} | self._set
        self._order = sorted(named.values(), key=self._place)
        self._starts = sorted({rule.start_key for rule in self._order} | {rule.end_key for rule in self._order} | {b""})
        self._lists = [self._applying(start) for start in self._starts]
        self._join_equal_segments()

    def _place(self, rule: Rule) -> tuple[int, str, int, str]:
        return self._group(rule.group_id).index, rule.group_id, rule.index, rule.id

    def _group(self, group_id: str) -> RuleGroup:
        return self._groups.get(group_id, RuleGroup(group_id))

    def _applying(self, key: bytes) -> tuple[Rule, ...]:
        """The rules that hold from `key` on."""
        covering = [rule for rule in self._order if rule.start_key <= key and (not rule.end_key or key < rule.end_key)]
        kept: list[Rule] = []
        for group_id, rules in groupby(covering, key=lambda rule: rule.group_id):
            own: list[Rule] = []
            for rule in rules:
                own = [rule] if rule.override else [*own, rule]
            kept = own if self._group(group_id).override else [*kept, *own]
        if not any(rule.role is not Role.LEARNER for rule in kept):
            raise InvalidRequest(f"no rule would ask for a voter of the keys from {key.hex() or 'the first'} on")
        if sum(rule.role is Role.LEADER for rule in kept) > 1:
            raise InvalidRequest(f"two rules would ask for a leader of the keys from {key.hex() or 'the first'} on")
        if all(rule.role in (Role.LEARNER, Role.FOLLOWER) for rule in kept):
            raise InvalidRequest(f"no peer might lead the keys from {key.hex() or 'the first'} on")
        return tuple(kept)

    def _join_equal_segments(self) -> None:
        starts, lists = self._starts[:1], self._lists[:1]
        for start, rules in zip(self._starts[1:], self._lists[1:], strict=True):
            if rules != lists[-1]:
                starts.append(start)
                lists.append(rules)
        self._starts, self._lists = starts, lists

    # --- asking ---------------------------------------------------------------------------------------------------

    def at(self, key: bytes) -> tuple[Rule, ...]:
        """The rules that hold at a storage key, in order; never empty."""
        return self._lists[bisect_right(self._starts, key) - 1]

    def borders_within(self, start: bytes, end: bytes) -> list[bytes]:
        """Where a region [start, end) must be split, because other rules hold from there on."""
        if len(self._starts) == 1:
            return []
        inner = self._starts[bisect_right(self._starts, start) :]
        return [border for border in inner if not end or border < end]

    def all(self) -> list[Rule]:
        """Every rule in the order they apply, the default one too."""
        return list(self._order)

    def rule(self, group_id: str, rule_id: str) -> Rule | None:
        """One rule that was set."""
        return self._set.get((group_id, rule_id))

    def set_rules(self) -> list[Rule]:
        """The rules that were set."""
        return list(self._set.values())

    def set_groups(self) -> list[RuleGroup]:
        """The groups that were set."""
        return list(self._groups.values())

    # --- changing -------------------------------------------------------------------------------------------------

    def with_config(self, config: PdConfig) -> "RuleBook":
        """The same rules over another default."""
        return RuleBook(config, self._set.values(), self._groups.values())

    def changed(
        self,
        deleted_rules: Iterable[tuple[str, str]] = (),
        deleted_groups: Iterable[str] = (),
        groups: Iterable[RuleGroup] = (),
        rules: Iterable[Rule] = (),
    ) -> "RuleBook":
        """Without some rules and whole groups, and with others set; all of it or InvalidRequest.

        Deleting the default rule brings back the one the configuration makes.
        """
        kept, kept_groups = dict(self._set), dict(self._groups)
        for name in deleted_rules:
            if kept.pop(name, None) is None:
                raise InvalidRequest(f"no rule {'/'.join(name)} was set")
        for group_id in deleted_groups:
            kept = {name: rule for name, rule in kept.items() if name[0] != group_id}
            kept_groups.pop(group_id, None)
        kept |= {(rule.group_id, rule.id): rule.checked() for rule in rules}
        kept_groups |= {group.id: group for group in groups}
        return RuleBook(self._config, kept.values(), kept_groups.values())
