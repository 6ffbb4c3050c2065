"""The result of a solve: frozen arrays, and the tables that are read from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pandas as pd

from contagion import frames
from contagion.kernels.rounds import error_estimate, local_rate
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["Solution"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Return tables and totals of a solved scenario; made by `contagion.solve`.

    Attributes
    ----------
    system, scenario : System, Scenario
        What was solved; the system with the scenario's overrides applied.
    tol : float
        Step below which the rounds ended.
    """

    system: System
    scenario: Scenario
    tol: float
    parts: frames.Parts = field(repr=False)

    def __repr__(self) -> str:
        state = "converged" if self.converged else "NOT CONVERGED"
        name = f"{self.scenario.name!r}, " if self.scenario.name else ""
        return f"Solution({name}loss {self.totals['loss']:,.0f} USD, {state} in {len(self.rounds)} rounds, residual {self.residual:.1e})"

    @property
    def converged(self) -> bool:
        """Whether the last step was at most ``tol`` and the estimated error at most 1e-9."""
        return self.parts.run.converged

    @property
    def residual(self) -> float:
        """Largest move of any unknown (log drop, liquidated share, withdrawn share, haircut) in the last round."""
        return self._steps[-1] if self._steps else math.inf

    @property
    def rate(self) -> float:
        """Local rate ρ: factor by which the last rounds shrank the step; near one, a small step is not a small error."""
        return local_rate(self._steps)

    @property
    def error_estimate(self) -> float:
        """Estimated distance to the fixed point, residual·ρ/(1 − ρ)."""
        return error_estimate(self._steps)

    @cached_property
    def _steps(self) -> tuple[float, ...]:
        return tuple(record.step for record in self.parts.run.records)

    @cached_property
    def markets(self) -> pd.DataFrame:
        """One row a market.

        venue, asset · price_before, price (trough), average_price (of sellers), USD per unit · drop and its parts drop_shock, drop_peg,
        drop_issuer, drop_sales, drop_depth (log shares, scaled to add up to drop) · sold (USD at opening prices, net of buying back),
        pressure (x; 1 lowers the price by 1 %), depth_before, depth (USD that lower the price by 1 %).
        """
        return frames.markets(self.parts)

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """One row an account.

        platform, owner, group · health, leverage, gross_assets, weighted_assets, debt, maintenance, each also ``_before`` · equity_before,
        equity_marked (E at terminal prices), equity_if_sold (V), equity_after · loss, gain · liquidated (share) · deficit, received,
        given, hidden_bad_debt (USD) · called_round, liquidated_round (first round, missing if never), cause of the first sale.
        """
        return frames.accounts(self.parts)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row a node.

        kind, domain · loss and its parts loss_external, loss_deficits, loss_claims, loss_owned · buffer, buffer_used · liabilities,
        outside_liabilities (not held inside the system), haircut (share), outside_loss · liquidated on the platform; USD.
        """
        return frames.nodes(self.parts)

    @cached_property
    def quotes(self) -> pd.DataFrame:
        """Rows of the quotes table with ``withdrawn``, the share of the depth that is gone."""
        return frames.quotes(self.parts)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row a round: step, called, liquidated (accounts), sold, deficit, withdrawn (USD), largest_haircut, largest_drop, lowest_market."""
        return frames.rounds(self.parts)

    @cached_property
    def prices(self) -> pd.DataFrame:
        """Price of every market (columns) after every round (rows; 0 is the opening), USD per unit."""
        drops = [
            np.zeros(len(self.parts.labels.markets)),
            *(record.log_drop for record in self.parts.run.records),
        ]
        path = self.parts.inputs.markets.price * np.exp(-np.array(drops))
        return pd.DataFrame(path, columns=self.parts.labels.markets).rename_axis(index="round")[
            list(self.system.markets["market"])
        ]

    @cached_property
    def liquidations(self) -> pd.DataFrame:
        """Liquidated USD at opening prices by platform, asset and group."""
        return frames.liquidations(self.parts)

    @cached_property
    def totals(self) -> MappingProxyType[str, float]:
        """USD: loss = account_loss + buffer_loss + outside_loss, each dollar once; gains, hidden, hidden_bad_debt, liquidated, deficit …."""
        return MappingProxyType(frames.totals(self.parts))

    @cached_property
    def stock_flow(self) -> MappingProxyType[str, float]:
        """Balance of all accounts' equity changes against price changes, sales, costs and claims; ``residual`` is rounding."""
        return MappingProxyType(frames.stock_flow(self.parts))

    @cached_property
    def knife_edge(self) -> pd.DataFrame:
        """Accounts within 1e-9 of a trigger: account, trigger, surplus (USD), scale (USD)."""
        return frames.knife_edge(self.parts)
