"""Networks drawn from all that fit the totals exactly, given how likely links are and how large they tend to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion.clearing.network import Floats, Matrix, read
from contagion.clearing.problems import positive
from contagion.errors import InputError, instance, is_number, refuse, whole
from contagion.reconstruct.compiled import compiled
from contagion.reconstruct.cycles import swept
from contagion.reconstruct.filling import filled
from contagion.reconstruct.links import Links, listed
from contagion.reconstruct.networks import Ensemble, misfit
from contagion.reconstruct.start import typical
from contagion.reconstruct.totals import Totals, read_totals

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Chain", "gandy_veraart"]

_JITTER, _UNSEEN = 1e-13, 1e-12
"""Share by which first amounts are moved, so that no sums are equal by chance; and up to which links are rounding."""

_REPAIRS = 2
"""Rounds of scaling after each sample; what they mend is rounding."""

_RAREST = 1e-15
"""Probability that rarer links are given: beyond it, weights of networks with and without them leave all numbers."""

_SHORTEST = 100
"""Fewest moves in a sweep."""

_AT_ONCE = 50_000
"""Moves between two looks at the progress, at least one sweep."""

_SWITCHES, _SPARSE = 0.3, 0.1
"""Share of moves that switch a link, and density from which on there are none: walked cycles are often closed then."""


@dataclass(frozen=True)
class Chain:
    """How long the sampler runs; a sweep is as many moves as links are expected, at least 100.

    Burn in until ``links`` of the ensemble has no trend; ``effective_samples`` says how many draws they are worth.

    Parameters
    ----------
    samples : int
        Networks to keep.
    burn_in : int
        Sweeps before the first is kept; the chain starts from the network of largest entropy, and above 300 banks from
        a draw with about the same totals, fitted to them.
    thin : int
        Sweeps from one that is kept to the next; more, if samples should be less alike.
    seed : int
    """

    samples: int = 50
    burn_in: int = 50
    thin: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        problems = whole("samples", self.samples, 1) + whole("burn_in", self.burn_in, 0)
        refuse(problems + whole("thin", self.thin, 1) + whole("seed", self.seed, 0), "Chain")


def gandy_veraart(
    assets: Any,
    liabilities: Any,
    p: Any,
    rate: float | None = None,
    *,
    known: Any = None,
    chain: Chain | None = None,
    progress: bool = False,
) -> Ensemble:
    """Return networks drawn from the posterior: links with probability p, amounts exponential, all totals exact.

    Before totals are known, i owes j something with probability p_ij, independently, and then an exponential amount of
    mean 1/rate. What is drawn is this, given the totals and known cells. Draws depend on their predecessors: look at
    ``effective_samples`` and repeat with more ``thin``, or another seed, before quantiles are trusted.

    Parameters
    ----------
    assets, liabilities : (n,) array, Series or mapping
        What each bank is owed by, and owes to, the others, USD; the same total (column sums and row sums).
    p : float or (n, n) array, sparse array or DataFrame
        Probability of a link; zero where there is none, zero diagonal. `link_probabilities` gives such by size.
    rate : float, optional
        One over the mean amount of a link, per USD; by default what makes expected links carry the grand total.
    known : (n, n) array or DataFrame with NaN where nothing is known, sparse array or DiGraph, optional
        Cells that are known and kept, zeros among them; of sparse arrays the stored cells, of graphs the edges.
    chain : Chain, optional
        Samples, burn-in, thinning and seed; ``Chain()`` by default.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        All that is wrong with the input, and totals that no network fits.

    Notes
    -----
    Gandy and Veraart (2017), A Bayesian methodology for systemic risk assessment in financial networks, Management
    Science 63: the model of section 3 and its Gibbs sampler on cycles. Cycles are walked along links that exist, and
    outcomes weighted for it, where theirs are drawn from all cells and mostly void if links are rare; and where they
    are, three moves of ten switch one link against a path that joins its ends. The posterior is the same. At 5,000
    banks and 50,000 links memory peaks at 0.5 GB, and at 1.4 GB with probabilities by pair, those included.

    Sums of totals in round numbers are often equal by chance, and a network could then fall apart for ever; theirs
    stays so. Here such totals are taken as rounded: they are moved apart by 1e-13, and links of no more than 1e-12 of a
    total are left out.

    Examples
    --------
    Three banks: one number is free, what the first owes the second, from 0 to 1.

    >>> networks = gandy_veraart([1, 2, 3.5], [3.3, 2.2, 1], 0.5, chain=Chain(samples=2))
    >>> [round(float(total), 9) for total in networks[1].sum()], round(networks.residual, 9)
    ([1.0, 2.0, 3.5], 0.0)
    """
    chain = Chain() if chain is None else chain
    problems = instance("chain", chain, Chain, "a Chain (samples, burn_in, thin, seed)")
    problems += [] if rate is None else positive("rate", rate)
    problems += [f"p is {p!r}; give 0 < p <= 1"] if is_number(p) and not 0.0 < p <= 1.0 else []
    totals = read_totals("gandy_veraart", assets, liabilities, known, problems)
    chances = np.full((1, 1), float(p)) if is_number(p) else _chances(totals, p)
    chances = np.where(chances > 0.0, np.maximum(chances, _RAREST), 0.0)
    free = _free(totals, chances)
    rng = np.random.default_rng(chain.seed)
    expected = float(np.count_nonzero(free) * chances[0, 0] if chances.size == 1 else chances[free].sum())
    total, known_free = float(totals.liabilities.sum()), totals._replace(free=free)
    fits = filled(known_free, rng)  # or says which banks show that none does
    if total == 0.0:
        return _ensemble(totals, [fits] * chain.samples)
    with np.errstate(divide="ignore"):
        odds = chances / (1.0 - chances) * (expected / total if rate is None else rate)
    start = typical(known_free, odds, fits, rng)
    sweep = int(max(expected, start.nnz, _SHORTEST))
    switches = _SWITCHES if expected < _SPARSE * np.count_nonzero(free) else 0.0
    return _ensemble(totals, _drawn(totals, _Run(start, free, odds, switches, sweep), chain, rng, progress))


@dataclass(frozen=True)
class _Run:
    start: csr_array
    free: Any
    odds: Floats
    switches: float  # share of the moves
    sweep: int  # moves


def _chances(totals: Totals, p: Any) -> Floats:
    """Return probabilities by cell, in the order of the totals."""
    first = Matrix(pd.DataFrame(np.zeros((len(totals.labels),) * 2), index=totals.labels, columns=totals.labels))
    table = read("gandy_veraart", {"totals": first, "p": Matrix(p, highest=1.0)}, {})
    return np.asarray(table.matrices["p"].toarray(), dtype=np.float64)


def _free(totals: Totals, chances: Floats) -> Any:
    count = totals.liabilities.size
    free = ~np.eye(count, dtype=np.bool_) if totals.free is None else totals.free
    free = free & (totals.liabilities > 0.0)[:, None] & (totals.assets > 0.0)[None, :]
    return free if chances.size == 1 else free & (chances > 0.0)


def _drawn(totals: Totals, run: _Run, chain: Chain, rng: np.random.Generator, progress: bool) -> list[csr_array]:
    """Return the networks that are kept."""
    run.start.data *= 1.0 + _JITTER * rng.standard_normal(run.start.nnz)
    links = listed(run.start, run.free)
    kept: list[csr_array] = []
    with tqdm(total=chain.burn_in + chain.samples * chain.thin, desc="sweeps", unit="", disable=not progress) as bar:
        for sample in range(chain.samples):
            left = chain.thin + (chain.burn_in if sample == 0 else 0)
            while left > 0:
                sweeps = min(left, max(1, _AT_ONCE // run.sweep))
                links = _moved(links, run, sweeps * run.sweep, rng)
                left -= sweeps
                bar.update(sweeps)
            kept.append(_repaired(totals, links))
    return kept


def _moved(links: Links, run: _Run, moves: int, rng: np.random.Generator) -> Links:
    """Return the links after so many moves; lists that are full get more room, and moves go on."""
    move = compiled(swept, allocates=False)
    while moves > 0:
        moves -= move(links, run.odds, run.switches, moves, rng)
        links = links.with_room() if links.state[0] else links
    return links


def _repaired(totals: Totals, links: Links) -> csr_array:
    """Return the debts, scaled by the rounding that moves have left in their sums.

    The chain goes on with that rounding: it keeps apart what would be equal by chance.
    """
    from scipy.sparse import csr_array

    rows, columns, amounts = links.cells
    size = links.row_degree.size
    for _ in range(_REPAIRS):
        for ends, wanted in ((rows, totals.liabilities), (columns, totals.assets)):
            found = np.bincount(ends, amounts, minlength=size)
            amounts *= np.divide(wanted, found, out=np.ones_like(found), where=found > 0.0)[ends]
    visible = np.where(amounts > _UNSEEN * np.minimum(totals.liabilities[rows], totals.assets[columns]), amounts, 0.0)
    starts = np.append(0, np.cumsum(links.row_degree))
    matrix = csr_array((visible, columns, starts), shape=(size, size))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _ensemble(totals: Totals, drawn: list[csr_array]) -> Ensemble:
    matrices = tuple((matrix + totals.known).tocsr() for matrix in drawn)
    residual = max(misfit(matrix, totals.all_liabilities, totals.all_assets) for matrix in matrices)
    if residual > 1e-9:  # pragma: no cover; moves keep sums, whatever else they do
        raise InputError(f"sums have drifted by {residual:.1e}; amounts differ too much in size", "gandy_veraart")
    return Ensemble(matrices, totals.labels, residual)
