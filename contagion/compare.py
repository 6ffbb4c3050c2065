"""Two solutions side by side: what an override, another scenario or other tables change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution import attribute, paths
from contagion.errors import instance, refuse, whole
from contagion.frozen import HandsOutCopies
from contagion.money import percent, usd
from contagion.solution import Solution, unforced

__all__ = ["Comparison", "compare"]

_MARKETS = ("drop", "price", "sold", "depth")
_NODES = ("loss", "buffer_used", "haircut", "liquidated")
_GROUPS = ("loss", "liquidated", "deficit", "accounts", "accounts_liquidated")
_TOLD = 3


@dataclass(frozen=True, eq=False)
class Comparison(HandsOutCopies):
    """What differs between two solutions, a and b; made by `compare`.

    Every table has columns <measure>_a and <measure>_b, and ``change``, b less a of the first measure, by whose size
    it is sorted. A name that only one of them has is NaN in the other, and counts as zero in ``change``.

    Attributes
    ----------
    totals : DataFrame
        Index name, as in ``solution.totals``: usd.
    markets, nodes : DataFrame
        Index market: drop, price, sold, depth. Index node: loss, buffer_used, haircut, liquidated.
    groups : DataFrame
        Index group ("whale @ Aave"): loss (of equity), liquidated (at opening prices), deficit, accounts,
        accounts_liquidated.
    sources, channels : DataFrame
        Index source, or channel: usd of the loss, by `contagion.attribute`; the changes add up to that of the loss.
    paths : DataFrame
        Index path, in words: rank, usd and share, each for a and b, and change of usd. The largest paths of both. A
        path that is not among those of the other solution is NaN there, and has no change: it may be there further
        down.
    names : tuple of str
        What a and b are called.
    not_converged : tuple of str
        Which of them are no results, but states that the rounds had reached.
    """

    totals: pd.DataFrame
    markets: pd.DataFrame
    nodes: pd.DataFrame
    groups: pd.DataFrame
    sources: pd.DataFrame
    channels: pd.DataFrame
    paths: pd.DataFrame
    names: tuple[str, str]
    not_converged: tuple[str, ...]

    def __repr__(self) -> str:
        before, after = (self.totals[name].to_dict()["loss"] for name in ("usd_a", "usd_b"))
        head = f"{self.names[0]} → {self.names[1]}: loss {usd(before)} → {usd(after)} ({_signed(after - before)})"
        told = [
            ("sources", _money(self.sources)),
            ("channels", _money(self.channels)),
            ("groups, own loss", _money(self.groups)),
            ("drops", _drops(self.markets)),
        ]
        if self.not_converged:
            head = f"NOT CONVERGED, no results: {', '.join(self.not_converged)}\n{head}"
        return "\n".join([head, *(f"  {name}: {', '.join(parts)}" for name, parts in told if parts)])


def compare(a: Solution, b: Solution, k: int = 10) -> Comparison:
    """Return what changes from one solution to another: totals, markets, nodes, groups, and why.

    Parameters
    ----------
    a, b : Solution
        Solved scenarios, of the same system or of different ones; rows are matched by name.
    k : int
        How many of the largest contagion paths of each to set side by side.

    Returns
    -------
    Comparison
        Tables ``totals``, ``markets``, ``nodes``, ``groups``, ``sources``, ``channels``, ``paths``. Its repr says the
        most important in a few lines.

    Raises
    ------
    InputError
        If an argument is not one of those above, prices of a solution are not finite, or it is a greatest fixed point.

    Examples
    --------
    What thin books add to a fall of USDe:

    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> mild, hard = (ct.solve(system, scenarios[name]) for name in ("fall_10", "fall_25"))
    >>> compare(mild, hard)
    fall_10 → fall_25: loss $37k → $92k (+$55k)
      sources: shock:USDe +$55k
      channels: own shock +$55k
      groups, own loss: loop @ Lending pool +$55k
      drops: Lending pool:USDe 10% → 25%
    """
    a_solution = "a Solution (solve returns one)"
    problems = [*instance("a", a, Solution, a_solution), *instance("b", b, Solution, a_solution), *whole("k", k, 1)]
    problems += [f"{name}: {problem}" for name, given in (("a", a), ("b", b)) for problem in unforced(given)]
    refuse(problems, "compare")
    both = (a, b)
    explained = [attribute(solution) for solution in both]
    names = (a.scenario.name or "a", b.scenario.name or "b")
    return Comparison(
        totals=_joined([pd.Series(dict(s.totals), name="usd").to_frame() for s in both], ("usd",), "name"),
        markets=_joined([s.markets for s in both], _MARKETS, "market"),
        nodes=_joined([s.nodes for s in both], _NODES, "node"),
        groups=_joined([_groups(s) for s in both], _GROUPS, "group"),
        sources=_joined([found.sources for found in explained], ("usd",), "source"),
        channels=_joined([found.channels for found in explained], ("usd",), "channel"),
        paths=_paths([paths(found, k) for found in explained]),
        names=names,
        not_converged=tuple(name for name, solution in zip(names, both, strict=True) if not solution.converged),
    )


def _joined(frames: Iterable[pd.DataFrame], measures: tuple[str, ...], name: str) -> pd.DataFrame:
    """Return the measures of two frames side by side, matched by index, the largest change of the first one on top."""
    a, b = (frame[list(measures)] for frame in frames)
    names = a.index.union(b.index, sort=False)
    table = pd.DataFrame(index=pd.Index(names, dtype="str", name=name))
    for measure in measures:
        for suffix, frame in (("a", a), ("b", b)):
            table[f"{measure}_{suffix}"] = frame[measure].reindex(names).to_numpy(dtype=np.float64)
    first = measures[0]
    before, after = (table[f"{first}_{suffix}"].fillna(0.0).to_numpy() for suffix in ("a", "b"))
    return _by_change(table.assign(change=after - before))


def _by_change(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the largest changes on top; ties, and rows without a change, by name."""
    size = np.nan_to_num(table["change"].abs().to_numpy(dtype=np.float64), nan=-1.0, posinf=np.inf)
    return table.take(np.lexsort((table.index.to_numpy(dtype=object), -size)))


def _groups(solution: Solution) -> pd.DataFrame:
    """Return losses, sales and deficits by account group and platform."""
    parts = solution.parts
    grouped = holdings.groups(parts.system, parts.inputs, parts.labels)
    held = holdings.opening_value(parts.inputs.positions, parts.inputs.markets.price, holdings.ASSETS)
    liquidated, lost = parts.run.state.liquidated, parts.outcome.losses
    columns = {
        "loss": lost.lost,
        "liquidated": liquidated * holdings.sums(held, 1),
        "deficit": lost.deficit,
        "accounts": np.ones(liquidated.size),
        "accounts_liquidated": (liquidated > 0.0).astype(np.float64),
    }
    return pd.DataFrame({name: grouped.total(values) for name, values in columns.items()}, index=grouped.names)


def _paths(listed: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the paths of both solutions; one that only one of them lists has no change."""
    named = [frame.set_index(frame["path"].map(" → ".join)) for frame in listed]
    table = _joined(named, ("usd", "share", "rank"), "path")
    unknown = table[["usd_a", "usd_b"]].isna().any(axis=1)
    return _by_change(table.assign(change=table["change"].mask(unknown)))


def _money(table: pd.DataFrame) -> list[str]:
    changed = table[table["change"].abs() >= 1.0]
    return [f"{name} {_signed(change)}" for name, change in changed["change"].head(_TOLD).items()]


def _drops(markets: pd.DataFrame) -> list[str]:
    """Return the markets whose price stands at least a tenth of a percent elsewhere."""
    changed = markets[markets["change"].abs() >= 1e-3].head(_TOLD)
    cells = zip(changed.index, changed["drop_a"].fillna(0.0), changed["drop_b"].fillna(0.0), strict=True)
    return [f"{name} {percent(before)} → {percent(after)}" for name, before, after in cells]


def _signed(amount: float) -> str:
    return usd(amount) if amount <= 0.0 else f"+{usd(amount)}"
