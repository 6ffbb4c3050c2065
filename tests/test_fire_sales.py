"""Models of fire sales against plain loops, scans of prices, numbers by hand, and properties."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from contagion import clearing
from contagion.clearing import overlaps
from contagion.errors import InputError, NotConverged
from tests.clearing_systems import Book, Floats, draw, picard, shares_of
from tests.seeds import some

SEEDS = some(40)

DATA = Path(os.environ.get("CONTAGION_DATA", "nowhere"))
needs_us = pytest.mark.skipif(
    not (DATA / "us-bank-portfolios").is_dir(),
    reason="set CONTAGION_DATA to a folder with us-bank-portfolios: the files US_com_banks/csv_data of "
    "github.com/domenicodigangi/GraphsData",
)
needs_eba = pytest.mark.skipif(
    not (DATA / "eba-2011").is_dir(),
    reason="set CONTAGION_DATA to a folder with eba-2011: the files EBA_stress_test_data/2011 of "
    "github.com/domenicodigangi/GraphsData",
)


# Cifuentes, Ferrucci and Shin


class Illiquid(NamedTuple):
    book: Book
    units: Floats
    required: float
    impact: float


def draw_illiquid(seed: int) -> Illiquid:
    """Return banks that own units of an asset and have thin equity, on a book of debts."""
    source = np.random.default_rng(seed + 1_000)
    book = draw(seed, largest=6)
    units = source.lognormal(1.5, 1.0, book.assets.size)
    owed = book.liabilities.sum(axis=1) + book.external
    thin = np.maximum(owed - book.liabilities.sum(axis=0) - units, 0.0) * source.uniform(0.9, 1.1)
    book = book._replace(assets=thin + 0.05 * units)
    return Illiquid(book, units, float(source.uniform(0.05, 0.2)), float(source.uniform(0.1, 0.6) / units.sum()))


def next_price(price: float, case: Illiquid, *, from_below: bool = False) -> float:
    """Return the price after sales at a price, by plain loops."""
    book = case.book._replace(assets=case.book.assets + price * case.units)
    paid = picard(book, from_below=from_below)
    owed = book.liabilities.sum(axis=1) + book.external
    total = 0.0
    for bank in range(owed.size):
        received = sum(
            paid[other] * book.liabilities[other, bank] / owed[other] for other in range(owed.size) if owed[other]
        )
        risky = book.assets[bank] + received
        worth = risky - owed[bank]
        gap = risky - max(worth, 0.0) / case.required
        liquid = min(case.book.assets[bank], max(gap, 0.0))
        total += min(case.units[bank], max((gap - liquid) / price, 0.0))
    return math.exp(-case.impact * total)


def solved(case: Illiquid, **options: Any) -> clearing.FireSale:
    book = case.book
    return clearing.cifuentes_ferrucci_shin(
        book.liabilities, book.assets, case.units, case.impact, case.required, book.external, **options
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_price_is_a_fixed_point_by_plain_loops(seed: int) -> None:
    case = draw_illiquid(seed)
    for solution in ("greatest", "least"):
        result = solved(case, solution=solution)
        assert next_price(result.price, case, from_below=solution == "least") == pytest.approx(result.price, abs=1e-9)
        assert result.converged
        assert result.residual <= 1e-13


@pytest.mark.parametrize("seed", SEEDS)
def test_greatest_and_least_prices_enclose_all_sign_changes_of_a_scan(seed: int) -> None:
    case = draw_illiquid(seed)
    greatest, least = solved(case), solved(case, solution="least")
    assert least.price <= greatest.price + 1e-12
    assert (least.payments <= greatest.payments + 1e-9).all()
    grid = np.linspace(math.exp(-case.impact * case.units.sum()), 1.0, 60)
    gaps = np.array([next_price(price, case) - price for price in grid])
    assert (gaps[grid > greatest.price + 1e-9] < 0.0).all()
    assert (gaps[grid < least.price - 1e-9] > 0.0).all()


def test_two_fixed_points_by_hand() -> None:
    """One bank, 100 units, debts 90, ratio 9 %: nothing to sell at 1; all sold at exp(−100 α) ends below its debts."""
    arguments: tuple[Any, ...] = ([[0]], 0, 100, 2e-3, 0.09, 90)
    greatest = clearing.cifuentes_ferrucci_shin(*arguments)
    least = clearing.cifuentes_ferrucci_shin(*arguments, solution="least")
    assert (greatest.price, greatest.sold) == (1.0, 0.0)
    assert least.price == pytest.approx(math.exp(-0.2))
    assert least.sold == 100.0
    assert least.payments.tolist() == pytest.approx([100 * math.exp(-0.2)])
    assert least.defaulted.tolist() == [True]
    assert least.frame["capital_ratio"].tolist() == [0.0]


def test_two_banks_by_hand_one_drags_the_other_below_its_requirement() -> None:
    """A has 8 of worth and sells 20 units at first; the price takes B below 10 %, which then sells too (bisection)."""
    required, impact = 0.1, 1e-4

    def sold(price: float, debts: float) -> float:
        worth = 100 * price - debts
        return min(100.0, max(0.0, (100 * price - max(worth, 0.0) / required) / price))

    low, high = 0.9, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        after = math.exp(-impact * (sold(middle, 92.0) + sold(middle, 89.9)))
        low, high = (middle, high) if after > middle else (low, middle)
    result = clearing.cifuentes_ferrucci_shin(np.zeros((2, 2)), 0, 100, impact, required, [92.0, 89.9])
    assert sold(1.0, 89.9) == 0.0
    assert sold(result.price, 89.9) > 0.0
    assert result.price == pytest.approx(low, abs=1e-11)


def sales_by_bisection(prices: tuple[float, float], case: Illiquid, *, from_below: bool) -> float:
    """Return units sold in all at a price of what is kept and one of what is sold: banks sell until it is enough.

    Neither who pays what nor how much is sold is solved for: payments and sales are tried until they fit.
    """
    kept, got = prices
    shares, owed = shares_of(case.book.liabilities, case.book.external)
    count = owed.size
    paid, sold = [0.0 if from_below else due for due in owed], [0.0] * count
    for _ in range(5_000):
        before, received = paid, [sum(shares[j, i] * paid[j] for j in range(count)) for i in range(count)]
        paid, sold = [], []
        for i in range(count):
            cash, units = case.book.assets[i], case.units[i]

            def enough(
                some: float, i: int = i, cash: float = cash, units: float = units, claims: float = received[i]
            ) -> bool:
                """Return whether the requirement holds with all liquid assets, and some units, sold."""
                worth = cash + got * some + kept * (units - some) + claims - owed[i]
                return bool(worth >= case.required * (kept * (units - some) + claims))

            low, some = 0.0, 0.0 if enough(0.0) else units
            for _ in range(60 if some and enough(units) else 0):
                middle = (low + some) / 2
                low, some = (low, middle) if enough(middle) else (middle, some)
            sold.append(some)
            paid.append(min(owed[i], cash + got * some + kept * (units - some) + received[i]))
        if max(abs(new - old) for new, old in zip(paid, before, strict=True)) < 1e-14:
            break
    return sum(sold)


@pytest.mark.parametrize("settlement", ["last", "average"])
@pytest.mark.parametrize("seed", some(16))
def test_sales_and_both_prices_fit_whatever_sellers_get(seed: int, settlement: Any) -> None:
    case = draw_illiquid(seed)
    for solution in ("greatest", "least"):
        result = solved(case, settlement=settlement, solution=solution)
        prices = (result.price, result.settlement_price)
        sold = sales_by_bisection(prices, case, from_below=solution == "least")
        assert result.sold == pytest.approx(sold, rel=1e-9, abs=1e-9)
        x = case.impact * sold
        assert result.price == pytest.approx(math.exp(-x), rel=1e-9)
        mean = sum(math.exp(-x * (step + 0.5) / 4_000) for step in range(4_000)) / 4_000
        assert result.settlement_price == pytest.approx(mean if settlement == "average" else result.price, rel=1e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_average_price_only_helps_and_what_it_brings_is_in_equity(seed: int) -> None:
    case = draw_illiquid(seed)
    last, average = solved(case), solved(case, settlement="average")
    assert average.price >= last.price - 1e-12
    assert (average.equity >= last.equity - 1e-9).all()
    frame = average.frame
    brought = frame["liquid_sold"] + average.settlement_price * frame["illiquid_sold"]
    kept = case.book.assets - frame["liquid_sold"] + average.price * (case.units - frame["illiquid_sold"])
    left = brought + kept + frame["received"] - frame["payments"]
    assert left.to_numpy() == pytest.approx(frame["equity"].to_numpy(), abs=1e-9)
    held = frame["capital_ratio"] >= case.required * (1 - 1e-9)
    assert (held | frame["breach"] | frame["defaulted"]).all()


@pytest.mark.parametrize("settlement", ["last", "average"])
def test_prices_of_nothing_are_prices(settlement: Any) -> None:
    """α·Σe = 1,000: all sold, a unit is worth e⁻¹⁰⁰⁰, a thousandth on average; the rich second bank keeps all."""
    options: dict[str, Any] = {"settlement": settlement, "solution": "least", "external_liabilities": [990, 2]}
    result = clearing.cifuentes_ferrucci_shin(np.zeros((2, 2)), [0, 9], [1000, 5], 1.0, 0.12, **options)
    assert (result.price, result.sold) == (0.0, 1000.0)
    assert result.settlement_price == (1e-3 if settlement == "average" else 0.0)
    assert result.payments.tolist() == pytest.approx([1.0 if settlement == "average" else 0.0, 2.0])
    assert result.illiquid_sold.tolist() == [1000.0, 0.0]
    assert np.isfinite(result.frame["equity"]).all()


def test_liquid_assets_go_first_and_the_requirement_then_holds() -> None:
    result = clearing.cifuentes_ferrucci_shin([[0]], 30, 70, 1e-3, 0.12, external_liabilities=90)
    assert result.frame[["liquid_sold", "illiquid_sold"]].iloc[0].tolist() == pytest.approx([100 - 10 / 0.12, 0.0])
    assert result.price == 1.0
    short = clearing.cifuentes_ferrucci_shin([[0]], 5, 95, 1e-4, 0.12, external_liabilities=90)
    assert short.frame["liquid_sold"].iloc[0] == 5.0
    assert short.frame["capital_ratio"].iloc[0] == pytest.approx(0.12)
    assert not short.frame["breach"].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_impact_it_is_eisenberg_noe_at_a_price_of_one(seed: int) -> None:
    case = draw_illiquid(seed)._replace(impact=0.0)
    result = solved(case)
    book = case.book
    cleared = clearing.eisenberg_noe(book.liabilities, book.assets + case.units, book.external)
    assert result.price == 1.0
    assert result.payments.to_numpy() == pytest.approx(cleared.payments.to_numpy(), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_impact_and_higher_requirements_lower_the_price(seed: int) -> None:
    case = draw_illiquid(seed)
    base = solved(case)
    assert solved(case._replace(impact=1.2 * case.impact)).price <= base.price
    assert solved(case._replace(required=min(1.0, 1.2 * case.required))).price <= base.price


def test_claims_cannot_be_sold_and_leave_a_breach() -> None:
    """Claims of 50 on a solvent debtor, net worth 1, ratio 10 %: 10 is allowed, 50 remain."""
    debts = [[0, 50], [0, 0]]
    result = clearing.cifuentes_ferrucci_shin(debts, [100, 0], [0, 10], 1e-6, 0.1, [0, 59])
    assert result.frame["breach"].tolist() == [False, True]
    assert result.illiquid_sold.tolist() == [0.0, 10.0]


def test_unfinished_prices_raise_or_are_returned() -> None:
    case = draw_illiquid(3)
    with pytest.raises(NotConverged, match="cifuentes_ferrucci_shin"):
        solved(case._replace(impact=3 * case.impact, required=0.2), max_rounds=1)
    left = solved(case._replace(impact=3 * case.impact, required=0.2), max_rounds=1, on_failure="return")
    assert not left.converged
    assert left.residual > 0.0


def test_bad_input_is_listed_at_once() -> None:
    with pytest.raises(InputError) as error:
        clearing.cifuentes_ferrucci_shin([[0]], -1, 1, -2, 1.5, solution="best")  # type: ignore[arg-type]
    for word in ("liquid_assets", "price_impact", "capital_ratio", "solution"):
        assert word in str(error.value)
    with pytest.raises(InputError, match="capital_ratio of 0 is zero; give a share above zero"):
        clearing.cifuentes_ferrucci_shin([[0]], 1, 1, 0.1, 0.0)


# Cont and Schaanning


class Portfolios(NamedTuple):
    holdings: Floats
    equity: Floats
    illiquid: Floats
    loss: Floats
    depth: Floats
    shock: Floats


def draw_portfolios(seed: int, banks: int = 6, assets: int = 4) -> Portfolios:
    """Return banks with leverage of 15 to 35, some of which the shock takes above 33."""
    source = np.random.default_rng(seed)
    holdings = source.lognormal(3.0, 1.0, (banks, assets)) * (source.random((banks, assets)) < 0.7)
    illiquid = source.lognormal(3.0, 0.5, banks)
    equity = (holdings.sum(axis=1) + illiquid) / source.uniform(15.0, 35.0, banks)
    loss = 0.6 * equity * source.random(banks)
    loss = np.minimum(loss, illiquid)
    depth = holdings.sum(axis=0) * source.uniform(3.0, 40.0, assets) + 1.0
    shock = 0.02 * source.random(assets) * (source.random(assets) < 0.5)
    return Portfolios(holdings, equity, illiquid, loss, depth, shock)


def deleveraged(case: Portfolios, **options: Any) -> clearing.Deleveraging:
    return clearing.cont_schaanning(
        case.holdings,
        case.equity,
        case.depth,
        illiquid_assets=case.illiquid,
        illiquid_loss=case.loss,
        shock=case.shock,
        **options,
    )


def loops(case: Portfolios, floor: float, shortfall: float, *, linear: bool, rounds: int) -> tuple[Floats, Floats]:
    """Return equity and prices after some rounds, by plain loops over banks and assets."""
    banks, assets = case.holdings.shape
    value = [[case.holdings[i, k] * (1 - case.shock[k]) for k in range(assets)] for i in range(banks)]
    price = [1 - drop for drop in case.shock]
    equity = [
        case.equity[i] - case.loss[i] - sum(case.holdings[i, k] * case.shock[k] for k in range(assets))
        for i in range(banks)
    ]
    for _ in range(rounds):
        shares = []
        for i in range(banks):
            own, everything = max(equity[i], 0.0), sum(value[i]) + case.illiquid[i] - case.loss[i]
            sells = everything > 33.0 * own and sum(value[i]) > 0
            shares.append(min(1.0, (everything - 0.95 * 33.0 * own) / sum(value[i])) if sells else 0.0)
        drops = []
        for k in range(assets):
            sold = sum(shares[i] * value[i][k] for i in range(banks))
            room = 1 - floor / price[k]
            exponential = room * (1 - math.exp(-sold / ((1 - floor) * case.depth[k])))
            drops.append(min(sold / case.depth[k], room) if linear else exponential)
        for i in range(banks):
            equity[i] -= (1 - (1 - shortfall) * shares[i]) * sum(value[i][k] * drops[k] for k in range(assets))
            value[i] = [(1 - shares[i]) * value[i][k] * (1 - drops[k]) for k in range(assets)]
        price = [price[k] * (1 - drops[k]) for k in range(assets)]
    return np.array(equity), np.array(price)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_deleveraging_by_plain_loops(seed: int, linear: bool) -> None:
    case = draw_portfolios(seed)
    impact = "linear" if linear else "exponential"
    result = deleveraged(case, floor=0.4, shortfall=0.3, impact=impact)
    equity, price = loops(case, 0.4, 0.3, linear=linear, rounds=result.rounds)
    assert result.equity.to_numpy() == pytest.approx(equity, rel=1e-9, abs=1e-9)
    assert result.price.to_numpy() == pytest.approx(price, rel=1e-12)
    assert result.losses.columns.equals(pd.RangeIndex(1, result.rounds + 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_losses_add_up_and_nobody_who_can_sell_is_left_above_the_limit(seed: int) -> None:
    case = draw_portfolios(seed)
    result = deleveraged(case)
    frame = result.frame
    assert frame["equity"].to_numpy() == pytest.approx(
        (frame["equity_before"] - frame["first_loss"] - frame["fire_sale_loss"]).to_numpy()
    )
    assert result.losses.sum(axis=1).to_numpy() == pytest.approx(frame["fire_sale_loss"].to_numpy())
    assert ((frame["leverage"] <= 33.0 * (1 + 1e-9)) | frame["exhausted"]).all()
    assert (result.price > 0.5 * (1 - case.shock.max())).all()
    assert result.assets["sold"].sum() == pytest.approx(frame["sold"].sum())


def test_the_share_that_is_sold_restores_the_target_before_impact() -> None:
    """Equity 4 − 2, assets 98, limit 33.3, target 31.635: 34.73 of 90 are sold, which leaves 63.27 = 2 · 31.635."""
    result = clearing.cont_schaanning(
        [[90], [70]], [4, 4.5], 1e12, illiquid_assets=[10, 20], illiquid_loss=[2, 0], leverage_limit=33.3
    )
    assert result.rounds == 1
    assert result.sold.tolist() == pytest.approx([34.73, 0.0])
    assert result.frame["leverage"].tolist() == pytest.approx([31.635, 20.0], rel=1e-8)
    assert result.fire_sale_loss.sum() == pytest.approx(0.0, abs=1e-8)


def test_prices_stop_at_the_floor_and_insolvent_banks_may_stay_out() -> None:
    """A bank without equity sells 100 into a depth of 10: linear impact would be tenfold, the floor is at 0.6."""
    arguments: dict[str, Any] = {"floor": 0.6, "impact": "linear"}
    sells = clearing.cont_schaanning([[100], [50]], [0, 10], 10.0, **arguments)
    assert sells.price.tolist() == pytest.approx([0.6])
    assert sells.frame["exhausted"].tolist()[0] is False  # nothing is left, neither assets nor leverage
    stays = clearing.cont_schaanning([[100], [50]], [0, 10], 10.0, insolvent_sell=False, **arguments)
    assert stays.price.tolist() == [1.0]
    assert stays.rounds == 0
    assert stays.losses.shape == (2, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_shallower_markets_cost_more_and_splitting_a_bank_changes_nothing(seed: int) -> None:
    case = draw_portfolios(seed)
    base = deleveraged(case)
    shallow = deleveraged(case._replace(depth=case.depth / 2))
    assert shallow.fire_sale_loss.sum() >= base.fire_sale_loss.sum() - 1e-9
    parts = [np.concatenate([one * 0.3, one * 0.7]) for one in (case.holdings, case.equity, case.illiquid, case.loss)]
    split = deleveraged(Portfolios(parts[0], parts[1], parts[2], parts[3], case.depth, case.shock))
    halves = split.fire_sale_loss.to_numpy().reshape(2, -1).sum(axis=0)
    assert halves == pytest.approx(base.fire_sale_loss.to_numpy(), rel=1e-9, abs=1e-12)


def test_deleveraging_keeps_labels_and_sparse_input() -> None:
    case = draw_portfolios(5)
    base = deleveraged(case)
    names = list("uvwxyz"), list("klmn")
    frame = pd.DataFrame(case.holdings, *names)
    turned = frame.iloc[::-1, ::-1]
    vectors = [pd.Series(one, names[0]) for one in (case.equity, case.illiquid, case.loss)]
    by_asset = [pd.Series(one, names[1]) for one in (case.depth, case.shock)]
    result = clearing.cont_schaanning(
        turned,
        vectors[0],
        by_asset[0],
        illiquid_assets=vectors[1],
        illiquid_loss=vectors[2],
        shock=by_asset[1],
    )
    assert result.frame.index.name == "node"
    assert result.assets.index.name == "asset"
    assert result.equity.loc[names[0]].to_numpy() == pytest.approx(base.equity.to_numpy())
    matrix = csr_array(case.holdings)
    sparse = clearing.liquidity_weighted_overlaps(matrix, case.depth)
    pd.testing.assert_frame_equal(sparse, clearing.liquidity_weighted_overlaps(case.holdings, case.depth))
    plain = clearing.cont_schaanning(matrix, case.equity / 2, case.depth)
    dense = clearing.cont_schaanning(case.holdings, case.equity / 2, case.depth)
    pd.testing.assert_frame_equal(plain.frame, dense.frame)


def test_deleveraging_says_what_does_not_fit() -> None:
    with pytest.raises(InputError) as error:
        clearing.cont_schaanning(
            [[1]], 1, 0, illiquid_loss=2, leverage_limit=20, leverage_target=30, floor=0.9, shock=0.2
        )
    for word in ("depth", "illiquid_loss", "leverage_target", "floor"):
        assert word in str(error.value)
    with pytest.raises(InputError, match="shortfall"):
        clearing.cont_schaanning([[1]], 1, 1, shortfall=2.0)
    case = draw_portfolios(0)
    with pytest.raises(NotConverged):
        deleveraged(case._replace(depth=case.depth / 10), max_rounds=1)
    with pytest.raises(InputError, match="horizon"):
        clearing.market_depth([1], [1], horizon=0)
    with pytest.raises(InputError, match="volatility of 0 is zero"):
        clearing.market_depth([1], [0])


@pytest.mark.parametrize("impact", ["exponential", "linear"])
def test_without_a_floor_prices_may_fall_to_nothing(impact: Any) -> None:
    """The first bank sells into a depth of 0.1, which takes that price to 0; the second, broke, sells its other 20."""
    result = clearing.cont_schaanning([[100.0, 0], [50, 20]], [1, 10], [0.1, 1e4], floor=0.0, impact=impact)
    other = math.exp(-0.002) if impact == "exponential" else 0.998
    assert result.price.tolist() == pytest.approx([0.0, other], rel=1e-12)
    assert result.assets["price_drop"].tolist() == pytest.approx([1.0, 1 - other], rel=1e-9)
    share = (100 - 0.95 * 33 * 1) / 100
    equity = [1 - (1 - 0.5 * share) * 100, 10 - 50 - 0.5 * 20 * (1 - other)]
    assert result.equity.tolist() == pytest.approx(equity, rel=1e-9)


def test_an_asset_that_the_shock_takes_altogether_falls_no_further() -> None:
    result = clearing.cont_schaanning([[10.0, 90.0]], 12.0, [1e3, 1e5], shock=[1.0, 0.0], floor=0.0)
    assert result.price.iloc[0] == 0.0
    assert result.assets["price_drop"].iloc[0] == 0.0
    assert result.sold.iloc[0] == pytest.approx(90 - 0.95 * 33 * 2, rel=1e-9)  # 90 against 2 of equity


def test_depth_grows_with_the_root_of_the_horizon() -> None:
    depth = clearing.market_depth({"a": 50, "b": 10}, {"b": 0.1, "a": 0.02}, horizon=4, scale=0.5)
    assert depth.to_dict() == {"a": 2500.0, "b": 100.0}


# Greenwood, Landier and Thesmar


def matrices(case: Portfolios, impact: Floats, shock: Floats) -> dict[str, Any]:
    """Return the paper's formulas with its own dense matrices."""
    total = case.holdings.sum(axis=1)
    assets, debts = np.diag(total), np.diag((total - case.equity) / case.equity)
    shares, prices = case.holdings / total[:, None], np.diag(impact)
    chain = assets @ shares @ prices @ shares.T @ debts @ assets
    everything, ones = case.equity.sum(), np.ones(total.size)
    sold = debts @ assets @ shares @ shock
    return {
        "aggregate_vulnerability": ones @ chain @ shares @ shock / everything,
        "systemicness": (ones @ chain) * (shares @ shock) / everything,
        "indirect_vulnerability": (chain @ shares @ shock) / case.equity,
        "direct_vulnerability": (assets @ shares @ shock) / case.equity,
        "sold": sold,
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_vulnerable_banks_by_dense_matrices(seed: int) -> None:
    case = draw_portfolios(seed)
    case = case._replace(holdings=case.holdings + 0.1, equity=(case.holdings.sum(axis=1) + 0.4) / 20.0)
    source = np.random.default_rng(seed)
    impact, shock = source.random(4) * 1e-3, source.random(4) * 0.1
    result = clearing.vulnerable_banks(case.holdings, case.equity, shock, impact)
    expected = matrices(case, impact, shock)
    assert result.aggregate_vulnerability == pytest.approx(expected.pop("aggregate_vulnerability"))
    for name, values in expected.items():
        assert result.frame[name].to_numpy() == pytest.approx(values), name
    frame = result.frame
    assert frame["systemicness"].sum() == pytest.approx(result.aggregate_vulnerability)
    assert frame["indirect_loss"].sum() == pytest.approx(frame["systemic_loss"].sum())
    assert result.assets["loss"].sum() == pytest.approx(frame["indirect_loss"].sum())
    assert result.direct_effect == pytest.approx((case.holdings @ shock).sum() / case.equity.sum())


def test_vulnerable_banks_by_hand() -> None:
    """A has 60 of x and 40 of y, equity 10 (B = 9); C has 50 of y, equity 10 (B = 4). x falls by 10 %: A loses 6.

    A sells 54: 32.4 of x and 21.6 of y. At 1e-3 a USD prices fall by 0.0324 and 0.0216; A loses 1.944 + 0.864, C 1.08.
    """
    result = clearing.vulnerable_banks([[60, 40], [0, 50]], 10, [0.1, 0], 1e-3)
    frame = result.frame
    assert frame["sold"].tolist() == pytest.approx([54.0, 0.0])
    assert frame["indirect_loss"].tolist() == pytest.approx([2.808, 1.08])
    assert frame["direct_vulnerability"].tolist() == pytest.approx([0.6, 0.0])
    assert frame["systemicness"].tolist() == pytest.approx([3.888 / 20, 0.0])
    assert result.aggregate_vulnerability == pytest.approx(0.1944)


@pytest.mark.parametrize("seed", SEEDS)
def test_vulnerability_is_linear_in_the_shock_and_blind_to_splits_of_banks(seed: int) -> None:
    case = draw_portfolios(seed)
    holdings = case.holdings + 0.1
    equity = holdings.sum(axis=1) / 15.0
    shock = np.random.default_rng(seed).random(4) * 0.1
    base = clearing.vulnerable_banks(holdings, equity, shock, 1e-4)
    double = clearing.vulnerable_banks(holdings, equity, 2 * shock, 1e-4)
    assert double.aggregate_vulnerability == pytest.approx(2 * base.aggregate_vulnerability)
    halves = np.concatenate([0.4 * holdings, 0.6 * holdings]), np.concatenate([0.4 * equity, 0.6 * equity])
    split = clearing.vulnerable_banks(halves[0], halves[1], shock, 1e-4)
    assert split.aggregate_vulnerability == pytest.approx(base.aggregate_vulnerability)
    assert split.systemicness.to_numpy().reshape(2, -1).sum(axis=0) == pytest.approx(base.systemicness.to_numpy())
    sparse = clearing.vulnerable_banks(csr_array(holdings), equity, shock, 1e-4)
    pd.testing.assert_frame_equal(sparse.frame, base.frame)


def test_caps_of_leverage_and_of_sales() -> None:
    holdings, equity = [[100], [100]], [1, 10]
    free = clearing.vulnerable_banks(holdings, equity, 0.05, 1e-4)
    assert free.frame["sold"].tolist() == pytest.approx([495.0, 45.0])
    capped = clearing.vulnerable_banks(holdings, equity, 0.05, 1e-4, leverage_cap=30)
    assert capped.frame["sold"].tolist() == pytest.approx([150.0, 45.0])
    owed = clearing.vulnerable_banks(holdings, equity, 0.05, 1e-4, cap_sales=True)
    assert owed.frame["sold"].tolist() == pytest.approx([99.0, 45.0])


def test_vulnerable_banks_refuses_banks_without_equity() -> None:
    with pytest.raises(InputError, match="equity of 'b' is zero"):
        clearing.vulnerable_banks(pd.DataFrame([[1.0], [1.0]], ["a", "b"], ["x"]), {"a": 1, "b": 0}, 0.1)
    with pytest.raises(InputError, match="leverage_cap"):
        clearing.vulnerable_banks([[1]], 1, 0.1, leverage_cap=-1)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_linear_round_of_small_sales_is_the_matrix_formula(seed: int) -> None:
    """Deleveraging back to the leverage before the shock, with tiny impact: first-order losses agree."""
    case = draw_portfolios(seed)
    case = case._replace(holdings=case.holdings + 0.1, equity=(case.holdings.sum(axis=1) + 0.4) / 20.0)
    shock = np.full(4, 1e-4)
    leverage = case.holdings.sum(axis=1) / case.equity
    depth = 1e6 * case.depth
    result = clearing.cont_schaanning(
        case.holdings,
        case.equity,
        depth,
        shock=shock,
        leverage_limit=leverage,
        leverage_target=leverage,
        impact="linear",
        shortfall=1.0,
        max_rounds=1,
        on_failure="return",
    )
    matrix = clearing.vulnerable_banks(case.holdings, case.equity, shock, 1 / depth)
    assert result.fire_sale_loss.to_numpy() == pytest.approx(matrix.frame["indirect_loss"].to_numpy(), rel=1e-3)


# Overlaps


@pytest.mark.parametrize("seed", SEEDS)
def test_overlaps_indices_by_plain_loops(seed: int) -> None:
    case = draw_portfolios(seed, banks=7 if seed % 2 else 3, assets=4)
    banks, assets = case.holdings.shape
    expected = np.zeros((banks, banks))
    for i, j in itertools.product(range(banks), repeat=2):
        expected[i, j] = sum(case.holdings[i, k] * case.holdings[j, k] / case.depth[k] for k in range(assets))
    overlaps = clearing.liquidity_weighted_overlaps(case.holdings, case.depth)
    assert overlaps.to_numpy() == pytest.approx(expected)
    losses = clearing.indirect_contagion(case.holdings, case.depth)
    assert losses["indirect_contagion"].to_numpy() == pytest.approx(expected.sum(axis=0) - np.diagonal(expected))
    assert losses["own_loss"].to_numpy() == pytest.approx(np.diagonal(expected))
    index = clearing.endogenous_risk(case.holdings, case.depth, case.equity)
    vector = np.ones(banks)
    for _ in range(20_000):
        vector = expected @ vector
        vector /= math.sqrt(sum(vector**2))
    assert index.eigenvalue == pytest.approx(vector @ expected @ vector)
    assert index.endogenous_risk.to_numpy() == pytest.approx(vector, abs=1e-6)
    assert index.explained == pytest.approx(index.eigenvalue / np.trace(expected))
    assert index.frame["vulnerability"].to_numpy() == pytest.approx(index.endogenous_risk.to_numpy() / case.equity)


def test_liquidation_costs_others_what_the_index_says_to_first_order() -> None:
    """Bank 0 has no equity and sells everything into deep markets: the others lose its index."""
    case = draw_portfolios(11)
    equity, depth = case.holdings.sum(axis=1), 1e7 * case.depth
    equity[0] = 0.0
    result = clearing.cont_schaanning(case.holdings, equity, depth, impact="linear")
    index = clearing.indirect_contagion(case.holdings, depth)
    assert result.fire_sale_loss[1:].sum() == pytest.approx(index["indirect_contagion"][0], rel=1e-6)


@pytest.mark.parametrize(("banks", "assets"), [(40, 30), (30, 40)])
def test_large_portfolios_go_through_the_largest_eigenvalue_alone(
    banks: int, assets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = np.random.default_rng(1)
    holdings = source.random((banks, assets)) * (source.random((banks, assets)) < 0.2)
    depth = source.uniform(1.0, 5.0, assets)
    dense = clearing.endogenous_risk(csr_array(holdings), depth)
    monkeypatch.setattr(overlaps, "_DENSE", 1)
    index = clearing.endogenous_risk(csr_array(holdings), depth)
    assert index.eigenvalue == pytest.approx(np.linalg.norm(holdings / np.sqrt(depth), 2) ** 2)
    assert index.residual < 1e-9
    assert index.endogenous_risk.to_numpy() == pytest.approx(dense.endogenous_risk.to_numpy(), abs=1e-9)


def test_overlaps_of_nothing_and_bad_depth() -> None:
    index = clearing.endogenous_risk(np.zeros((2, 2)), 1)
    assert index.eigenvalue == 0.0
    assert index.endogenous_risk.tolist() == [0.0, 0.0]
    for function in (
        clearing.endogenous_risk,
        clearing.indirect_contagion,
        clearing.liquidity_weighted_overlaps,
    ):
        with pytest.raises(InputError, match="depth"):
            function([[1.0]], 0)
    with pytest.raises(InputError, match="equity"):
        clearing.endogenous_risk([[1.0]], 1, 0)


# Real data


def us_banks(quarter: int) -> tuple[pd.DataFrame, pd.Series]:
    folder = DATA / "us-bank-portfolios"
    holdings = pd.read_csv(folder / f"matr_{quarter}.csv", header=None, index_col=0)
    equity = pd.read_csv(folder / f"equities_{quarter}.csv", header=None, index_col=0)[1]
    return 1e3 * holdings, 1e3 * equity


@needs_us
@pytest.mark.parametrize(
    ("quarter", "banks", "vulnerability"),
    [(1, 8_856, 0.1112), (31, 7_639, 0.2077), (59, 6_328, 0.1538)],
)
def test_us_banks_2001_2008_2015_at_full_scale(quarter: int, banks: int, vulnerability: float) -> None:
    """A loss of 1 % on all assets, 10 basis points for ten billion: own figures, checked by sums over assets."""
    holdings, equity = us_banks(quarter)
    result = clearing.vulnerable_banks(holdings, equity, 0.01)
    assert len(result.frame) == banks
    assert result.aggregate_vulnerability == pytest.approx(vulnerability, abs=5e-5)
    values, own = holdings.to_numpy(), equity.reindex(holdings.index).to_numpy()
    total = values.sum(axis=1)
    sold = np.maximum(total - own, 0.0) / own * 0.01 * total
    by_asset = [float((sold / total) @ values[:, k]) for k in range(values.shape[1])]
    lost = sum(float(values[:, k].sum()) * 1e-13 * by_asset[k] for k in range(values.shape[1]))
    assert result.aggregate_vulnerability == pytest.approx(lost / own.sum(), rel=1e-9)


@needs_eba
def test_eba_2011_half_of_giips_debt_is_lost() -> None:
    """90 banks, sovereign debt of 37 countries, five classes of loans; own reading of the files, own figures.

    Equity is common equity before support (30011), leverage at most 30, sales at most what is owed. Losses of the shock
    are 381 billion EUR, 40 % of equity; sales cost 2.5 times the equity of all banks.
    """
    raw = pd.read_csv(DATA / "eba-2011" / "DATA_DISCLOSURE.CSV.csv", encoding="latin-1", dtype=str)
    numbers = 1e6 * raw[raw.columns[7:]].apply(pd.to_numeric, errors="coerce").fillna(0.0)
    code, country = raw["INFORMATION_CODE"], raw["C_COUNTRY_CODE"]
    gross = (code == "34010") & (raw["MATURITY_CODE"] == "999")
    sovereign = numbers[gross].set_axis(country[gross], axis=0).T.clip(lower=0.0)
    loans = {name: numbers[(code == name) & (country == "TO")].iloc[0] for name in _LOANS}
    holdings = pd.concat([sovereign, pd.DataFrame(loans)], axis=1)
    equity = numbers[code == "30011"].iloc[0]
    assert holdings.shape == (90, 42)
    shock = dict.fromkeys(("GR", "IE", "IT", "PT", "ES"), 0.5)
    result = clearing.vulnerable_banks(holdings, equity, shock, leverage_cap=30, cap_sales=True)
    assert result.frame["direct_loss"].sum() / 1e9 == pytest.approx(381, abs=0.5)
    assert result.direct_effect == pytest.approx(0.4006, abs=5e-5)
    assert result.aggregate_vulnerability == pytest.approx(2.535, abs=5e-4)
    most = ["ES059", "IT040", "IT041", "ES060", "FR013", "ES061", "DE018", "ES062", "FR016", "DE017"]
    assert result.systemicness.nlargest(10).index.tolist() == most
    values, own = holdings.to_numpy(), equity.to_numpy()
    drops = np.array([shock.get(name, 0.0) for name in holdings.columns])
    lost = 0.0
    sold = np.zeros(42)
    for bank in range(90):
        total = values[bank].sum()
        owed = total - own[bank]
        sells = min(min(owed / own[bank], 30.0) * (values[bank] @ drops), owed)
        sold += sells * values[bank] / total
    for asset in range(42):
        lost += values[:, asset].sum() * 1e-13 * sold[asset]
    assert result.aggregate_vulnerability == pytest.approx(lost / own.sum(), rel=1e-9)


_LOANS = ("33011", "33013", "33015", "33016", "33018")
"""Codes of exposures: corporate, residential mortgages, revolving retail, small firms, commercial real estate."""
