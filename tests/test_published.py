"""Numbers and formulas that others have published, with the citation in the name or beside it.

Numbers are typed as the source prints them, and `printed` compares to all the digits that it has. Tests of theorems and
formulas print none and are not counted among the numbers.
"""

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import contagion as ct
from contagion import clearing, reconstruct
from tests.seeds import some
from tests.systems import loose


def printed(numbers: str, found: Any) -> None:
    """Compare to numbers as they are printed: half a unit of the last digit is rounding."""
    words, values = numbers.split(), np.asarray(found, dtype=np.float64).ravel().tolist()
    assert len(words) == len(values)
    for word, value in zip(words, values, strict=True):
        assert abs(value - float(word)) <= 0.5 * 10.0 ** -len(word.partition(".")[2]) * (1.0 + 1e-9), (word, value)


def test_far_more_than_25_printed_numbers_are_compared() -> None:
    calls = [node for node in ast.walk(ast.parse(Path(__file__).read_text("utf-8"))) if isinstance(node, ast.Call)]
    numbers = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "printed"]
    assert sum(len(str(ast.literal_eval(text)).split()) for text in numbers) > 100


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


def test_native_documentation_uniswap_v2_example_of_a_swap() -> None:
    """docs.native.org, pricing models, Uniswap V2: 1 ABC, less 0.3 % of fee, into a pool of 10 ABC and 40 USDT."""
    system = ct.System(
        nodes=pd.DataFrame({"node": ["pool"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["ABC"]}),
        markets=pd.DataFrame(
            {"market": ["m"], "venue": "pool", "asset": "ABC", "price": 4.0, "depth": 40.0 * (0.99**-0.5 - 1)}
        ).assign(impact="constant_product"),
        accounts=pd.DataFrame({"account": ["John"], "platform": "pool", "cash": -10.0}),
        positions=pd.DataFrame({"account": ["John"], "asset": "ABC", "quantity": [0.997]}),
    )
    market = loose(ct.solve(system).markets).loc["m"]
    received = market["average_price"] * 0.997
    printed("3.626444 36.373556", [received, 40.0 - received])
    printed("40.000000", [market["price"] * (10 + 0.997) ** 2 / 10.0])  # K = 10·40 is the same after as before


def test_aave_help_on_liquidations_example_of_a_health_factor() -> None:
    """aave.com/help/borrowing/liquidations: $10,000 of ETH at a threshold of 80 %, $6,000 of GHO borrowed."""
    system = ct.System(
        nodes=pd.DataFrame({"node": ["aave"], "close_rule": "close_factor"}),
        assets=pd.DataFrame({"asset": ["ETH"]}),
        markets=pd.DataFrame({"market": ["m"], "venue": "aave", "asset": "ETH", "price": 2500.0, "depth": math.inf}),
        terms=pd.DataFrame({"platform": ["aave"], "asset": "ETH", "weight": 0.8}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "aave", "cash": -6000.0}),
        positions=pd.DataFrame({"account": ["a"], "asset": "ETH", "quantity": 4.0}),
    )
    printed("1.333", ct.solve(system).accounts["health"])


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


# The classic models on matrices


def test_networkvaluation_example_of_eisenberg_noe() -> None:
    """siebenbrunner/NetworkValuation, Algorithms/Eisenberg and Noe 2001/Example.html: equity before and after clearing.

    Its equity is assets less debts, also below zero; ours is what owners have, at least zero. Its README prints the
    payments too; of those the first, 19.5455, agrees neither with the others (26.3636 is 10 + 20/30 of 24.5455) nor
    with the equity of the example (24.5455 − 30), and is left out.
    """
    debts, assets = np.array([[0.0, 20, 10], [5, 0, 24], [10, 0, 0]]), np.full(3, 10.0)
    result = clearing.eisenberg_noe(debts, assets)
    printed("-5 1 34", assets + debts.sum(axis=0) - debts.sum(axis=1))
    printed("-5.4545 -2.6364 30.0000", assets + result.frame["received"] - result.frame["owed"])
    printed("26.3636 10.0000", result.payments[1:])
    printed("0.0000 0.0000 30.0000", result.equity)
    assert result.default_round.tolist() == [1, 2, 0]  # "the second node is pushed into default through these losses"


def test_sciencepedia_financial_network_clearing_two_clearing_vectors() -> None:
    """SciencePedia, undergraduate computational economics, "Financial Network Clearing", Principles and Mechanisms.

    "The unique clearing vector is p* = (20, 40, 34)": the first pays in full. And (1, 1, 0.5), from below as well.
    """
    result = clearing.eisenberg_noe([[0, 10, 10], [20, 0, 30], [40, 0, 0]], [5, 30, 0])
    printed("20 40 34", result.payments)
    assert result.defaulted.tolist() == [False, True, True]
    debts, assets = [[0, 0.5, 0.5], [1, 0, 0], [0, 1, 0]], [0.2, 0.1, 0.0]
    printed("1 1 0.5", clearing.eisenberg_noe(debts, assets).payments)
    printed("1 1 0.5", clearing.rogers_veraart(debts, assets, 1.0, 1.0, solution="least").payments)


def test_systemicrisk_manual_default_clearing_example_output() -> None:
    """systemicrisk, man page default_clearing, with its output at rdrr.io (documentation built in May 2019)."""
    debts = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    assets, outside = [1 / 2, 5 / 8, 3 / 4], [3 / 2, 1 / 2, 1 / 2]
    result = clearing.eisenberg_noe(debts, assets, outside)
    printed("1 1 0", result.defaulted)
    printed("1.473214 1.419643 1.500000", result.payments)
    costly = clearing.rogers_veraart(debts, assets, 0.5, 0.7, outside)
    printed("1 1 1", costly.defaulted)
    printed("0.5020200 0.5147049 0.5653806", costly.payments)


VIGNETTE = [1, 2.5, 3], [0.7, 2.7, 3.1]
"""systemicrisk, vignette "An example with 3 banks": what each owes in total, and is owed."""


@pytest.mark.parametrize(
    ("what_1_owes_2", "third"),
    [(0.4, 0), (0.0, 1), (0.2436671, 1), (0.09298631, 1)],
)
def test_systemicrisk_vignette_defaults_in_four_printed_networks(what_1_owes_2: float, third: int) -> None:
    """Four networks that its sampler has drawn in one release or another; they differ in one number, given the totals.

    External assets and liabilities are 1 each. With costs of default of 2 % the third bank always fails.
    """
    (first, second, _), (owed_to_first, owed_to_second, _) = VIGNETTE
    x = what_1_owes_2
    third_to_second = owed_to_second - x
    third_to_first = 3.0 - third_to_second
    second_to_first = owed_to_first - third_to_first
    cells = [
        [0.0, x, first - x],
        [second_to_first, 0.0, second - second_to_first],
        [third_to_first, third_to_second, 0.0],
    ]
    debts = np.clip(cells, 0.0, None)
    assert clearing.eisenberg_noe(debts, 1.0, 1.0).defaulted.tolist() == [True, False, third == 1]
    printed("1 0 1", clearing.rogers_veraart(debts, 1.0, 0.98, 0.98, 1.0).defaulted)


def test_systemicrisk_vignette_rates_of_default_over_200_samples() -> None:
    """p = 0.5, λ = 0.25, thinning 20: rates of 1, 0 and 0.475, and with costs 1, 0 and 1.

    The third bank has 3.95 + 0.15·x for debts of 4, so it fails if what 1 owes 2, x, is below 1/3. At x = 0 and 0.4 a
    link is missing, of odds 1/λ = 4 each; so the rate is (4 + 1/3) / 8.4 = 0.516, and 0.475 is one draw of 200.
    """
    owed, owned = VIGNETTE
    chain = reconstruct.Chain(samples=200, thin=20, burn_in=10, seed=1)
    networks = reconstruct.gandy_veraart(owned, owed, 0.5, 0.25, chain=chain)
    plain = np.mean([clearing.eisenberg_noe(one, 1.0, 1.0).defaulted for one in networks], axis=0)
    costly = np.mean([clearing.rogers_veraart(one, 1.0, 0.98, 0.98, 1.0).defaulted for one in networks], axis=0)
    printed("1 0 1", costly)
    printed("1.000 0.000", plain[:2])
    exact = (4 + 1 / 3) / 8.4
    error = math.sqrt(exact * (1 - exact) / 200)
    assert abs(0.475 - exact) <= 2 * error
    assert abs(plain[2] - exact) <= 3 * error


@pytest.mark.parametrize(("first_debt", "least"), [(2.0, [2.0, 2.2]), (2.2, [1.0, 1.0])])
def test_rogers_veraart_2013_example_3_3(first_debt: float, least: list[float]) -> None:
    """Debts of 2 (or 2.2) and 2.2 between two banks with 1 each, α = β = 1/2, as in ninagad/Greatest-Clearing-Vector-
    Algorithm, test/correctnessTests.py: the greatest vector pays in full. Of 2.2 each, the least pays half of 1 + 1."""
    debts = [[0, first_debt], [2.2, 0]]
    greatest = clearing.rogers_veraart(debts, [1, 1], 0.5, 0.5)
    assert greatest.payments.tolist() == [first_debt, 2.2]
    below = clearing.rogers_veraart(debts, [1, 1], 0.5, 0.5, solution="least")
    assert below.payments.tolist() == pytest.approx(least)


def test_rogers_veraart_2013_section_5_1_ring_of_six() -> None:
    """Same file, γ = 0.4, ε = 1, a = 2: even banks fail at once, odd ones after them, and all pay as below (13)."""
    debts = np.zeros((6, 6))
    debts[[0, 2, 4], [1, 3, 5]], debts[[1, 3, 5], [2, 4, 0]] = 2.0, 3.0
    result = clearing.rogers_veraart(debts, [0.0, 0.8] * 3, 0.5, 0.5)
    share = 0.5 * 0.4 / (1 - 0.5**2)
    assert result.payments.tolist() == pytest.approx([share * 0.5 * 2, share * 2] * 3)
    printed("2 1 2 1 2 1", result.default_round)


ASSETS_MATRIX = pd.DataFrame([[0.0, 1, 0], [10, 0, 3], [3, 2, 0]], list("abc"), list("abc"))
"""carloscinelli/NetworkRiskMeasures, README.md of 2016: rows have lent to columns."""


def test_networkriskmeasures_readme_2016_debt_rank() -> None:
    """Its first DebtRank is the single hit of Battiston et al. (2012): weights, additional stress and defaults."""
    table = clearing.debtrank_all(
        ASSETS_MATRIX.T, {"a": 2, "b": 5, "c": 2}, {"a": 10, "b": 100, "c": 30}, variant="single_hit"
    ).frame
    printed("0.07142857 0.71428571 0.21428571", table["first_stress"])
    printed("0.9285714 0.2500000 0.6642857", table["additional_stress"])
    printed("2 1 0", table["additional_defaults"])


def test_networkriskmeasures_readme_2016_debt_rank_shock() -> None:
    """A tenth of all equity lost: stress of 0.15, 0.26 and 0.30, 16.07 % more than the shock, nobody defaults."""
    result = clearing.debtrank(
        ASSETS_MATRIX.T, {"a": 2, "b": 5, "c": 2}, 0.1, {"a": 10, "b": 100, "c": 30}, variant="single_hit"
    )
    printed("0.15 0.26 0.30", result.distress)
    printed("16.07", 100 * result.additional_stress)
    assert not result.defaulted.any()


def test_networkriskmeasures_readme_maximum_entropy_of_anand_craig_von_peter_2015_page_628() -> None:
    """NetworkRiskMeasures, README.md and tests/testthat/test_2_matrix_est.R; its rows are creditors.

    It stops at an error of 3e-4 of the totals, which the last digit does not show.
    """
    found = reconstruct.max_entropy([7, 5, 3, 1, 3, 0, 1], [4, 5, 5, 0, 0, 2, 4]).frame.to_numpy().T
    printed("0.00 2.53 2.18 0 0 0.74 1.55", found[0])
    printed("1.72 0.00 1.60 0 0 0.54 1.14", found[1])
    printed("0.98 1.06 0.00 0 0 0.31 0.65", found[2])
    printed("0.25 0.27 0.23 0 0 0.08 0.17", found[3])
    printed("0.75 0.81 0.70 0 0 0.24 0.50", found[4])
    printed("0.00 0.00 0.00 0 0 0.00 0.00", found[5])
    printed("0.30 0.32 0.28 0 0 0.09 0.00", found[6])


def test_finnetvalu_test_xos_suzuki_2002_example_of_four_firms() -> None:
    """bertschi/FinNetValu, test/models/test_xos.jl: all four are solvent and pay 0.8 (its rows are holders)."""
    shares = np.array([[0, 0.2, 0.3, 0.1], [0.2, 0, 0.2, 0.1], [0.1, 0.1, 0, 0.3], [0.1, 0.1, 0.1, 0]])
    bonds = np.array([[0, 0, 0.1, 0], [0, 0, 0, 0.1], [0.1, 0, 0, 0.1], [0, 0.1, 0, 0]])
    result = clearing.suzuki(bonds.T, shares.T, [2, 0.5, 0.6, 0.6], 0.8)
    assert not result.defaulted.any()
    assert result.payments.tolist() == [0.8, 0.8, 0.8, 0.8]


@pytest.mark.parametrize("model", ["eisenberg_noe", "furfine"])
@pytest.mark.parametrize(
    ("first", "last", "contribution"),
    [(0, 12, 0.0), (89, 101, 1.0)],
)
def test_finnetvalu_finnetdemo_barucca_2020_figure_2(model: str, first: int, last: int, contribution: float) -> None:
    """bertschi/FinNetValu, notebooks/finnetdemo.ipynb, output 6: what the network adds to losses of external assets.

    Its third column, linear DebtRank, is zero for small shocks too, as it measures equity against the shocked one;
    against the equity before the shock even the smallest shock is passed on.
    """
    debts = np.array([[0, 0.5, 0], [0, 0, 0.5], [0.5, 0, 0]]).T
    assets, external = np.array([10.0, 5, 3]), np.array([9.0, 4, 2])
    rules = {"eisenberg_noe": clearing.valuations.eisenberg_noe("senior"), "furfine": clearing.valuations.furfine()}

    def added(share: float, rule: clearing.Valuation) -> float:
        before = clearing.network_valuation(debts, assets, external, rule).equity
        after = clearing.network_valuation(debts, (1 - share) * assets, external, rule).equity
        return float((before - after - share * assets).sum() / debts.sum())

    for share in np.linspace(0.0, 0.6, 101)[first:last]:
        assert added(share, rules[model]) == pytest.approx(contribution, abs=1e-9)
    assert added(0.006, clearing.valuations.linear_debtrank(assets - external)) > 0.02


@pytest.mark.parametrize("count", [5, 10])
@pytest.mark.parametrize("shock", [0.5, 2.3, 4.9])
def test_acemoglu_ozdaglar_tahbaz_salehi_2015_propositions_4_and_6(count: int, shock: float) -> None:
    """Returns a, senior debts v, claims above y* = (n − 1)(a − v); the threshold between small and large is n (a − v).

    Small shocks: one bank fails in the complete network, ⌈ε / (a − v)⌉ − 1 in the ring. Large: all, in either.
    """
    margin = 1.0
    claims = 2.0 * (count - 1) * margin
    ring = claims * np.roll(np.eye(count), 1, axis=1)
    complete = claims / (count - 1) * (1 - np.eye(count))
    senior = np.full(count, 100.0)
    for size, in_ring, in_complete in [(shock, math.ceil(shock) - 1, int(shock > margin)), (count + 0.1, count, count)]:
        assets = senior + margin - size * np.eye(count)[0]
        for debts, failures in ((ring, in_ring), (complete, in_complete)):
            assert clearing.eisenberg_noe(debts, assets, senior, external="senior").defaulted.sum() == failures


@pytest.mark.parametrize("seed", some(40))
def test_glasserman_young_2015_proposition_1_contagion_is_bounded(seed: int) -> None:
    """Nodes can only fail through i if their net worth is at most wᵢ βᵢ (λᵢ − 1), whatever i loses of its assets."""
    source = np.random.default_rng(seed)
    debts = source.lognormal(0, 1, (8, 8)) * (source.random((8, 8)) < 0.4) * (1 - np.eye(8))
    external, worth = source.lognormal(1, 1, 8), source.lognormal(-1, 1, 8)
    assets = np.maximum(0.0, worth + debts.sum(axis=1) + external - debts.sum(axis=0))
    worth = assets + debts.sum(axis=0) - debts.sum(axis=1) - external
    left = assets.copy()
    left[0] *= source.random() ** 3
    failed = clearing.eisenberg_noe(debts, left, external).defaulted.to_numpy()[1:]
    connected = debts[0].sum() / (debts[0].sum() + external[0])
    assert worth[1:][failed].sum() <= connected * max(assets[0] - worth[0], 0.0) + 1e-9


# Fire sales and structure


def two_banks_of_schaanning(shock: float, **options: Any) -> clearing.Deleveraging:
    """Bank A with 90 of bonds, 10 of other assets and 4 of equity; B with 70, 20 and 4.5; A's other assets fall."""
    depth = clearing.market_depth([50.0], [0.02], scale=0.4, horizon=20.0)
    return clearing.cont_schaanning(
        [[90.0], [70.0]], [4.0, 4.5], depth, illiquid_assets=[10, 20], illiquid_loss=[10 * shock, 0], **options
    )


def test_finnetvalu_test_csmodel_market_depth() -> None:
    """wolfstam/FinNetValu, test/models/test_csmodel.jl, testsets "marketdepth" and "csmodel"; its δ is half of it."""
    depth = clearing.market_depth([50.0], [0.02], scale=0.4, horizon=20.0)
    printed("4472.14", depth)
    printed("2236.07", (1 - 0.5 / 1.0) * depth)


def test_finnetvalu_test_csmodel_losses_of_the_shock() -> None:
    """The same file, testset "csmodel": four illiquid assets fall; what is left of them, and of equity."""
    illiquid, falls = np.array([[20, 30, 40, 100], [60, 410, 100, 10]]), np.array([0.1, 0.0, 0.5, 0.0])
    result = clearing.cont_schaanning(
        [[100, 20, 30], [30, 50, 200]],
        [100, 200],
        1e300,
        illiquid_assets=illiquid.sum(axis=1),
        illiquid_loss=illiquid @ falls,
    )
    printed("168 524", illiquid.sum(axis=1) - result.frame["first_loss"])
    printed("78 144", result.equity)


def test_finnetvalu_test_csmodel_share_sold_at_a_leverage_limit_of_40() -> None:
    """The same file, testset "deleverageproportion": 22/90, for 98 of assets may be 38 times the equity of 2."""
    share = two_banks_of_schaanning(0.2, leverage_limit=40.0, max_rounds=1, on_failure="return").deleveraging[1]
    assert share.tolist() == pytest.approx([22 / 90, 0.0], rel=1e-14)


def test_finnetvalu_test_csmodel_two_banks_of_schaanning() -> None:
    """The same file, csmodel8: shares sold, impact, price and equity, at α = 0.5 and a limit of 33.3.

    Losses are printed for a share of 0.39 and an impact of 0.00771, rounded; A's are 90·(1 − 0.5·share)·impact, so the
    rounding of both is up to 90·(0.805·5e-6 + 0.5·0.00771·0.005) in A's and 70·5e-6 in B's, and 5e-5 in print.
    """
    first = two_banks_of_schaanning(0.2, leverage_limit=33.3, max_rounds=1, on_failure="return")
    printed("2.0 4.5", [4.0 - first.frame["first_loss"].iloc[0], 4.5 - first.frame["first_loss"].iloc[1]])
    printed("0.00771", first.assets["price_drop"])
    printed("0.99229", first.price)
    printed("1.44 3.96", first.equity)
    rounding = np.array([90 * (0.805 * 5e-6 + 0.5 * 0.00771 * 0.005), 70 * 5e-6]) + 5e-5
    assert (np.abs(first.losses[1].to_numpy() - [0.5586, 0.5397]) <= rounding).all()
    shares = two_banks_of_schaanning(0.2, leverage_limit=33.3).deleveraging
    printed("0.39 0.32 0.15", shares.iloc[0])
    printed("0. 0. 0.", shares.iloc[1])


def test_schaanning_thesis_figure_1_2_1_loss_of_the_second_bank() -> None:
    """As in wolfstam/FinNetValu, demos/csmodel_replicate_ShaanningThesis.jl: about 1.4 if A sells everything."""
    result = two_banks_of_schaanning(0.45, shortfall=1.0)
    assert result.deleveraging[1].tolist()[0] == 1.0
    printed("1.4", result.losses[1].iloc[1])


SIX = list("ABCEFD")


def six_nodes() -> tuple[pd.DataFrame, dict[str, float]]:
    columns = [[0] * 6, [5, 0, 0, 0, 0, 2], [0, 3, 0, 0, 2, 2], [0, 0, 4, 0, 5, 0], [10, 2, 0, 0, 5, 0], [2, *[0] * 5]]
    debts = pd.DataFrame(np.array(columns, dtype=float).T, SIX, SIX)
    debts.loc["F", "F"] = 0.0  # its own debt to itself, which nobody else sees
    return debts, {"A": 10, "B": 2, "C": 2, "E": 1, "F": 10, "D": 4}


def test_networkriskmeasures_test_1_risk_com_impact_matrix() -> None:
    """carloscinelli/NetworkRiskMeasures, tests/testthat/test_1_risk_com.R: impacts, each up to one, by column."""
    debts, buffer = six_nodes()
    by_column = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0.2, 0, 0, 0.0, 0, 0.5]
    expected = np.array([*by_column, 0, 0, 0, 0, 0]).reshape(6, 6).T  # 0.5 of F on itself left out
    assert clearing.impact_matrix(debts, buffer).clip(upper=1.0).to_numpy() == pytest.approx(expected)
    binary = clearing.impact_matrix(debts, buffer, binary=True)
    assert (binary.to_numpy() == (expected >= 1)).all()
    assert clearing.vulnerability_matrix(debts, buffer, binary=True).equals(binary.T)


def test_networkriskmeasures_test_1_risk_com_communicability() -> None:
    """The same file: the exponential of the binary impact matrix, by column."""
    debts, buffer = six_nodes()
    found = clearing.communicability(clearing.impact_matrix(debts, buffer, binary=True))
    printed("1 0 0 0 0 0 1 1 0 0 0 1 1 1 1 0 1 1.5", found.to_numpy().T[:3])
    printed("0.833333333333333 0.5 1 1 1.5 0.666666666666667 1 0 0 0 1 0 0 0 0 0 0 1", found.to_numpy().T[3:])


def test_networkriskmeasures_test_3_impacts_susceptibility_fluidity_diffusion() -> None:
    """carloscinelli/NetworkRiskMeasures, tests/testthat/test_3_impacts.R (Silva, de Souza and Tabak)."""
    debts, buffer = ASSETS_MATRIX.T, {"a": 2, "b": 5, "c": 2}
    printed("0 1 1.25", clearing.impact_susceptibility(debts, buffer))
    printed("0.75", clearing.impact_fluidity(debts, buffer))
    table = clearing.impact_diffusion(debts, buffer)
    printed("1.25 1 0", table["start"])
    printed("0 0.5 0", table["intermediate"])
    printed("1.25 1.5 0", table["total"])
