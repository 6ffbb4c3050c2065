"""One system, ready for any scenario: lowered once, accounts prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from contagion.arrays import lower
from contagion.kernels import Inputs, State
from contagion.kernels.ahead import iterate_ahead
from contagion.kernels.rounds import ready
from contagion.scenario import Scenario
from contagion.stress.ending import Tally, ending
from contagion.stress.order import keeps_order
from contagion.stress.runs import MAX_ROUNDS, TOL
from contagion.sweep.measures import Reader, members
from contagion.sweep.overlay import Overlay, worse
from contagion.system import System

__all__ = ["Engine", "Row"]


class Row(NamedTuple):
    """What is written down of one scenario."""

    converged: bool
    rounds: int
    residual: float
    values: tuple[float, ...]  # the measures; NaN if no fixed point was found


class _Made(NamedTuple):
    """A run that the next one may set out from."""

    row: Row
    inputs: Inputs
    state: State


class Engine(NamedTuple):
    """Arrays, accounts and measures of one system with its overrides applied."""

    overlay: Overlay
    tally: Tally
    reader: Reader

    @classmethod
    def of(cls, system: System, measures: tuple[str, ...], scenarios: int = 1) -> Engine:
        """Return the engine of a checked system, for so many scenarios."""
        inputs, labels = lower(system, Scenario())
        chosen = members(measures, system, inputs, labels)
        tally = Tally.of(system, inputs, labels, chosen, ready(inputs, scenarios))
        return cls(Overlay.of(system, labels, inputs), tally, Reader.of(measures, labels))

    @property
    def positions(self) -> int:
        """How many positions a round goes through."""
        return int(self.overlay.inputs.positions.quantity.nnz)

    @property
    def keeps_order(self) -> bool:
        """Whether any scenario may set out from the state of another."""
        return keeps_order(self.overlay.inputs)

    def row(self, scenario: Scenario) -> Row:
        """Return what is written down of one scenario, solved from zero."""
        return self._made(self.overlay.under(scenario), None).row

    def chain(self, scenarios: Sequence[Scenario]) -> list[Row]:
        """Return what is written down of scenarios in a row.

        Each sets out from the state of the one before if that lies below its least fixed point: in systems that keep
        their order, and where nothing has become milder.
        """
        rows, before = [], None
        for scenario in scenarios:
            made = self._made(self.overlay.under(scenario), before)
            before = made if made.row.converged else None
            rows.append(made.row)
        return rows

    def _made(self, inputs: Inputs, before: _Made | None) -> _Made:
        warm = before is not None and worse(inputs, before.inputs) and keeps_order(inputs)
        begin = before.state if before is not None and warm else None
        run = iterate_ahead(inputs, TOL, MAX_ROUNDS, None, begin, None, self.tally.prepared)
        values = (np.nan,) * len(self.reader.measures)
        if run.converged:
            values = self.reader.read(ending(inputs, run.state, self.tally, self.reader.looks_at_accounts))
        return _Made(Row(run.converged, len(run.records), run.records[-1].step, values), inputs, run.state)
