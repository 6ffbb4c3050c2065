"""In which column of a causal chain each box stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["placed"]

_HEADINGS = {
    "source": "shocks",
    "hit": "prices hit",
    "passing": "who passes it on",
    "pushed": "prices they push",
    "losing": "who loses",
    "node": "balance sheets",
}

_STEPS = ("shocks", "who is hit", "their creditors", "creditors of these", "further on")
"""Columns where balance sheets are all that there is, by steps from the shocks."""


def placed(boxes: pd.DataFrame, flows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the boxes in columns by stage; balance sheets stand left of the losers if that is where losses go.

    Where there is nothing but shocks and balance sheets, these stand in columns by steps from the shocks.
    """
    order = list(_HEADINGS)
    kind = boxes["type"].to_numpy(dtype=object)
    gross = boxes["usd"].abs().where(boxes["type"] != "node", boxes["borne"].abs())
    blank: dict[str, Any] = {"domain": "", "sort": "", "first": 1.0, "kind": boxes["type"], "gross": gross}
    if set(kind) == {"source", "node"}:
        steps = _steps(kind, flows)
        if steps.max() > 1:
            return boxes.assign(column=steps, **blank), _STEPS[: int(steps.max()) + 1]
    cause, effect = kind[flows["cause"]], kind[flows["effect"]]
    out = flows.loc[(cause == "node") & (effect == "losing"), "usd"].sum()
    back = flows.loc[(cause == "losing") & (effect == "node"), "usd"].sum()
    if out > back:
        order.insert(order.index("losing"), order.pop(order.index("node")))
    used = [stage for stage in order if (kind == stage).any()]
    column = boxes["type"].map({stage: number for number, stage in enumerate(used)}).astype("int64")
    return boxes.assign(column=column, **blank), tuple(_HEADINGS[stage] for stage in used)


def _steps(kind: np.ndarray[Any, Any], flows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return how many steps each box is from the shocks, along the tree of strongest flows.

    Out of all flows from boxes that stand to boxes that do not, the largest is next; ties are broken by number.
    """
    steps = np.where(kind == "source", 0, -1)
    rows = flows.sort_values(["usd", "cause", "effect"], ascending=[False, True, True])
    cause, effect = rows["cause"].to_numpy(), rows["effect"].to_numpy()
    while (open_flows := (steps[cause] >= 0) & (steps[effect] < 0)).any():
        first = int(np.argmax(open_flows))
        steps[effect[first]] = min(steps[cause[first]] + 1, len(_STEPS) - 1)
    return np.maximum(steps, np.where(kind == "source", 0, 1))
