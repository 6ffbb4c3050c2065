"""Numbers and formulas that others have published, with the citation in the name or beside it."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import contagion as ct
from tests.systems import loose


def perp(quantity: float, entry: float, cash: float, maintenance: float) -> ct.System:
    return ct.System(
        nodes=pd.DataFrame({"node": ["x"], "margin_rule": "maintenance", "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": entry, "depth": math.inf}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "maintenance": maintenance}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": cash}),
        positions=pd.DataFrame({"account": ["a"], "asset": "A", "side": "perp", "quantity": quantity}).assign(
            entry_price=entry
        ),
    )


def liquidated(system: ct.System, drop: float) -> bool:
    return bool(ct.solve(system, ct.Scenario(shocks={"A": drop})).accounts["liquidated"].iloc[0] == 1.0)


@pytest.mark.parametrize(("leverage", "maintenance"), [(10.0, 0.0125), (20.0, 0.02), (3.0, 0.1)])
def test_hyperliquid_documentation_2025_liquidation_price(leverage: float, maintenance: float) -> None:
    """liq_price = price − side·margin_available / size / (1 − l·side), margin_available = margin − l·notional."""
    entry, size = 100.0, 5.0
    margin = size * entry / leverage
    price = entry - (margin - maintenance * size * entry) / size / (1 - maintenance)
    system = perp(size, entry, margin, maintenance)
    assert not liquidated(system, 1 - price / entry - 1e-9)
    assert liquidated(system, 1 - price / entry + 1e-9)


def test_bybit_documentation_2025_bankruptcy_price_of_a_long() -> None:
    """Equity is zero at entry·(1 − 1/leverage)."""
    solution = ct.solve(perp(5.0, 100.0, 50.0, 0.005), ct.Scenario(shocks={"A": 0.1}))
    assert loose(solution.accounts).loc["a", "equity_if_sold"] == pytest.approx(0.0, abs=1e-12)


def test_uniswap_v2_core_2020_price_after_a_swap_without_fee() -> None:
    """Selling dx into reserves (x, y) leaves the price at (x/(x + dx))² of itself, and pays y·dx/(x + dx)."""
    reserve, sold = 1_000.0, 250.0
    depth = reserve * (0.99**-0.5 - 1)  # the sale that lowers this pool's price by 1 %
    system = ct.System(
        nodes=pd.DataFrame({"node": ["pool"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame(
            {"market": ["pool:A"], "venue": "pool", "asset": "A", "price": 1.0, "depth": depth}
        ).assign(impact="constant_product"),
        accounts=pd.DataFrame({"account": ["a"], "platform": "pool", "cash": -1.0}),
        positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": sold}),
    )
    market = loose(ct.solve(system).markets).loc["pool:A"]
    assert market["price"] == pytest.approx((reserve / (reserve + sold)) ** 2, rel=1e-12)
    assert market["average_price"] * sold == pytest.approx(reserve * sold / (reserve + sold), rel=1e-12)


def test_aave_v3_technical_paper_2022_health_factor_and_half_of_the_debt() -> None:
    """HF = Σ collateral·threshold / debt; below 1 a liquidator repays half of the debt, below 0.95 all of it."""

    def share(debt: float) -> float:
        system = ct.System(
            nodes=pd.DataFrame({"node": ["aave"], "close_rule": "close_factor"}),
            assets=pd.DataFrame({"asset": ["ETH"]}),
            markets=pd.DataFrame(
                {"market": ["m"], "venue": "aave", "asset": "ETH", "price": 2000.0, "depth": math.inf}
            ),
            terms=pd.DataFrame({"platform": ["aave"], "asset": "ETH", "weight": 0.825}),
            accounts=pd.DataFrame({"account": ["a"], "platform": "aave", "cash": -debt}),
            positions=pd.DataFrame({"account": ["a"], "asset": "ETH", "quantity": 1.0}),
        )
        account = loose(ct.solve(system).accounts).loc["a"]
        assert account["health"] == pytest.approx(2000 * 0.825 / debt, rel=1e-15)
        return float(account["liquidated"])

    assert share(1650.0) == 0.0
    assert share(1660.0) * 2000.0 == pytest.approx(0.5 * 1660.0, rel=1e-12)
    assert share(1750.0) == 1.0


def test_panews_2025_five_loops_of_80_per_cent_make_360_000_of_100_000() -> None:
    """The analysis says "over $360,000" and that a fall of 25 % erodes the equity: 368,928, and 92 % of it."""
    system, scenarios = ct.datasets.load("loop_lending")
    solution = ct.solve(system, scenarios["fall_25"])
    account = solution.accounts.iloc[0]
    assert account["gross_assets_before"] == pytest.approx(100_000 * (1 - 0.8**6) / 0.2, rel=1e-12)
    assert 1 - account["equity_marked"] / account["equity_before"] == pytest.approx(0.92232, rel=1e-12)
    assert 1 / account["leverage_before"] == pytest.approx(0.271, abs=5e-4)


def network(seed: int, count: int, recovery: float) -> tuple[ct.System, ct.Scenario, Any]:
    """Return random claims, external assets that just cover them, and losses on these."""
    rng = np.random.default_rng(seed)
    owed = rng.exponential(size=(count, count)) * (rng.random((count, count)) < 0.5)
    np.fill_diagonal(owed, 0.0)
    obligations = owed.sum(axis=1)
    equity = rng.uniform(0.0, 1.0, count)
    external = np.maximum(0.0, equity + obligations - owed.sum(axis=0))
    equity = external + owed.sum(axis=0) - obligations
    losses = external * rng.uniform(0.0, 1.0, count)
    names = np.array([f"bank{i}" for i in range(count)], dtype=object)
    debtor, creditor = np.nonzero(owed)
    system = ct.System(
        nodes=pd.DataFrame({"node": names, "buffer": equity, "recovery_rate": recovery}),
        claims=pd.DataFrame({"creditor": names[creditor], "debtor": names[debtor], "amount": owed[debtor, creditor]}),
    )
    return system, ct.Scenario(losses=dict(zip(names, losses, strict=True))), (owed, obligations, external - losses)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 8))
def test_eisenberg_noe_2001_lemma_4_the_clearing_vector_solves_a_linear_programme(seed: int, count: int) -> None:
    """Maximise Σp subject to p ≤ p̄ and p ≤ e + Π'p; the haircut of a node is 1 − p/p̄."""
    system, scenario, (owed, obligations, external) = network(seed, count, 1.0)
    shares = np.divide(owed, obligations[:, None], out=np.zeros_like(owed), where=obligations[:, None] > 0)
    best = linprog(
        -np.ones(count),
        A_ub=np.eye(count) - shares.T,
        b_ub=external,
        bounds=[(0.0, bound) for bound in obligations],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    solution = ct.solve(system, scenario)
    paid = (1 - solution.nodes["haircut"].to_numpy()) * obligations
    np.testing.assert_allclose(paid, np.asarray(best.x), atol=1e-7)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 8), st.floats(0.1, 1.0))
def test_rogers_veraart_2013_with_equal_rates_from_the_greatest_vector(seed: int, count: int, rate: float) -> None:
    """Solvent banks pay in full, others r·(e + Σ of what they are paid): iterated down from full payment."""
    system, scenario, (owed, obligations, external) = network(seed, count, rate)
    shares = np.divide(owed, obligations[:, None], out=np.zeros_like(owed), where=obligations[:, None] > 0)
    paid = obligations.copy()
    for _ in range(20_000):
        assets = external + shares.T @ paid
        new = np.where(assets >= obligations - 1e-12, obligations, rate * assets)
        if np.abs(new - paid).max() <= 1e-14:
            break
        paid = new
    solution = ct.solve(system, scenario)
    np.testing.assert_allclose((1 - solution.nodes["haircut"].to_numpy()) * obligations, paid, atol=1e-8)
