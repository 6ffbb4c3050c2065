"""Values of firms whose debts rank in classes and whose equity others hold: the common solver and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.clearing_vector import EXACT
from contagion.clearing.linear import leontief
from contagion.clearing.network import Floats, Table
from contagion.clearing.obligations import TIE, reaching
from contagion.clearing.results import Column
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["LayeredClearing", "cleared", "overheld", "ownerless"]


@dataclass(frozen=True)
class LayeredClearing(HandsOutCopies):
    """Values of debt and equity that are consistent with limited liability and with seniority.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns value (all assets), owed, payments, equity, outside_equity (what owners outside of the
        network hold; all USD), recovery_rate (payments over owed, 1 without debts), defaulted.
    by_seniority : DataFrame
        Payments, USD; index node, columns the classes from 1, the most senior.
    converged : bool
    rounds : int
        Rounds of iteration before the exact solution.
    residual : float
        Largest gap of the values' equation, as a share of the largest value.
    """

    frame: pd.DataFrame
    by_seniority: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    payments = Column("Payments on all debts, USD by node.")
    equity = Column("Equity, USD by node, at least zero.")
    defaulted = Column("Nodes that do not pay in full.")


class _Layers(NamedTuple):
    """Shares (holder × issuer) of each class and of equity, last; where each class begins and ends in value; assets."""

    shares: list[csr_array]
    bounds: Floats
    assets: Floats


def overheld(table: Table, name: str) -> list[str]:
    """Return that more than all is held of what some node has issued."""
    held = _held(table, name)
    over = np.flatnonzero(held > 1.0 + 1e-9)
    labels = ", ".join(f"{table.labels['node'][place]!r} ({held[place]:g})" for place in over[:5])
    wrong = f"{name}: rows of {labels} add up to more than one; rows are issuers, give shares"
    return [wrong] if over.size else []


def ownerless(table: Table, name: str = "equity_holdings") -> list[str]:
    """Return that more than all is held, or that nobody outside owns any equity of some group of nodes."""
    owned = reaching(table.matrices[name], _held(table, name) < 1.0 - 1e-12)
    labels = ", ".join(map(repr, table.labels["node"][~owned][:5]))
    wrong = f"{name}: the equity of {labels} is held by themselves alone, which leaves it undetermined"
    cure = "rows are issuers, and shares held outside are missing from their sum"
    return overheld(table, name) or ([] if owned.all() else [f"{wrong}; {cure}"])


def _held(table: Table, name: str) -> Floats:
    return np.asarray(table.matrices[name].sum(axis=1), dtype=np.float64).reshape(-1)


def cleared(classes: list[tuple[csr_array, Floats]], table: Table, max_rounds: int) -> LayeredClearing:
    """Return the clearing of classes of debt, each as shares (creditor × debtor) and what is owed in it."""
    owed = np.array([due for _, due in classes])
    bounds = np.vstack([np.zeros(owed.shape[1]), np.cumsum(owed, axis=0)])
    equity_shares = table.matrices["equity_holdings"].T.tocsr()
    layers = _Layers([shares for shares, _ in classes] + [equity_shares], bounds, table.vectors["external_assets"])
    value, rounds = _greatest(layers, max_rounds)
    scale = max(float(np.max(value, initial=0.0)), np.finfo(np.float64).tiny)
    residual = float(np.max(np.abs(value - _worth(layers, value)), initial=0.0)) / scale
    paid = np.minimum(owed, np.maximum(value - bounds[:-1], 0.0))
    short = bounds[-1] - value > TIE * bounds[-1]
    equity = np.where(short, 0.0, np.maximum(value - bounds[-1], 0.0))
    held = _held(table, "equity_holdings")
    total = paid.sum(axis=0)
    columns = {
        "value": value,
        "owed": bounds[-1],
        "payments": total,
        "equity": equity,
        "outside_equity": equity * (1.0 - held),
        "recovery_rate": np.divide(total, bounds[-1], out=np.ones_like(total), where=bounds[-1] > 0.0),
        "defaulted": short,
    }
    index = table.labels["node"].rename("node")
    by_seniority = pd.DataFrame(paid.T, index=index, columns=pd.RangeIndex(1, len(classes) + 1, name="seniority"))
    return LayeredClearing(pd.DataFrame(columns, index=index), by_seniority, residual <= EXACT, rounds, residual)


def _worth(layers: _Layers, value: Floats) -> Floats:
    """Return the right side of the equation of values."""
    worth = layers.assets.copy()
    for number, shares in enumerate(layers.shares):
        part = np.maximum(value - layers.bounds[number], 0.0)
        if number + 1 < len(layers.bounds):
            part = np.minimum(part, layers.bounds[number + 1] - layers.bounds[number])
        worth += shares @ part
    return worth


def _greatest(layers: _Layers, max_rounds: int) -> tuple[Floats, int]:
    """Return the greatest values: iteration from above until its classes are those of the exact solution with them.

    The greatest values lie between that solution and the iterate; all three have the same classes, hence the greatest
    values solve the same linear system, and are its solution.
    """
    full = layers.assets + sum(
        shares @ (layers.bounds[number + 1] - layers.bounds[number]) for number, shares in enumerate(layers.shares[:-1])
    )
    value: Floats = full + layers.shares[-1] @ np.maximum(leontief(layers.shares[-1], full), 0.0)
    before = tried = np.full(value.size, -1)
    max_rounds = max_rounds if value.size else 0
    scale = max(float(value.max(initial=0.0)), np.finfo(np.float64).tiny)
    for rounds in range(1, max_rounds + 1):
        value = np.minimum(value, _worth(layers, value))
        classes = _partly(layers, value)
        if (classes != tried).any() and ((classes == before).all() or rounds % 8 == 0):
            tried, exact = classes, _solved(layers, classes)
            if exact is not None and _consistent(layers, exact, classes, scale):
                return exact, rounds
        before = classes
    return value, max_rounds


def _consistent(layers: _Layers, value: Floats, classes: NDArray[np.int64], scale: float) -> bool:
    """Return whether values have these classes and solve their equation."""
    gaps = np.abs(value - _worth(layers, value))
    return bool((_partly(layers, value) == classes).all() and gaps.max(initial=0.0) <= 1e-14 * scale)


def _partly(layers: _Layers, value: Floats) -> NDArray[np.int64]:
    """Return for each node the class that its last dollar goes to, counted from 0; the last is equity."""
    reached = value >= layers.bounds[1:] * (1.0 - TIE)
    return np.asarray(reached.sum(axis=0), dtype=np.int64)


def _solved(layers: _Layers, classes: NDArray[np.int64]) -> Floats | None:
    """Return values if the last dollar of each node goes to the class given, None where that is undetermined."""
    from scipy.sparse import csr_array, diags_array

    count = classes.size
    base, step = layers.assets.copy(), csr_array((count, count))
    for number, shares in enumerate(layers.shares):
        here = (classes == number).astype(np.float64)
        if number + 1 < len(layers.bounds):
            due = layers.bounds[number + 1] - layers.bounds[number]
            base += shares @ np.where(classes > number, due, 0.0)
        base -= shares @ (here * layers.bounds[number])
        step = step + shares @ diags_array(here)
    try:
        return leontief(step.tocsr(), base)
    except (np.linalg.LinAlgError, RuntimeError):
        return None
