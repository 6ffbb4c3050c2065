"""Attribution round by round, as a check on the secant view where hedges make shares negative.

The rounds of a cascade are a directed acyclic graph: what moved in round n was caused by what had moved before it. The
change of a liquidated share, a withdrawn quote or a haircut in a round is shared over all that its causes had received
up to then, in proportion (never over the last straw alone); prices and losses follow their causes at once. Shares of
every round add up to one, so those of all sources add up to the loss, whatever the hedges do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from contagion import holdings
from contagion.attribution.accounts import actions, needs
from contagion.attribution.graph import HUBS, Block, Graph, Source, assembled
from contagion.attribution.losses import account_rows, fallen, node_rows
from contagion.attribution.of_solution import attribute
from contagion.attribution.prices import gross_flow, price_rows, sales
from contagion.attribution.state import Terminal, terminal
from contagion.errors import instance, refuse
from contagion.frames import Parts
from contagion.kernels import State, settle
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.rounds import start, step
from contagion.solution import Solution, untold

__all__ = ["provenance"]

Made = NDArray[np.float64]
"""What each source (columns) contributed to each unknown of one type (rows)."""


def provenance(solution: Solution, progress: bool = False) -> pd.DataFrame:
    """Return what every source caused by the rounds that led to the loss, beside what it caused at the end.

    Parameters
    ----------
    solution : Solution
        A solved scenario. Its rounds run once more, and each costs about as much as an attribution.
    progress : bool
        Whether to show rounds on stderr.

    Returns
    -------
    DataFrame
        Index source, largest first; columns usd and share, by rounds, and secant_usd and secant_share, by
        `contagion.attribute`. Both add up to the loss. They differ where an account that sold for one reason would
        at the end have sold for another; where they differ much, neither should be read alone.

    Raises
    ------
    InputError
        If it is not a Solution, its prices are not finite, its rounds looked ahead, or it is a greatest fixed point.

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> found = ct.provenance(ct.solve(system, scenarios["fall_25"]))
    >>> float(round(found["share"].sum(), 9)), float(round(found["secant_share"].sum(), 9))
    (1.0, 1.0)
    """
    problems = instance("solution", solution, Solution, "a Solution (solve returns one)") + untold(solution)
    refuse(problems + instance("progress", progress, (bool, np.bool_), "True or False"), "provenance")
    secant = attribute(solution)
    names = list(dict.fromkeys([*secant.sources.index, "opening", "overshoot"]))
    last = secant.terminal
    made = _through_rounds(solution, names, progress)
    graph = _losses(last)
    _follow(graph, ("short", "loss", "node"), made, names)
    total = np.zeros(len(names))
    for kind, amounts in secant.amounts.items():
        rows = np.flatnonzero(amounts)
        here = made[kind][rows] if kind == "theta" else _received(graph, kind, made, names, rows)
        total += (amounts[rows] / graph.scale[kind][rows]) @ here
    loss = secant.total or 1.0
    table = pd.DataFrame({"usd": total, "share": total / loss}, index=pd.Index(names, dtype="str", name="source"))
    table["secant_usd"] = secant.sources["usd"].reindex(names).fillna(0.0)
    table["secant_share"] = table["secant_usd"] / loss
    return table.take(np.argsort(-np.abs(total), kind="stable"))


def _through_rounds(solution: Solution, names: list[str], progress: bool) -> dict[str, Made]:
    """Return what sources contributed to λ, η, θ and prices, after the last round."""
    parts, opening = solution.parts, solution.parts.outcome.opening_equity
    state = start(parts.inputs)
    sizes = {"lam": state.liquidated.size, "eta": state.withdrawn.size, "theta": state.haircut.size}
    made = {kind: np.zeros((size, len(names))) for kind, size in sizes.items()}
    seen = _after(parts, state, solution)
    _prices(seen, made, names)
    for _ in tqdm(parts.run.records, desc="rounds", unit="", disable=not progress):
        new = step(parts.inputs, state, opening)[0]
        _reactions(seen, state, new, made, names)
        state = new
        seen = _after(parts, state, solution)
        _prices(seen, made, names)
    return made


def _after(parts: Parts, state: State, solution: Solution) -> Terminal:
    """Return what follows from the λ, η, θ of a round."""
    return terminal(
        parts._replace(run=parts.run._replace(state=state), outcome=settle(parts.inputs, state)), solution.scenario
    )


def _reactions(seen: Terminal, old: State, new: State, made: dict[str, Made], names: list[str]) -> None:
    """Add what a round changed in λ, η and θ, given the prices that it saw."""
    acting = new._replace(haircut=seen.theta)
    t = seen._replace(parts=seen.parts._replace(run=seen.parts.run._replace(state=acting)))
    need, none = needs(t), np.zeros(t.lam.size, dtype=np.bool_)
    rows = actions(t, need, none, np.zeros(t.eta.size, dtype=np.bool_))
    graph = _losses(t, rows.blocks, rows.sources, {"need": need})
    _follow(graph, ("need",), made, names)
    for kind, before, after in (("lam", old.liquidated, new.liquidated), ("eta", old.withdrawn, new.withdrawn)):
        _change(graph, kind, after - before, made, names)
    _follow(graph, ("short", "loss", "node"), made, names)
    moved = np.maximum(np.minimum(new.haircut, 1.0 - 2.0**-53) - seen.theta, 0.0)
    made["theta"] = made["theta"] + (moved / graph.scale["node"])[:, None] * made["node"]


def _change(graph: Graph, kind: str, change: Floats, made: dict[str, Made], names: list[str]) -> None:
    """Add the change of a ratcheted unknown, shared like all that its causes have received up to now."""
    rows = np.flatnonzero(change)
    made[kind][rows] += (change[rows] / graph.scale[kind][rows])[:, None] * _received(graph, kind, made, names, rows)


def _prices(t: Terminal, made: dict[str, Made], names: list[str]) -> None:
    """Set what sources contributed to prices, sellers' prices and flows of sales."""
    sold = sales(t)
    blocks, sources = price_rows(t, sold)
    value = {"flow": holdings.sums(sold, 1), "price": t.drop, "sale": t.paid_drop} | _levers(t)
    graph = assembled(value, gross_flow(sold), [*blocks, Block("flow", "lam", "sale", sold)], sources)
    every = np.arange(t.drop.size)
    made["flow"] = _received(graph, "flow", made, names, every)
    made["price"] = made["sale"] = np.zeros((every.size, len(names)))
    for market in _levels(t):  # anchors before what is pegged to them
        for kind in ("price", "sale"):
            made[kind] = np.where(market[:, None], _received(graph, kind, made, names, every), made[kind])


def _levels(t: Terminal) -> Iterable[NDArray[np.bool_]]:
    """Yield masks of markets by the length of their chain of pegs."""
    pegged_to = t.parts.inputs.markets.pegged_to
    level, anchor = np.zeros(pegged_to.size, dtype=np.int64), pegged_to
    while (anchor >= 0).any():
        level += anchor >= 0
        anchor = np.where(anchor >= 0, pegged_to[anchor], -1)
    return [level == number for number in range(int(level.max(initial=0)) + 1)]


def _losses(
    t: Terminal, blocks: Sequence[Block] = (), sources: Sequence[Source] = (), value: Mapping[str, Floats] | None = None
) -> Graph:
    """Return the graph of losses and haircuts, and of what else is given, where the terminal state puts them."""
    found = fallen(t)
    of_accounts, opening = account_rows(found)
    of_nodes, other, node = node_rows(t, found)
    values = {"loss": found.loss, "short": found.short, "node": node, "price": t.drop, "sale": t.paid_drop}
    return assembled(
        {**values, **_levers(t), **(value or {})},
        np.zeros(0),
        [*blocks, *of_accounts, *of_nodes],
        [*sources, *opening, *other],
    )


def _levers(t: Terminal) -> dict[str, Floats]:
    return {"lam": t.lam, "eta": t.eta, "theta": t.theta}


def _follow(graph: Graph, kinds: Iterable[str], made: dict[str, Made], names: list[str]) -> None:
    """Set what sources contributed to unknowns that follow their causes at once; of accounts, to those that go on."""
    for kind in kinds:
        leads = np.full(graph.value[kind].size, kind in HUBS)
        for block in graph.blocks:
            if block.cause == kind:
                leads[block.amounts.indices] = True
        rows = np.flatnonzero(leads)
        made[kind] = np.zeros((leads.size, len(names)))
        made[kind][rows] = _received(graph, kind, made, names, rows)


def _received(graph: Graph, kind: str, made: dict[str, Made], names: list[str], rows: Ints) -> Made:
    """Return what the causes of some unknowns of a type had received from every source, in its own unit."""
    found = np.zeros((rows.size, len(names)))
    for block in graph.blocks:
        if block.effect == kind and rows.size:
            found += holdings.scaled(block.amounts[rows], columns=1.0 / graph.scale[block.cause]) @ made[block.cause]
    for source in graph.sources:
        if source.effect == kind:
            found[:, names.index(source.name)] += source.amounts[rows]
    return found
