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
from contagion import clearing
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


# The classic models on matrices


def test_networkvaluation_example_of_eisenberg_noe() -> None:
    """siebenbrunner/NetworkValuation, Algorithms/Eisenberg and Noe 2001/Example.html: equity before and after clearing.

    Its equity is assets less debts, also below zero; ours is what owners have, at least zero.
    """
    debts, assets = np.array([[0.0, 20, 10], [5, 0, 24], [10, 0, 0]]), np.full(3, 10.0)
    before = assets + debts.sum(axis=0) - debts.sum(axis=1)
    assert before.tolist() == [-5, 1, 34]
    result = clearing.eisenberg_noe(debts, assets)
    after = assets + result.frame["received"] - result.frame["owed"]
    assert after.round(4).tolist() == [-5.4545, -2.6364, 30.0]
    assert result.defaulted.tolist() == [True, True, False]
    assert result.equity.tolist() == pytest.approx([0.0, 0.0, 30.0])
    assert result.default_round.tolist() == [1, 2, 0]  # "the second node is pushed into default through these losses"


ASSETS_MATRIX = pd.DataFrame([[0.0, 1, 0], [10, 0, 3], [3, 2, 0]], list("abc"), list("abc"))
"""carloscinelli/NetworkRiskMeasures, README.md of 2016: rows have lent to columns."""


def test_networkriskmeasures_readme_2016_debt_rank() -> None:
    """Its first DebtRank is the single hit of Battiston et al. (2012): weights, additional stress and defaults."""
    table = clearing.debtrank_all(
        ASSETS_MATRIX.T, {"a": 2, "b": 5, "c": 2}, {"a": 10, "b": 100, "c": 30}, variant="single_hit"
    ).frame
    assert table["first_stress"].round(8).to_dict() == {"a": 0.07142857, "b": 0.71428571, "c": 0.21428571}
    assert table["additional_stress"].round(7).to_dict() == {"a": 0.9285714, "b": 0.25, "c": 0.6642857}
    assert table["additional_defaults"].to_dict() == {"a": 2, "b": 1, "c": 0}


def test_networkriskmeasures_readme_2016_debt_rank_shock() -> None:
    """A tenth of all equity lost: stress of 0.15, 0.26 and 0.30, 16.07 % more than the shock, nobody defaults."""
    result = clearing.debtrank(
        ASSETS_MATRIX.T, {"a": 2, "b": 5, "c": 2}, 0.1, {"a": 10, "b": 100, "c": 30}, variant="single_hit"
    )
    assert result.distress.to_dict() == pytest.approx({"a": 0.15, "b": 0.26, "c": 0.30})
    assert round(100 * result.additional_stress, 2) == 16.07
    assert not result.defaulted.any()


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


@pytest.mark.parametrize("seed", range(100))
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
    assert depth.round(2).tolist() == [4472.14]
    return clearing.cont_schaanning(
        [[90.0], [70.0]], [4.0, 4.5], depth, illiquid_assets=[10, 20], illiquid_loss=[10 * shock, 0], **options
    )


def test_finnetvalu_test_csmodel_two_banks_of_schaanning_2016() -> None:
    """wolfstam/FinNetValu, test/models/test_csmodel.jl: shares sold, impact, equity, at α = 0.5 and a limit of 33.3."""
    first = two_banks_of_schaanning(0.2, leverage_limit=33.3, max_rounds=1, on_failure="return")
    assert first.frame["first_loss"].tolist() == [2.0, 0.0]
    assert first.assets["price_drop"].round(5).tolist() == [0.00771]
    assert first.price.round(5).tolist() == [0.99229]
    assert first.equity.round(2).tolist() == [1.44, 3.96]
    assert first.losses[1].to_numpy() == pytest.approx([0.5586, 0.5397], abs=2e-3)  # printed for a share of 0.39
    shares = two_banks_of_schaanning(0.2, leverage_limit=33.3).deleveraging
    assert shares.iloc[0].round(2).tolist() == [0.39, 0.32, 0.15]
    assert shares.iloc[1].tolist() == [0.0, 0.0, 0.0]


def test_schaanning_2016_figure_1_2_1_loss_of_the_second_bank() -> None:
    """As in wolfstam/FinNetValu, demos/csmodel_replicate_ShaanningThesis.jl: about 1.4 if A sells everything."""
    result = two_banks_of_schaanning(0.45, shortfall=1.0)
    assert result.deleveraging[1].tolist()[0] == 1.0
    assert result.losses[1].round(1).tolist()[1] == 1.4


SIX = list("ABCEFD")


def six_nodes() -> tuple[pd.DataFrame, dict[str, float]]:
    columns = [[0] * 6, [5, 0, 0, 0, 0, 2], [0, 3, 0, 0, 2, 2], [0, 0, 4, 0, 5, 0], [10, 2, 0, 0, 5, 0], [2, *[0] * 5]]
    debts = pd.DataFrame(np.array(columns, dtype=float).T, SIX, SIX)
    debts.loc["F", "F"] = 0.0  # its own debt to itself, which nobody else sees
    return debts, {"A": 10, "B": 2, "C": 2, "E": 1, "F": 10, "D": 4}


def test_networkriskmeasures_test_1_risk_com_impact_matrix() -> None:
    """carloscinelli/NetworkRiskMeasures, tests/testthat/test_1_risk_com.R: impacts, each up to one, by column."""
    debts, buffer = six_nodes()
    printed = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0.2, 0, 0, 0.0, 0, 0.5]
    expected = np.array([*printed, 0, 0, 0, 0, 0]).reshape(6, 6).T  # 0.5 of F on itself left out
    assert clearing.impact_matrix(debts, buffer).clip(upper=1.0).to_numpy() == pytest.approx(expected)
    binary = clearing.impact_matrix(debts, buffer, binary=True)
    assert (binary.to_numpy() == (expected >= 1)).all()
    assert clearing.vulnerability_matrix(debts, buffer, binary=True).equals(binary.T)


def test_networkriskmeasures_test_1_risk_com_communicability() -> None:
    """The same file: the exponential of the binary impact matrix, by column."""
    debts, buffer = six_nodes()
    found = clearing.communicability(clearing.impact_matrix(debts, buffer, binary=True))
    printed = [1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1.5, 0.833333333333333, 0.5, 1, 1, 1.5]
    printed += [0.666666666666667, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert found.to_numpy() == pytest.approx(np.array(printed).reshape(6, 6).T, abs=1e-14)


def test_networkriskmeasures_test_3_impacts_susceptibility_fluidity_diffusion() -> None:
    """carloscinelli/NetworkRiskMeasures, tests/testthat/test_3_impacts.R (Silva, de Souza and Tabak)."""
    debts, buffer = ASSETS_MATRIX.T, {"a": 2, "b": 5, "c": 2}
    assert clearing.impact_susceptibility(debts, buffer).to_dict() == {"a": 0.0, "b": 1.0, "c": 1.25}
    assert clearing.impact_fluidity(debts, buffer) == 0.75
    table = clearing.impact_diffusion(debts, buffer)
    assert table["start"].to_dict() == pytest.approx({"a": 1.25, "b": 1.0, "c": 0.0})
    assert table["intermediate"].to_dict() == pytest.approx({"a": 0.0, "b": 0.5, "c": 0.0})
    assert table["total"].to_dict() == pytest.approx({"a": 1.25, "b": 1.5, "c": 0.0})
