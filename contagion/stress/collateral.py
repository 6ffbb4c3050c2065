"""How much collateral a fall of one asset would liquidate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion import schema
from contagion.errors import instance, numbers, refuse
from contagion.kernels import Inputs
from contagion.kernels.inputs import Floats
from contagion.scenario import Scenario
from contagion.solve import solve
from contagion.stress.order import keeps_order
from contagion.stress.runs import Book, under
from contagion.system import System

__all__ = ["collateral_curve"]

_COLUMNS = ("first_round", "with_feedback", "loss")


def collateral_curve(
    system: System,
    asset: str,
    drops: Sequence[float] | Floats | None = None,
    scenario: Scenario | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Return how much would be liquidated if one asset fell, by how far it falls.

    How much collateral is at stake at each price, and how much of that only because liquidations move prices? All
    markets of the asset are shocked alike; markets pegged to them follow.

    Parameters
    ----------
    system : System
        Tables; checked first.
    asset : str
        Asset that falls.
    drops : (d,) array-like of float, optional
        Falls of its reference price, as shares of it (0 ≤ drop < 1); by default 46 from 0 to 0.9.
    scenario : Scenario, optional
        Background; its own shocks to the asset and its markets are replaced. By default nothing else happens.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    DataFrame
        Index: drop, ascending, each once. All in USD; what the background does is part of it.

        - first_round: collateral sold and perps closed, at opening prices, before any sale has moved a price
        - with_feedback: the same at the fixed point
        - loss: of the system, at the fixed point

        The last two are NaN where the rounds find no fixed point.

    Raises
    ------
    InputError
        If system, asset, drops or scenario are not valid; the message lists every problem.

    Notes
    -----
    The first column is the sensitivity that lending protocols publish (Perez, Werner, Xu and Livshits 2021); the
    second adds price impact. In long-only systems (see `contagion.stress.order`) each solve sets out from the state at
    the next smaller drop, which lies below its least fixed point.

    Examples
    --------
    The loop is liquidatable below 0.8576, in markets so deep that nothing feeds back:

    >>> import contagion as ct
    >>> system, _ = ct.datasets.load("loop_lending")
    >>> collateral_curve(system, "USDe", [0.1, 0.14, 0.15])["with_feedback"].round().tolist()
    [0.0, 0.0, 18647.0]
    """
    steps = np.linspace(0.0, 0.9, 46) if drops is None else drops
    _check(system, asset, steps, scenario)
    background = Scenario() if scenario is None else scenario
    ordered = np.unique(np.asarray(steps, dtype=np.float64))
    worst = _fallen(system, background, asset, float(ordered[-1]))
    parts = solve(system, worst, max_rounds=1, on_failure="return").parts  # one round: checks, and the arrays
    book, warm, state = Book.of(parts), keeps_order(parts.inputs), None
    rows = []
    for drop in tqdm(ordered.tolist(), desc="drops", unit="", disable=not progress):
        fallen = _fallen(system, background, asset, drop)
        inputs = under(parts.system, parts.labels, parts.inputs, fallen)
        run = book.run(inputs, begin=state)
        state = run.state if warm else None
        sold = run.liquidated if run.converged else math.nan
        rows.append((_first_round(book, inputs), sold, run.figure))
    return pd.DataFrame(rows, columns=list(_COLUMNS), index=pd.Index(ordered, name="drop"))


def _first_round(book: Book, inputs: Inputs) -> float:
    """Return the USD that the rules ask to be sold at prices that no sale has moved."""
    _, after, _ = next(book.rounds(inputs, 1))
    return book.totals(inputs, after)["liquidated"]


def _fallen(system: System, background: Scenario, asset: str, drop: float) -> Scenario:
    """Return the background with the asset fallen: a market's own entry would win over its asset's."""
    own = set(system.markets.loc[system.markets["asset"] == asset, "market"])
    shocks = {name: value for name, value in background.shocks.items() if name not in own}
    return replace(background, shocks=shocks | {asset: drop})


def _check(system: object, asset: object, drops: object, scenario: object) -> None:
    problems = instance("system", system, System, "a System")
    problems += instance("scenario", scenario, (Scenario, type(None)), "a Scenario, or None for no background")
    known = system.assets["asset"].tolist() if isinstance(system, System) else []
    if asset not in known and isinstance(system, System):
        problems.append(f"asset {asset!r} is not in assets{schema.near_misses(str(asset), known)}; mend the name")
    problems += numbers("drops", drops, lambda drop: 0.0 <= drop < 1.0, "numbers of at least 0 and below 1")
    refuse(problems, "collateral_curve")
