"""The slow loss graph on the worked example and on random systems: every identity closes."""

from typing import Any

import numpy as np
import pytest

from tests import loss_graph
from tests.random_systems import random_tables
from tests.seeds import some

TABLES: dict[str, list[dict[str, Any]]] = {
    "nodes": [{"node": "x", "kind": "exchange", "close_rule": "full"}],
    "assets": [{"asset": "A"}, {"asset": "U"}],
    "markets": [
        {"market": "x:A", "venue": "x", "asset": "A", "price": 1.0, "depth": 2.0},
        {"market": "x:U", "venue": "x", "asset": "U", "price": 1.0, "depth": float("inf")},
    ],
    "terms": [
        {"platform": "x", "asset": "A", "weight": 0.8, "cost": 0.05},
        {"platform": "x", "asset": "U", "weight": 1.0},
    ],
    "accounts": [{"account": "a", "platform": "x"}],
    "positions": [
        {"account": "a", "asset": "A", "side": "collateral", "quantity": 10.0},
        {"account": "a", "asset": "U", "side": "debt", "quantity": 7.6},
    ],
}


def test_worked_example() -> None:
    """One market of depth 2 halved, a shock of 10 %, ten A against 7.6 closed in full at a cost of 5 %."""
    found = loss_graph.attribute(TABLES, {"shocks": {"A": 0.1}, "depth": {"x": 0.5}})
    assert found.loss == pytest.approx(1.865612546769761, rel=1e-12)
    assert found.sources["shock:A"] == pytest.approx(1.5963878107327891, rel=1e-12)
    assert found.sources["depth:x"] == pytest.approx(0.269224736036972, rel=1e-12)
    wanted = {"own shock": 0.9271240585605919, "cost": 0.5, "sales": 0.32886636615687687, "depth": 0.10962212205229228}
    for channel, usd in wanted.items():
        assert found.channels[channel] == pytest.approx(usd, rel=1e-12)
    assert found.y[("price", "x:A")] == pytest.approx(6.3521306, rel=1e-7)


@pytest.mark.parametrize("shorts", [True, False])
def test_identities_close_on_random_systems(shorts: bool) -> None:
    for seed in some(120):
        tables, scenario = random_tables(np.random.default_rng(seed), shorts=shorts)
        found = loss_graph.attribute(tables, scenario)
        assert found.residuals["rows"] <= 1e-12, seed
        assert found.residuals["sources"] <= 1e-9, seed
        assert found.residuals["channels"] <= 1e-9, seed
        if not shorts:
            assert found.rho < 1.0, seed
            assert min(found.M.values(), default=0.0) >= 0.0, seed
            assert min(found.c.values(), default=0.0) >= 0.0, seed
