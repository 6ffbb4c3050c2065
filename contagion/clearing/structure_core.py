"""Core and periphery: how close a network is to a core that trades with all, and a periphery that trades with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.clearing.network import Floats, Matrix, read
from contagion.clearing.problems import choice
from contagion.clearing.results import Column
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["EXACT_NODES", "CorePeriphery", "core_periphery"]

EXACT_NODES = 16
"""Nodes up to which all cores are tried."""

_TRIED = 20
"""Nodes up to which they may be, on request."""

_CHUNK = 1 << 16

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class CorePeriphery(HandsOutCopies):
    """The core that fits best.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns core, lends_to, borrows_from (counts of counterparties).
    errors : DataFrame
        2 × 2, index lender and columns borrower, core and periphery: links that are missing or too many in each block.
    score : float
        Errors over links: 0 for a perfect core and periphery; 1 is reached by an empty core.
    exact : bool
        Whether all cores were tried; otherwise no single move of a node makes it better.
    converged : bool
    rounds : int
        Moves, or cores that were tried.
    residual : float
        0: nothing is iterated to a limit.
    """

    frame: pd.DataFrame
    errors: pd.DataFrame
    score: float
    exact: bool
    converged: bool
    rounds: int
    residual: float = 0.0

    core = Column("Whether each node is in the core.")


class _Errors(NamedTuple):
    """Errors by block, lender first; numbers, or one of each for each of several cores."""

    core_core: Floats
    core_periphery: Floats
    periphery_core: Floats
    periphery_periphery: Floats

    @property
    def total(self) -> Floats:
        return self.core_core + self.core_periphery + self.periphery_core + self.periphery_periphery


def core_periphery(liabilities: Any, *, method: Literal["auto", "exact", "greedy"] = "auto") -> CorePeriphery:
    """Return the core with the fewest errors against a perfect one, in which each core bank intermediates.

    Amounts do not matter, only who has lent to whom. In a perfect network of tiers, all core banks lend to each other,
    periphery banks do not lend to each other, and each core bank lends to at least one of the periphery and borrows
    from at least one. Errors: links that lack within the core; links within the periphery; for each core bank that
    lends to nobody in the periphery, all n − c links that it could have; and the same for borrowing.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j: j has lent to i.
    method : {"auto", "exact", "greedy"}
        exact tries all 2ⁿ cores (at most 20 nodes). greedy takes the best of the cores of most connected nodes, then
        moves the node in or out that removes most errors, until none does. auto is exact up to 16 nodes.

    Returns
    -------
    CorePeriphery

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Craig and von Peter (2014), Interbank tiering and money center banks, Journal of Financial Intermediation 23:
    the blocks of section 2 and their error score, and the search by moves of single banks. Of cores with equally many
    errors, exact takes the smallest, and of these that with the first nodes.

    Examples
    --------
    Two banks that lend to each other, each with a customer that deposits and one that borrows: a perfect fit.

    >>> from scipy.sparse import coo_array
    >>> owes, to = [0, 1, 0, 3, 1, 5], [1, 0, 2, 0, 4, 1]
    >>> fit = core_periphery(coo_array(([1.0] * 6, (owes, to)), shape=(6, 6)))
    >>> fit.score, fit.core.tolist()
    (0.0, [True, True, False, False, False, False])
    """
    table = read("core_periphery", {"liabilities": Matrix(liabilities)}, {}, choice("method", method, _METHODS))
    lends = table.matrices["liabilities"].T.tocsr()
    lends.data = np.ones_like(lends.data)
    labels = table.labels["node"].rename("node")
    count = len(labels)
    if method == "exact" and count > _TRIED:
        message = f"method 'exact' tries 2ⁿ cores, and there are {count} nodes; give at most {_TRIED}, or 'greedy'"
        raise InputError(message, "core_periphery")
    exact = method == "exact" or (method == "auto" and count <= EXACT_NODES)
    core, rounds = _best(lends) if exact else _moved(lends)
    errors = _errors(lends.toarray(), core[None, :]) if exact else _sparse_errors(lends, core)
    sides = pd.Index(["core", "periphery"], name="lender"), pd.Index(["core", "periphery"], name="borrower")
    blocks = np.array([float(np.asarray(one).reshape(-1)[0]) for one in errors]).reshape(2, 2)
    columns = {"core": core, "lends_to": np.diff(lends.indptr), "borrows_from": np.diff(lends.tocsc().indptr)}
    score = float(blocks.sum()) / max(lends.nnz, 1)
    table_of_errors = pd.DataFrame(blocks, index=sides[0], columns=sides[1])
    return CorePeriphery(pd.DataFrame(columns, index=labels), table_of_errors, score, exact, True, rounds)


_METHODS = ("auto", "exact", "greedy")


def _errors(lends: Floats, cores: Flags) -> _Errors:
    """Return the errors of several cores (rows) in a small network."""
    inside = cores.astype(np.float64)
    outside = 1.0 - inside
    size = inside.sum(axis=1)
    count = cores.shape[1]
    to_core, to_outside = inside @ lends.T, outside @ lends.T
    from_outside = outside @ lends
    return _Errors(
        size * (size - 1.0) - (to_core * inside).sum(axis=1),
        (count - size) * ((to_outside == 0.0) & cores).sum(axis=1),
        (count - size) * ((from_outside == 0.0) & cores).sum(axis=1),
        (to_outside * outside).sum(axis=1),
    )


def _best(lends: csr_array) -> tuple[Flags, int]:
    """Return the best of all cores, and how many there are."""
    dense, count = lends.toarray(), lends.shape[0]
    best: tuple[float, int, int] = (np.inf, 0, 0)
    places = count - 1 - np.arange(count)
    for start in range(0, 1 << count, _CHUNK):
        numbers = np.arange(start, min(start + _CHUNK, 1 << count))
        cores = (numbers[:, None] >> places) & 1 == 1
        total, size = _errors(dense, cores).total, cores.sum(axis=1)
        first = int(np.lexsort((-numbers, size, total))[0])
        best = min(best, (float(total[first]), int(size[first]), -int(numbers[first])))
    core: Flags = (-best[2] >> places) & 1 == 1
    return core, 1 << count


def _sparse_errors(lends: csr_array, core: Flags) -> _Errors:
    """Return the errors of one core in a network of any size."""
    inside, outside = core.astype(np.float64), (~core).astype(np.float64)
    size, count = float(inside.sum()), core.size
    lent, borrowed = lends @ outside, outside @ lends
    return _Errors(
        np.asarray(size * (size - 1.0) - inside @ (lends @ inside)),
        np.asarray((count - size) * np.count_nonzero((lent == 0.0) & core)),
        np.asarray((count - size) * np.count_nonzero((borrowed == 0.0) & core)),
        np.asarray(outside @ lent),
    )


def _moved(lends: csr_array) -> tuple[Flags, int]:
    """Return a core that no single move makes better, and the moves that led there."""
    core, rounds = _ranked(lends), 0
    back = lends.T.tocsr()
    total = float(_sparse_errors(lends, core).total)
    while core.size:
        after = _after_moves(lends, back, core)
        node = int(np.argmin(after))
        if after[node] >= total - 0.5:
            break
        core, total, rounds = core ^ (np.arange(core.size) == node), float(after[node]), rounds + 1
    return core, rounds


def _ranked(lends: csr_array) -> Flags:
    """Return the c nodes with most counterparties, for the c with fewest errors within core and periphery."""
    count = lends.shape[0]
    degree = np.diff(lends.indptr) + np.diff(lends.tocsc().indptr)
    place = np.empty(count, dtype=np.int64)
    place[np.argsort(-degree, kind="stable")] = np.arange(count)
    links = lends.tocoo()
    ends = place[links.row], place[links.col]
    within = np.cumsum(np.bincount(np.maximum(*ends) + 1, minlength=count + 1))
    touched = np.cumsum(np.bincount(np.minimum(*ends) + 1, minlength=count + 1))
    size = np.arange(count + 1)
    errors = size * (size - 1) - within + (lends.nnz - touched)
    ranked: Flags = place < int(np.argmin(errors))
    return ranked


def _after_moves(lends: csr_array, back: csr_array, core: Flags) -> Floats:
    """Return how many errors there are after each node's move into the core or out of it."""
    inside, outside = core.astype(np.float64), (~core).astype(np.float64)
    size, count = inside.sum(), core.size
    sign = np.where(core, -1.0, 1.0)
    now = _sparse_errors(lends, core)
    to_core, from_core = lends @ inside, back @ inside
    to_outside, from_outside = lends @ outside, back @ outside
    new_size = size + sign
    pairs = now.core_core - size * (size - 1.0) + new_size * (new_size - 1.0) - sign * (to_core + from_core)
    apart = now.periphery_periphery - sign * (to_outside + from_outside)
    idle = _idle(core, to_outside, back) + _idle(core, from_outside, lends)
    total: Floats = pairs + apart + (count - new_size) * idle
    return total


def _idle(core: Flags, links: Floats, back: csr_array) -> Floats:
    """Return, after each node's move, how many core banks have no link to the periphery (in one direction)."""
    idle = core & (links == 0.0)
    # a node that joins takes their last link from those that have only this one; one that leaves gives a first one
    losing = back @ (core & (links == 1.0)).astype(np.float64)
    gaining = back @ idle.astype(np.float64)
    joined = losing + (links == 0.0)
    left = -gaining - (links == 0.0)
    moved: Floats = np.count_nonzero(idle) + np.where(core, left, joined)
    return moved
