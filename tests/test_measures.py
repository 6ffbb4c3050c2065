"""Measures without a solve, against hand-computed systems and the plain loops of the oracle."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.measures import debt_at_risk, headroom, leverage_distribution, run_coverage, value_locked
from tests import oracle
from tests.random_systems import random_tables
from tests.seeds import some
from tests.stress_systems import squeeze
from tests.systems import loose, to_scenario, to_system

INF = math.inf
ALL = "all platforms"
SEEDS = some(14)


def drawn(seed: int) -> tuple[oracle.Tables, ct.System, ct.Scenario]:
    tables, scenario = random_tables(np.random.default_rng(seed))
    return tables, to_system(tables), to_scenario(scenario)


def two_accounts(**changes: Any) -> ct.System:
    """One venue with A (100 USD) and a dollar; a borrower: 10 A at 0.8 against 600; a short of 5 A with cash 200."""
    accounts: list[dict[str, Any]] = [
        {"account": "borrower", "platform": "desk", "group": "loan", **changes.get("borrower", {})},
        {"account": "short", "platform": "desk", "group": "perp", "cash": 200.0, **changes.get("short", {})},
    ]
    positions = [
        {"account": "borrower", "asset": "A", "side": "collateral", "quantity": 10.0},
        {"account": "borrower", "asset": "USD", "side": "debt", "quantity": 600.0},
        {"account": "short", "asset": "A", "side": "perp", "quantity": -5.0, "entry_price": 100.0},
    ]
    markets = [
        {"market": "desk:A", "venue": "desk", "asset": "A", "price": 100.0, "depth": 50.0, "floor": 0.1},
        {"market": "desk:USD", "venue": "desk", "asset": "USD", "price": 1.0, "depth": INF},
    ]
    terms = [{"platform": "desk", "asset": "A", "weight": 0.8, "maintenance": 0.1}]
    assets = [{"asset": "A", "kind": "native"}, {"asset": "USD", "kind": "stablecoin"}]
    nodes = [{"node": "desk", **changes.get("node", {})}]
    tables: dict[str, list[dict[str, Any]]] = {
        "nodes": nodes,
        "assets": assets,
        "markets": markets,
        "terms": terms,
        "accounts": accounts,
        "positions": positions,
        **changes.get("tables", {}),
    }
    return to_system(tables)


# Headroom


def test_headroom_by_hand() -> None:
    found = loose(headroom(two_accounts())).loc["desk:A"]
    # 10·p·0.8 = 600 at p = 75; 200 − 5(p − 100) = 0.1·5·p at p = 700/5.5
    assert (found["account"], found["trigger"], found["rise_account"]) == ("borrower", "liquidation", "short")
    assert found["drop"] == pytest.approx(0.25)
    assert found["usd"] == pytest.approx(1000.0)
    assert found["rise"] == pytest.approx(700.0 / 550.0 - 1.0)
    assert found["rise_usd"] == pytest.approx(500.0)
    dollar = loose(headroom(two_accounts())).loc["desk:USD"]
    assert (dollar["drop"], dollar["account"], dollar["trigger"]) == (INF, "", "")
    assert math.isnan(dollar["usd"])
    assert dollar["rise"] == pytest.approx(800.0 / 600.0 - 1.0)


def test_headroom_finds_calls_and_stop_losses_first() -> None:
    called = two_accounts(borrower={"call_policy": "delever"}, node={"call_level": 1.2})
    assert list(headroom(called).loc["desk:A", ["trigger", "drop"]]) == ["call", pytest.approx(0.1)]
    deaf = two_accounts(node={"call_level": 1.2})
    assert headroom(deaf).loc["desk:A", "trigger"] == "liquidation"
    stopped = two_accounts(borrower={"stop_loss": 0.5})
    # equity 400, stopped below 200: a fall of 200 on 1,000
    assert list(headroom(stopped).loc["desk:A", ["trigger", "drop"]]) == ["stop_loss", pytest.approx(0.2)]


def test_headroom_is_zero_past_the_trigger_and_only_where_it_hurts() -> None:
    found = headroom(two_accounts(borrower={"cash": -300.0}))
    assert found.loc["desk:A", "drop"] == 0.0
    assert found.loc["desk:USD", "drop"] == INF
    assert found.loc["desk:USD", "rise"] == 0.0


def test_headroom_by_group_names_the_market() -> None:
    found = loose(headroom(two_accounts(), by="group"))
    assert list(found.index) == ["loan @ desk", "perp @ desk"]
    assert list(found["market"]) == ["desk:A", ""]
    assert list(found["rise_market"]) == ["desk:USD", "desk:A"]
    assert found["drop"].tolist() == [pytest.approx(0.25), INF]


def test_headroom_of_a_solution_starts_where_it_ended() -> None:
    system = two_accounts(node={"target_level": 1.25}, tables={})
    solution = ct.solve(system, ct.Scenario(shocks={"desk:A": 0.3}, depth={"desk": 1e9}))
    assert loose(solution.accounts).loc["borrower", "liquidated"] > 0.0
    left = headroom(solution, opening=False)
    # restored to W = 1.25·D, of which the cash from the sale, λV, does not fall with the price
    share = float(loose(solution.accounts).loc["borrower", "liquidated"])
    price = float(loose(solution.markets).loc["desk:A", "price"])
    weighted, debt, cash = (1 - share) * 8.0 * price, (1 - share) * 600.0, share * (10.0 * price - 600.0)
    assert weighted + cash == pytest.approx(1.25 * debt, rel=1e-6)
    assert left.loc["desk:A", "drop"] == pytest.approx((weighted + cash - debt) / weighted, rel=1e-6)
    assert left.loc["desk:A", "usd"] == pytest.approx((1 - share) * 10.0 * price)
    pd.testing.assert_frame_equal(headroom(solution), headroom(system))


def acts(system: oracle.System, name: str, price: dict[str, float], opening: dict[str, Any]) -> bool:
    """Return whether an account is called, stopped out or liquidated at these prices."""
    account = system.accounts[name]
    node = system.nodes[account["platform"]]
    line = oracle.lines_of(system, name, price, price, dict.fromkeys(system.nodes, 0.0))
    called = account["call_policy"] != "none" and oracle.surplus(node, line, node["call_level"]) < 0.0
    stop = account["stop_loss"]
    stopped = stop is not None and line["E"] < stop * opening[name]["E"]
    return called or stopped or oracle.surplus(node, line, node["liquidation_level"]) < 0.0


def moved(system: oracle.System, markets: set[str], factor: float) -> dict[str, float]:
    """Return prices with those of some markets, and of what is pegged to them, multiplied."""
    hit = set(markets)
    for name in system.pegs_first:
        if system.markets[name]["pegged_to"] in hit:
            hit.add(name)
    return {name: m["price"] * (factor if name in hit else 1.0) for name, m in system.markets.items()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("by", ["market", "asset"])
def test_nobody_acts_within_headroom_and_the_named_account_beyond(seed: int, by: Any) -> None:
    tables, system, _ = drawn(seed)
    slow = oracle.read_system(tables, {})
    opening = oracle.opening_lines(slow)
    now = {name: m["price"] for name, m in slow.markets.items()}
    standing = [name for name in slow.accounts if not acts(slow, name, now, opening)]
    for target, row in loose(headroom(system, by=by)).iterrows():
        markets = {m for m, values in slow.markets.items() if target in (m, values["asset"])}
        for column, account, sign in (("drop", "account", -1.0), ("rise", "rise_account", 1.0)):
            reach = row[column]
            if reach == 0.0:
                assert acts(slow, row[account], moved(slow, markets, 1.0 + sign * 1e-9), opening)
                continue
            within = 0.999999 * min(reach, 1.0) if sign < 0.0 else 0.999999 * min(reach, 50.0)
            assert not any(acts(slow, a, moved(slow, markets, 1.0 + sign * within), opening) for a in standing)
            if math.isfinite(reach):
                assert acts(slow, row[account], moved(slow, markets, 1.0 + sign * 1.000001 * reach), opening)


@pytest.mark.parametrize("seed", some(12))
def test_a_shock_within_headroom_touches_nobody_and_one_beyond_it_does(seed: int) -> None:
    _, system, _ = drawn(seed)
    calm = ct.solve(system, ct.Scenario(arbitrage=0.0))
    before = calm.accounts[["called_round", "liquidated_round"]].notna().any(axis=1)
    for market, drop in loose(headroom(system))["drop"].items():
        if before.any() or not 0.0 < drop < 0.9:
            continue
        for factor, touched in ((0.999999, False), (1.000001, True)):
            fallen = ct.solve(system, ct.Scenario(shocks={market: factor * drop}), on_failure="return")
            first = fallen.accounts[["called_round", "liquidated_round"]].min(axis=1)
            assert bool((first == 1).any()) is touched


@pytest.mark.parametrize("seed", some(10))
def test_headroom_of_a_group_is_that_of_its_accounts_alone(seed: int) -> None:
    _, system, _ = drawn(seed)
    groups = system.accounts["group"].where(system.accounts["group"] != "", system.accounts["account"])
    names = groups + " @ " + system.accounts["platform"]
    for group, row in loose(headroom(system, by="group")).iterrows():
        members = set(system.accounts["account"][names == group])
        alone = system.with_table("positions", system.positions[system.positions["account"].isin(members)])
        alone = alone.with_table("claims", system.claims)
        found = headroom(alone)
        assert row["drop"] == pytest.approx(min(found["drop"]))
        assert row["rise"] == pytest.approx(min(found["rise"]))


# Leverage


def test_leverage_by_hand() -> None:
    found = loose(leverage_distribution(two_accounts(), bins=(2.0, 2.6)))
    # borrower: 1,000 over 400; short: notional 500 and cash 200, over 200
    assert list(found.index) == ["0–2", "2–2.6", "2.6 or more", "no equity", "no assets"]
    assert found["accounts"].tolist() == [0, 1, 1, 0, 0]
    assert found["gross_assets"].tolist() == [0.0, 1000.0, 700.0, 0.0, 0.0]
    assert found["debt"].tolist() == [0.0, 600.0, 0.0, 0.0, 0.0]
    assert found["share"].tolist() == pytest.approx([0.0, 10 / 17, 7 / 17, 0.0, 0.0])


@pytest.mark.parametrize("seed", SEEDS)
def test_leverage_agrees_with_the_table_of_accounts(seed: int) -> None:
    _, system, scenario = drawn(seed)
    solution = ct.solve(system, scenario)
    found, accounts = loose(leverage_distribution(solution)), loose(solution.accounts)
    assert found["accounts_before"].sum() == found["accounts_after"].sum() == len(accounts)
    for name in ("gross_assets", "debt", "equity"):
        assert found[f"{name}_before"].sum() == pytest.approx(accounts[f"{name}_before"].sum(), rel=1e-9, abs=1e-6)
    classes = accounts["leverage_before"][(accounts["equity_before"] > 0) & (accounts["gross_assets_before"] > 0)]
    assert found.loc["2–3", "accounts_before"] == ((classes >= 2.0) & (classes < 3.0)).sum()
    # what is left of those whose equity is not negative is the equity after
    left = found["equity_after"].sum() - found.loc["no equity", "equity_after"]
    after = accounts["equity_after"]
    assert left == pytest.approx(after.sum(), rel=1e-9, abs=1e-6)
    untouched = accounts[(accounts["liquidated"] == 0) & (accounts["received"] == 0) & (accounts["given"] == 0)]
    if len(untouched) == len(accounts):
        assert found["gross_assets_after"].sum() == pytest.approx(accounts["gross_assets"].sum())


# Debt at risk


def test_debt_at_risk_by_hand() -> None:
    found = loose(debt_at_risk(two_accounts(), within=(0.24, 0.26)))
    assert list(found.index) == [("desk", 0.24), ("desk", 0.26), (ALL, 0.24), (ALL, 0.26)]
    assert found["debt"].tolist() == [0.0, 600.0, 0.0, 600.0]
    assert found["gross_assets"].tolist() == [0.0, 1000.0, 0.0, 1000.0]
    assert found["gross_share"].tolist() == pytest.approx([0.0, 10 / 17, 0.0, 10 / 17])
    still = debt_at_risk(two_accounts(), within=(0.26,), steady=("stablecoin", "native"))
    assert still["accounts"].tolist() == [0, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_debt_at_risk_against_plain_loops(seed: int) -> None:
    tables, system, _ = drawn(seed)
    slow = oracle.read_system(tables, {})
    kinds = dict(zip(system.assets["asset"], system.assets["kind"], strict=True))
    theta = dict.fromkeys(slow.nodes, 0.0)
    opening = oracle.opening_lines(slow)
    found = loose(debt_at_risk(system, within=(0.03, 0.3)))
    for fall in (0.03, 0.3):
        total = dict.fromkeys([*slow.nodes, ALL], 0.0)
        count = dict.fromkeys([*slow.nodes, ALL], 0)
        price = {n: m["price"] * (1 - fall * (kinds[m["asset"]] != "stablecoin")) for n, m in slow.markets.items()}
        for name, account in slow.accounts.items():
            node = slow.nodes[account["platform"]]
            lines = (opening[name], oracle.lines_of(slow, name, price, price, theta))
            if min(oracle.surplus(node, line, node["liquidation_level"]) for line in lines) < 0.0:
                for row in (account["platform"], ALL):
                    total[row] += opening[name]["D"]
                    count[row] += 1
        for row in found.index.get_level_values("platform").unique():
            assert found.loc[(row, fall), "accounts"] == count[row]
            assert found.loc[(row, fall), "debt"] == pytest.approx(total[row], rel=1e-9, abs=1e-9)


# Value locked


@pytest.mark.parametrize(("rounds", "ltv"), [(0, 0.8), (1, 0.5), (5, 0.8), (40, 0.9)])
def test_a_loop_is_worth_what_was_put_in(rounds: int, ltv: float) -> None:
    """Collateral E(1 − ℓ^(n+1))/(1 − ℓ), debt collateral − E (docs/model.md, section 15)."""
    equity = 1000.0
    collateral = equity * (1.0 - ltv ** (rounds + 1)) / (1.0 - ltv)
    positions = [
        {"account": "borrower", "asset": "A", "side": "collateral", "quantity": collateral / 100.0},
        {"account": "borrower", "asset": "USD", "side": "debt", "quantity": max(collateral - equity, 1e-9)},
    ]
    found = loose(value_locked(two_accounts(tables={"positions": positions}, short={"cash": 0.0}))).loc["desk"]
    assert found["tvl"] == pytest.approx(collateral)
    assert found["value"] == pytest.approx(equity)
    assert found["multiple"] == pytest.approx((1.0 - ltv ** (rounds + 1)) / (1.0 - ltv))


def test_tokens_that_are_claims_are_not_counted_again() -> None:
    nodes = [{"node": "desk"}, {"node": "mint"}]
    kinds = {"A": "native", "ISS": "token", "STK": "liquid_staking", "PEG": "token", "USD": "stablecoin"}
    markets = [
        {"market": f"desk:{a}", "venue": "desk", "asset": a, "price": 1.0, "pegged_to": "desk:A" if a == "PEG" else ""}
        for a in kinds
    ]
    positions = [{"account": "borrower", "asset": a, "quantity": q} for a, q in zip(kinds, (1, 2, 4, 8), strict=False)]
    positions.append({"account": "borrower", "asset": "USD", "side": "debt", "quantity": 5.0})
    tables = {
        "nodes": nodes,
        "assets": [{"asset": a, "kind": k, "issuer": "mint" if a == "ISS" else ""} for a, k in kinds.items()],
        "markets": markets,
        "positions": positions,
    }
    found = loose(value_locked(two_accounts(tables=tables, borrower={"cash": 10.0}, short={"cash": -7.0})))
    expected = {"tvl": 25.0, "debt": 12.0, "derivative": 14.0, "borrowed_and_redeposited": 5.0, "value": 6.0}
    assert found.loc[ALL].drop("multiple").to_dict() == expected
    assert found.loc["desk", "multiple"] == pytest.approx(25.0 / 6.0)


@pytest.mark.parametrize("seed", some(20))
@pytest.mark.parametrize("opening", [True, False])
def test_value_locked_adds_up(seed: int, opening: bool) -> None:
    _, system, scenario = drawn(seed)
    found = loose(value_locked(ct.solve(system, scenario), opening))
    parts = found[["derivative", "borrowed_and_redeposited", "value"]]
    assert parts.sum(axis=1).to_numpy() == pytest.approx(found["tvl"].to_numpy(), rel=1e-9, abs=1e-9)
    assert (parts >= -1e-9).all(axis=None)
    assert found.drop(ALL).sum()["tvl"] == pytest.approx(found.loc[ALL, "tvl"])
    if opening:
        pd.testing.assert_frame_equal(found, value_locked(ct.solve(system, scenario).system))


# Run coverage


def test_run_coverage_by_hand() -> None:
    quotes = [
        {"account": "borrower", "market": "desk:A", "depth": 30.0},
        {"account": "short", "market": "desk:A", "depth": 20.0},
    ]
    found = loose(run_coverage(two_accounts(tables={"quotes": quotes}))).loc["loan @ desk"]
    depth = (50.0 + 20.0) * math.log(0.95) / math.log(0.99)  # without the 30 that the borrower quotes
    assert found["sold"] == pytest.approx(1000.0)
    assert found["market_depth"] == pytest.approx(depth)
    assert found["coverage"] == pytest.approx(depth / 1000.0)
    assert found["market"] == "desk:A"
    assert found["drop"] == pytest.approx(1.0 - 0.99 ** (1000.0 / 70.0))
    other = loose(run_coverage(two_accounts())).loc["perp @ desk"]
    assert (other["sold"], other["coverage"], other["market"], other["drop"]) == (0.0, INF, "", 0.0)


@pytest.mark.parametrize("kind", ["exponential", "linear", "sqrt", "constant_product"])
@pytest.mark.parametrize("fall", [0.01, 0.05, 0.4])
def test_selling_what_a_market_takes_costs_the_fall(kind: str, fall: float) -> None:
    markets = two_accounts().markets.assign(impact=kind)
    found = loose(run_coverage(two_accounts().with_table("markets", markets), fall=fall)).loc["loan @ desk"]
    x = found["market_depth"] / 50.0
    assert 1.0 - math.exp(-oracle.pushed(kind, x, 0.1)) == pytest.approx(fall)
    assert 1.0 - math.exp(-oracle.pushed(kind, 1000.0 / 50.0, 0.1)) == pytest.approx(found["drop"])


def test_a_floor_above_the_fall_takes_any_sale_and_no_depth_takes_none() -> None:
    markets = two_accounts().markets
    high = two_accounts().with_table("markets", markets.assign(floor=0.96))
    assert run_coverage(high).loc["loan @ desk", "coverage"] == INF
    empty = two_accounts().with_table("markets", markets.assign(depth=[0.0, INF]))
    assert loose(run_coverage(empty)).loc["loan @ desk", ["coverage", "drop"]].tolist() == [0.0, pytest.approx(0.9)]


@pytest.mark.parametrize("seed", SEEDS)
def test_run_coverage_against_plain_loops(seed: int) -> None:
    tables, system, _ = drawn(seed)
    slow = oracle.read_system(tables, {})
    groups = dict(zip(system.accounts["account"], system.accounts["group"], strict=True))
    groups = {a: f"{groups[a] or a} @ {slow.accounts[a]['platform']}" for a in groups}
    for group, row in loose(run_coverage(system)).iterrows():
        leaves = {a: float(groups[a] == group) for a in groups}
        sales = {m: usd for m, usd in oracle.net_sales(slow, leaves).items() if usd > 1e-6}
        depth = oracle.depths(slow, [leaves[quote["account"]] for quote in slow.quotes])
        assert row["sold"] == pytest.approx(sum(sales.values()), abs=1e-5)
        if row["market"] not in sales:
            continue
        covered = {}
        for market, usd in sales.items():
            kind, floor = slow.markets[market]["impact"], slow.markets[market]["floor"]
            low, high = 0.0, 1e4
            for _ in range(200):  # the inverse of the impact by bisection
                middle = 0.5 * (low + high)
                low, high = (
                    (middle, high) if 1 - math.exp(-oracle.pushed(kind, middle, floor)) < 0.05 else (low, middle)
                )
            takes = INF if floor > 0.95 or depth[market] == INF else low * depth[market]
            covered[market] = takes / usd
        assert row["market_coverage"] == pytest.approx(min(covered.values()), rel=1e-9)
        assert covered[row["market"]] == pytest.approx(min(covered.values()), rel=1e-9)
        x = 0.0 if depth[row["market"]] == INF else sales[row["market"]] / max(depth[row["market"]], 1e-300)
        drop = 1 - math.exp(
            -oracle.pushed(slow.markets[row["market"]]["impact"], x, slow.markets[row["market"]]["floor"])
        )
        assert row["drop"] == pytest.approx(drop, abs=1e-12)


# All of them


MEASURES: list[Any] = [
    headroom,
    lambda subject: headroom(subject, by="asset").sort_index(),
    lambda subject: headroom(subject, by="group"),
    leverage_distribution,
    debt_at_risk,
    value_locked,
    run_coverage,
]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_rows_changes_no_bit(measure: Any, seed: int) -> None:
    _, system, _ = drawn(seed)
    shuffled = system
    for table, frame in system.tables():
        if table != "funding":
            shuffled = shuffled.with_table(table, frame.sample(frac=1.0, random_state=seed, ignore_index=True))
    pd.testing.assert_frame_equal(measure(system).sort_index(), measure(shuffled).sort_index(), check_exact=True)


@pytest.mark.parametrize("measure", MEASURES)
def test_an_empty_system_has_empty_measures(measure: Any) -> None:
    found: Any = measure(ct.System(nodes=pd.DataFrame({"node": ["bank"]})))
    assert (
        found.drop(columns="accounts", errors="ignore").fillna(0.0).drop([ALL], errors="ignore").sum(axis=None) == 0.0
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda _: headroom(loose("x")), "give a System or a Solution"),
        (lambda s: headroom(s, opening=False), "only an opening"),
        (lambda s: headroom(s, by=loose("venue")), "'market', 'asset' or 'group'"),
        (lambda s: leverage_distribution(s, bins=(3.0, 2.0)), "numbers that rise"),
        (lambda s: leverage_distribution(s, bins=loose(("x",))), "bins holds 'x'; give finite numbers"),
        (lambda s: leverage_distribution(s, bins=()), "at least one number"),
        (lambda s: leverage_distribution(s, bins=(1.0, INF)), "bins holds inf"),
        (lambda s: debt_at_risk(s, within=(1.2,)), "between 0 and 1"),
        (lambda s: debt_at_risk(s, within=loose(None)), "at least one number"),
        (lambda s: debt_at_risk(s, within=loose((math.nan, True, "0.1"))), "nan, True and '0.1'"),
        (lambda s: debt_at_risk(s, steady="stablecoin"), r"give a list of kinds of assets, as \['stablecoin'\]"),
        (lambda s: debt_at_risk(s, steady=["stable_coin"]), "did you mean 'stablecoin'"),
        (lambda s: debt_at_risk(s, steady=loose([["stablecoin"]])), "as text"),
        (lambda _: debt_at_risk(loose(None), within=loose(2.0), steady=["stable_coin"]), "debt_at_risk: 3 problems"),
        (lambda s: headroom(s, loose("asset")), "opening is a str"),
        (lambda s: run_coverage(s, fall=True), "fall is True"),
        (lambda s: run_coverage(s, fall=0.0), "between 0 and 1"),
        (lambda s: value_locked(s, opening=False), "only an opening"),
    ],
)
def test_what_cannot_be_measured_is_said(call: Any, said: str) -> None:
    with pytest.raises(ct.InputError, match=said):
        call(two_accounts())


@pytest.mark.parametrize("opening", [True, False])
def test_prices_beyond_all_numbers_are_measured_without_a_warning(opening: bool) -> None:
    solution = ct.solve(squeeze(), on_failure="return")
    held = loose(value_locked(solution, opening)).loc["desk"]
    assert held["tvl"] == 921.0 if opening else not math.isfinite(held["tvl"])  # 21 tokens at 1, and 900 dollars
    for by in ("market", "asset", "group"):
        assert len(headroom(solution, opening, loose(by))) > 0
    assert debt_at_risk(solution, opening=opening)["accounts"].max() <= 4
    assert leverage_distribution(solution)["accounts_after"].sum() == 4
    assert len(run_coverage(solution, opening)) == 4
