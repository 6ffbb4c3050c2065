"""Reverse stress tests: brackets that hold, and boxes whose smallest shock is known."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import generate
from tests.seeds import some
from tests.test_sweep import ordered


def books(**quantities: float) -> ct.System:
    """Return an account that holds so many of each asset, in markets so deep that nothing feeds back."""
    names = list(quantities)
    markets = pd.DataFrame({"market": [f"x:{name}" for name in names], "venue": "x", "asset": names, "price": 1.0})
    return ct.System(
        nodes=pd.DataFrame({"node": ["x", "fund"], "buffer": [0.0, 5.0], "liabilities": [0.0, 10.0]}),
        assets=pd.DataFrame({"asset": names}),
        markets=markets.assign(depth=math.inf),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x"}),
        positions=pd.DataFrame({"account": "a", "asset": names, "quantity": list(quantities.values())}),
    )


@pytest.mark.parametrize("seed", some(12))
def test_both_ends_of_the_bracket_hold_in_solves_of_their_own(seed: int) -> None:
    system, scenario = ordered(seed) if seed % 2 else generate.system(accounts=150, assets=3, seed=seed)
    limit = 0.6 * ct.solve(system, scenario.scaled(1.5)).totals["loss"]
    found = ct.reverse(system, scenario, f"loss >= {limit!r}", accuracy=1e-4)
    assert found.found
    assert found.milder is not None
    assert 0.0 < found.above - found.below <= 1e-4
    assert ct.solve(system, found.scenario).totals["loss"] >= limit
    assert ct.solve(system, found.milder).totals["loss"] < limit
    assert found.scenario == scenario.scaled(found.above)
    assert found.measures["loss"].tolist() == pytest.approx(
        [ct.solve(system, each).totals["loss"] for each in (found.milder, found.scenario)], rel=1e-9
    )


@pytest.mark.parametrize("seed", some(12)[1::2])
def test_in_ordered_systems_no_smaller_multiple_does_it(seed: int) -> None:
    system, scenario = ordered(seed)
    milder = ct.Scenario(shocks=scenario.shocks, losses=scenario.losses)
    limit = 0.5 * (ct.solve(system).totals["loss"] + ct.solve(system, milder).totals["loss"])
    found = ct.reverse(system, milder, f"loss > {limit!r}", between=(0.0, 1.0))
    assert not found.upper_bound
    grid = [milder.scaled(multiple) for multiple in np.linspace(0.0, found.below, 7)]
    assert not any(ct.solve(system, each).totals["loss"] > limit for each in grid)


def test_log_drops_grow_in_proportion() -> None:
    found = ct.reverse(books(A=100.0), ct.Scenario(shocks={"A": 0.1}), "drop:x:A > 0.25", between=(0, 4), accuracy=1e-6)
    assert found.below < math.log(0.75) / math.log(0.9) <= found.above
    assert found.above - found.below <= 1e-6


def test_a_haircut_begins_where_the_buffer_ends() -> None:
    found = ct.reverse(books(A=1.0), ct.Scenario(losses={"fund": 4.0}), "haircut:fund >= 0.1", accuracy=1e-6)
    assert found.below < (5.0 + 0.1 * 10.0) / 4.0 <= found.above + 1e-12
    assert not found.upper_bound


def test_a_function_of_all_measures_may_say_when() -> None:
    def broken(row: "pd.Series[float]") -> bool:
        return row["price:x:A"] < 0.8 and row["loss"] > 0.0

    found = ct.reverse(books(A=100.0), ct.Scenario(shocks={"A": 0.15}), broken)
    assert found.condition == "broken"
    assert found.upper_bound
    assert found.below < math.log(0.8) / math.log(0.85) <= found.above
    assert {"price:x:A", "haircut:fund", "hidden_bad_debt"} <= set(found.measures.columns)


def test_what_already_holds_needs_no_search() -> None:
    found = ct.reverse(books(A=1.0), ct.Scenario(shocks={"A": 0.1}), "loss < 1")
    assert (found.above, len(found.tried), found.milder) == (0.0, 1, None)
    assert math.isnan(found.below)
    assert not found.upper_bound  # there is nothing milder, whether the system keeps its order or not
    system, scenarios = ct.datasets.load("october_2025")
    for held in (
        ct.reverse(system, scenarios["record"], "loss >= 0"),
        ct.reverse_within(system, {"BTC": (0.0, 0.1)}, "loss >= 0"),
    ):
        assert (held.above, held.upper_bound) == (0.0, False)
        assert repr(held) == "ReverseStress(loss >= 0: met at 0; 1 solves)"
    assert ct.reverse_within(system, {"BTC": (0.05, 0.1)}, "loss >= 0").upper_bound


def test_what_never_holds_is_not_found() -> None:
    found = ct.reverse(books(A=1.0), ct.Scenario(shocks={"A": 0.1}), "loss > 1e9")
    assert not found.found
    assert found.scenario is None
    assert math.isnan(found.above)
    assert repr(found) == "ReverseStress(loss > 1e9: met nowhere; 2 solves)"


def test_in_hedged_systems_the_first_of_eight_steps_counts() -> None:
    """Its condition holds between 0.6 and 1.4 alone, so bisection from both ends would find nothing."""
    found = ct.reverse(books(A=1.0), ct.Scenario(shocks={"A": 0.1}), lambda row: 0.9**1.4 < row["price:x:A"] < 0.9**0.6)
    assert found.below < 0.6 < found.above
    assert found.upper_bound
    assert repr(found).startswith("ReverseStress(<lambda>: met at or below 0.6")


def test_every_problem_of_a_ray_is_listed() -> None:
    with pytest.raises(ct.InputError) as caught:
        ct.reverse(books(A=1.0), ct.Scenario(shocks={"B": 0.1}), "los > x", between=(1, 1), accuracy=0.0)
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "between",
        "accuracy",
        "condition",
        "scenario:",
    ]
    with pytest.raises(ct.InputError, match="measure 'los' is not known"):
        ct.reverse(books(A=1.0), ct.Scenario(), "los > 1")
    with pytest.raises(ct.InputError, match="condition is 3"):
        ct.reverse(books(A=1.0), ct.Scenario(), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [(100.0, 1.0), (100.0, 100.0), (30.0, 40.0)])
def test_the_smallest_shock_of_a_box_is_that_of_the_gradient(weights: tuple[float, float]) -> None:
    """Small losses are linear in log drops: the least norm is about limit / |weights|, along the weights."""
    limit = 0.02 * float(np.linalg.norm(weights))
    system = books(A=weights[0], B=weights[1])
    found = ct.reverse_within(system, {"A": (0, 0.3), "B": (0, 0.4)}, f"loss >= {limit!r}", samples=32)
    exact = _least(weights, limit)
    assert exact <= found.above <= exact * 1.005
    assert found.scenario is not None
    assert ct.solve(system, found.scenario).totals["loss"] >= limit
    assert found.milder is not None
    assert ct.solve(system, found.milder).totals["loss"] < limit
    assert found.upper_bound
    drops = np.array([-math.log1p(-drop) for drop in found.scenario.shocks.values()])
    assert found.above == pytest.approx(float(np.linalg.norm(drops)), rel=1e-12)


def _least(weights: tuple[float, float], limit: float) -> float:
    """Return the least norm of log drops at which w·(1 − exp(−u)) reaches a limit, by a fine scan of directions."""
    least = math.inf
    for angle in np.linspace(0.0, math.pi / 2.0, 20_001):
        along = np.array([math.cos(angle), math.sin(angle)])
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2.0
            lost = float(np.dot(weights, -np.expm1(-middle * along)))
            low, high = (low, middle) if lost >= limit else (middle, high)
        least = min(least, high)
    return least


def test_bounds_hold() -> None:
    found = ct.reverse_within(books(A=100.0, B=1.0), {"A": (0.02, 0.05), "B": (0.1, 0.9)}, "loss >= 5.5", samples=16)
    assert found.scenario is not None
    shocks = found.scenario.shocks
    assert 0.02 - 1e-12 <= shocks["A"] <= 0.05 + 1e-12
    assert 0.1 - 1e-12 <= shocks["B"] <= 0.9 + 1e-12
    assert not ct.reverse_within(books(A=100.0), {"A": (0, 0.05)}, "loss >= 5.5", samples=4).found
    corner = ct.reverse_within(books(A=100.0), {"A": (0.06, 0.1)}, "loss >= 5.5", samples=4)
    assert (corner.found, len(corner.tried)) == (True, 1)
    assert not ct.reverse_within(books(A=100.0), {"A": (0.01, 0.01)}, "loss >= 5.5", samples=4).found


def test_directions_come_out_again() -> None:
    system = books(A=3.0, B=2.0, C=1.0)
    box = dict.fromkeys("ABC", (0.0, 0.5))
    first, again, other = (ct.reverse_within(system, box, "loss > 1", samples=8, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.tried, again.tried, check_exact=True)
    assert not first.tried.equals(other.tried)


def test_every_problem_of_a_box_is_listed() -> None:
    with pytest.raises(ct.InputError) as caught:
        ct.reverse_within(books(A=1.0), {"A": (0.2, 0.1), "B": (0, 0.1)}, "loss", samples=0, seed=-1)
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "samples",
        "seed",
        "bounds",
        "bounds",
        "condition",
    ]
    with pytest.raises(ct.InputError, match="bounds is"):
        ct.reverse_within(books(A=1.0), {}, "loss > 1")


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        (lambda row: row["nope"] > 1.0, "failed with KeyError 'nope'; the row holds totals"),
        (lambda row: row["drop:x:AA"] > 1.0, r"failed with KeyError 'drop:x:AA' \(did you mean 'drop:x:A'"),
        (lambda row: row > 1.0, "returned a Series; return True or False"),
        (lambda row: str(row.name), "returned a str; return True or False"),
        (lambda row: row.get("nope"), "returned a NoneType"),
        (lambda row: row["loss"], "returned a float"),
    ],
)
def test_functions_that_give_no_truth_value_are_refused(condition: Any, word: str) -> None:
    with pytest.raises(ct.InputError, match=f"^condition <lambda>: it {word}"):
        ct.reverse(books(A=100.0), ct.Scenario(shocks={"A": 0.1}), condition)
    with pytest.raises(ct.InputError, match=word):
        ct.reverse_within(books(A=100.0), {"A": (0, 0.5)}, condition, samples=2)


@pytest.mark.parametrize("condition", [lambda row: row["loss"] > 5.0, lambda row: bool(row["loss"] > 5.0)])
def test_functions_may_give_the_truth_values_of_python_and_of_numpy(condition: Any) -> None:
    scenario = ct.Scenario(shocks={"A": 0.1})
    assert ct.reverse(books(A=100.0), scenario, condition).above == pytest.approx(0.4868, abs=1e-3)


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    ct.reverse(books(A=1.0), ct.Scenario(shocks={"A": 0.1}), "loss > 0.05", progress=True)
    ct.reverse_within(books(A=1.0), {"A": (0, 0.5)}, "loss > 0.05", samples=2, progress=True)
    captured = capsys.readouterr()
    assert "multiples" in captured.err
    assert "solves" in captured.err
    assert captured.out == ""
