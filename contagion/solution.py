"""The result of a solve: frozen arrays, and the tables that are read from them on demand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import pandas as pd

from contagion import display, frames
from contagion.frozen import HandsOutCopies
from contagion.kernels.convergence import error_estimate, local_rate
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["Solution", "unforced", "untold"]


@dataclass(frozen=True, eq=False)
class Solution(HandsOutCopies):
    """Tables and totals of a solved scenario; made by `contagion.solve`.

    Attributes
    ----------
    system, scenario : System, Scenario
        What was solved; the system has the scenario's overrides applied.
    tol : float
        Step below which the rounds could end.
    parts : frames.Parts
        Arrays that the tables are made from; not part of the public surface.
    forced_loss : float, optional
        Of a greatest fixed point: loss at the least one, USD.
    """

    system: System
    scenario: Scenario
    tol: float
    parts: frames.Parts = field(repr=False)
    forced_loss: float | None = None

    def __repr__(self) -> str:
        name = f"{self.scenario.name!r}, " if self.scenario.name else ""
        state = "converged" if self.converged else "NOT CONVERGED"
        certainty = f"{state} in {len(self.parts.run.records)} rounds, residual {self.residual:.1e}"
        name = name if self.forced_loss is None else f"{name}greatest, "
        return f"Solution({name}loss {self.totals['loss']:,.2f} USD, {certainty})"

    def _repr_html_(self) -> str | None:
        """Return the summary and the cascade that a notebook shows; see `contagion.notebook`."""
        return display.html(self)

    def _repr_svg_(self) -> str | None:
        """Return the picture of the cascade alone; see `contagion.notebook`."""
        return display.svg(self)

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
        """Local rate ρ, by which the last rounds shrank the step; near one, a small step is not a small error."""
        return local_rate(self._steps)

    @property
    def error_estimate(self) -> float:
        """Estimated distance to the fixed point, residual·ρ/(1 − ρ), or a certified one that fast rounds have found."""
        bound = self.parts.run.bound
        return error_estimate(self._steps) if math.isnan(bound) else bound

    @property
    def looks(self) -> int:
        """How many passes over the accounts looked ahead (``rounds="fast"``); 0 if all were rounds in Jacobi order.

        With any, ``rounds`` and the round numbers of accounts count passes, and there is no timeline to tell.
        """
        return self.parts.run.looks

    @cached_property
    def enclosure(self) -> tuple[float, float]:
        """Two losses between which that of the least fixed point lies, USD: the one reported, and one from above.

        Certified by a state that the map does not raise (Tarski 1955), to the rounding of one evaluation. NaN where
        there is no such certificate: without convergence; with hedges, funding, or accounts that nodes own; with an
        account that stands an ulp from its level; for a greatest fixed point.
        """
        return (math.nan, math.nan) if self.forced_loss is not None else frames.enclosure(self.parts)

    @property
    def self_fulfilling(self) -> float:
        """Loss at the greatest fixed point beyond that at the least one, USD: what a run takes that no shock forces.

        NaN unless solved with ``greatest=True``. In systems that are not long-only it is the loss beyond the least one
        at the state that rounds from everything lost come down to.
        """
        return math.nan if self.forced_loss is None else self.totals["loss"] - self.forced_loss

    @cached_property
    def _steps(self) -> tuple[float, ...]:
        run = self.parts.run
        if not run.looks:
            return tuple(record.step for record in run.records)
        return run.last or (run.records[-1].step,)  # the cap may fall on a look

    @cached_property
    def markets(self) -> pd.DataFrame:
        """One row a market, money in USD.

        - venue, asset
        - price_before, price (trough), average_price (of sellers), per unit
        - drop, and its parts drop_shock, drop_peg, drop_issuer, drop_sales, drop_depth (in log terms, scaled to add up)
        - sold (at opening prices, net of buying back), pressure (x: 1 lowers the price by 1 %)
        - depth_before, depth: notional whose sale lowers the price by 1 %
        """
        return frames.markets(self.parts)

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """One row an account, money in USD.

        - platform, owner, group
        - health, leverage, gross_assets, weighted_assets, debt, maintenance, each also with ``_before``
        - equity_before, equity_marked (at terminal prices), equity_if_sold, equity_after; loss, gain
        - liquidated (share), deficit, hidden_bad_debt; received and given as margin calls were funded
        - called_round, liquidated_round (first round, missing if never), cause (of the first sale);
          none at a greatest fixed point, for nobody is the first to act on the way down
        """
        return frames.accounts(self.parts)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row a node, money in USD.

        - kind, domain
        - loss, and its parts loss_external, loss_deficits, loss_claims, loss_owned
        - buffer, buffer_used; liabilities, outside_liabilities (held by nobody inside), haircut (share), outside_loss
        - liquidated: positions closed on the platform, at opening prices
        """
        return frames.nodes(self.parts, self.liquidations)

    @cached_property
    def quotes(self) -> pd.DataFrame:
        """Rows of the quotes table with ``withdrawn``, the share of the depth that is gone."""
        return frames.quotes(self.parts)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row a round, or a look ahead.

        step (largest move), evaluated_count (accounts whose lines were taken; no other can have changed),
        called_count and liquidated_count (accounts), sold, deficit, depth_withdrawn (USD so far),
        largest_haircut, largest_drop, lowest_market.
        """
        return frames.rounds(self.parts)

    @cached_property
    def prices(self) -> pd.DataFrame:
        """Price of every market (columns) after every round (rows; 0 is the opening), USD per unit."""
        return frames.prices(self.parts)

    @cached_property
    def liquidations(self) -> pd.DataFrame:
        """Liquidated USD at opening prices by platform, asset and group."""
        return frames.liquidations(self.parts)

    @property
    def totals(self) -> MappingProxyType[str, float]:
        """USD by name.

        loss = account_loss + buffer_loss + outside_loss, each dollar once; gains of winners; hidden (losses that fall
        on nobody yet) and hidden_bad_debt; liquidated, deficit, funded (by sources valued at terminal prices).
        """
        return MappingProxyType(self._totals)

    @cached_property
    def direct_loss(self) -> float:
        """Loss in USD if nobody had reacted: no sale, no call, no quote withdrawn, no deficit."""
        return frames.direct_loss(self.parts)

    @property
    def amplification(self) -> float:
        """Loss over direct loss: what the system made of the shock; NaN where nothing was lost directly."""
        return self.totals["loss"] / self.direct_loss if self.direct_loss > 0.0 else math.nan

    @property
    def stock_flow(self) -> MappingProxyType[str, float]:
        """Balance of equity changes against prices, sales, costs and claims; ``residual`` is its error."""
        return MappingProxyType(self._stock_flow)

    @cached_property
    def knife_edge(self) -> pd.DataFrame:
        """Accounts within 1e-9 of a trigger: account, trigger, surplus (USD), scale (USD)."""
        return frames.knife_edge(self.parts)

    @cached_property
    def _totals(self) -> dict[str, float]:
        return frames.totals(self.parts, self.liquidations)

    @cached_property
    def _stock_flow(self) -> dict[str, float]:
        return frames.stock_flow(self.parts)


def unforced(solution: object) -> list[str]:
    """Return the problem of a solution that no scenario has forced, if it is one: nothing may be called its cause."""
    if isinstance(solution, Solution) and solution.forced_loss is not None:
        return [
            "the solution is a greatest fixed point, and no shock forces what it loses beyond the least one "
            "(solution.self_fulfilling); solve without greatest=True"
        ]
    return []


def untold(solution: object) -> list[str]:
    """Return the problem of a solution whose rounds are not its story, if it is one."""
    if problems := unforced(solution):
        return problems
    if isinstance(solution, Solution) and (solution.looks or solution.parts.run.ends_only):
        return ['the solution was found by fast rounds and has no timeline; solve again with rounds="jacobi"']
    return []
