"""Clients of the simulated stores: registers written and read, with a history for the linearizability checker.

Their view of who leads what is often old, as that of real clients: each keeps the context it used last, and sometimes
asks whatever store comes to mind. What a store answers is believed; what it promised must be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkers.histories import Look, Outcome, RegisterCall
from checkers.histories import Write as Written
from checkers.registers import TooTangled, judge_registers
from region_checks import Violation

from rutile_kv.raftstore.events import Completion, Event, ReadIndex, Write
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import NotLeader, RutileError, UndeterminedResult

if TYPE_CHECKING:
    from region_machine import Machine
    from region_simulation import RegionSimulation

REGISTERS = 8
GIVE_UP_MS = 4_000


@dataclass(slots=True)
class Call:
    """A request under way."""

    machine: Machine
    life: int
    finish: Callable[[Completion | None], None]
    """Called once: with its completion, or None when nobody will ever answer."""


def key_of(register: int) -> bytes:
    """Registers lie in all corners of the key space."""
    return bytes([97 + register * 3]) + b"-register"


class Clients:
    """All clients; their requests by token."""

    def __init__(self, simulation: RegionSimulation) -> None:
        self._simulation = simulation
        self._calls: dict[object, Call] = {}
        self._tokens = 0
        self._contexts: dict[int, tuple[int, kvrpcpb.Context]] = {}
        """What each register's last user remembers: (store, context)."""
        self._value = 0
        self.history: list[RegisterCall] = []
        self.acknowledged = 0
        self.reads = 0
        self.stopped = False
        self.undecided = False
        """Whether the history is too tangled to be judged: too many outcomes are unknown."""

    # --- requests -----------------------------------------------------------------------------------------------------

    def ask(self, machine: Machine, make: Callable[[int], Event], finish: Callable[[Completion | None], None]) -> None:
        """Step a request into a store; `finish` hears of its end, at the latest when the client gives up."""
        self._tokens += 1
        token = self._tokens
        self._calls[token] = Call(machine, machine.life, finish)
        machine.step(make(token))
        self._simulation.later(GIVE_UP_MS, lambda: self._end(token, None))

    def completed(self, machine: Machine, completion: Completion) -> None:
        """A store answers. Nobody is answered twice, but somebody may have given up."""
        self._end(completion.token, completion)

    def store_crashed(self, machine: Machine) -> None:
        """Nobody there will answer any more."""
        for token in [token for token, call in self._calls.items() if call.machine is machine]:
            self._end(token, None)

    def _end(self, token: object, completion: Completion | None) -> None:
        call = self._calls.pop(token, None)
        if call is not None:
            call.finish(completion)

    # --- what clients do ----------------------------------------------------------------------------------------------

    def act(self) -> None:
        """One client writes or reads one register."""
        rng = self._simulation.random
        register = rng.randrange(REGISTERS)
        route = self._route(register)
        if route is None:
            return
        machine, context = route
        action = rng.random()
        if action < 0.5:
            self._write(register, machine, context)
        elif action < 0.85:
            self._read(register, machine, context)
        else:
            context = _copy(context, replica_read=True)
            self._read(register, machine, context)

    def _route(self, register: int) -> tuple[Machine, kvrpcpb.Context] | None:
        """Where to go with a request: mostly to who leads, often to who led, sometimes anywhere."""
        simulation, rng = self._simulation, self._simulation.random
        remembered = self._contexts.get(register)
        if remembered is not None and rng.random() < 0.6:
            machine = simulation.machines[remembered[0]]
            return (machine, remembered[1]) if _answers(machine) else None
        machines = [machine for machine in simulation.machines.values() if _answers(machine)]
        rng.shuffle(machines)
        for machine in machines:
            region = machine.store.find_region(key_of(register))
            info = machine.store.region_info(region.id) if region is not None else None
            if info is not None and (info.is_leader or rng.random() < 0.1):
                epoch = info.region.region_epoch
                context = kvrpcpb.Context(region_id=info.region.id, region_epoch=epoch, peer=info.peer)
                self._contexts[register] = machine.id, context
                return machine, context
        return None

    def _note(self, register: int, action: Written | Look, began_ms: int, outcome: Outcome) -> None:
        ended = self._simulation.now_ms if outcome is not Outcome.UNKNOWN else float("inf")
        self.history.append(RegisterCall(register, action, began_ms, ended, outcome))

    def _write(self, register: int, machine: Machine, context: kvrpcpb.Context) -> None:
        self._value += 1
        value, began_ms = self._value, self._simulation.now_ms

        def finish(completion: Completion | None) -> None:
            error = None if completion is None else completion.error
            unknown = completion is None or isinstance(error, UndeterminedResult)
            outcome = Outcome.UNKNOWN if unknown else Outcome.FAILED if error is not None else Outcome.OK
            self.acknowledged += outcome is Outcome.OK
            self._simulation.note(f"write {register}={value} at store {machine.id}: {outcome.name} {error or ''}")
            self._note(register, Written(value), began_ms, outcome)

        pad = b"." * self._simulation.random.choice((0, 0, 30))
        modify = ("default", key_of(register), b"%d " % value + pad)
        self.ask(machine, lambda token: Write(token, _copy(context), [modify]), finish)

    def _read(self, register: int, machine: Machine, context: kvrpcpb.Context) -> None:
        began_ms = self._simulation.now_ms
        try:
            region = machine.store.read_now(context, machine.now_tick())
        except RutileError:
            self._contexts.pop(register, None)
            return
        if region is not None:
            self._simulation.checks.read_by_lease(machine.id, region.id, machine.store.led_term(region.id))
            self._have_read(register, machine, region.id, began_ms, "by lease")
            return
        led_term = machine.store.led_term(context.region_id)

        def finish(completion: Completion | None) -> None:
            if completion is None or completion.error is not None:
                return
            try:
                found = machine.store.read_again(context)
                if not context.replica_read and machine.store.led_term(found.id) != led_term:
                    raise NotLeader(found.id, None)
            except RutileError:
                return
            self._have_read(register, machine, found.id, began_ms, "by ReadIndex")

        self.ask(machine, lambda token: ReadIndex(token, context), finish)

    def _have_read(self, register: int, machine: Machine, region_id: int, began_ms: int, how: str) -> None:
        found = machine.get(region_id, key_of(register))
        value = None if found is None else int(found.split()[0])
        self.reads += 1
        self._simulation.note(f"read {register}={value} at store {machine.id} {how}")
        self._note(register, Look(value), began_ms, Outcome.OK)

    # --- the end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """No more requests."""
        self.stopped = True

    def judge(self) -> None:
        """Registers are linearizable: in particular, what was acknowledged is there."""
        for token in list(self._calls):
            self._end(token, None)
        try:
            verdicts = judge_registers(self.history)
        except TooTangled:
            self.undecided = True
            return
        if verdicts:
            raise Violation("; ".join(map(str, verdicts)))


def _answers(machine: Machine) -> bool:
    return machine.up and not machine.paused


def _copy(context: kvrpcpb.Context, replica_read: bool = False) -> kvrpcpb.Context:
    copy = kvrpcpb.Context()
    copy.CopyFrom(context)
    copy.replica_read = replica_read
    return copy
