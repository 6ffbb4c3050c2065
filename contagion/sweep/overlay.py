"""A scenario laid over arrays that are already there: the markets and nodes that it touches, without tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import channels
from contagion.arrays import Labels
from contagion.kernels import Inputs
from contagion.kernels.inputs import Floats, Ints, Markets
from contagion.scenario import Scenario
from contagion.stress.runs import under
from contagion.system import System

__all__ = ["Overlay", "worse"]

_KEPT = 64
"""Arbitrage factors of which the links are kept."""

_READ = ("nodes", "assets", "markets", "claims", "arbitrage")
"""Tables that markets and nodes are made from."""

_NOWHERE = np.zeros(0, dtype=np.int64)


class Overlay(NamedTuple):
    """Where the names of scenarios stand in the arrays of one system."""

    system: System  # tables of markets and nodes alone
    labels: Labels
    inputs: Inputs
    market: Mapping[str, Ints]  # markets of each name
    asset: Mapping[str, Ints]
    venue: Mapping[str, Ints]
    node: Mapping[str, int]
    linked: dict[float, Markets]  # by arbitrage factor, filled as it is asked for

    @classmethod
    def of(cls, system: System, labels: Labels, inputs: Inputs) -> Overlay:
        """Return the overlay of a lowered system."""
        table = system.markets.set_index("market", drop=False).loc[list(labels.markets)]
        market, asset, venue = (_places(table[name]) for name in ("market", "asset", "venue"))
        slim = System(**{name: getattr(system, name) for name in _READ})
        node = {str(name): number for number, name in enumerate(labels.nodes)}
        return cls(slim, labels, inputs, market, asset, venue, node, {})

    def under(self, scenario: Scenario) -> Inputs:
        """Return the arrays under a scenario, bit for bit as `contagion.arrays.lower` would make them."""
        factor, raising = self._factors(scenario.depth)
        markets = self._links(scenario.arbitrage)._replace(
            shock=channels.log_drop(self._shocks(scenario.shocks)), factor=factor, raising_factor=raising
        )
        loss = np.zeros(len(self.node))
        for name, amount in scenario.losses.items():
            loss[self.node[name]] = amount
        return self.inputs._replace(markets=markets, nodes=self.inputs.nodes._replace(loss=loss))

    def _links(self, arbitrage: float) -> Markets:
        if arbitrage in self.linked:
            return self.linked[arbitrage]
        made = under(self.system, self.labels, self.inputs, Scenario(arbitrage=arbitrage)).markets
        if len(self.linked) < _KEPT:
            self.linked[arbitrage] = made
        return made

    def _shocks(self, shocks: Mapping[str, float]) -> Floats:
        """Return the relative drop (m,) imposed on each market; its own entry wins over its asset's."""
        drop = np.zeros(self.inputs.markets.price.size)
        for places in (self.asset, self.market):
            for name, value in shocks.items():
                drop[places.get(name, _NOWHERE)] = value
        return drop

    def _factors(self, depth: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Return the product (m,) of the factors that apply to each market, and that of those above one."""
        factor, raising = np.ones(self.inputs.markets.price.size), np.ones(self.inputs.markets.price.size)
        for name, value in depth.items():
            applies = [places[name] for places in (self.market, self.venue, self.asset) if name in places]
            for place in np.unique(np.concatenate([_NOWHERE, *applies])):
                factor[place] *= value
                raising[place] *= max(value, 1.0)
        return factor, raising


def worse(now: Inputs, before: Inputs) -> bool:
    """Return whether one set of arrays is at least as bad as another of the same system in every respect.

    Links between venues spread pressure as well as relieve it, so they must be the same.
    """
    new, old = now.markets, before.markets
    return bool(
        (new.shock >= old.shock).all()
        and (new.factor <= old.factor).all()
        and (now.nodes.loss >= before.nodes.loss).all()
        and np.array_equal(new.laplacian.indices, old.laplacian.indices)
        and np.array_equal(new.laplacian.data, old.laplacian.data)
    )


def _places(names: pd.Series[str]) -> dict[str, Ints]:
    """Return where each name stands."""
    numbered = pd.Series(np.arange(len(names)))
    return {str(name): rows.to_numpy() for name, rows in numbered.groupby(names.to_numpy())}
