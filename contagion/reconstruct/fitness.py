"""Networks whose links are the likelier, the larger the two banks are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from contagion.clearing.network import Floats
from contagion.clearing.problems import positive
from contagion.errors import InputError, is_number, whole
from contagion.reconstruct.compiled import compiled
from contagion.reconstruct.networks import Ensemble, misfit
from contagion.reconstruct.scaling import even
from contagion.reconstruct.totals import Totals, read_totals

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["fitness", "link_probabilities"]

_BLOCK = 512
"""Rows that are worked on together."""


def fitness(
    assets: Any,
    liabilities: Any,
    *,
    links: float | None = None,
    density: float | None = None,
    samples: int = 100,
    seed: int = 0,
    progress: bool = False,
) -> Ensemble:
    """Return networks drawn by the density-corrected gravity model: p_ij = z·l_i·a_j / (1 + z·l_i·a_j).

    z makes the expected number of links what it is known, or thought, to be. A link that is drawn has the amount
    x_ij/p_ij, where x is the network of `max_entropy`, so that its mean over all draws is x_ij, and each bank's totals
    are right on average; in a single network they are not.

    Parameters
    ----------
    assets, liabilities : (n,) array, Series or mapping
        What each bank is owed by, and owes to, the others, USD; the same total (column sums and row sums).
    links, density : float
        Expected number of links, or as a share of all n·(n − 1) pairs; give one of the two.
    samples : int
    seed : int
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        All that is wrong with the input; more links than banks with something to lend and to borrow can have.

    Notes
    -----
    Cimini, Squartini, Garlaschelli and Gabrielli (2015), Systemic risk analysis on reconstructed economic and
    financial networks, Scientific Reports 5. They have l_i·a_j/W in the place of x_ij, which on a zero diagonal gives
    large banks too little; with x_ij expected totals are exact.

    Examples
    --------
    >>> networks = fitness([3, 2, 1, 4], [4, 3, 2, 1], density=0.5, samples=2000, seed=1)
    >>> round(float(networks.links.mean()), 1)  # of twelve pairs
    6.0
    >>> networks.mean.sum().round(1).tolist()
    [3.0, 2.0, 1.0, 4.0]
    """
    problems = [*positive("samples", samples, whole=True), *whole("seed", seed, 0)]
    totals, z = _calibrated("fitness", (assets, liabilities), links, density, problems)
    rng = np.random.default_rng(seed)
    order = np.argsort(-totals.assets, kind="stable")
    amounts = even(totals.liabilities, totals.assets)
    counted = tqdm(range(samples), desc="samples", unit="", disable=not progress)
    drawn = tuple(_sample(totals, z, amounts, order, rng) for _ in counted)
    residual = max(misfit(matrix, totals.liabilities, totals.assets) for matrix in drawn)
    return Ensemble(drawn, totals.labels, residual)


def link_probabilities(
    assets: Any, liabilities: Any, *, links: float | None = None, density: float | None = None
) -> pd.DataFrame:
    """Return p_ij = z·l_i·a_j / (1 + z·l_i·a_j), with z such that they add up to the number of links.

    Parameters
    ----------
    assets, liabilities, links, density
        As in `fitness`.

    Returns
    -------
    DataFrame
        Index debtor, columns creditor; zero on the diagonal. As prior of `gandy_veraart`.

    Raises
    ------
    InputError
        As in `fitness`.

    Examples
    --------
    >>> round(float(link_probabilities([3, 2, 1], [1, 2, 3], links=4).to_numpy().sum()), 12)
    4.0
    """
    totals, z = _calibrated("link_probabilities", (assets, liabilities), links, density, [])
    odds = z * np.outer(totals.liabilities, totals.assets)
    values = odds / (1.0 + odds)
    np.fill_diagonal(values, 0.0)
    return pd.DataFrame(values, index=totals.labels.rename("debtor"), columns=totals.labels.rename("creditor"))


def _calibrated(
    subject: str, sums: tuple[Any, Any], links: float | None, density: float | None, problems: list[str]
) -> tuple[Totals, float]:
    """Return the totals as shares of the whole would have them, and z."""
    if (links is None) == (density is None):
        problems.append("give either links or density")
    for name, value in (("links", links), ("density", density)):
        if value is not None and not (is_number(value) and value > 0.0):
            problems.append(f"{name} is {value!r}; give a positive number")
    totals = read_totals(subject, *sums, problems=problems)
    count = totals.assets.size
    wanted = float(links) if links is not None else float(density or 0.0) * count * (count - 1)
    both = np.count_nonzero((totals.liabilities > 0.0) & (totals.assets > 0.0))
    most = int(np.count_nonzero(totals.liabilities)) * int(np.count_nonzero(totals.assets)) - int(both)
    if most == 0:
        raise InputError(
            f"no two of {count} banks have something to borrow and to lend; give at least two, of which one owes "
            "and another is owed",
            subject,
        )
    if wanted >= most:
        raise InputError(
            f"{wanted:g} links are asked for; only {most} pairs have something to borrow and to lend, and links of "
            "which all are certain leave nothing to draw: give fewer",
            subject,
        )
    return totals, _strength(totals, wanted)


def _strength(totals: Totals, wanted: float) -> float:
    """Return z by Newton's method on log z, bracketed by bisection."""
    scale = float(totals.liabilities.max() * totals.assets.max())
    low, high = -800.0 - np.log(scale), 800.0 - np.log(scale)
    at = float(np.log(wanted / max(totals.liabilities.sum() * totals.assets.sum(), 1e-300)))
    for _ in range(200):
        total, slope = _expected(totals, at)
        low, high = (at, high) if total < wanted else (low, at)
        if abs(total - wanted) <= 1e-13 * wanted or high - low <= 1e-15 * max(abs(at), 1.0):
            break
        following = at + (wanted - total) / slope if slope > 0.0 else np.inf
        at = following if low < following < high else 0.5 * (low + high)
    return float(np.exp(at))


def _expected(totals: Totals, log_strength: float) -> tuple[float, float]:
    """Return Σ p and its derivative in log z, Σ p·(1 − p), over all pairs of different banks."""
    total = slope = 0.0
    strength = np.exp(log_strength)
    for first in range(0, totals.assets.size, _BLOCK):
        odds = np.outer(strength * totals.liabilities[first : first + _BLOCK], totals.assets)
        own = np.arange(odds.shape[0])
        odds[own, first + own] = 0.0
        missing = 1.0 / (1.0 + odds)
        found = odds * missing
        total += float(found.sum())
        slope += float((found * missing).sum())
    return total, slope


def _sample(totals: Totals, z: float, amounts: Floats, order: NDArray[np.int64], rng: np.random.Generator) -> csr_array:
    """Return one network: links drawn, and the amounts that make up for those that are not."""
    from scipy.sparse import csr_array

    odds = (z * totals.liabilities, totals.assets[order])
    size = 1024
    while True:
        columns, starts = np.empty(size, dtype=np.int64), np.zeros(totals.assets.size + 1, dtype=np.int64)
        state = rng.bit_generator.state
        if compiled(_links)(*odds, order, columns, starts, rng):
            break
        rng.bit_generator.state, size = state, size * 4
    places = columns[: starts[-1]]
    rows = np.repeat(np.arange(order.size), np.diff(starts))
    chance = z * totals.liabilities[rows] * totals.assets[places]
    values = amounts[rows, places] * (1.0 + chance) / chance
    found = csr_array((values, places, starts), shape=(order.size, order.size))
    found.sort_indices()
    found.eliminate_zeros()
    return found


def _links(
    strength: Floats,
    assets: Floats,
    order: NDArray[np.int64],
    columns: NDArray[np.int64],
    starts: NDArray[np.int64],
    rng: np.random.Generator,
) -> bool:
    """Write the links of one network row by row, columns in falling order of assets; False if there is no room.

    Along a row probabilities fall, so that pairs can be skipped with the probability of the last one and those hit kept
    with the ratio of their own to it: as many steps as links, not as pairs (Miller and Hagberg 2011).
    """
    count = 0
    for row in range(strength.size):
        place, bound = 0, 1.0
        while place < order.size:
            if bound < 1.0:
                skipped = np.log(1.0 - rng.random()) / np.log1p(-bound)
                place += order.size if skipped >= order.size else int(skipped)
            if place >= order.size:
                break
            odds = strength[row] * assets[place]
            own = odds / (1.0 + odds)
            if own <= 0.0:
                break
            if rng.random() * bound < own and order[place] != row:
                if count == columns.size:
                    return False
                columns[count] = order[place]
                count += 1
            bound = own
            place += 1
        starts[row + 1] = count
    return True
