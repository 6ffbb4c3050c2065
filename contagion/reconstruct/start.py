"""Where the Gibbs sampler starts from: a network near those that it will draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats
from contagion.errors import InputError
from contagion.reconstruct.compiled import compiled
from contagion.reconstruct.filling import filled
from contagion.reconstruct.networks import EXACT, misfit
from contagion.reconstruct.scaling import scaled
from contagion.reconstruct.totals import Totals

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["typical"]

_BLOCK = 512
"""Rows that are worked on together."""

_SMALL, _ROUNDS = 300, 2_000
"""Banks up to which chains start from the network of largest entropy, and rounds of scaling that it is given."""

_FITS, _POWER = 10, 0.6
"""Rounds of fitting rates to totals, and the power by which each is changed; a start need not be exact."""

_SCALINGS = 30
"""Rounds of scaling of what is drawn, before what totals have left is filled in."""

_DUST = 1e-13
"""Share of a total that is rounding."""


class _Rates(NamedTuple):
    """Amounts of links are exponential, their rate the sum of one of the debtor and one of the creditor, per USD."""

    debtors: Floats  # (n,)
    creditors: Floats  # (n,)


def typical(totals: Totals, odds: Floats, fits: csr_array, rng: np.random.Generator) -> csr_array:
    """Return a network that fits: the even one if it is small, else one much like the draws.

    The latter is drawn from the canonical ensemble: given rates α and β, i owes j something with probability
    g/(g + α_i + β_j), and then an exponential amount of rate α_i + β_j, where g is the odds of a link times the rate of
    amounts, and the rates make every bank's totals right on average. It is then scaled, and its totals filled up; where
    zeros do not let them be, it is the network that is known to fit.
    """
    from scipy.sparse import csr_array

    free = np.asarray(totals.free)
    if free.shape[0] <= _SMALL:
        matrix, _ = scaled(totals, free, _ROUNDS)
        if misfit(matrix, totals.liabilities, totals.assets) <= EXACT:
            return csr_array(matrix)
    drawn = _drawn(totals, odds, _rates(totals, odds), rng)
    left = [
        np.where(rest > _DUST * total, rest, 0.0)
        for rest, total in (
            (totals.liabilities - np.asarray(drawn.sum(axis=1)), totals.liabilities),
            (totals.assets - np.asarray(drawn.sum(axis=0)), totals.assets),
        )
    ]
    try:
        return csr_array(drawn + filled(totals._replace(liabilities=left[0], assets=left[1]), rng))
    except InputError:
        return fits


def _rates(totals: Totals, odds: Floats) -> _Rates:
    """Return rates that make totals about right on average, by changing each in proportion to what is missing."""
    count = totals.liabilities.size
    finite = odds[np.isfinite(odds) & (odds > 0.0)]
    typical_gain = float(finite.mean()) if finite.size else 1.0
    found = _Rates(*(_guess(typical_gain * count, side) for side in (totals.liabilities, totals.assets)))
    for _ in range(_FITS):
        sums = np.zeros((2, count))
        compiled(_expected)(np.asarray(totals.free), odds, *found, *sums)
        for rates, reached, side in zip(found, sums, (totals.liabilities, totals.assets), strict=True):
            rates *= np.divide(reached, side, out=np.ones_like(side), where=(side > 0.0) & (reached > 0.0)) ** _POWER
    return found


def _expected(
    free: NDArray[np.bool_], odds: Floats, debtors: Floats, creditors: Floats, owed: Floats, owned: Floats
) -> None:
    """Add up what links have on average, by debtor and by creditor."""
    for row in range(debtors.size):
        total = 0.0
        for column in range(creditors.size):
            if free[row, column]:
                each = debtors[row] + creditors[column]
                gain = odds[row, column] if odds.shape[0] > 1 else odds[0, 0]
                amount = 1.0 / (each * (1.0 + each / gain))
                total += amount
                owned[column] += amount
        owed[row] += total


def _guess(gain: float, side: Floats) -> Floats:
    return 0.5 * np.sqrt(np.divide(gain, side, out=np.full_like(side, np.inf), where=side > 0.0))


def _block(totals: Totals, odds: Floats, rates: _Rates, first: int) -> tuple[Floats, Floats]:
    """Return the probabilities of some rows' links, and the rates of their amounts."""
    rows = slice(first, first + _BLOCK)
    each = rates.debtors[rows, None] + rates.creditors
    with np.errstate(divide="ignore"):
        chances = 1.0 / (1.0 + each / (odds if odds.shape[0] == 1 else odds[rows]))
    return np.where(np.asarray(totals.free)[rows], chances, 0.0), each


def _drawn(totals: Totals, odds: Floats, rates: _Rates, rng: np.random.Generator) -> csr_array:
    """Return one draw, scaled until sums are close to the totals and nowhere above them."""
    from scipy.sparse import coo_array, csr_array

    count = totals.liabilities.size
    cells = []
    for first in range(0, count, _BLOCK):
        chances, each = _block(totals, odds, rates, first)
        rows, columns = np.nonzero(rng.random(chances.shape) < chances)
        cells.append((rows + first, columns, rng.exponential(1.0 / each[rows, columns])))
    rows, columns, amounts = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    ends = (rows, columns)
    for number in range(_SCALINGS + 1):
        for end, wanted in zip(ends, (totals.liabilities, totals.assets), strict=True):
            sums = np.bincount(end, amounts, minlength=count)
            factor = np.divide(wanted, sums, out=np.zeros_like(sums), where=sums > 0.0)
            amounts = amounts * (np.minimum(factor, 1.0) if number == _SCALINGS else factor)[end]
    return csr_array(coo_array((amounts, (ends[0], ends[1])), shape=(count, count)))
