"""From every role to as many boxes as a page holds, and from every flow to its strongest; money adds up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contagion.diagram.roles import AMOUNTS, Roles
from contagion.kernels.inputs import Bools

__all__ = ["STAGES", "fold", "partition", "spilled", "strongest", "weights"]

STAGES = {"source": 5, "hit": 4, "passing": 8, "pushed": 5, "losing": 6, "node": 3}
"""Boxes of each stage that a page holds."""

_OTHERS = {
    "source": "other shocks",
    "hit": "other markets",
    "passing": "other accounts",
    "pushed": "other markets",
    "losing": "other accounts",
    "node": "other nodes",
}
_RESERVE = 2
_ENOUGH = 0.9
_ACROSS = 0.5
_SURPRISE = 0.15


def weights(roles: Roles, total: float) -> pd.Series[float]:
    """Return what each box counts for: its share of the loss, and more for what tells more than its size.

    That is the fall of a price which nobody shocked, whom it forces to sell in another domain, and what a fixed oracle
    hides; and who pushes such a price counts for as much of that as of the push.
    """
    boxes, flows, cut = roles
    scale = max(abs(total), 1e-300)
    own = boxes["usd"].abs().where(boxes["type"] != "node", boxes["borne"].abs()) / scale
    unshocked = (boxes["type"] == "pushed") & ~boxes["shocked"] & (boxes["base"] > 1e-3 * scale)
    weight = own + _SURPRISE * (boxes["lost"] / boxes["base"]).clip(0.0, 1.0).where(unshocked, 0.0)
    crossing, hidden = flows[spilled(roles)], cut[cut["usd"] > 1e-3 * scale]
    for told, bonus in ((crossing, _ACROSS), (hidden, 1.0)):
        for end in ("cause", "effect"):
            share = told.groupby(end)["usd"].sum() / max(float(told["usd"].sum()), 1e-300)
            weight = weight.add(bonus * share, fill_value=0.0)
    pushes = flows[(boxes["type"] == "passing").to_numpy()[flows["cause"]] & unshocked.to_numpy()[flows["effect"]]]
    pushes = pushes[pushes["usd"] > 0.0]
    part = pushes["usd"] / pushes.groupby("effect")["usd"].transform("sum")
    telling = (weight - own).reindex(boxes.index)
    pushing = (part * telling.to_numpy()[pushes["effect"]]).groupby(pushes["cause"]).sum()
    return weight.add(pushing, fill_value=0.0).reindex(boxes.index)


def spilled(roles: Roles) -> Bools:
    """Return which flows run from a price that nobody shocked to accounts in another domain, which it makes act."""
    boxes, flows, _ = roles
    domain, kind = boxes["domain"].to_numpy(), boxes["type"].to_numpy()
    cause, effect = flows["cause"].to_numpy(), flows["effect"].to_numpy()
    new = (kind == "pushed") & ~boxes["shocked"].to_numpy(dtype=bool)
    crosses: Bools = (domain[cause] != domain[effect]) & new[cause] & (kind[effect] == "passing")
    return crosses & (flows["usd"] > 0.0).to_numpy()


def partition(boxes: pd.DataFrame, weight: pd.Series[float], named: Bools) -> pd.Series[Any]:
    """Return the key (name, identity) of the box that each role goes into.

    Those that are named stay, and of each stage the largest; others go to their family (a market to its kind and venue,
    accounts to their group, wherever they are), and the smallest families together. Markets that a shock hit are first
    put together by asset.
    """
    keys = pd.Series([(name, f"{row}") for row, name in boxes["name"].items()], index=boxes.index, dtype=object)
    weighed = boxes.assign(weight=weight)
    for stage, quota in STAGES.items():
        here = (boxes["type"] == stage).to_numpy()
        mine, quota = weighed[here & ~named], max(quota - int((here & named).sum()), _RESERVE)
        if len(mine) <= quota:
            continue
        if stage == "hit":
            keys.loc[mine.index] = _hit(mine, quota)
            continue
        by = mine.sort_values(["weight", "name"], ascending=[False, True])
        rest = by.iloc[quota - min(_RESERVE, quota - 1) :]
        family = rest["family"]
        if stage == "pushed":
            family = rest["family"] + " at " + rest["home"]
        keys.loc[rest.index] = _families(rest, family, stage, min(_RESERVE, quota - 1))
    return keys


def _hit(mine: pd.DataFrame, quota: int) -> list[tuple[str, str]]:
    """Return the keys of markets by asset, the smallest of them together."""
    assets = mine.groupby("asset")["weight"].sum().reset_index()
    assets = assets.sort_values(["weight", "asset"], ascending=[False, True])
    kept = set(assets["asset"].iloc[: quota if len(assets) <= quota else quota - 1])
    return [(asset, f"hit {asset}") if asset in kept else ("other markets", "hit") for asset in mine["asset"]]


def _families(rest: pd.DataFrame, family: pd.Series[str], stage: str, room: int) -> list[tuple[str, str]]:
    sums = rest["weight"].groupby(family.rename("family")).sum().reset_index()
    sums = sums.sort_values(["weight", "family"], ascending=[False, True])
    kept = set(sums["family"].iloc[: room if len(sums) <= room else room - 1])
    return [(name, f"{stage} {name}") if name in kept else (_OTHERS[stage], stage) for name in family]


def fold(roles: Roles, keys: pd.Series[Any]) -> tuple[Roles, np.ndarray]:
    """Return the roles with those of one key in one box, and the box of each; a family of one keeps its own name."""
    boxes = roles.boxes
    into = pd.factorize(keys.map(lambda key: key[1]))[0]
    alone = np.bincount(into)[into] == 1
    named = boxes.assign(name=np.where(alone, boxes["name"], keys.map(lambda key: key[0])))
    how: dict[str, Any] = {column: "sum" if column in AMOUNTS else "first" for column in boxes.columns}
    merged = named.groupby(into).agg(how | {"home": _joined, "domain": _joined, "shocked": "any"})
    flows = roles.flows.assign(cause=into[roles.flows["cause"]], effect=into[roles.flows["effect"]])
    inside = flows[flows["cause"] == flows["effect"]].groupby("effect")["usd"].sum()
    between = flows[flows["cause"] != flows["effect"]].groupby(["cause", "effect", "channel"], sort=True)["usd"].sum()
    cut = roles.cut.assign(cause=into[roles.cut["cause"]], effect=into[roles.cut["effect"]])
    cut = cut.groupby(["cause", "effect"], sort=True)["usd"].sum().reset_index()
    merged["usd"] = merged["usd"].sub(inside, fill_value=0.0).reindex(merged.index)
    return Roles(merged.reset_index(drop=True), between.reset_index(), cut), into


def strongest(flows: pd.DataFrame, most: int, wanted: Bools) -> pd.DataFrame:
    """Return the strongest flows, the wanted ones, and for each box its strongest one in and its strongest one out.

    No more than make up nine tenths of all: further ones would hide what matters.
    """
    if len(flows) <= most:
        return flows
    ranked = flows.assign(size=-flows["usd"].abs()).sort_values(["size", "cause", "effect", "channel"])
    needed = ~(ranked["cause"].duplicated() & ranked["effect"].duplicated()) | wanted[ranked.index]
    larger = 1.0 + ranked["size"].cumsum().shift(fill_value=0.0) / flows["usd"].abs().sum()
    free = np.cumsum((~needed).to_numpy()) <= max(0, most - int(needed.sum()))
    free &= (larger > 1.0 - _ENOUGH).to_numpy()
    return flows.loc[ranked.index[needed.to_numpy() | free].sort_values()].reset_index(drop=True)


def _joined(words: pd.Series[str]) -> str:
    return ", ".join(sorted({word for word in words if word}))
