"""The tables of a synthetic system that name no account: lenders, exchanges, markets, terms, oracles, links."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.generate.draws import EXCHANGES, LENDERS, SHARES, Floats, Names
from contagion.scenario import Scenario

__all__ = ["claims", "fall", "rules"]


def rules(names: Names, price: Floats, depth: Floats, size: float) -> dict[str, pd.DataFrame]:
    """Return the tables that name no account."""
    return {
        "nodes": _nodes(size),
        "assets": pd.DataFrame({"asset": [*names, "USD"]}).assign(kind=[*["altcoin"] * names.size, "stablecoin"]),
        "markets": _markets(names, price, depth),
        "terms": _terms(names),
        "oracles": _oracles(names),
        "arbitrage": _arbitrage(names, depth),
    }


def claims(size: float) -> pd.DataFrame:
    """Return what two firms owe to the bank."""
    claims = pd.DataFrame({"creditor": ["bank", "bank"], "debtor": ["prime", "exchange0"]})
    return claims.assign(amount=0.002 * size)


def fall(names: Names) -> Scenario:
    """Return a market-wide fall."""
    shocks = {str(name): 0.2 for name in names} | {str(names[0]): 0.12}
    return Scenario(shocks=shocks, arbitrage=0.5, name="market-wide fall")


def _nodes(size: float) -> pd.DataFrame:
    lenders = [
        (name, "protocol", "defi", "ltv", rule) for name, rule in zip(LENDERS, ["close_factor", "full"], strict=True)
    ]
    exchanges = [(name, "exchange", "cefi", "maintenance", "restore") for name in EXCHANGES]
    firms = [("bank", "institution", "tradfi", "ltv", "restore"), ("prime", "institution", "cefi", "ltv", "restore")]
    frame = pd.DataFrame(
        [*lenders, *exchanges, *firms], columns=["node", "kind", "domain", "margin_rule", "close_rule"]
    )
    frame["buffer"] = 0.002 * size
    lender = frame["kind"] == "protocol"
    frame["call_level"] = np.where(lender, 1.05, np.nan)
    frame["target_level"] = np.where(lender, 1.1, 1.5)
    return frame


def _markets(names: Names, price: Floats, depth: Floats) -> pd.DataFrame:
    impacts = np.array(["exponential", "linear", "sqrt"], dtype=object)
    parts = [
        pd.DataFrame(
            {
                "market": venue + ":" + names,
                "venue": venue,
                "asset": names,
                "price": price,
                "depth": 0.5 * depth * share,
                "impact": impacts[0] if share > 0.2 else impacts[np.arange(names.size) % 3],
                "floor": 0.05,
            }
        )
        for venue, share in SHARES
    ]
    dollar = pd.DataFrame(
        {"market": ["exchange0:USD"], "venue": ["exchange0"], "asset": ["USD"], "price": [1.0], "depth": [np.inf]}
    )
    return pd.concat([*parts, dollar.assign(impact="exponential", floor=0.01)], ignore_index=True)


def _terms(names: Names) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"platform": platform, "asset": names, "weight": 0.8, "maintenance": 0.0, "cost": 0.05})
        for platform in LENDERS
    ]
    for platform in EXCHANGES:
        parts.append(
            pd.DataFrame({"platform": platform, "asset": names, "weight": 0.9, "maintenance": 0.02, "cost": 0.005})
        )
        parts.append(
            pd.DataFrame({"platform": [platform], "asset": "USD", "weight": 1.0, "maintenance": 0.02, "cost": 0.0})
        )
    return pd.concat(parts, ignore_index=True)


def _oracles(names: Names) -> pd.DataFrame:
    """Return what lenders read: the two largest exchanges, half each."""
    parts = [
        pd.DataFrame({"platform": platform, "asset": names, "market": venue + ":" + names, "weight": 0.5})
        for platform in LENDERS
        for venue in EXCHANGES[:2]
    ]
    return pd.concat(parts, ignore_index=True)


def _arbitrage(names: Names, depth: Floats) -> pd.DataFrame:
    """Return links from the largest exchange to the other two."""
    parts = [
        pd.DataFrame({"market_a": EXCHANGES[0] + ":" + names, "market_b": venue + ":" + names, "depth": 0.3 * depth})
        for venue in EXCHANGES[1:]
    ]
    return pd.concat(parts, ignore_index=True)
