"""From every entity to as many boxes as a page holds: the like are put together, the small become "other"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contagion.diagram.picture import SUMS, Picture, arrows, summed
from contagion.money import usd

__all__ = ["fold"]

_QUOTAS = {"market": 12, "group": 14, "node": 10}
_LINES = (40, 64)
"""Edges to draw: so many of the largest shares of a channel, and up to so many of the most money."""

_ALIKE = 0.1


def fold(picture: Picture, most: int) -> Picture:
    """Return a picture of about ``most`` boxes, at least one a type and domain (and one for the shock), and 64 edges.

    If there are more, the markets of one asset in one domain share a box where their prices fell alike (without a
    step of ten points between them). Of each type the largest boxes then stay; the others are put together by family
    (markets by asset kind and venue, accounts by platform, nodes by kind), and the smallest families by domain.
    Counts and money of folded boxes add up. Of the edges those are left out that are small in their channel and in
    money, and a note says how much.
    """
    if _count(picture) > most:
        picture = _merged(picture, _alike(picture.boxes))
    if _count(picture) > most:
        picture = _merged(picture, _small(picture, _quotas(picture.boxes, most)))
    return _strongest(picture)


def _count(picture: Picture) -> int:
    return int((picture.boxes["type"] != "shock").sum())


def _alike(boxes: pd.DataFrame) -> pd.Series[Any]:
    """Return the key of the box that each box goes into: markets of one asset and domain that fell alike."""
    markets = boxes[boxes["type"] == "market"]
    fall = (markets["lost"] / markets["base"].where(markets["base"] > 0.0)).fillna(0.0)
    by = markets.assign(fall=fall).sort_values(["domain", "asset", "fall", "name"])
    step = by.groupby(["domain", "asset"])["fall"].diff().fillna(0.0) > _ALIKE
    level = step.groupby([by["domain"], by["asset"]]).cumsum()
    keys = pd.Series([("", str(row)) for row in boxes.index], index=boxes.index, dtype=object)
    keys.loc[by.index] = [
        (asset, f"{domain} {asset} {number}")
        for asset, domain, number in zip(by["asset"], by["domain"], level, strict=True)
    ]
    return keys


def _quotas(boxes: pd.DataFrame, most: int) -> dict[str, int]:
    """Return how many boxes each type may have; what one does not need goes to the others."""
    have = boxes["type"].value_counts().reindex(list(_QUOTAS), fill_value=0)
    total = sum(_QUOTAS.values())
    quotas = {kind: min(int(have[kind]), quota * most // total) for kind, quota in _QUOTAS.items()}
    for kind in _QUOTAS:
        spare = most - sum(quotas.values())
        quotas[kind] = min(int(have[kind]), quotas[kind] + spare)
    return quotas


def _small(picture: Picture, quotas: dict[str, int]) -> pd.Series[Any]:
    """Return the key of the box that each box goes into: the largest stay, then families, then one box a domain."""
    boxes = picture.boxes.assign(weight=_weight(picture))
    keys = pd.Series([("", str(row)) for row in boxes.index], index=boxes.index, dtype=object)
    for kind, quota in quotas.items():
        mine = boxes[boxes["type"] == kind]
        if len(mine) > quota:
            rest = mine.sort_values(["weight", "name", "home"], ascending=[False, True, True])
            domains = mine["domain"].nunique()
            reserve = min(quota, max(domains, quota // 3))
            rest = rest.iloc[quota - reserve :]
            keys.loc[rest.index] = _families(rest, reserve, domains)
    return keys


def _families(rest: pd.DataFrame, reserve: int, domains: int) -> list[tuple[str, str]]:
    """Return the keys of boxes that are put together into at most ``reserve``."""
    family = [
        f"{sort} at {home}" if home and ", " not in home else str(sort)
        for sort, home in zip(rest["sort"], rest["home"], strict=True)
    ]
    label = rest["domain"].astype("str") + "\n" + pd.Series(family, index=rest.index)
    weights = rest["weight"].groupby(label.rename("family")).sum().reset_index()
    weights = weights.sort_values(["weight", "family"], ascending=[False, True])
    kept = set(weights["family"].iloc[: reserve if len(weights) <= reserve else max(0, reserve - domains)])
    kind = str(rest["type"].iloc[0])
    other = "other accounts" if kind == "group" else f"other {kind}s"
    return [
        (name, full) if full in kept else (other, f"{kind} {domain}")
        for name, full, domain in zip(family, label, rest["domain"], strict=True)
    ]


def _weight(picture: Picture) -> pd.Series[float]:
    """Return what a box counts for: its shares of all money, of the money of each channel, of gross assets or losses.

    What tells more than its size counts for more: the fall of a price that nobody shocked, a fifth of the share that
    accounts had to sell, and before a shock a little for leverage.
    """
    boxes, edges = picture.boxes, picture.edges
    share = edges["usd"] / edges.groupby("channel")["usd"].transform("sum")
    score = edges["usd"] / max(float(edges["usd"].sum()), 1.0) + 0.25 * share
    own = boxes["lost" if picture.solved else "gross"].clip(lower=0.0)
    weight = own / max(float(own.sum()), 1.0)
    for end in ("cause", "effect"):
        weight = weight.add(score.groupby(edges[end]).sum(), fill_value=0.0)
    shocked = boxes.index.isin(edges.loc[edges["channel"] == "shock", "effect"])
    surprising = (boxes["type"] == "market") & ~shocked & (boxes["base"] > 0.0)
    if not picture.solved:
        owing = (boxes["type"] == "group") & (boxes["base"] > 0.0)
        return weight + 0.05 * (boxes["gross"] / boxes["base"]).clip(upper=10.0).where(owing, 0.0)
    weight = weight + (boxes["lost"] / boxes["base"]).where(surprising, 0.0)
    sold = boxes["held"] > 0.0
    return weight + 0.2 * (boxes["sold"] / boxes["held"]).where(sold, 0.0)


def _merged(picture: Picture, keys: pd.Series[Any]) -> Picture:
    """Return the picture with boxes of one key made one; a family of one keeps its own name."""
    boxes = picture.boxes
    groups = pd.factorize(keys.map(lambda key: key[1]))[0]
    alone = np.bincount(groups)[groups] == 1
    named = boxes.assign(name=np.where(alone, boxes["name"], keys.map(lambda key: key[0])))
    how: dict[str, Any] = {column: ("sum" if column in SUMS else "first") for column in boxes.columns}
    how |= {"first": "min", "column": "min", "home": _joined, "note": _joined}
    merged = named.groupby(groups).agg(how)
    edges = picture.edges.assign(cause=groups[picture.edges["cause"]], effect=groups[picture.edges["effect"]])
    edges = summed(edges[edges["cause"] != edges["effect"]])
    return picture._replace(boxes=merged.reset_index(drop=True), edges=edges)


def _joined(words: pd.Series[str]) -> str:
    return ", ".join(sorted({part for word in words for part in word.split(", ") if part}))


def _strongest(picture: Picture) -> Picture:
    """Return the picture with the strongest edges of each channel and of all, and one for every box that has any."""
    edges, (few, most) = picture.edges, _LINES
    if len(edges) <= most:
        return picture
    share = edges["usd"] / edges.groupby("channel")["usd"].transform("sum")
    ranked = edges.assign(share=share).sort_values(
        ["share", "channel", "cause", "effect"], ascending=[False, True, True, True]
    )
    needed: list[int] = []
    seen: set[int] = set()
    for row, edge in zip(ranked.index.tolist(), arrows(ranked), strict=True):
        if edge.cause not in seen or edge.effect not in seen:
            needed.append(row)
            seen |= {edge.cause, edge.effect}
    telling = list(dict.fromkeys([*needed, *ranked.index]))[: max(few, len(needed))]
    large = ranked[ranked["channel"] != "oracle"].sort_values("usd", ascending=False, kind="stable")  # no money moves
    kept = list(dict.fromkeys([*telling, *large.index]))[: max(most, len(telling))]
    shown = edges.loc[sorted(kept)].reset_index(drop=True)
    left, total = edges["usd"].sum() - shown["usd"].sum(), edges["usd"].sum()
    note = f"{len(edges) - len(shown)} minor links have no arrow: {usd(left)} of the {usd(total)} of all links"
    return picture._replace(edges=shown, notes=(*picture.notes, note))
