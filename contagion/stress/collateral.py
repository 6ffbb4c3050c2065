"""How much collateral a fall of one asset would liquidate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion import schema
from contagion.errors import InputError
from contagion.kernels import Inputs
from contagion.kernels.inputs import Floats
from contagion.kernels.rounds import opening_lines, start, step
from contagion.scenario import Scenario
from contagion.solve import solve
from contagion.stress.order import keeps_order
from contagion.stress.runs import Book, is_finite, under
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
    10 A against a debt of 7.6 are closed in full once 8 × price < 7.6, when A is down by more than 5 %:

    >>> import pandas as pd
    >>> import contagion as ct
    >>> system = ct.System(
    ...     nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
    ...     assets=pd.DataFrame({"asset": ["A"]}),
    ...     markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 2.0}),
    ...     terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
    ...     accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": -7.6}),
    ...     positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": 10.0}),
    ... )
    >>> collateral_curve(system, "A", [0.0, 0.04, 0.06])["with_feedback"].tolist()
    [0.0, 0.0, 10.0]
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
    return book.liquidated(step(inputs, start(inputs), opening_lines(inputs).equity)[0])


def _fallen(system: System, background: Scenario, asset: str, drop: float) -> Scenario:
    """Return the background with the asset fallen: a market's own entry would win over its asset's."""
    own = set(system.markets.loc[system.markets["asset"] == asset, "market"])
    shocks = {name: value for name, value in background.shocks.items() if name not in own}
    return replace(background, shocks=shocks | {asset: drop})


def _check(system: object, asset: object, drops: object, scenario: object) -> None:
    if not isinstance(system, System):
        raise InputError(f"system is a {type(system).__name__}; give a System", "collateral_curve")
    problems = []
    if not (scenario is None or isinstance(scenario, Scenario)):
        problems.append(f"scenario is a {type(scenario).__name__}; give a Scenario, or None for no background")
    known = system.assets["asset"].tolist()
    if asset not in known:
        problems.append(f"asset {asset!r} is not in assets{schema.near_misses(str(asset), known)}; mend the name")
    try:
        given = np.asarray(drops, dtype=object)
    except ValueError:
        given = np.zeros((0, 0), dtype=object)
    if given.ndim != 1 or not given.size:
        problems.append(f"drops is {drops!r}; give a list of at least one number")
    else:
        wrong = [drop for drop in given.tolist() if not (is_finite(drop) and 0.0 <= drop < 1.0)]
        problems += [f"drops holds {drop!r}; give numbers of at least 0 and below 1" for drop in wrong[:5]]
    if problems:
        raise InputError(problems, "collateral_curve")
