"""The compiled account pass against the sparse one, which an independent solver checks: the same bits, always."""

import importlib.util
import sys
from collections.abc import Collection, Iterator
from types import ModuleType

import numba
import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import generate, kernels
from contagion.arrays import lower
from contagion.kernels import (
    active,
    chunks,
    compiled,
    excerpt,
    fused,
    fused_filter,
    fused_funds,
    fused_lines,
    fused_screen,
    rounds,
    screen,
    sparse_products,
    threads,
)
from contagion.kernels.accounts import FUNDING
from contagion.kernels.inputs import FUND, Codes, Floats, Ints
from contagion.kernels.packed import Packed
from contagion.kernels.reaction import Immune, State
from contagion.validate import applied
from tests.random_systems import random_tables
from tests.seeds import some
from tests.systems import draw, to_scenario, to_system

SEEDS = some(30)
TOL, MOST = 1e-12, 20_000


def lowered(system: ct.System, scenario: ct.Scenario) -> kernels.Inputs:
    return lower(applied(system, scenario), scenario)[0]


def runs(
    monkeypatch: pytest.MonkeyPatch, inputs: kernels.Inputs, begin: State | None = None, immune: Immune | None = None
) -> list[kernels.Rounds]:
    """Return the rounds by sparse products, by full compiled passes, and by passes over those who can have changed.

    On the way, passes of which the end alone is read are held to the states and steps of the others.
    """
    monkeypatch.setattr(chunks, "COMPILED_FROM", 10**12)
    made = [kernels.iterate(inputs, TOL, MOST, None, begin, immune)]
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    for screened in (False, True):
        ready = compiled.prepare(inputs, screened)
        made.append(kernels.iterate(inputs, TOL, MOST, None, begin, immune, ready))
        ends = kernels.iterate(inputs, TOL, MOST, None, begin, immune, ready._replace(ends_only=True))
        ends = ends._replace(called_round=made[0].called_round)  # as little read as the calls and deficits of a round
        assert_same(made[0], ends, {"evaluated_count", "called_count", "deficit"})
    return made


def arrays(made: kernels.Rounds) -> list[Floats | Ints | Codes]:
    return [*made.state, made.called_round, made.liquidated_round, made.cause]


def assert_same(
    one: kernels.Rounds, other: kernels.Rounds, but: Collection[str] = frozenset({"evaluated_count"})
) -> None:
    assert one.converged == other.converged
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert np.array_equal(a, b, equal_nan=True)
    assert len(one.records) == len(other.records)
    for mine, yours in zip(one.records, other.records, strict=True):
        for name in mine._fields:
            if name not in but:
                assert np.array_equal(getattr(mine, name), getattr(yours, name), equal_nan=True), name


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rule_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=seed % 2 == 0, size="large")
    inputs = lowered(to_system(tables), to_scenario(scenario))
    monkeypatch.setattr(chunks, "_ACCOUNTS", 7)  # several chunks
    monkeypatch.setattr(active, "_MOST", 1.0)  # lists, however long
    monkeypatch.setattr(active, "_LASTING", seed % 3)  # books of their own, sooner or later
    monkeypatch.setattr(active, "_FURTHER", (0.5, 8.0)[seed % 2])  # that hold too few accounts soon, or never
    sparse, full, listed = runs(monkeypatch, inputs)
    assert_same(sparse, full)
    assert_same(sparse, listed)
    for record in listed.records:
        assert record.liquidated_count <= record.evaluated_count <= inputs.accounts.cash.size


def test_lists_that_last_get_books_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the accounts are liquidated, step by step: one book does, or many that are soon too small."""
    inputs = lowered(*generate.system(accounts=3_000, seed=5))
    made: list[int] = []
    page = active._page

    def noted(whole: fused_lines.Ledger, book: Packed, rows: Ints) -> fused_lines.Ledger:
        made.append(rows.size)
        return page(whole, book, rows)

    monkeypatch.setattr(active, "_page", noted)
    monkeypatch.setattr(active, "_MOST", 1.0)
    for further, least, most in ((5.0, 1, 3), (0.1, 4, 40)):
        monkeypatch.setattr(active, "_FURTHER", further)
        made.clear()
        sparse, full, listed = runs(monkeypatch, inputs)
        assert_same(sparse, full)
        assert_same(sparse, listed)
        assert 2 * least <= len(made) <= 2 * most  # two runs
        assert 0 < min(made) <= max(made) < 1_800


@pytest.mark.parametrize("seed", some(10))
def test_a_given_beginning_and_immunity(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    inputs = lowered(*draw(seed))
    rng = np.random.default_rng(seed)
    begin = rounds.start(inputs)
    begin = begin._replace(liquidated=np.where(rng.random(begin.liquidated.size) < 0.2, 0.5, 0.0))
    immune = Immune(
        *(rng.random(size) < 0.3 for size in (begin.liquidated.size, begin.withdrawn.size, begin.haircut.size))
    )
    given = begin.liquidated.copy()
    sparse, *others = runs(monkeypatch, inputs, begin, immune)
    assert np.array_equal(begin.liquidated, given)  # written to by nobody
    for other in others:
        assert_same(sparse, other)


def funded(seed: int) -> tuple[ct.System, ct.Scenario]:
    """Return borrowers who fund each other's calls, in chains that prices reach one after the other, and bystanders."""
    rng = np.random.default_rng(seed)
    many, rich, standing = 12, 3, 60
    names = [f"a{number:02}" for number in range(many)] + [f"r{number}" for number in range(rich)]
    calm = [f"z{number}" for number in range(standing)]
    asks, quantity = rng.random(many) < 0.8, rng.uniform(50.0, 150.0, many)
    rows = [
        (names[caller], names[giver])
        for caller in np.flatnonzero(asks)
        for giver in rng.permutation(many + rich)[: rng.integers(1, 3)]
        if giver != caller
    ]
    cash = [*(-quantity * rng.uniform(0.7, 0.8, many)), *[30.0] * rich, *[10.0] * standing]
    policy = ["fund" if each else None for each in asks] + [None] * (rich + standing)
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "call_level": 1.05, "target_level": 1.02}),
        assets=pd.DataFrame({"asset": ["T"]}),
        markets=pd.DataFrame(
            {"market": ["x:T"], "venue": "x", "asset": "T", "price": 1.0, "depth": rng.uniform(500.0, 3000.0)}
        ),
        terms=pd.DataFrame({"platform": ["x"], "asset": "T", "weight": 0.9}),
        accounts=pd.DataFrame({"account": names + calm, "platform": "x", "cash": cash, "call_policy": policy}),
        positions=pd.DataFrame(
            {"account": names[:many] + calm, "asset": "T", "quantity": [*quantity, *[1.0] * standing]}
        ),
        funding=pd.DataFrame(rows, columns=["account", "source"]).drop_duplicates(),
    )
    return system, ct.Scenario(shocks={"T": float(rng.uniform(0.0, 0.12))})


@pytest.mark.parametrize("lot", range(4))
def test_who_is_asked_for_funds_answers_though_no_price_has_reached_it(
    monkeypatch: pytest.MonkeyPatch, lot: int
) -> None:
    """Chains of funding, from zero and from a state in which somebody has sold: sources are never left out."""
    monkeypatch.setattr(active, "_MOST", 1.0)
    drawn = 0
    for seed in some(160)[lot::4]:
        inputs = lowered(*funded(seed))
        begin = rounds.start(inputs)
        shares = begin.liquidated.copy()
        asking = np.flatnonzero(inputs.accounts.call_policy == FUND)
        shares[asking[seed % asking.size]] = 1.0
        for state in (None, begin._replace(liquidated=shares)):
            sparse, full, listed = runs(monkeypatch, inputs, state)
            assert_same(sparse, full)
            assert_same(sparse, listed)
            drawn += int((sparse.cause == FUNDING).sum())
    assert drawn > len(some(160)) / 8


def test_accounts_without_positions_are_screened_too(monkeypatch: pytest.MonkeyPatch) -> None:
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x", "y"], "buffer": 1.0}),
        accounts=pd.DataFrame({"account": ["a", "b"], "platform": "x", "cash": [1.0, -1.0]}),
    )
    for made in runs(monkeypatch, lowered(system, ct.Scenario(losses={"y": 2.0})))[1:]:
        assert made.converged


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = lowered(*generate.system(accounts=50_000, seed=3))
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    made = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "count", lambda count=count: count)
        threads._pool.cache_clear()
        made.append(kernels.iterate(inputs, TOL, MOST))
    threads._pool.cache_clear()
    for other in made[1:]:
        assert_same(made[0], other)
        assert made[0].records[3].evaluated_count == other.records[3].evaluated_count


def test_mild_scenarios_look_at_few_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenario = generate.system(accounts=20_000, seed=7)
    inputs = lowered(system, scenario.scaled(0.05))
    sparse, full, listed = runs(monkeypatch, inputs)
    assert_same(sparse, full)
    assert_same(sparse, listed)
    assert 0 < listed.records[-1].liquidated_count < 200
    assert listed.records[-1].evaluated_count < 600
    assert sparse.records[-1].evaluated_count == 20_000


def test_october_near_its_tipping_point_evaluates_few_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the loss jumps the same rounds evaluate a twentieth just below it, and a ninth just above."""
    system, scenarios = ct.datasets.load("october_2025")
    sold = []
    for multiple, least in ((0.877063, 20.0), (0.877069, 9.0)):
        inputs = lowered(system, scenarios["record"].scaled(multiple))
        sparse, full, listed = runs(monkeypatch, inputs)
        assert_same(sparse, full)
        assert_same(sparse, listed)
        fast = ct.solve(system, scenarios["record"].scaled(multiple), rounds="fast")
        for one, other in zip(sparse.state, fast.parts.run.state, strict=True):
            assert np.array_equal(one, other)
        plain = len(sparse.records) * inputs.accounts.cash.size
        assert least * fast.rounds["evaluated_count"].sum() <= plain
        sold.append(sparse.records[-1].sold)
    assert sold[1] > 1.25 * sold[0]  # the jump lies between the two


def test_safety_is_a_lower_bound() -> None:
    """An account whose assets have all fallen by its safety, less a hair, is not in breach; by hand for one account."""

    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"]}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 2.0, "depth": 1e9}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
        accounts=pd.DataFrame({"account": ["a", "b", "c"], "platform": "x", "cash": [-12.0, 1.0, -17.0]}),
        positions=pd.DataFrame({"account": ["a", "c"], "asset": "A", "quantity": 10.0}),
    )
    inputs = lowered(system, ct.Scenario())
    ready = compiled.prepare(inputs)
    assert ready.screen is not None
    safety = dict(zip(ready.screen.account.tolist(), ready.screen.safety.tolist(), strict=True))
    names = lower(system, ct.Scenario())[1].accounts.tolist()
    found = {names[account]: value for account, value in safety.items()}
    assert found["a"] == pytest.approx((16.0 - 12.0) / 16.0, abs=1e-9)  # 0.8 × 20 falls to the debt of 12
    assert found["a"] < 0.25
    assert found["b"] == np.inf
    assert found["c"] == -np.inf  # in breach at the opening
    for factor, reached in ((0.2, False), (0.2500001, True)):
        move = screen.moves(ready.screen, inputs, inputs.markets.price * (1.0 - factor))
        assert bool((move >= found["a"]).any()) is reached


def test_prices_beyond_the_guard_are_looked_at_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short squeeze that more than doubles a price: the filter's guard for rounding no longer covers it."""

    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "margin_rule": "maintenance", "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A", "B"]}),
        markets=pd.DataFrame(
            {"market": ["x:A", "x:B"], "venue": "x", "asset": ["A", "B"], "price": 1.0, "depth": [2.0, 9.0]}
        ),
        terms=pd.DataFrame({"platform": "x", "asset": ["A", "B"], "weight": 1.0, "maintenance": 0.05}),
        accounts=pd.DataFrame({"account": ["s", "t"], "platform": "x", "cash": [5.0, 30.0]}),
        positions=pd.DataFrame(
            {
                "account": ["s", "s", "t"],
                "asset": ["A", "B", "A"],
                "side": ["perp", "collateral", "perp"],
                "quantity": [-150.0, 50.0, -20.0],
                "entry_price": [1.0, np.nan, 1.0],
            }
        ),
    )
    inputs = lowered(system, ct.Scenario(shocks={"B": 0.99}))
    sparse, full, listed = runs(monkeypatch, inputs)
    assert sparse.state.log_drop.min() < -np.log(2.0)
    assert_same(sparse, full)
    assert_same(sparse, listed)


def test_sparse_products_are_those_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = lowered(*generate.system(accounts=30_000, seed=1))
    rng = np.random.default_rng(0)
    quantity = inputs.positions.quantity
    values, weights = rng.random((quantity.shape[1], 6)), rng.random(quantity.shape[0])
    cuts = chunks.bounds(quantity.shape[0])
    assert cuts.size > 3
    monkeypatch.setattr(chunks, "COMPILED_FROM", 10**12)
    assert np.array_equal(sparse_products.row_sums(quantity, values, cuts), chunks.row_sums(quantity, values))
    by_chunk = sparse_products.column_sums_by_chunk(quantity, weights, cuts)
    assert np.array_equal(chunks.in_order(by_chunk), chunks.column_sums(quantity, weights))
    assert chunks.column_sums(quantity, weights) == pytest.approx(quantity.T @ weights, rel=1e-12)


@pytest.fixture
def plain() -> Iterator[dict[str, ModuleType]]:
    """The compiled modules as plain Python, so that coverage sees their lines."""
    was = numba.config.DISABLE_JIT  # type: ignore[attr-defined]
    numba.config.DISABLE_JIT = True  # type: ignore[attr-defined]
    made: dict[str, ModuleType] = {}
    try:
        with pytest.MonkeyPatch.context() as patch:
            # those that others call come first
            for module in (fused_lines, fused_funds, fused_filter, fused_screen, fused, excerpt, sparse_products):
                made[module.__name__] = _again(module)
                patch.setitem(sys.modules, module.__name__, made[module.__name__])
        yield made
    finally:
        numba.config.DISABLE_JIT = was  # type: ignore[attr-defined]


def _again(module: ModuleType) -> ModuleType:
    assert module.__spec__ is not None
    assert module.__spec__.origin is not None
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_plain", module.__spec__.origin)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = copy
    spec.loader.exec_module(copy)
    del sys.modules[spec.name]
    return copy


@pytest.mark.parametrize("seed", some(12))
def test_the_kernels_as_plain_python(monkeypatch: pytest.MonkeyPatch, plain: dict[str, ModuleType], seed: int) -> None:
    inputs = lowered(*draw(seed, shorts=seed % 2 == 0))
    for module, names in (
        (compiled, ("fused", "fused_funds", "fused_lines", "fused_screen")),
        (active, ("fused_filter", "fused_screen")),
        (screen, ("fused_screen",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, plain[f"contagion.kernels.{name}"])
    for module in (compiled, active):
        monkeypatch.setattr(module, "excerpt", plain["contagion.kernels.excerpt"].excerpt)
    with np.errstate(over="ignore"):  # hashes wrap around, which compiled integers do silently
        sparse, full, listed = runs(monkeypatch, inputs)
    assert_same(sparse, full)
    assert_same(sparse, listed)
    products = plain["contagion.kernels.sparse_products"]
    cuts, quantity = chunks.bounds(inputs.accounts.cash.size), inputs.positions.quantity
    weights = np.linspace(0.0, 1.0, quantity.shape[0])
    assert np.array_equal(products.column_sums_by_chunk(quantity, weights, cuts)[0], quantity.T @ weights)
    ones = np.ones((quantity.shape[1], 2))
    assert np.array_equal(products.row_sums(quantity, ones, cuts), quantity @ ones)


def test_a_solve_of_a_large_system_is_that_of_sparse_products(monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenario = generate.system(accounts=3_000, seed=5)
    want = ct.solve(system, scenario)
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    got = ct.solve(system, scenario)
    assert dict(got.totals) == dict(want.totals)
    assert got.accounts.equals(want.accounts)
    for each in (got, want):  # sales are added up once, by the last round
        assert each.markets["price"].tolist() == each.prices.iloc[-1].tolist()
    assert got.rounds.drop(columns="evaluated_count").equals(want.rounds.drop(columns="evaluated_count"))
    assert (got.rounds["evaluated_count"] < want.rounds["evaluated_count"]).all()
