"""From left to right: when each box of a cascade was first hit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from contagion.diagram.picture import Picture

__all__ = ["by_round", "split"]

_COLUMNS = 6
_TALL = 9
_TALLEST = 11
_PASSIVE = 1e9


def by_round(picture: Picture) -> Picture:
    """Return the picture with its boxes in columns: shock, what it hit, first rounds, the passive, balance sheets.

    Accounts act on the prices of a round and move those of the same round, so they stand left of markets that were
    first hit with them. Neighbouring rounds share a column as long as it does not grow tall. Nodes stand last: they
    bear what is left.
    """
    boxes = picture.boxes
    if boxes.empty:
        return picture
    first = boxes["first"].to_numpy(dtype=np.float64)
    acts = (boxes["type"] == "group").to_numpy()
    key = 2.0 * first + np.where(acts | (first == 0.0), 0.0, 1.0)
    key[np.isnan(key)] = _PASSIVE
    key[(boxes["type"] == "shock").to_numpy()] = -1.0
    key[(boxes["type"] == "node").to_numpy()] = np.inf
    keys, counts = np.unique(key, return_counts=True)
    bounds = _bounds(keys, counts)
    column = np.searchsorted(bounds, np.searchsorted(keys, key), side="right") - 1
    headings = tuple(_heading(key[column == number]) for number in range(len(bounds)))
    return picture._replace(boxes=boxes.assign(column=column), columns=headings)


def split(picture: Picture) -> Picture:
    """Return the picture with columns in two where a lane would hold more than eleven boxes below each other.

    Those with the most money on their edges stand on the right.
    """
    boxes, edges = picture.boxes, picture.edges
    traffic = pd.Series(0.0, index=boxes.index)
    for end in ("cause", "effect"):
        traffic = traffic.add(edges.groupby(end)["usd"].sum(), fill_value=0.0)
    keys = boxes.assign(traffic=traffic).sort_values(["traffic", "type", "name"], ascending=[False, True, True])
    place = keys.groupby(["column", "domain"]).cumcount().reindex(boxes.index)
    tallest = boxes.groupby(["column", "domain"])["name"].transform("size")
    half = ((tallest > _TALLEST) & (place >= (tallest + 1) // 2)).to_numpy()
    headings: list[str] = []
    column = np.empty(len(boxes), dtype=np.int64)
    for number, heading in enumerate(picture.columns):
        here = (boxes["column"] == number).to_numpy()
        if (here & half).any():
            column[here & half] = len(headings)
            headings.append(heading)
        column[here & ~half] = len(headings)
        headings.append(heading)
    return picture._replace(boxes=boxes.assign(column=column), columns=tuple(headings))


def _bounds(keys: np.ndarray, counts: np.ndarray) -> list[int]:
    """Return the number of the key that each column starts with."""
    fixed = [n for n, key in enumerate(keys) if key <= 0.0 or key >= _PASSIVE]
    middle = [n for n in range(keys.size) if n not in fixed]
    groups = [[n] for n in middle]
    while len(groups) > 1:
        heights = [sum(counts[n] for n in a + b) for a, b in pairwise(groups)]
        best = int(np.argmin(heights))
        if len(groups) <= _COLUMNS - 2 and heights[best] > _TALL:
            break
        groups[best : best + 2] = [groups[best] + groups[best + 1]]
    return sorted([*fixed, *(group[0] for group in groups)])


def _heading(keys: np.ndarray) -> str:
    if keys.max() >= _PASSIVE:
        return "balance sheets" if np.isinf(keys).any() else "passive"
    if keys.max() < 0.0:
        return ""
    low, high = int(keys.min() // 2), int(keys.max() // 2)
    if high == 0:
        return "shock"
    return f"round {low}" if low == high else f"rounds {low}–{high}"
