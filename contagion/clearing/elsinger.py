"""Clearing with seniority classes and cross-holdings of equity: Elsinger (2009), Suzuki (2002)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.clearing_vector import EXACT
from contagion.clearing.linear import leontief
from contagion.clearing.network import Floats, Matrix, Table, Vector, read
from contagion.clearing.obligations import TIE, obligations, reaching
from contagion.clearing.problems import positive
from contagion.clearing.results import OnFailure, checked, failure_choice
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["LayeredClearing", "elsinger", "suzuki"]


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

    @property
    def payments(self) -> pd.Series[float]:
        """Payments on all debts, USD by node."""
        return self.frame["payments"]

    @property
    def equity(self) -> pd.Series[float]:
        """Equity, USD by node, at least zero."""
        return self.frame["equity"]

    @property
    def defaulted(self) -> pd.Series[bool]:
        """Nodes that do not pay in full."""
        return self.frame["defaulted"]


class _Layers(NamedTuple):
    """Shares (holder × issuer) of each class and of equity, last; where each class begins and ends in value; assets."""

    shares: list[csr_array]
    bounds: Floats
    assets: Floats


def elsinger(
    liabilities_by_seniority: Sequence[Any],
    equity_holdings: Any,
    external_assets: Any,
    external_liabilities_by_seniority: Sequence[Any] | None = None,
    *,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> LayeredClearing:
    """Return greatest payments and equity values with seniority classes and equity held by other nodes.

    The value of a node, V = e + Σₛ Πˢᵀpˢ + Θᵀ max(0, V − p̄), goes to its creditors class by class, in each class in
    proportion to claims; what is left is its equity, which goes to its owners in proportion to their shares.

    Parameters
    ----------
    liabilities_by_seniority : sequence of (n, n) arrays, sparse arrays, DataFrames or DiGraphs
        What i owes j, USD; most senior class first.
    equity_holdings : likewise
        ``equity_holdings[i, j]`` is the share of i's equity that j holds, 0 to 1: rows are issuers, as they are debtors
        above. Rows add up to one at most; the rest is held outside.
    external_assets : (n,) array, Series, mapping or float
        Assets other than claims and shares in the network, USD, at least zero.
    external_liabilities_by_seniority : sequence of the same, optional
        Debts to creditors outside, class by class; none by default.
    max_rounds : int
        Cap on the rounds of iteration from above.
    on_failure : {"raise", "return"}

    Returns
    -------
    LayeredClearing

    Raises
    ------
    InputError
        All that is wrong with the input; also if a group of nodes is owned by itself alone, which leaves the values of
        its equity undetermined.
    NotConverged
        If ``max_rounds`` are not enough.

    Notes
    -----
    Elsinger (2009), Financial networks, cross holdings, and limited liability, OeNB Working Paper 156. Iteration from
    above finds which class of each node is the one that is paid in part; the rest is one linear system.

    Examples
    --------
    A bank with 3 owes 2 to seniors and 2 to juniors, all held by the second bank: juniors get 1.

    >>> senior = junior = [[0, 2], [0, 0]]
    >>> elsinger([senior, junior], [[0, 0], [0, 0]], [3, 0]).by_seniority.loc[0].tolist()
    [2.0, 1.0]
    """
    outside = external_liabilities_by_seniority
    outside = [None] * len(liabilities_by_seniority) if outside is None else outside
    problems = [*positive("max_rounds", max_rounds, whole=True), *failure_choice(on_failure)]
    if len(outside) != len(liabilities_by_seniority) or not len(outside):
        found = f"{len(outside)} classes outside of the network and {len(liabilities_by_seniority)} in it"
        raise InputError([*problems, f"{found}; give as many, and at least one, most senior first"], "elsinger")
    names = [f"liabilities of class {number}" for number in range(1, len(outside) + 1)]
    matrices = {name: Matrix(given) for name, given in zip(names, liabilities_by_seniority, strict=True)}
    matrices["equity_holdings"] = Matrix(equity_holdings, highest=1.0)
    vectors = {f"external {name}": Vector(given, default=0.0) for name, given in zip(names, outside, strict=True)}
    vectors["external_assets"] = Vector(external_assets)
    table = read("elsinger", matrices, vectors, problems)
    _check_owners(table, "equity_holdings", "elsinger")
    classes = [obligations(table.matrices[name], table.vectors[f"external {name}"]) for name in names]
    result = _cleared(classes, table, max_rounds)
    return checked(result, "elsinger", on_failure)


def suzuki(
    debt_holdings: Any,
    equity_holdings: Any,
    external_assets: Any,
    nominal_debt: Any,
    *,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> LayeredClearing:
    """Return greatest values of debt and equity of firms that hold shares of each other's debt and equity.

    The value of a firm, V = e + Dᵀ min(d, V) + Θᵀ max(0, V − d), goes to its debt d first, then to its equity.

    Parameters
    ----------
    debt_holdings, equity_holdings : (n, n) arrays, sparse arrays, DataFrames or DiGraphs
        Shares of i's debt, and of i's equity, that j holds: rows are issuers, and add up to one at most. (Suzuki's own
        matrices are the transposes.)
    external_assets, nominal_debt : (n,) arrays, Series, mappings or floats
        USD, at least zero.
    max_rounds : int
        Cap on the rounds of iteration from above.
    on_failure : {"raise", "return"}

    Returns
    -------
    LayeredClearing
        With one class of debt.

    Raises
    ------
    InputError, NotConverged
        As `elsinger`.

    Notes
    -----
    Suzuki (2002), Valuing corporate debt: the effect of cross-holdings of stock and debt, Journal of the Operations
    Research Society of Japan 45.

    Examples
    --------
    Two firms have 1 each and owe 0.9, and each holds a fifth of the other's equity E: E = 1 + E/5 − 0.9 = 1/8.

    >>> suzuki([[0, 0], [0, 0]], [[0, 0.2], [0.2, 0]], 1.0, 0.9).equity.round(9).tolist()
    [0.125, 0.125]
    """
    problems = [*positive("max_rounds", max_rounds, whole=True), *failure_choice(on_failure)]
    matrices = {
        "debt_holdings": Matrix(debt_holdings, highest=1.0),
        "equity_holdings": Matrix(equity_holdings, highest=1.0),
    }
    vectors = {"external_assets": Vector(external_assets), "nominal_debt": Vector(nominal_debt)}
    table = read("suzuki", matrices, vectors, problems)
    _check_owners(table, "equity_holdings", "suzuki")
    _check_shares(table, "debt_holdings", "suzuki")
    shares = table.matrices["debt_holdings"].T.tocsr()
    result = _cleared([(shares, table.vectors["nominal_debt"])], table, max_rounds)
    return checked(result, "suzuki", on_failure)


def _check_shares(table: Table, name: str, subject: str) -> Floats:
    """Return the sums of the rows of a matrix of holdings; raise where more than all is held."""
    held = np.asarray(table.matrices[name].sum(axis=1), dtype=np.float64).reshape(-1)
    over = np.flatnonzero(held > 1.0 + 1e-9)
    if over.size:
        labels = ", ".join(f"{table.labels['node'][place]!r} ({held[place]:g})" for place in over[:5])
        raise InputError(f"{name}: rows of {labels} add up to more than one; rows are issuers, give shares", subject)
    return held


def _check_owners(table: Table, name: str, subject: str) -> None:
    held = _check_shares(table, name, subject)
    owned = reaching(table.matrices[name], held < 1.0 - 1e-12)
    if not owned.all():
        labels = ", ".join(map(repr, table.labels["node"][~owned][:5]))
        problem = f"{name}: the equity of {labels} is held by themselves alone, which leaves it undetermined"
        raise InputError(f"{problem}; rows are issuers, and shares held outside are missing from their sum", subject)


def _cleared(classes: list[tuple[csr_array, Floats]], table: Table, max_rounds: int) -> LayeredClearing:
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
    held = np.asarray(table.matrices["equity_holdings"].sum(axis=1), dtype=np.float64).reshape(-1)
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
