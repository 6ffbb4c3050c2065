"""The rounds that matter, in plain sentences."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from contagion.money import percent, usd

__all__ = ["story"]

_DID = {
    "liquidation": "liquidated",
    "stop_loss": "stopped out",
    "call": "called",
    "funding": "sold to fund calls",
}
_BROKEN = 2


def story(rounds: pd.DataFrame, triggers: pd.DataFrame, nodes: pd.DataFrame, lines: int) -> list[str]:
    """Return at most so many lines: rounds that matter in their order, what the others hold, and the end."""
    broken = _first_haircuts(nodes)
    usd_of = triggers.groupby("round")["usd"].sum()
    weight = usd_of.reindex(sorted({*usd_of.index, *broken})).fillna(0.0)
    largest = weight.idxmax() if len(weight) else 0
    ranked = sorted(weight.index, key=lambda number: (number not in (largest, *broken), -weight[number], number))
    room = lines - 1 if len(ranked) < lines else lines - 2
    told = sorted(ranked[:room])
    sentences = [_round(number, triggers[triggers["round"] == number], broken.get(number, [])) for number in told]
    rest = triggers[~triggers["round"].isin(told)]
    if len(rest):
        count = rest["round"].nunique()
        sentences.append(f"{_counted(count, 'other round')}: {_sum(rest)}")
    return [*sentences, _end(rounds)]


def _first_haircuts(nodes: pd.DataFrame) -> dict[int, list[str]]:
    """Return by round the nodes whose claimants begin to lose in it, the hardest hit first."""
    hit = nodes[nodes["haircut"] > 0.0].drop_duplicates("node")
    last = nodes.drop_duplicates("node", keep="last").set_index("node")["haircut"]
    ordered = hit.assign(last=last.reindex(hit["node"]).to_numpy()).sort_values("last", ascending=False, kind="stable")
    found: dict[int, list[str]] = {}
    for number, node, haircut in zip(ordered["round"], ordered["node"], ordered["last"], strict=True):
        found.setdefault(int(number), []).append(f"claims on {node} begin to lose, {percent(haircut)} in the end")
    return found


def _round(number: int, rows: pd.DataFrame, broken: list[str]) -> str:
    ordered = rows.sort_values(["usd", "accounts"], ascending=False, kind="stable")
    parts = [_trigger(row) for row in ordered.head(1).to_dict("records")]
    if len(ordered) > 1:
        parts.append(f"and {_sum(ordered.iloc[1:])} elsewhere")
    if len(broken) > _BROKEN:
        broken = [*broken[:_BROKEN], f"and those on {_counted(len(broken) - _BROKEN, 'other node')}"]
    return f"round {number}: {'; '.join(parts + broken)}"


def _trigger(row: Mapping[Hashable, Any]) -> str:
    accounts, amount = int(row["accounts"]), float(row["usd"])
    sold = f" ({usd(amount)})" if amount > 0.0 else ""
    return f"{_counted(accounts, 'account')} of {row['group']} {_DID[str(row['trigger'])]}{sold}{_because(row)}"


def _because(row: Mapping[Hashable, Any]) -> str:
    """Return what weighed most, as the end of a sentence; nothing if nothing did."""
    if row["cause"] == "market":
        return f", mostly by {row['market']} ({_move(float(row['drop']))})"
    if row["cause"] == "claims":
        return f", mostly by claims on {row['node']}"
    return ", below their level from the opening" if row["cause"] == "opening" else ""


def _move(drop: float) -> str:
    return f"−{percent(drop)}" if drop >= 0.0 else f"+{percent(-drop)}"


def _sum(rows: pd.DataFrame) -> str:
    amount = float(rows["usd"].sum())
    return _counted(int(rows["accounts"].sum()), "account") + (f" ({usd(amount)})" if amount > 0.0 else "")


def _end(rounds: pd.DataFrame) -> str:
    last = rounds.iloc[-1]
    equity = f"equity {usd(float(rounds['equity'].iloc[0]))} → {usd(float(last['equity']))}"
    accounts = _counted(int(rounds["liquidated"].sum()), "account")
    sold = f" ({usd(float(last['sold_so_far']))})" if last["sold_so_far"] > 0.0 else ""
    return f"end: {accounts} liquidated{sold} in {_counted(len(rounds) - 1, 'round')}, {equity}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
