"""Rounds that look ahead: the same least fixed point, with far fewer passes over the accounts where rounds are slow.

Near a tipping point the share ρ of a step that is left after a round is close to one, and rounds take thousands. Here
ordinary rounds go on only until they are seen to be slow. Then each pass follows all accounts along a straight path
into worse states (`contagion.kernels.path`), and the state moves as far along it as the map is certain to go beyond it
(`contagion.kernels.envelope`): never past the least fixed point, whatever the direction. The direction is a guess:
where the last states extrapolate to (Anderson 1965), or, if that leads nowhere, three times as far as the last step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from contagion.kernels import chunks
from contagion.kernels.convergence import ACCURACY, distance, local_rate, settled
from contagion.kernels.envelope import certain, lower_bound
from contagion.kernels.inputs import Floats, Inputs
from contagion.kernels.markets import prices
from contagion.kernels.order import keeps_order
from contagion.kernels.path import Along, Path, accounts_along
from contagion.kernels.reaction import Immune, Reaction, State
from contagion.kernels.rounds import Record, Rounds, account_pass, opening_equity, record_of, respond, start

if TYPE_CHECKING:
    from contagion.kernels.compiled import Prepared

__all__ = ["iterate_ahead"]

_FIRST = 12
"""Rounds before the first look ahead."""

_PAYS = 80.0
"""Rounds that must be left, at the rate of the last ones, for a first look to pay; with less it would cost time."""

_PAYS_AGAIN = 6.0

_MEMORY = 6
"""Points that an extrapolation rests on."""

_TELLING = 1e-3
"""Share of the largest component of a step below which others have no say in whether an extrapolation leads on."""

_LONGEST = 0.5
"""Largest log drop along one path: bounds are looser the longer it is."""

_FURTHER = 3.0
_RESTS = 3e-15
"""Step that is no more than rounding."""

_TAIL = 10
"""Rounds after the last look before their rate may end them, if no certificate does."""

_WIDTHS = (1e-12, 1e-11, 1e-10, ACCURACY)
"""Distances of the fixed point that are certified if they can be, the smallest first."""

_ROUNDING = 4e-16
_SHORT = 1.0 - 1e-3
"""Share of the certain step that is taken: rounding must not carry it past the fixed point."""


@np.errstate(over="ignore", invalid="ignore")  # a price beyond all numbers ends the rounds; see `distance`
def iterate_ahead(
    inputs: Inputs,
    tol: float,
    max_rounds: int,
    report: Callable[[Record], object] | None = None,
    begin: State | None = None,
    immune: Immune | None = None,
    prepared: Prepared | None = None,
) -> Rounds:
    """Return the state after rounds and looks ahead, each of them one pass over the accounts and one record.

    As `contagion.kernels.rounds.iterate`, which it equals to 1e-9 in systems that keep the order; in all others, and
    where rounds are fast, it is the same. Rounds end as there, or once a state a hair above has been found that the map
    does not raise: the least fixed point then lies between the two (Tarski 1955).
    """
    search = _Search(inputs, begin, immune, prepared)
    while not search.ended(tol) and len(search.records) < max_rounds:
        search.advance(tol)
        if report is not None:
            report(search.records[-1])
    return search.result(tol)


class _Search:
    """A state at or below the least fixed point, and what is known of the way on."""

    def __init__(self, inputs: Inputs, begin: State | None, immune: Immune | None, prepared: Prepared | None) -> None:
        if prepared is None and inputs.positions.quantity.nnz >= chunks.COMPILED_FROM:
            from contagion.kernels import compiled  # loads the compiler

            prepared = compiled.prepare(inputs, screened=False, ends_only=True)
        self._inputs, self._immune, self._prepared = inputs, immune, prepared
        self._state = start(inputs) if begin is None else begin
        self._warm = begin is not None
        self._pass = account_pass(inputs, self._state, immune, prepared, np.maximum)
        self._opening: Floats | None = None if prepared is None else prepared.opening
        self.records: list[Record] = []
        self._steps: list[float] = []  # of the ordinary rounds since the last look
        self._past: list[tuple[Floats, Floats]] = []  # points, and where the map takes them
        self._made: Reaction | None = None
        self._step = np.zeros(0)  # of the last pass
        self._wait, self._looking, self._idle = _FIRST, False, 0
        self._able: bool | None = None
        self._looks, self._widths, self._bound = 0, list(_WIDTHS), np.nan

    def ended(self, tol: float) -> bool:
        """Return whether the rounds have come to their end."""
        steps = self._steps
        if steps and np.isnan(steps[-1]):
            return True
        consistent = not self._warm or len(self.records) > 1  # a given average price may belong to other sales
        if self._bound <= ACCURACY:
            return True
        # after a look what is left is small at once: its rate, and so its error, shows only after a while
        telling = not self._looks or len(steps) >= _TAIL or (bool(steps) and steps[-1] == 0.0)
        return consistent and not self._looking and telling and settled(steps, tol)

    def result(self, tol: float) -> Rounds:
        """Return where the rounds have come to."""
        steps = self._steps
        self._pass.flush()
        converged = self.ended(tol) and not (steps and np.isnan(steps[-1]))
        return Rounds(
            self._state,
            self.records,
            *self._pass.firsts,
            converged,
            looks=self._looks,
            last=tuple(steps),
            bound=float(self._bound),
            sold=None if self._made is None else self._made.sold,
            ends_only=self._prepared is not None and self._prepared.ends_only,
        )

    def advance(self, tol: float) -> None:
        """Take one pass over the accounts: a round, a look ahead, or a certificate."""
        if self._looking or self._slow(tol):
            self._look()
        elif self._looks and self._widths and len(self._steps) >= 2 and self._steps[-1] <= tol:
            self._certify(self._widths.pop(0))
        else:
            self._round()

    def _slow(self, tol: float) -> bool:
        """Return whether a look ahead may save rounds."""
        steps = self._steps
        if len(steps) < self._wait or not _RESTS < steps[-1] < math.inf:
            return False
        rate = local_rate(steps)
        left = math.log(min(tol / steps[-1], 1.0)) / math.log(rate) if 0.0 < rate < 1.0 else math.inf
        if math.isnan(rate) or left <= (_PAYS_AGAIN if self._looks else _PAYS):
            return False
        if self._able is None:
            self._able = keeps_order(self._inputs)
        return self._able

    def _round(self) -> None:
        before, number = self._state, len(self.records) + 1
        made = self._pass(number, before)
        self._state, cleared = respond(self._inputs, before, made, self._pass.opening, self._immune)
        self._steps.append(distance(before, self._state, made.moved))
        self._made = made
        here, there = self._point(before), self._point(self._state)
        self._step = np.nan_to_num(there - here, nan=0.0, posinf=0.0)
        self._remember(here, there)
        self.records.append(record_of(self._inputs, self._state, made, cleared, self._steps[-1]))

    def _look(self) -> None:
        made = self._made
        assert made is not None
        self._pass.flush()
        path = self._path()
        along = self._along(path)
        reach = lower_bound(self._inputs, path, along, made.sold, self._pass.opening, self._immune)
        t, *step = certain(path, reach)
        here, now = self._point(self._state), np.concatenate(step)
        at_once = np.concatenate([part.left[:, 0] for part in reach])
        self._step = np.nan_to_num(now, nan=0.0, posinf=0.0)
        self._remember(here, here + at_once)
        self._remember(here + t * np.concatenate([path.log_drop, path.average, path.haircut]), here + now)
        self._state = _moved(self._inputs, self._state, here + _SHORT * now)
        self._looks += 1
        moved, alone = (float(np.nan_to_num(each, nan=0.0).max(initial=0.0)) for each in (now, at_once))
        self._idle = 0 if moved > 2.0 * alone else self._idle + 1
        self._looking = alone > _RESTS and self._idle < 2
        self._steps, self._wait = [], 2 if self._idle < 2 else 8
        self._widths = list(_WIDTHS)
        self.records.append(self.records[-1]._replace(step=moved, log_drop=self._state.log_drop))

    def _along(self, path: Path) -> Along:
        if self._opening is None:
            self._opening = opening_equity(self._inputs)
        if self._prepared is None:
            return accounts_along(self._inputs, path, self._opening, self._immune)
        from contagion.kernels import fused_path  # loads the compiler

        return fused_path.accounts_along(self._inputs, path, self._prepared, self._immune)

    def _path(self) -> Path:
        """Return where to look: to where the last points extrapolate to, or where the last step went."""
        here, step = self._point(self._state), self._step
        guess = np.nan_to_num(_extrapolated(self._past) - here, nan=0.0, posinf=0.0, neginf=0.0)
        telling = step > _TELLING * step.max(initial=0.0)
        leads = bool((guess[telling] > 0.0).all()) and self._idle == 0
        way = np.where(np.isfinite(here), np.maximum(guess if leads else _FURTHER * step, 0.0), 0.0)
        way *= min(1.0, _LONGEST / way.max(initial=_LONGEST))
        m = self._inputs.markets.price.size
        haircut = np.minimum(way[2 * m :], 1.0 - self._state.haircut)
        return Path(self._state, way[:m], way[m : 2 * m], haircut)

    def _point(self, state: State) -> Floats:
        """Return a state as a point: δ, ν and θ."""
        with np.errstate(divide="ignore"):
            average = -np.log(state.average / self._inputs.markets.price)
        return np.concatenate([state.log_drop, average, state.haircut])

    def _remember(self, point: Floats, image: Floats) -> None:
        self._past = [*self._past[1 - _MEMORY :], (point, image)]

    def _certify(self, width: float) -> None:
        """Look whether the map does not raise a state a hair above: that bounds how far the fixed point may be."""
        self._pass.flush()
        inputs, here = self._inputs, self._point(self._state)
        way = np.where(np.isfinite(here), np.maximum(self._past[-1][1] - self._past[0][0], 0.0), 0.0)
        lift = width / way.max() * way if way.max(initial=0.0) > 0.0 else np.zeros_like(way)
        top = here + lift
        above = _moved(inputs, self._state, top)
        made = account_pass(inputs, above, self._immune, self._prepared, np.maximum)(1, above)
        new, _ = respond(inputs, above, made, self._pass.opening, self._immune)
        allowed = np.where(lift > _RESTS, 0.0, _ROUNDING * (1.0 + np.abs(top)))  # what does not move only rounds
        if (self._point(new) <= top + allowed)[np.isfinite(top)].all():
            self._bound = width
        self._looks += 1
        self.records.append(self.records[-1])


def _extrapolated(past: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Return the point that the last ones tend to, if what is left of a step depends on it linearly (Anderson 1965)."""
    points, images = (np.array(each) for each in zip(*past, strict=True))
    usable = np.isfinite(points).all(axis=0) & np.isfinite(images).all(axis=0)
    left = np.where(usable, images - points, 0.0)
    change, images = np.diff(left, axis=0), np.where(usable, images, 0.0)
    weight = np.linalg.lstsq(change.T, left[-1], rcond=1e-10)[0] if len(past) > 1 else np.zeros(0)
    found: Floats = images[-1] - weight @ np.diff(images, axis=0)
    return found


def _moved(inputs: Inputs, state: State, point: Floats) -> State:
    """Return the state with prices and haircuts of a point; shares and quotes follow in the next round."""
    m, price = inputs.markets.price.size, inputs.markets.price
    log_drop, average = (
        np.where(np.isnan(new), old, new)
        for new, old in ((point[:m], state.log_drop), (prices(price, point[m : 2 * m]), state.average))
    )
    return state._replace(log_drop=log_drop, average=average, haircut=np.minimum(1.0, point[2 * m :]))
