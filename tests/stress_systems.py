"""Small systems for the questions that take more than one solve: one venue, one asset."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from hypothesis import Phase, settings
from hypothesis import strategies as st

import contagion as ct
from tests.seeds import some

seeds = st.integers(0, 100_000)


def examples(count: int) -> settings:
    """Return settings for so many examples; each takes many solves."""
    return settings(max_examples=len(some(count)), phases=[Phase.explicit, Phase.generate])


def at_one_venue(quantity: Sequence[float], debt: Sequence[float], depth: float = 2.0, cost: float = 0.05) -> ct.System:
    """Return accounts a0, a1 … that hold A (1 USD, weight 0.8) against dollars and are closed in full, or not at all.

    Each is a group of its own.
    """
    names = [f"a{i}" for i in range(len(quantity))]
    return ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": depth}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8, "cost": cost}),
        accounts=pd.DataFrame({"account": names, "platform": "x", "group": names, "cash": [-owed for owed in debt]}),
        positions=pd.DataFrame({"account": names, "asset": "A", "quantity": quantity}),
    )


def borrowers(*debts: float, depth: float = 2.0) -> ct.System:
    """Return accounts of 10 A each that are closed in full once 8 × price is less than their debt."""
    return at_one_venue([10.0] * len(debts), debts, depth)


def shuffled(system: ct.System, seed: int) -> ct.System:
    """Return the system with the rows of its tables in another order; that of funding means something."""
    rng = np.random.default_rng(seed)
    return ct.System(
        **{name: table.take(rng.permutation(len(table))) for name, table in system.tables() if name != "funding"},
        funding=system.funding,
    )


def squeeze() -> ct.System:
    """Return a debt of 1,000 A that nobody can buy back at any price, those who hold or owe A too, and a holder of B.

    The price of A leaves the range of the arithmetic in the first round.
    """
    held = [("short", "A", "debt", 1000.0), ("long", "A", "collateral", 5.0), ("mixed", "A", "debt", 10.0)]
    held += [("mixed", "B", "collateral", 10.0), ("both", "A", "debt", 4.0), ("both", "A", "collateral", 6.0)]
    names = ["short", "long", "mixed", "both"]
    return ct.System(
        nodes=pd.DataFrame({"node": ["desk"], "close_rule": "full", "buffer": 10.0}),
        assets=pd.DataFrame({"asset": ["A", "B"]}),
        markets=pd.DataFrame(
            {"market": ["desk:A", "desk:B"], "venue": "desk", "asset": ["A", "B"], "price": 1.0, "depth": [1e-6, 5.0]}
        ),
        terms=pd.DataFrame({"platform": "desk", "asset": ["A", "B"], "weight": 0.8}),
        accounts=pd.DataFrame({"account": names, "platform": "desk", "group": names, "cash": [900.0, -1.0, 0.0, 0.0]}),
        positions=pd.DataFrame(held, columns=["account", "asset", "side", "quantity"]),
        quotes=pd.DataFrame({"account": ["mixed"], "market": "desk:A", "depth": 1e-6}),
    )
