"""The joint solver on systems made from matrices, against the classic models."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

import contagion as ct
from contagion.errors import InputError
from tests.clearing_systems import Book, draw
from tests.seeds import some

Floats = NDArray[np.float64]


def paid(book: Book, recovery_rate: float, shock: Floats | None = None) -> pd.Series[float]:
    """Return what each node pays by the joint solver: its debts less the haircut."""
    system = ct.System.from_liabilities(book.liabilities, book.assets, book.external, recovery_rate=recovery_rate)
    losses = {} if shock is None else {str(node): loss for node, loss in enumerate(shock)}
    nodes = ct.solve(system, ct.Scenario(losses=losses), max_rounds=200_000).nodes
    return nodes["liabilities"] * (1.0 - nodes["haircut"])


@pytest.mark.parametrize("seed", some(30))
def test_the_joint_solver_clears_as_eisenberg_and_noe(seed: int) -> None:
    book = draw(seed)
    wanted = ct.clearing.eisenberg_noe(book.liabilities, book.assets, book.external).payments
    np.testing.assert_allclose(paid(book, 1.0), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", some(120)[0::4])
def test_losses_of_a_scenario_are_losses_of_external_assets(seed: int) -> None:
    book = draw(seed)
    shock = book.assets * np.random.default_rng(seed).random(book.assets.size)
    wanted = ct.clearing.eisenberg_noe(book.liabilities, book.assets - shock, book.external).payments
    np.testing.assert_allclose(paid(book, 1.0, shock), wanted, rtol=1e-9, atol=1e-9)


def on_the_edge(book: Book, clearing: ct.clearing.Clearing) -> bool:
    """Return whether somebody has, to rounding, just what it owes: rounding then decides whether costs arise."""
    frame = clearing.frame
    gap = book.assets + frame["received"].to_numpy() - frame["owed"].to_numpy()
    return bool((np.abs(gap[frame["owed"] > 0]) < 1e-9).any())


@pytest.mark.parametrize("rate", [0.9, 0.5, 0.0])
def test_the_joint_solver_clears_as_rogers_and_veraart_with_one_rate(rate: float) -> None:
    tried = 0
    for seed in some(50):
        book = draw(seed)
        clearing = ct.clearing.rogers_veraart(book.liabilities, book.assets, rate, rate, book.external)
        if not on_the_edge(book, clearing):
            np.testing.assert_allclose(paid(book, rate), clearing.payments, rtol=1e-9, atol=1e-9, err_msg=str(seed))
            tried += 1
    assert tried > 0.6 * len(some(50))


def test_equity_is_what_the_classic_model_leaves() -> None:
    for seed in some(20):
        book = draw(seed)
        system = ct.System.from_liabilities(book.liabilities, book.assets, book.external)
        nodes = ct.solve(system, max_rounds=200_000).nodes
        left = nodes["buffer"] - nodes["buffer_used"]
        wanted = ct.clearing.eisenberg_noe(book.liabilities, book.assets, book.external).equity
        np.testing.assert_allclose(left, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", [1.0, 0.6])
@pytest.mark.parametrize("seed", some(20))
def test_labels_in_any_order_zero_rows_and_banks_that_are_alone(seed: int, rate: float) -> None:
    """A bank that owes outside only, one that owes nothing and one that nobody deals with join each book."""
    source, book = np.random.default_rng(seed), draw(seed, largest=6)
    count = book.assets.size + 3
    debts = np.zeros((count, count))
    debts[:-3, :-3] = book.liabilities
    debts[:-3, -2] = source.random(count - 3)
    assets = np.append(book.assets, [0.5, 0.0, 1.0])
    outside = np.append(book.external, [2.0, 0.0, 0.0])
    names = [f"bank {number}" for number in source.permutation(count)]
    rows, columns, other = (source.permutation(count) for _ in range(3))
    frame = pd.DataFrame(debts, names, names).iloc[rows, columns]
    vectors = pd.Series(assets, names).iloc[other], pd.Series(outside, names).iloc[columns].to_dict()
    system = ct.System.from_liabilities(frame, *vectors, recovery_rate=rate)
    nodes = ct.solve(system, max_rounds=200_000).nodes
    wanted = ct.clearing.rogers_veraart(debts, assets, rate, rate, outside)
    if rate < 1.0 and on_the_edge(Book(debts, assets, outside), wanted):
        return
    paid_by_name = (nodes["liabilities"] * (1.0 - nodes["haircut"])).loc[names]
    np.testing.assert_allclose(paid_by_name, wanted.payments, rtol=1e-9, atol=1e-9)
    labelled = ct.clearing.rogers_veraart(frame, vectors[0], rate, rate, vectors[1])
    np.testing.assert_allclose(labelled.payments.loc[names], wanted.payments, rtol=1e-12, atol=1e-12)
    if rate == 1.0:
        cleared = ct.clearing.eisenberg_noe(frame, *vectors)
        np.testing.assert_allclose(cleared.payments.loc[names], paid_by_name, rtol=1e-9, atol=1e-9)


def test_liabilities_with_labels() -> None:
    debts = pd.DataFrame([[0, 2.0], [0, 0]], index=["B", "A"], columns=["B", "A"])
    system = ct.System.from_liabilities(debts, {"A": 1.0, "B": 0.5}, recovery_rate={"A": 1.0, "B": 0.8})
    assert system.nodes[["node", "buffer", "liabilities"]].to_dict("list") == {
        "node": ["B", "A"],
        "buffer": [0.0, 3.0],
        "liabilities": [2.0, 0.0],
    }
    assert system.claims.to_dict("records") == [{"creditor": "A", "debtor": "B", "amount": 2.0}]
    assert system.accounts[["account", "platform", "cash"]].to_dict("records") == [
        {"account": "shortfall of B", "platform": "B", "cash": -1.5}
    ]
    assert ct.solve(system).nodes.loc["B", "haircut"] == pytest.approx(1 - 0.8 * 0.25)
    ct.validate(system)


def test_liabilities_that_cannot_be_read() -> None:
    with pytest.raises(InputError, match="negative"):
        ct.System.from_liabilities([[0, -1], [0, 0]], [1, 1])
    with pytest.raises(InputError, match="recovery_rate"):
        ct.System.from_liabilities([[0, 1], [0, 0]], [1, 1], recovery_rate=1.5)
    with pytest.raises(InputError, match="the same as text"):
        ct.System.from_liabilities(pd.DataFrame(np.zeros((2, 2)), index=[1, "1"], columns=[1, "1"]), 1.0)
    names = ["A", "shortfall of A"]
    with pytest.raises(InputError, match="may not be called 'shortfall of A'"):
        ct.System.from_liabilities(pd.DataFrame([[0, 1.0], [0, 0]], index=names, columns=names), 0.0)


# from_portfolios


def fire_sale(
    held: Floats, equity: Floats, depth: Floats, ratio: float, shock: Floats
) -> tuple[list[float], list[float]]:
    """Return shares sold and final prices after Cifuentes, Ferrucci and Shin (2005), by plain loops from no sales.

    Each bank sells the same share of all that restores equity over what it keeps, where sales bring the average price
    of all that is sold of the asset; prices fall by exp(−sold/depth·ln(1/0.99)).
    """
    banks, assets = held.shape
    debt = [sum(held[bank]) - equity[bank] for bank in range(banks)]
    sold = [0.0] * banks
    decay = -math.log(0.99)
    while True:
        price, average = [], []
        for asset in range(assets):
            x = decay * sum(sold[bank] * held[bank, asset] for bank in range(banks)) / depth[asset]
            price.append((1 - shock[asset]) * math.exp(-x))
            average.append((1 - shock[asset]) * ((1 - math.exp(-x)) / x if x > 1e-9 else 1 - x / 2))
        after = []
        for bank in range(banks):
            marked = sum(held[bank, asset] * price[asset] for asset in range(assets))
            proceeds = sum(held[bank, asset] * average[asset] for asset in range(assets))
            missing = ratio * marked - (marked - debt[bank])  # equity that is missing to hold everything
            if missing <= 0:
                share = 0.0
            elif proceeds - debt[bank] <= 0:
                share = 1.0
            else:  # (1 − s)·(marked − debt) + s·(proceeds − debt) = ratio·(1 − s)·marked
                share = missing / (proceeds - debt[bank] + missing)
            after.append(max(sold[bank], share))
        if max(abs(new - old) for new, old in zip(after, sold, strict=True)) < 1e-14:
            return after, price
        sold = after


@pytest.mark.parametrize("seed", some(100))
def test_the_joint_solver_sells_as_cifuentes_ferrucci_and_shin(seed: int) -> None:
    source = np.random.default_rng(seed)
    banks, assets = int(source.integers(1, 7)), int(source.integers(1, 4))
    held = source.lognormal(3.0, 1.0, (banks, assets)) * (source.random((banks, assets)) < 0.8)
    held[:, 0] += 1.0
    equity = held.sum(axis=1) * source.uniform(0.08, 0.5, banks)
    depth = (held.sum(axis=0) + 1.0) * source.uniform(0.03, 1.0, assets)
    shock = source.uniform(0.0, 0.15, assets)
    sold, price = fire_sale(held, equity, depth, 0.07, shock)
    names = [f"bank {number}" for number in range(banks)]
    system = ct.System.from_portfolios(names, held, equity, depth, capital_ratio=0.07)
    scenario = ct.Scenario(shocks={str(asset): drop for asset, drop in enumerate(shock)})
    solution = ct.solve(system, scenario, max_rounds=200_000)
    floored = solution.markets["price"] <= 0.0101 * (1 - shock)
    if not floored.any():  # the schema's floor, a hundredth, is none of theirs
        np.testing.assert_allclose(solution.accounts["liquidated"], sold, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(solution.markets["price"], price, rtol=1e-9)


class Sellers(NamedTuple):
    """Banks with units of one asset, without debts to each other."""

    held: Floats
    equity: Floats
    depth: float
    ratio: Floats
    shock: float

    def joint(self) -> ct.Solution:
        system = ct.System.from_portfolios(None, self.held[:, None], self.equity, self.depth, capital_ratio=self.ratio)
        return ct.solve(system, ct.Scenario(shocks={"0": self.shock}), max_rounds=200_000)

    def classic(self, **options: Any) -> ct.clearing.FireSale:
        """Return the classic model of the same banks, in units that are worth 1 after the shock."""
        units, gap = self.held * (1 - self.shock), self.equity - self.held
        impact = -math.log(0.99) / self.depth / (1 - self.shock)
        none = np.zeros((self.held.size, self.held.size))
        owed = np.maximum(-gap, 0.0)
        return ct.clearing.cifuentes_ferrucci_shin(
            none, np.maximum(gap, 0.0), units, impact, self.ratio, owed, max_rounds=100_000, **options
        )


def draw_sellers(seed: int) -> Sellers:
    source = np.random.default_rng(seed)
    banks = int(source.integers(1, 8))
    held = source.lognormal(3.0, 1.0, banks) * (source.random(banks) < 0.85)
    held[0] += 1.0
    equity = held * source.uniform(-0.02, 0.5, banks)
    equity = np.where(source.random(banks) < 0.1, held + 2.0, equity)
    depth = float(held.sum() * source.uniform(0.03, 1.0))
    return Sellers(held, equity, depth, source.uniform(0.03, 0.12, banks), float(source.uniform(0.0, 0.2)))


def test_the_joint_solver_is_cifuentes_ferrucci_shin_with_the_average_price() -> None:
    tried = sold_some = 0
    for seed in some(100):
        case = draw_sellers(seed)
        solution, classic = case.joint(), case.classic(settlement="average")
        price = solution.markets["price"].iloc[0] / (1 - case.shock)
        if price > 0.0101:  # the schema's floor, a hundredth, is none of theirs
            tried += 1
            sold = solution.accounts["liquidated"].to_numpy() * case.held * (1 - case.shock)
            sold_some += 0.0 < sold.sum() < case.held.sum() * 0.99
            assert price == pytest.approx(classic.price, rel=1e-9), seed
            np.testing.assert_allclose(sold, classic.illiquid_sold, rtol=1e-9, atol=1e-9, err_msg=str(seed))
    assert tried > 0.3 * len(some(100))
    assert sold_some > 0.3 * len(some(100))


def test_where_prices_do_not_move_or_all_is_sold_it_is_the_one_of_the_paper() -> None:
    """What sellers get does not matter in deep markets, and the last price does not depend on it if nobody stands."""
    for seed in some(8):
        case = draw_sellers(seed)
        deep = case._replace(depth=1e15)
        sold = deep.joint().accounts["liquidated"].to_numpy() * case.held * (1 - case.shock)
        np.testing.assert_allclose(sold, deep.classic().illiquid_sold, rtol=1e-9, atol=1e-9)
        broke = case._replace(equity=-0.5 * case.held, shock=0.0, depth=float(case.held.sum()))
        assert broke.joint().markets["price"].iloc[0] == pytest.approx(0.99, rel=1e-12)
        assert broke.classic().price == pytest.approx(0.99, rel=1e-12)
        assert broke.classic().sold == pytest.approx(case.held.sum(), rel=1e-12)


def test_portfolios_are_held_to_the_leverage_ratio_of_basel_unless_told_otherwise() -> None:
    """Of 100, 97.5 borrowed: 2.5 of equity allow 83.3 at 3 %, so a sixth is sold."""
    system = ct.System.from_portfolios(banks=["A"], holdings=[[100.0]], equity=2.5, depth=np.inf)
    assert ct.solve(system).accounts["liquidated"].item() == pytest.approx(1.0 - 2.5 / 0.03 / 100.0, rel=1e-12)


def test_portfolios_with_labels_cash_and_infinite_depth() -> None:
    held = pd.DataFrame({"bond": [50.0, 0.0], "share": [50.0, 10.0]}, index=["A", "B"])
    depth = pd.Series({"share": 5.0, "bond": np.inf})
    equity = {"B": 12.0, "A": 20.0}
    system = ct.System.from_portfolios(["B", "A"], held, equity, depth, capital_ratio={"A": 0.15, "B": 0.1})
    ct.validate(system)
    assert system.accounts.set_index("account")["cash"].to_dict() == {"B": 2.0, "A": -80.0}
    assert system.markets.set_index("asset")["depth"].to_dict() == {"bond": np.inf, "share": 5.0}
    solution = ct.solve(system, ct.Scenario(shocks={"bond": 0.12}))
    assert solution.accounts["liquidated"].between(0.0, 1.0, inclusive="neither").to_dict() == {"B": False, "A": True}
    frame = solution.accounts.loc[["A"], ["liquidated", "gross_assets", "equity_after"]]
    sold, gross, left = frame.to_numpy(dtype=np.float64)[0]
    assert left / ((1.0 - sold) * gross) == pytest.approx(0.15, rel=1e-9)


def test_portfolios_that_cannot_be_read() -> None:
    good: dict[str, Any] = {"banks": ["A"], "holdings": [[1.0]], "equity": 0.2, "depth": 1.0, "capital_ratio": 0.1}
    for change, message in (
        ({"holdings": [[-1.0]]}, "negative"),
        ({"banks": ["A", "B"]}, "for 2 banks"),
        ({"banks": ["exchange"]}, "may not be called 'exchange'"),
        ({"capital_ratio": 2.0}, "capital_ratio"),
        ({"impact": "lineal"}, "did you mean 'linear'"),
        ({"banks": ["B"], "holdings": pd.DataFrame([[1.0]], index=["A"])}, "not the same names"),
    ):
        with pytest.raises(InputError, match=message):
            ct.System.from_portfolios(**(good | change))


def test_named_banks_beside_holdings_without_labels_and_named_assets() -> None:
    """Names of rows come from banks, those of columns from depth; holdings may be sparse, and stay so."""
    depth = {"share": 5.0, "bond": np.inf}
    for holdings in ([[50.0, 0.0], [10.0, 4.0]], csr_array([[50.0, 0.0], [10.0, 4.0]])):
        system = ct.System.from_portfolios(["A", "B"], holdings, {"B": 3.0, "A": 9.0}, depth, capital_ratio=0.1)
        assert system.positions[["account", "asset", "quantity"]].to_dict("list") == {
            "account": ["A", "B", "B"],
            "asset": ["share", "share", "bond"],
            "quantity": [50.0, 10.0, 4.0],
        }
        assert system.accounts["cash"].tolist() == [-41.0, -11.0]
        ct.validate(system)
    with pytest.raises(InputError) as caught:
        ct.System.from_portfolios(["A", "B"], [[-1.0, 2.0], [3.0, 4.0]], -np.inf, depth, capital_ratio=2, impact="x")
    assert len(caught.value.problems) == 4
    with pytest.raises(InputError, match="bank 'A' is listed twice"):
        ct.System.from_portfolios(["A", "A"], [[1.0, 2.0], [3.0, 4.0]], 1.0, depth, capital_ratio=0.1)
    for banks in ("AB", 5):
        with pytest.raises(InputError, match="give a list of names"):
            ct.System.from_portfolios(banks, [[1.0], [2.0]], 1.0, 1.0, capital_ratio=0.1)
    with pytest.raises(InputError, match="depth of 'bond' is zero"):
        ct.System.from_portfolios(None, [[1.0]], 1.0, {"bond": 0.0}, capital_ratio=0.1)
