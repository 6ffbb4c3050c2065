"""A thousand scenarios on a million accounts against one full solve, in the same run; takes some minutes."""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contagion as ct

ACCOUNTS, SCENARIOS = 1_000_000, 1_000
SCATTER, CORRELATION = 0.05, 0.6
"""Of the log drops that are drawn around a fall."""


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@pytest.mark.parametrize("fall", [0.1, 0.2])
def test_a_thousand_scenarios_take_a_hundred_solves_at_most(benchmark: BenchmarkFixture, fall: float) -> None:
    """Draws around falls that liquidate a fifth and a half of the accounts."""
    system, scenario = ct.generate.system(accounts=ACCOUNTS, seed=7)
    names = list(scenario.shocks)
    covariance = np.full((len(names), len(names)), CORRELATION * SCATTER**2)
    np.fill_diagonal(covariance, SCATTER**2)
    base = ct.Scenario(shocks=dict.fromkeys(names, fall), arbitrage=scenario.arbitrage)
    draws = ct.gaussian_draws(SCENARIOS, pd.DataFrame(covariance, names, names), seed=1, base=base)
    solving = min(seconds(lambda: ct.solve(system, scenario).totals["loss"]) for _ in range(3))
    begun = time.perf_counter()
    table = benchmark.pedantic(ct.sweep, args=(system, draws, ["loss", "liquidated"]), rounds=1)
    sweeping = time.perf_counter() - begun
    assert table["converged"].all()
    benchmark.extra_info |= {"rounds": float(table["rounds"].mean()), "solves": sweeping / solving}
    assert sweeping <= 100.0 * solving
