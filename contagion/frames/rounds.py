"""The timeline: what every round did, and the prices after it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.frames.parts import Parts
from contagion.kernels.markets import prices as prices_after


def rounds(parts: Parts) -> pd.DataFrame:
    """Return one row a round: step, calls, liquidated accounts, USD sold, deficits, quotes gone, the lowest price."""
    records = parts.run.records
    frame = pd.DataFrame([record._asdict() for record in records]).drop(columns="log_drop")
    frame.index = pd.RangeIndex(1, len(records) + 1, name="round")
    names = parts.labels.markets
    lowest = [int(record.log_drop.argmax()) for record in records] if len(names) else []
    frame["largest_drop"] = [-np.expm1(-record.log_drop.max(initial=0.0)) for record in records]
    frame["lowest_market"] = names.take(lowest) if lowest else ""
    return frame


def prices(parts: Parts) -> pd.DataFrame:
    """Return the price of every market after every round, USD per unit; round 0 is the opening."""
    opening = parts.inputs.markets.price
    drops = [np.zeros(opening.size), *(record.log_drop for record in parts.run.records)]
    path = pd.DataFrame(prices_after(opening, np.array(drops)), columns=parts.labels.markets)
    return path.rename_axis(index="round")[list(parts.system.markets["market"])]
