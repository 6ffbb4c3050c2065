"""Figures of the case, and the tables as they are written."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HERE = Path(__file__).parent
FIGURES: dict[str, Any] = tomllib.loads((HERE / "figures.toml").read_text("utf-8"))
ASSETS: dict[str, Any] = FIGURES["assets"]
VENUES: dict[str, Any] = FIGURES["venues"]
MAJORS = ("BTC", "ETH", "SOL", "BNB")
PRICE = {asset: float(given["price"]) for asset, given in ASSETS.items()}
PRICE |= {token: given["ratio"] * PRICE[given["base"]] for token, given in FIGURES["staked"].items()}
PRICE |= {
    "USDe": 1.0,
    "USDT": 1.0,
    "sUSDe": FIGURES["usde"]["staked_ratio"],
    "USDC": 1.0,
    "SPX": FIGURES["macro_funds"]["index"],
}
TAIL = 1.3
"""Tail index of account sizes."""


class Book:
    """Rows of the tables as they are written, and the net perp position of each market."""

    def __init__(self, seed: int) -> None:
        self.rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.open: dict[tuple[str, str], float] = defaultdict(float)
        self.platform: dict[str, str] = {}
        self.random = np.random.default_rng(seed)

    def add(self, table: str, **cells: str | float) -> None:
        """Add a row; numbers are written with six significant digits."""
        self.rows[table].append({k: v if isinstance(v, str) else f"{v:.6g}" for k, v in cells.items()})

    def account(self, name: str, platform: str, group: str, cash: float = 0.0, **cells: str | float) -> str:
        """Add an account and return its name."""
        self.add("accounts", account=name, platform=platform, group=group, cash=cash, **cells)
        self.platform[name] = platform
        return name

    def hold(self, account: str, asset: str, usd: float, side: str = "collateral") -> None:
        """Add a position worth that much at opening prices; a debt is positive, a short perp negative."""
        if abs(usd) < 1.0:
            return
        entry = f"{PRICE[asset]:.6g}" if side == "perp" else ""
        quantity = float(f"{usd / PRICE[asset]:.6g}")
        self.add("positions", account=account, asset=asset, side=side, quantity=quantity, entry_price=entry)
        if side == "perp":
            self.open[self.platform[account], asset] += quantity * PRICE[asset]

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Return stratified draws: one from each of ``count`` equal parts of the interval, in random order."""
        ranks = np.argsort(self.random.random(count), kind="stable")
        return low + (high - low) * (ranks + self.random.random(count)) / count

    def sizes(self, count: int, total: float) -> Floats:
        """Return heavy-tailed sizes that add up to the total."""
        size = (1.0 - 0.98 * self.uniform(count)) ** (-1.0 / TAIL)
        return np.asarray(total * size / size.sum(), dtype=np.float64)

    def leverage(self, count: int, law: Mapping[str, float]) -> Floats:
        """Return leverage least·(1 − u)^(−1/tail), at most ``most``."""
        return np.minimum(law["most"], law["least"] * (1.0 - self.uniform(count)) ** (-1.0 / law["tail"]))

    def write(self, folder: Path) -> None:
        """Write one CSV a table."""
        for table, rows in self.rows.items():
            frame = pd.DataFrame(rows).fillna("")
            frame.to_csv(folder / f"{table}.csv", index=False, lineterminator="\n")


def listed(venue: str) -> list[str]:
    """Return the assets with a perp and a spot market at a venue."""
    return [asset for asset in ASSETS if asset in FIGURES["open_interest"][venue]]


def depth_of(venue: str, asset: str) -> float:
    """Return the depth of a book while the cascade lasts: its part of all venues, refilled."""
    return float(VENUES[venue]["share"] * ASSETS[asset]["depth"] * FIGURES["refill"])
