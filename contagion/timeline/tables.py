"""The path of a cascade as tables: one row a round, or a round and market, platform or node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contagion.frames import Parts
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.kernels.markets import prices
from contagion.solution import Solution
from contagion.timeline.replay import Path

__all__ = ["markets", "nodes", "platforms", "rounds"]


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def rounds(solution: Solution, path: Path) -> pd.DataFrame:
    """Return one row a round: newly called and liquidated accounts, USD sold, equity, deficits, depth, lowest price."""
    parts, points = solution.parts, path.points
    names, closed = parts.labels.markets, points.closed.sum(axis=1)
    closed[-1] = solution.totals["liquidated"]  # the same sum in another order
    drop = points.log_drop
    lowest = names.take(drop.argmax(axis=1)) if len(names) else pd.Index([""] * len(drop))
    depth = np.where(np.isfinite(points.depth), points.depth, 0.0).sum(axis=1)
    return pd.DataFrame(
        {
            "step": [0.0, *(record.step for record in parts.run.records)],
            "called": _new(parts.run.called_round, len(drop)),
            "liquidated": _new(parts.run.liquidated_round, len(drop)),
            "sold": _gained(closed),
            "sold_so_far": closed,
            "equity": points.equity,
            "deficit": points.deficit,
            "depth": depth,
            "largest_drop": -np.expm1(-drop.max(axis=1, initial=0.0)),
            "lowest_market": pd.array(list(lowest), dtype="str"),
        },
        index=pd.RangeIndex(len(drop), name="round"),
    )


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def markets(parts: Parts, path: Path) -> pd.DataFrame:
    """Return price, drop, USD sold so far and depth, one row a round and market."""
    points = path.points
    columns = {
        "price": prices(parts.inputs.markets.price, points.log_drop),
        "drop": -np.expm1(-points.log_drop),
        "sold": points.sold,
        "depth": points.depth,
    }
    return _tidy("market", parts.labels.markets, columns)


def nodes(parts: Parts, path: Path) -> pd.DataFrame:
    """Return loss and haircut, one row a round and node."""
    columns = {"loss": path.points.loss, "haircut": path.points.haircut}
    return _tidy("node", parts.labels.nodes, columns)


def platforms(solution: Solution, path: Path) -> pd.DataFrame:
    """Return newly called and liquidated accounts and USD sold, one row a round and node that holds accounts."""
    parts = solution.parts
    names, platform = parts.labels.nodes, parts.inputs.accounts.platform
    used = np.unique(platform)
    closed = path.points.closed.copy()
    closed[-1] = solution.nodes["liquidated"].reindex(names).to_numpy()
    columns: dict[str, Any] = {
        "called": _new_by(parts.run.called_round, platform, closed.shape),
        "liquidated": _new_by(parts.run.liquidated_round, platform, closed.shape),
        "sold": _gained(closed),
        "liquidated_usd": closed,
    }
    of_used = {name: values[:, used] for name, values in columns.items()}
    return _tidy("platform", names.take(used), of_used)


def _gained(closed: Floats) -> Floats:
    """Return what each round added to sums that never fall but by rounding."""
    return np.maximum(0.0, np.diff(closed, axis=0, prepend=0.0))


def _new(first: Ints, count: int) -> Ints:
    """Return the number of accounts by the round in which they first acted; round 0 has none."""
    found = np.bincount(first, minlength=count)
    found[0] = 0
    return found


def _new_by(first: Ints, member: Ints, shape: tuple[int, ...]) -> Ints:
    acted = first > 0
    cell = first[acted] * shape[1] + member[acted]
    return sum_by(cell, np.ones(cell.size), shape[0] * shape[1]).astype(np.int64).reshape(shape)


def _tidy(name: str, labels: pd.Index[str], columns: dict[str, Floats]) -> pd.DataFrame:
    """Return matrices (R + 1, ·) as one row a round and name, in the order of names."""
    count = len(next(iter(columns.values())))
    frame = pd.DataFrame(
        {
            "round": np.repeat(np.arange(count), len(labels)),
            name: pd.array(np.tile(labels.to_numpy(dtype=object), count), dtype="str"),
        }
    )
    for column, values in columns.items():
        frame[column] = values.ravel()
    return frame
