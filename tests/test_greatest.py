"""The greatest fixed point: who would fall if everybody fell."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import kernels
from contagion.arrays import lower
from contagion.kernels import compiled, rounds
from contagion.kernels.enclosure import above
from contagion.validate import applied
from tests.random_systems import random_tables
from tests.seeds import some
from tests.systems import to_scenario, to_system
from tests.test_properties import isotone

UP_TO = 1e-9


def runnable(debt: float) -> ct.System:
    """10 A against a debt, in a market that 0.5 lower by 1 %: selling all takes 20 %."""
    return ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 0.5}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": -debt}),
        positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": 10.0}),
    )


def test_a_run_that_nothing_forces() -> None:
    """0.8 × 10 covers a debt of 7 at the opening, and 0.8 × 10 × 0.99^20 = 6.54 does not."""
    least, worst = (ct.solve(runnable(7.0), greatest=greatest) for greatest in (False, True))
    assert least.totals["loss"] == 0.0
    assert math.isnan(least.self_fulfilling)
    assert worst.accounts["liquidated"].tolist() == [1.0]
    assert worst.markets["price"].tolist() == pytest.approx([0.99**20])
    sold = 10.0 * (1.0 - 0.99**20) / (20.0 * -math.log(0.99))
    assert worst.self_fulfilling == worst.totals["loss"] == pytest.approx(10.0 - sold)


def test_a_sound_system_has_one_fixed_point() -> None:
    worst = ct.solve(runnable(6.0), greatest=True)
    assert worst.self_fulfilling == 0.0
    assert worst.accounts["liquidated"].tolist() == [0.0]


def test_no_shock_is_called_the_cause_of_a_run() -> None:
    """Nor does anybody act first on the way down: tables are there, stories and shares are not."""
    shocked = ct.Scenario(shocks={"A": 0.01})
    least, worst = (ct.solve(runnable(7.0), shocked, greatest=greatest) for greatest in (False, True))
    assert least.totals["loss"] == pytest.approx(0.1)
    assert worst.self_fulfilling > 0.9
    assert worst.accounts[["called_round", "liquidated_round"]].isna().all(axis=None)
    assert worst.accounts["cause"].tolist() == [""]
    told = (
        "greatest fixed point, and no shock forces what it loses beyond the least one .*; solve without greatest=True"
    )
    asks: list[Callable[[ct.Solution], object]] = [
        ct.attribute,
        ct.paths,
        ct.walks,
        ct.provenance,
        ct.timeline,
        ct.rank,
        ct.avoided_if_immune,
        ct.draw_paths,
        lambda solution: ct.compare(least, solution),
    ]
    for ask in asks:
        ask(least)
        with pytest.raises(ct.InputError, match=told):
            ask(worst)
    picture = ct.draw(worst).source
    assert "(<$1 of it forced by nothing)" in picture
    assert repr(worst).startswith("Solution(greatest, loss 1.03 USD, converged in ")


@pytest.mark.parametrize("seed", some(30))
def test_both_ends_are_fixed_points_and_one_lies_above_the_other(seed: int) -> None:
    system, scenario = isotone(seed)
    worst = ct.solve(system, scenario, greatest=True)
    inputs, state = worst.parts.inputs, worst.parts.run.state
    least = ct.solve(system, scenario).parts.run.state
    for low, high in zip(least[:4], state[:4], strict=True):
        assert (low <= high + UP_TO).all()
    lowered = kernels.iterate(inputs, 1e-12, 2, None, state, ratchet=np.minimum)
    raised = kernels.iterate(inputs, 1e-12, 2, None, state)
    for after in (lowered.state, raised.state):  # neither ratchet moves it
        for before, now in zip(state[:4], after[:4], strict=True):
            assert (np.isclose(before, now, rtol=0.0, atol=UP_TO) | (before == now)).all()


def test_some_random_systems_can_run() -> None:
    gaps = [ct.solve(*isotone(seed), greatest=True).self_fulfilling for seed in range(6)]
    assert sum(gap > 1.0 for gap in gaps) > 3
    assert min(gaps) > -1e-6


@pytest.mark.parametrize("seed", some(20))
def test_the_least_fixed_point_lies_in_its_enclosure(seed: int) -> None:
    solution = ct.solve(*isotone(seed))
    inputs, reached = solution.parts.inputs, solution.parts.run.state
    upper = above(inputs, reached)
    assert upper is not None
    exact = kernels.iterate(inputs, 0.0, 3_000).state  # on until nothing but rounding moves
    for low, value, high in zip(reached[:4], exact[:4], upper[:4], strict=True):
        assert (low <= value + 4e-15 * (1.0 + np.abs(np.nan_to_num(value, posinf=0.0)))).all()
        assert (value <= high + 4e-15 * (1.0 + np.abs(np.nan_to_num(high, posinf=0.0)))).all()
    least, most = solution.enclosure
    assert least == solution.totals["loss"]
    assert least <= most <= least * (1.0 + 1e-7) + 1e-6


def test_hedged_and_unfinished_states_have_no_certificate() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    assert np.isnan(ct.solve(system, scenarios["mild"]).enclosure).all()
    unfinished = ct.solve(*isotone(0), max_rounds=1, on_failure="return")
    assert np.isnan(unfinished.enclosure).all()


@pytest.mark.parametrize("seed", [*some(8), 11, 12, 14, 18])  # in the last four quotes come back on the way down
@pytest.mark.parametrize("screened", [False, True])
def test_the_compiled_pass_comes_down_alike(seed: int, screened: bool) -> None:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=seed % 2 == 0, size="large")
    drawn, given = to_system(tables), to_scenario(scenario)
    inputs = lower(applied(drawn, given), given)[0]
    top, ready = rounds.everything_lost(inputs), compiled.prepare(inputs, screened)
    sparse = kernels.iterate(inputs, 1e-12, 2_000, None, top, ratchet=np.minimum)
    fused = kernels.iterate(inputs, 1e-12, 2_000, None, top, prepared=ready, ratchet=np.minimum)
    assert len(sparse.records) == len(fused.records)
    for one, other in zip(sparse.state, fused.state, strict=True):
        assert np.array_equal(one, other, equal_nan=True)
