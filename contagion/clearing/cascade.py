"""Cascades in which only defaults pass losses on: Furfine (2003), and thresholds on equity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion.clearing.clearing_vector import EXACT
from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.obligations import TIE
from contagion.clearing.results import Column, checked
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["Cascade", "furfine", "threshold_cascade"]

_SUMS = "amounts are too far apart for their sums"


@dataclass(frozen=True)
class Cascade(HandsOutCopies):
    """Who fails after whom, and what it costs.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns equity_before (if all debtors pay), loss (uncapped: all that is lost), capped_loss (what
        equity bears of it, at most all there is), equity (equity_before − loss, negative for those that fail; all
        USD), defaulted, default_round (from 1; 0 for those that do not fail).
    converged : bool
        Always; a cascade ends when nobody else fails.
    rounds : int
        Waves of defaults.
    residual : float
        Largest gap of the losses' equation, as a share of the largest loss.
    """

    frame: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    loss = Column("Losses, USD by node, also beyond equity.")
    equity = Column("Equity after losses, USD by node.")
    defaulted = Column("Nodes that fail.")
    default_round = Column("Wave of defaults, from 1; 0 for nodes that do not fail.")


def furfine(
    liabilities: Any, external_assets: Any, external_liabilities: Any = None, recovery_rate: Any = 0.0
) -> Cascade:
    """Return the cascade of nodes whose equity falls below zero, where each default costs a fixed share of its debts.

    Eᵢ = eᵢ + Σⱼ Lⱼᵢ (1 if j stands, else Rⱼ) − p̄ᵢ; i fails if Eᵢ < 0. Of all sets of defaults that agree with this,
    the smallest; the recovery rate is given, not what is left (Eisenberg and Noe do that).

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    external_assets, external_liabilities : (n,) array, Series, mapping or float
        Assets and debts outside of the network, USD, at least zero; no debts by default.
    recovery_rate : float, or one for each node as above
        Share of its debts that a node pays when it fails, 0 to 1.

    Returns
    -------
    Cascade
        ``loss`` are losses on claims in the network; those outside are in ``equity_before`` already.

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If amounts are so large that their sums are not finite.

    Notes
    -----
    Furfine (2003), Interbank exposures: quantifying the risk of contagion, Journal of Money, Credit and Banking 35.

    Examples
    --------
    The first bank cannot pay the 3 it owes to the second, which has 2 of its own and owes 3 to the third.

    >>> cascade = furfine([[0, 3, 0], [0, 0, 3], [0, 0, 0]], [2, 2, 1], recovery_rate=0.5)
    >>> cascade.equity.tolist(), cascade.default_round.tolist()
    ([-1.0, 0.5, 4.0], [1, 0, 0])
    """
    vectors = {
        "external_assets": Vector(external_assets),
        "external_liabilities": Vector(external_liabilities, default=0.0),
        "recovery_rate": Vector(recovery_rate, highest=1.0, default=0.0),
    }
    table = read("furfine", {"liabilities": Matrix(liabilities)}, vectors)
    matrix = table.matrices["liabilities"]
    owed = np.asarray(matrix.sum(axis=1)).reshape(-1) + table.vectors["external_liabilities"]
    held = table.vectors["external_assets"] + np.asarray(matrix.sum(axis=0)).reshape(-1)

    def fails(loss: Floats) -> NDArray[np.bool_]:
        return np.asarray(owed - held + loss > TIE * np.maximum(owed, held))

    none = np.zeros(owed.size)
    lost = 1.0 - table.vectors["recovery_rate"]
    return checked(_result(matrix, lost, none, fails, held - owed, table.labels["node"]), "furfine", "raise", _SUMS)


def threshold_cascade(liabilities: Any, equity: Any, shock: Any, recovery_rate: Any = 0.0) -> Cascade:
    """Return the cascade of nodes that lose all their equity: hᵢ ≥ 1, hᵢ = sᵢ + Σⱼ Lⱼᵢ (1 − Rⱼ) [j failed] / Eᵢ.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    equity : (n,) array, Series, mapping or float
        What each node can lose, USD, at least zero.
    shock : likewise
        Share of its equity that each node loses first; 1 makes it fail. Nodes that are left out lose nothing.
    recovery_rate : float, or one for each node as above
        Share of its debts that a node pays when it fails, 0 to 1.

    Returns
    -------
    Cascade
        ``loss`` includes the shock.

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If amounts are so large that their sums are not finite.

    Notes
    -----
    The threshold model of interbank contagion: Gai and Kapadia (2010), Contagion in financial networks, Proceedings of
    the Royal Society A 466; a node without equity fails with its first loss.

    Examples
    --------
    >>> threshold_cascade([[0, 3, 0], [0, 0, 3], [0, 0, 0]], [1, 2, 4], {0: 1.0}).default_round.tolist()
    [1, 2, 0]
    """
    vectors = {
        "equity": Vector(equity),
        "shock": Vector(shock, default=0.0),
        "recovery_rate": Vector(recovery_rate, highest=1.0, default=0.0),
    }
    table = read("threshold_cascade", {"liabilities": Matrix(liabilities)}, vectors)
    own = table.vectors["equity"]

    def fails(loss: Floats) -> NDArray[np.bool_]:
        return np.asarray((loss >= own * (1.0 - TIE)) & (loss > 0.0)) | (table.vectors["shock"] >= 1.0)

    lost = 1.0 - table.vectors["recovery_rate"]
    first = table.vectors["shock"] * own
    result = _result(table.matrices["liabilities"], lost, first, fails, own, table.labels["node"])
    return checked(result, "threshold_cascade", "raise", _SUMS)


def _result(
    liabilities: csr_array,
    lost: Floats,
    first: Floats,
    fails: Callable[[Floats], NDArray[np.bool_]],
    equity: Floats,
    labels: pd.Index[Any],
) -> Cascade:
    """Return the smallest cascade: from the first losses, wave by wave, each default counted once."""
    loss, default_round = first.copy(), np.zeros(first.size, dtype=np.int64)
    rounds = 0
    while (new := fails(loss) & (default_round == 0)).any():
        rounds += 1
        default_round[new] = rounds
        loss = loss + lost[new] @ liabilities[new]
    down = default_round > 0
    again = first + (lost * down) @ liabilities
    residual = float(np.max(np.abs(again - loss), initial=0.0) / max(np.max(again, initial=0.0), 1e-300))
    columns = {
        "equity_before": equity,
        "loss": loss,
        "capped_loss": np.minimum(loss, np.maximum(equity, 0.0)),
        "equity": equity - loss,
        "defaulted": down,
        "default_round": default_round,
    }
    frame = pd.DataFrame(columns, index=labels.rename("node"))
    return Cascade(frame, residual <= EXACT and bool((fails(loss) <= down).all()), rounds, residual)
