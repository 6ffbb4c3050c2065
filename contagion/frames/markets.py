"""The table of markets: prices, the causes of each drop, sales and depth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion import channels
from contagion.frames.parts import Parts
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.kernels.markets import prices


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def markets(parts: Parts) -> pd.DataFrame:
    """Return prices, the drop and its parts, sales and depth by market, in the order of the system's table."""
    given, clearing = parts.inputs.markets, parts.outcome.clearing
    quotes = parts.inputs.quotes
    depth_before = given.depth + sum_by(quotes.market, quotes.depth, given.price.size)
    drop = -np.expm1(-clearing.log_drop)
    frame = pd.DataFrame(
        {
            "price_before": given.price,
            "price": prices(given.price, clearing.log_drop),
            "drop": drop,
            **_drop_by_cause(parts, depth_before, drop),
            "average_price": clearing.average(given),
            "sold": clearing.sold,
            "pressure": clearing.pressure,
            "depth_before": depth_before,
            "depth": clearing.depth,
        },
        index=parts.labels.markets,
    )
    return parts.system.markets.set_index("market")[["venue", "asset"]].join(frame)


def quotes(parts: Parts) -> pd.DataFrame:
    """Return the rows of the quotes table with the share of each that was withdrawn."""
    withdrawn = np.empty(parts.run.state.withdrawn.size)
    withdrawn[parts.labels.quote_rows] = parts.run.state.withdrawn
    return parts.system.quotes.assign(withdrawn=withdrawn)


def _drop_by_cause(parts: Parts, depth_before: Floats, drop: Floats) -> dict[str, Floats]:
    """Return the relative drop by cause: each cause's log drop times d/δ.

    Impact G is shared between sales, G·(1 + R)/2, and the depth that is gone, G·(1 − R)/2, where R is the depth left
    over the depth with all quotes and no thinning factor.
    """
    given, clearing = parts.inputs.markets, parts.outcome.clearing
    full = given.raising_factor * depth_before
    peg, issuer = np.zeros(drop.size), np.zeros(drop.size)
    pegged, issued = given.pegged_to >= 0, given.issuer >= 0
    peg[pegged] = clearing.log_drop[given.pegged_to[pegged]]
    issuer[issued] = channels.log_drop(parts.run.state.haircut)[given.issuer[issued]]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(np.isinf(full) | (full == 0.0), 1.0, clearing.depth / full)
        scale = np.where(clearing.log_drop == 0.0, 1.0, drop / clearing.log_drop)
    logs = {
        "shock": given.shock,
        "peg": peg,
        "issuer": issuer,
        "sales": clearing.impact * (1.0 + left) / 2.0,
        "depth": clearing.impact * (1.0 - left) / 2.0,
    }
    gone = np.sum([np.isinf(log) for log in logs.values()], axis=0)
    return {f"drop_{cause}": _scaled(log, clearing.log_drop, scale, gone) for cause, log in logs.items()}


def _scaled(log: Floats, total: Floats, scale: Floats, gone: Ints) -> Floats:
    """Return log·scale; where the price is gone altogether, what took it away shares the whole drop."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(total), np.isinf(log) / np.maximum(gone, 1), log * scale)
