"""Which peer of a region serves which rule.

The fits of a region are ordered: by how many peers the first rule gets, then how many of them are sound, then in the
right role, then by how far apart they are; among equals the same of the second rule decides, and so on. `fit` finds the
best one by trying every choice for a rule and following up those that are equally good; regions have a handful of
peers, and nearly always as many as the one rule wants.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from rutile_pd.placement.isolation import Labels, score
from rutile_pd.placement.rules import Role, Rule
from rutile_pd.regions.region_info import Peer, RegionInfo
from rutile_proto import metapb_pb2 as metapb

LabelsOf: TypeAlias = Callable[[int], Labels | None]
"""The labels of a store; None if no peer may count on it: it was removed or never registered."""
IsSound: TypeAlias = Callable[[Peer], bool]
Rank: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class RuleFit:
    """The peers that serve a rule."""

    rule: Rule
    peers: tuple[Peer, ...]
    misplaced: tuple[Peer, ...]
    """Those of them that are not in the rule's role."""
    isolation: int
    """isolation.score of their stores."""

    @property
    def missing(self) -> int:
        """Peers the rule wants and does not have."""
        return self.rule.count - len(self.peers)


@dataclass(frozen=True, slots=True)
class RegionFit:
    """A RuleFit for each rule, in order, and the peers that serve none."""

    rules: tuple[RuleFit, ...]
    orphans: tuple[Peer, ...]

    @property
    def is_satisfied(self) -> bool:
        """Whether every rule has all its peers in their roles, and nothing is left over."""
        return not self.orphans and all(not each.missing and not each.misplaced for each in self.rules)

    def serving(self, peer: Peer) -> RuleFit | None:
        """The rule a peer serves; None for an orphan."""
        return next((each for each in self.rules if peer in each.peers), None)


def fit(region: RegionInfo, rules: Sequence[Rule], labels_of: LabelsOf, is_sound: IsSound) -> RegionFit:
    """The best fit. Among equal ones, the leader serves, then peers of lower id."""
    peers = sorted(region.peers, key=lambda peer: (not region.leads(peer), peer.id))
    labels = {peer: found for peer in peers if (found := labels_of(peer.store_id)) is not None}
    search = _Search(region, rules, labels, is_sound)
    chosen = search.best(0, tuple(peers))[1] if len(rules) > 1 else search.choices(0, tuple(peers))[:1]
    serving = {peer: None for group in chosen for peer in group}
    return RegionFit(
        tuple(search.described(rule, group) for rule, group in zip(rules, chosen, strict=True)),
        tuple(peer for peer in peers if peer not in serving),
    )


def serves(region: RegionInfo, peer: Peer, role: Role) -> bool:
    """Whether the peer is in the role at the moment."""
    match role:
        case Role.VOTER:
            return peer.role == metapb.Voter
        case Role.LEADER:
            return region.leads(peer)
        case Role.FOLLOWER:
            return peer.role == metapb.Voter and not region.leads(peer)
        case Role.LEARNER:
            return peer.role == metapb.Learner


@dataclass(frozen=True, slots=True)
class _Search:
    region: RegionInfo
    rules: Sequence[Rule]
    labels: dict[Peer, Labels]
    is_sound: IsSound

    def best(self, number: int, free: tuple[Peer, ...]) -> tuple[list[Rank], list[tuple[Peer, ...]]]:
        """The ranks of the rules from `number` on, and the choice for each, when `free` peers are left."""
        if number == len(self.rules):
            return [], []
        answers = [self._followed_up(number, free, choice) for choice in self.choices(number, free)]
        return max(answers, key=lambda answer: answer[0])

    def choices(self, number: int, free: tuple[Peer, ...]) -> list[tuple[Peer, ...]]:
        """The equally best choices for a rule; one of them is enough when no rule follows."""
        rule = self.rules[number]
        allowed = [peer for peer in free if peer in self.labels and rule.allows(self.labels[peer])]
        if len(allowed) <= rule.count:
            return [tuple(allowed)]
        ranked = [(self._rank(rule, choice), choice) for choice in combinations(allowed, rule.count)]
        top = max(rank for rank, _ in ranked)
        choices = [choice for rank, choice in ranked if rank == top]
        return choices[:1] if number + 1 == len(self.rules) else choices

    def _followed_up(
        self, number: int, free: tuple[Peer, ...], choice: tuple[Peer, ...]
    ) -> tuple[list[Rank], list[tuple[Peer, ...]]]:
        ranks, choices = self.best(number + 1, tuple(peer for peer in free if peer not in choice))
        return [self._rank(self.rules[number], choice), *ranks], [choice, *choices]

    def _rank(self, rule: Rule, peers: tuple[Peer, ...]) -> Rank:
        sound = sum(map(self.is_sound, peers))
        in_role = sum(serves(self.region, peer, rule.role) for peer in peers)
        return len(peers), sound, in_role, score([self.labels[peer] for peer in peers], rule.location_labels)

    def described(self, rule: Rule, peers: tuple[Peer, ...]) -> RuleFit:
        misplaced = tuple(peer for peer in peers if not serves(self.region, peer, rule.role))
        return RuleFit(rule, peers, misplaced, score([self.labels[peer] for peer in peers], rule.location_labels))
