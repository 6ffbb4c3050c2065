"""The package against the slow solver on dicts, over random systems that use every column of the schema."""

import math
from typing import Any

import numpy as np
import pytest

import contagion as ct
from tests import oracle
from tests.random_systems import random_tables
from tests.seeds import some
from tests.systems import loose, to_scenario, to_system

SEEDS = len(some(30))
"""Seeds in one test case; a case is short enough to be run alone."""


def close(got: float, want: float, scale: float, what: str) -> None:
    if math.isnan(want):
        return
    if math.isinf(want) or math.isinf(got):
        assert got == want, what
    else:
        assert abs(got - want) <= 1e-9 * max(scale, abs(want)), f"{what}: {got!r}, oracle {want!r}"


def compare(solution: ct.Solution, want: oracle.Result, where: str) -> None:
    money = float(solution.accounts["gross_assets_before"].sum() + solution.nodes["liabilities"].sum()) or 1.0
    for name, row in want.markets.items():
        got = loose(solution.markets).loc[name]
        for ours, theirs, scale in [
            ("price", "price", got["price_before"]),
            ("drop", "drop", 1.0),
            ("average_price", "vwap", got["price_before"]),
            ("sold", "sold", money),
            ("depth", "depth", 1.0),
            ("depth_before", "depth_before", 1.0),
        ]:
            close(got[ours], row[theirs], scale, f"{where} market {name} {ours}")
    for name, row in want.accounts.items():
        got = loose(solution.accounts).loc[name]
        for column in ("equity_before", "equity_after", "deficit", "received", "given"):
            close(got[column], row[column], money, f"{where} account {name} {column}")
        for ours, theirs in [
            ("weighted_assets", "W"),
            ("debt", "D"),
            ("maintenance", "M"),
            ("equity_marked", "E"),
            ("equity_if_sold", "V"),
        ]:
            close(got[ours], row[theirs], money, f"{where} account {name} {ours}")
        close(got["liquidated"], row["liquidated"], 1.0, f"{where} account {name} liquidated")
        for column in ("health", "health_before", "leverage", "leverage_before"):
            close(got[column], row[column], 1.0, f"{where} account {name} {column}")
        for column in ("called_round", "liquidated_round"):
            number = None if got.isna()[column] else int(got[column])
            assert number == row[column], f"{where} account {name} {column}: {number}, oracle {row[column]}"
    for name, row in want.nodes.items():
        got = loose(solution.nodes).loc[name]
        for column in ("loss", "buffer_used"):
            close(got[column], row[column], money, f"{where} node {name} {column}")
        close(got["haircut"], row["haircut"], 1.0, f"{where} node {name} haircut")
    for got_share, want_share in zip(solution.quotes["withdrawn"], want.quotes, strict=True):
        close(got_share, want_share, 1.0, f"{where} quotes")
    for name, value in want.totals.items():
        close(solution.totals[name], value, money, f"{where} totals {name}")


@pytest.mark.parametrize("shorts", [True, False])
@pytest.mark.parametrize("case", range(8))
def test_random_systems_agree_with_the_oracle(case: int, shorts: bool) -> None:
    for seed in range(case * SEEDS, (case + 1) * SEEDS):
        tables, scenario = random_tables(np.random.default_rng(seed), shorts=shorts)
        want = oracle.solve(tables, scenario)
        system, imposed = to_system(tables), to_scenario(scenario)
        ct.validate(system, imposed)
        solution = ct.solve(system, imposed, on_failure="return")
        assert solution.converged == want.converged, f"seed {seed}"
        if want.converged:
            compare(solution, want, f"seed {seed}")
            balance: dict[str, Any] = dict(solution.stock_flow)
            size = max(abs(value) for value in balance.values())
            assert abs(balance["residual"]) <= 1e-12 * max(size, float(solution.accounts["gross_assets_before"].sum()))


def test_the_oracle_has_its_own_integrals() -> None:
    for kind in ct.schema.columns("markets")["impact"].choices:
        for x in (0.3, 40.0, 300.0):
            assert oracle.vwap_by_quadrature(kind, x, 0.2) == pytest.approx(oracle.average(kind, x, 0.2), rel=1e-9)
