"""Rounds that look ahead: the least fixed point, never beyond it, in far fewer passes over the accounts."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import kernels
from contagion.arrays import lower
from contagion.kernels import ahead, chunks, compiled, fused_path, impact_slopes, rounds
from contagion.kernels.envelope import lower_bound
from contagion.kernels.inputs import Floats
from contagion.kernels.order import moves
from contagion.kernels.path import GRID, Path, accounts_along
from contagion.validate import applied
from tests.seeds import some
from tests.systems import draw
from tests.test_properties import isotone

RATE = -math.log(0.99)
FIELDS = ("log_drop", "liquidated", "withdrawn", "haircut")


# One market, many borrowers: a fold that a scalar equation knows


def crowd(count: int, depth: float, rule: str = "restore") -> tuple[ct.System, Floats, Floats]:
    """Return borrowers against A (1 USD, weight 0.8), their holdings and their debts; health is spread from 1 to 2."""
    held = np.ones(count)
    debt = 0.8 * held / (1.0 + (np.arange(count) + 0.5) / count)
    names = [f"a{number:05}" for number in range(count)]
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": rule, "buffer": 1e9}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame(
            {"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": depth * held.sum(), "floor": 1e-3}
        ),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
        accounts=pd.DataFrame({"account": names, "platform": "x", "cash": -debt}),
        positions=pd.DataFrame({"account": names, "asset": "A", "quantity": held}),
    )
    return system, held, debt


def asked(sold: float, shock: float, depth: float, held: Floats, debt: Floats) -> float:
    """Return what borrowers sell when ``sold`` has been sold: λ = (D − W)/(n·v − W) once W = 0.8·n·p < D."""
    fall = RATE * sold / depth
    price = (1.0 - shock) * math.exp(-fall)
    average = (1.0 - shock) * (-math.expm1(-fall) / fall if fall > 0.0 else 1.0)
    weighted = 0.8 * held * price
    left = held * average - debt
    partial = (debt - weighted) / np.where(left > 0.0, left + debt - weighted, 1.0)
    share = np.where(weighted >= debt, 0.0, np.where(left > 0.0, partial, 1.0))
    return float((held * share).sum())


def bisect(rises: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function passes zero."""
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rises(middle) < 0.0 else (low, middle)
    return low


def fold(depth: float, held: Floats, debt: Floats) -> tuple[float, float, Callable[[float], float]]:
    """Return the sale and the shock at the fold, and the shock that makes each sale a fixed point.

    The shock that a sale takes rises along the branch of least fixed points, and the fold is its first maximum.
    """

    def shock(sold: float) -> float:
        return bisect(lambda s: asked(sold, s, depth, held, debt) - sold, 0.0, 0.9)

    grid = np.linspace(0.0, 0.9 * held.sum(), 46)
    place = int(np.argmax(np.diff([shock(sold) for sold in grid]) < 0.0))
    low, high = grid[place - 1], grid[place + 1]
    for _ in range(60):  # ternary search
        third = (high - low) / 3.0
        low, high = (low + third, high) if shock(low + third) < shock(high - third) else (low, high - third)
    top = (low + high) / 2.0
    return top, shock(top), shock


@pytest.mark.parametrize("closeness", [1e-6, 1e-8])
def test_near_a_fold_one_pass_does_the_work_of_twenty_rounds(closeness: float) -> None:
    system, held, debt = crowd(2_000, 0.008)
    depth = 0.008 * held.sum()
    top, shock, of = fold(depth, held, debt)
    below = shock * (1.0 - closeness)
    solution = ct.solve(system, ct.Scenario(shocks={"A": below}), rounds="fast")
    passes = len(solution.rounds)
    assert solution.looks
    assert solution.error_estimate <= 1e-9
    exact = bisect(lambda sold: of(sold) - below, 0.0, top)
    assert solution.markets["sold"].iloc[0] == pytest.approx(exact, rel=1e-9)
    plain = ct.solve(system, ct.Scenario(shocks={"A": below}), max_rounds=20 * passes, on_failure="return")
    assert not plain.converged
    assert plain.markets["sold"].iloc[0] < exact
    beyond = ct.Scenario(shocks={"A": shock * (1.0 + closeness)})
    assert ct.solve(system, beyond, rounds="fast").markets["sold"].iloc[0] > 1.5 * top


@pytest.mark.parametrize("rule", ["full", "close_factor"])
def test_many_accounts_that_are_closed_at_once(rule: str) -> None:
    """Sales jump account by account: looks go through many jumps in a pass, and end where rounds do."""
    system, *_ = crowd(2_000, 0.02, rule)
    for drop in (0.12, 0.17, 0.3):
        scenario = ct.Scenario(shocks={"A": drop})
        plain, fast = ct.solve(system, scenario), ct.solve(system, scenario, rounds="fast")
        assert len(fast.rounds) <= len(plain.rounds) + 8
        assert fast.totals["loss"] == pytest.approx(plain.totals["loss"], rel=1e-9)
        assert np.abs(fast.accounts["liquidated"] - plain.accounts["liquidated"]).max() < 1e-9


# Random systems


def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_FIRST", 2)
    monkeypatch.setattr(ahead, "_PAYS", 0.0)


def lowered(system: ct.System, scenario: ct.Scenario) -> kernels.Inputs:
    return lower(applied(system, scenario), scenario)[0]


def excess(one: kernels.State, other: kernels.State) -> float:
    """Return by how much one state lies above another anywhere."""
    with np.errstate(invalid="ignore"):
        parts = [np.where(a == b, 0.0, a - b) for a, b in zip(one[:4], other[:4], strict=True)]
        price = np.where(one.average == other.average, 0.0, 1.0 - one.average / other.average)
    return max(float(part.max(initial=0.0)) for part in [*parts, price])


def test_no_iterate_lies_above_the_least_fixed_point(monkeypatch: pytest.MonkeyPatch) -> None:
    eager(monkeypatch)
    looks = 0
    for seed in some(18):
        inputs = lowered(*isotone(seed))
        exact = kernels.iterate(inputs, 1e-15, 3_000).state
        search = ahead._Search(inputs, None, None, None)
        with np.errstate(over="ignore", invalid="ignore"):
            while not search.ended(1e-12) and len(search.records) < 1_000:
                search.advance(1e-12)
                assert excess(search._state, exact) < 1e-11
        made = search.result(1e-12)
        assert made.converged
        assert excess(exact, made.state) < 1e-9
        looks += made.looks
    assert looks > len(some(18))


@pytest.mark.parametrize("seed", some(12))
def test_bounds_along_a_path_hold_everywhere_on_it(seed: int) -> None:
    inputs = lowered(*isotone(seed))
    rng = np.random.default_rng(seed)
    opening = rounds.opening_lines(inputs).equity
    state = rounds.start(inputs)
    moving, nodes = moves(inputs).astype(np.float64), inputs.nodes.buffer.size
    for _ in range(int(rng.integers(1, 6))):
        state, *_ = rounds.step(inputs, state, opening)
    sold = rounds.sold_on_markets(inputs, state.liquidated)
    for size in (1e-4, 1e-2, 0.3):
        path = Path(
            state,
            size * moving * rng.random(moving.size),
            size * moving * rng.random(moving.size),
            np.minimum(1.0 - state.haircut, size * rng.random(nodes)),
        )
        along = accounts_along(inputs, path, opening)
        reach = lower_bound(inputs, path, along, sold, opening[inputs.quotes.account])
        for t in [0.0, *rng.random(12).tolist(), 1.0 - 1e-12]:
            there = state._replace(
                log_drop=state.log_drop + t * path.log_drop,
                average=state.average * np.exp(-t * path.average),
                haircut=state.haircut + t * path.haircut,
            )
            image = rounds.step(inputs, there, opening)[0]
            place = min(int(t * GRID), GRID - 1)
            inside = t * GRID - place
            with np.errstate(divide="ignore", invalid="ignore"):
                truth = (
                    image.log_drop - state.log_drop,
                    np.log(state.average / image.average),
                    image.haircut - state.haircut,
                )
                bounds = [(1.0 - inside) * part.left[:, place] + inside * part.right[:, place] for part in reach]
            for bound, true in zip(bounds, truth, strict=True):
                known = np.isfinite(true) & np.isfinite(bound)
                assert (bound[known] <= true[known] + 1e-12).all()
                if t == 0.0:  # where the path begins the bound is the map itself
                    assert bound[known] == pytest.approx(true[known], abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_compiled_path_is_the_sparse_one(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(chunks, "_ACCOUNTS", 3)  # several groups
    inputs = lowered(*isotone(seed))
    rng = np.random.default_rng(seed)
    opening, state = rounds.opening_lines(inputs).equity, rounds.start(inputs)
    ready = compiled.prepare(inputs, screened=False)
    markets, moving = inputs.markets.price.size, moves(inputs)
    for size in (1e-5, 1e-2, 0.3):
        cut = np.minimum(1.0 - state.haircut, size * rng.random(state.haircut.size))
        path = Path(state, moving * size * rng.random(markets), moving * size * rng.random(markets), cut)
        sparse, fused = accounts_along(inputs, path, opening), fused_path.accounts_along(inputs, path, ready)
        for one, other in zip(sparse, fused, strict=True):
            assert np.allclose(one, other, rtol=1e-12, atol=1e-12 * (1.0 + np.abs(one).max(initial=0.0)))
        state = rounds.step(inputs, state, opening)[0]


def test_a_deficit_that_a_later_event_finds_counts_once() -> None:
    """Closed at the beginning of the path, a dollar short after costs of half its assets; stopped out on the way."""
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 100.0}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.5, "cost": 0.5}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": -6.0, "stop_loss": 0.1}),
        positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": 10.0}),
    )
    inputs = lowered(system, ct.Scenario())
    opening, state = rounds.opening_lines(inputs).equity, rounds.start(inputs)
    path = Path(state, np.array([1.0]), np.array([1.0]), np.zeros(1))
    fall = 10.0 * -math.expm1(-1.0)  # of its assets; of its proceeds half of that
    for along in (
        accounts_along(inputs, path, opening),
        fused_path.accounts_along(inputs, path, compiled.prepare(inputs, screened=False)),
    ):
        assert along.units[0, 0] == pytest.approx(10.0)
        assert along.deficits[0] == pytest.approx([1.0, *[0.0] * (GRID - 1)], abs=1e-14)
        assert along.deficit_slope[0] == pytest.approx([0.5 * fall, *[0.0] * (GRID - 1)], abs=1e-14)


def test_large_systems_look_ahead_through_the_compiled_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    system, *_ = crowd(300, 0.01)
    inputs = lowered(system, ct.Scenario(shocks={"A": 0.139}))
    plain, fast = kernels.iterate(inputs, 1e-12, 20_000), ahead.iterate_ahead(inputs, 1e-12, 20_000)
    assert fast.looks
    assert len(fast.records) < len(plain.records) / 3
    assert excess(fast.state, plain.state) < 1e-9
    assert excess(plain.state, fast.state) < 1e-9


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("floor", [0.02, 0.6])
def test_lines_below_the_curves_of_impact(kind: int, floor: float) -> None:
    rng = np.random.default_rng(kind)
    low = np.concatenate([[0.0, 1e-9], rng.exponential(30.0, 200) ** rng.uniform(0.5, 2.0, 200)])
    high = low * (1.0 + rng.exponential(0.5, low.size)) + 1e-6
    kinds, floors = np.full(low.size, kind, dtype=np.int8), np.full(low.size, floor)
    for curve, slope in (
        (impact_slopes.fall, impact_slopes.fall_slope),
        (impact_slopes.log_discount, impact_slopes.log_discount_slope),
    ):
        start, steep = curve(kinds, low, floors), slope(kinds, low, high, floors)
        assert (steep >= 0.0).all()
        for share in np.linspace(0.0, 1.0, 31):
            x = low + share * (high - low)
            assert (start + steep * (x - low) <= curve(kinds, x, floors) * (1.0 + 1e-12) + 1e-14).all()
    narrow = low[2:] * (1.0 + 1e-6)  # and they are no lower than they need be
    rise = impact_slopes.fall(kinds[2:], narrow, floors[2:]) - impact_slopes.fall(kinds[2:], low[2:], floors[2:])
    steep = impact_slopes.fall_slope(kinds[2:], low[2:], narrow, floors[2:])
    assert steep * (narrow - low[2:]) == pytest.approx(rise, rel=1e-4, abs=1e-14)


# The surface


@pytest.mark.parametrize("seed", some(6))
def test_systems_that_do_not_keep_the_order_take_jacobi_rounds(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    eager(monkeypatch)
    system, scenario = draw(seed)
    plain, fast = ct.solve(system, scenario), ct.solve(system, scenario, rounds="fast")
    assert fast.looks == 0
    assert dict(fast.totals) == dict(plain.totals)
    way = ["evaluated_count", "called_count", "deficit"]  # of accounts that have sold all not noted
    assert fast.rounds.drop(columns=way).equals(plain.rounds.drop(columns=way))
    assert (fast.rounds[way] <= plain.rounds[way]).all(axis=None)
    assert fast.accounts.drop(columns="called_round").equals(plain.accounts.drop(columns="called_round"))
    for ask in (ct.timeline, ct.provenance):
        with pytest.raises(ct.InputError, match='solve again with rounds="jacobi"'):
            ask(fast)


def test_a_solution_without_timeline_says_so() -> None:
    system, *_ = crowd(300, 0.01)
    scenario = ct.Scenario(shocks={"A": 0.139})
    fast, plain = ct.solve(system, scenario, rounds="fast"), ct.solve(system, scenario)
    assert fast.looks
    for ask in (ct.timeline, ct.provenance):
        with pytest.raises(ct.InputError, match='solve again with rounds="jacobi"'):
            ask(fast)
    mine, yours = ct.avoided_if_immune(fast), ct.avoided_if_immune(plain)
    assert mine.index.equals(yours.index)
    assert mine["loss"].to_numpy() == pytest.approx(yours["loss"].to_numpy(), rel=1e-9)
    assert ct.attribute(fast).sources["usd"].sum() == pytest.approx(plain.totals["loss"], rel=1e-9)
    worst = [ct.solve(system, scenario, rounds=order, greatest=True).totals["loss"] for order in ("jacobi", "fast")]
    assert worst[0] == worst[1]


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ct.InputError, match="rounds is 'gauss'; give 'jacobi' or 'fast'"):
        ct.solve(crowd(3, 1.0)[0], rounds="gauss")  # type: ignore[call-overload]


def test_unfinished_looks_are_not_converged() -> None:
    system, *_ = crowd(300, 0.01)
    with pytest.raises(ct.NotConverged) as caught:
        ct.solve(system, ct.Scenario(shocks={"A": 0.139}), rounds="fast", max_rounds=14)
    assert caught.value.solution.looks


def test_fast_rounds_are_advised_where_they_may_help() -> None:
    """To who has taken others, where the order is kept, and not on the way down."""
    ordered, shocked = crowd(300, 0.01)[0], ct.Scenario(shocks={"A": 0.139})
    hedged, scenarios = ct.datasets.load("october_2025")
    advice = 'try rounds="fast"'
    for system, scenario, given, advised in (
        (ordered, shocked, {}, True),
        (ordered, shocked, {"rounds": "fast"}, False),
        (ordered, shocked, {"greatest": True}, False),
        (hedged, scenarios["record"], {}, False),
    ):
        with pytest.raises(ct.NotConverged) as caught:
            ct.solve(system, scenario, max_rounds=2, **given)
        assert (advice in str(caught.value)) is advised


@pytest.mark.parametrize("most", range(12, 22))
def test_a_cap_that_falls_on_a_look_still_says_how_far_it_moved(most: int) -> None:
    solution = ct.solve(
        crowd(300, 0.01)[0], ct.Scenario(shocks={"A": 0.139}), rounds="fast", max_rounds=most, on_failure="return"
    )
    assert 0.0 < solution.residual < np.inf
    assert solution.residual == solution.rounds["step"].iloc[-1]
