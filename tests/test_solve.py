"""The solver on systems small enough to compute by hand."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from tests.systems import loose

Rows = Sequence[Mapping[str, Any]]


def build(**tables: Rows) -> ct.System:
    return ct.System(**{name: pd.DataFrame(list(rows)) for name, rows in tables.items()})


VENUE = {"node": "x", "kind": "exchange"}
DOLLAR = {"market": "x:U", "venue": "x", "asset": "U", "price": 1.0, "depth": math.inf}


def one_asset(depth: float = 2.0, weight: float = 0.8, cost: float = 0.05, **node: Any) -> ct.System:
    """Return ten A of 1 USD against 7.6 U at one venue."""
    return build(
        nodes=[VENUE | node],
        assets=[{"asset": "A"}, {"asset": "U"}],
        markets=[{"market": "x:A", "venue": "x", "asset": "A", "price": 1.0, "depth": depth}, DOLLAR],
        terms=[{"platform": "x", "asset": "A", "weight": weight, "cost": cost}],
        accounts=[{"account": "a", "platform": "x"}],
        positions=[
            {"account": "a", "asset": "A", "quantity": 10.0},
            {"account": "a", "asset": "U", "side": "debt", "quantity": 7.6},
        ],
    )


def test_one_full_liquidation() -> None:
    """Everything follows from x = 10: δ = −ln 0.9 + 10 ln(1/0.99), sellers get (1 − 0.99^10)/(10 ln(1/0.99)) of 0.9."""
    solution = ct.solve(one_asset(close_rule="full"), ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}))
    market, account = loose(solution.markets).loc["x:A"], loose(solution.accounts).loc["a"]
    assert market["price"] == pytest.approx(0.9 * 0.99**10, rel=1e-14)
    average = 0.9 * (1 - 0.99**10) / (10 * math.log(1 / 0.99))
    assert market["average_price"] == pytest.approx(average, rel=1e-14)
    assert account["equity_after"] == pytest.approx(0.95 * 10 * average - 7.6, rel=1e-13)
    assert solution.totals["loss"] == pytest.approx(1.865612546769761, rel=1e-12)
    assert market[["sold", "depth_before", "depth"]].tolist() == [10.0, 2.0, 1.0]
    assert account["liquidated_round"] == 1
    assert account["cause"] == "liquidation"


def test_parts_of_a_drop_add_up() -> None:
    solution = ct.solve(one_asset(close_rule="full"), ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}))
    parts = solution.markets.filter(like="drop_").sum(axis=1)
    np.testing.assert_allclose(parts, solution.markets["drop"], rtol=1e-14)
    log = math.log(0.99**-10)
    shares = (
        loose(solution.markets).loc["x:A", ["drop_sales", "drop_depth"]] / loose(solution.markets).loc["x:A", "drop"]
    )
    total = -math.log(0.9) + log
    np.testing.assert_allclose(shares.tolist(), [0.75 * log / total, 0.25 * log / total], rtol=1e-13)


@pytest.mark.parametrize("extra", [0.0, 1.0])
def test_a_tie_does_not_trigger_and_an_ulp_below_does(extra: float) -> None:
    """0.5·16 = 8 = D exactly; the smallest representable more debt breaches it."""
    debt = 8.0 if extra == 0.0 else math.nextafter(8.0, 9.0)
    system = one_asset(weight=0.5, close_rule="full")
    positions = system.positions.assign(quantity=[16.0, debt])
    solution = ct.solve(system.with_table("positions", positions))
    assert loose(solution.accounts).loc["a", "liquidated"] == extra
    assert solution.knife_edge["account"].tolist() == ["a"] or extra == 1.0


def test_no_scenario_moves_nothing() -> None:
    solution = ct.solve(one_asset())
    assert solution.converged
    assert solution.residual == 0.0
    assert solution.totals["loss"] == 0.0
    assert (solution.markets["drop"] == 0).all()


def test_empty_system() -> None:
    solution = ct.solve(ct.System())
    assert solution.converged
    assert solution.totals["loss"] == 0.0
    for frame in ("markets", "accounts", "nodes", "quotes", "liquidations", "knife_edge"):
        assert len(getattr(solution, frame)) == 0


def test_two_banks_of_eisenberg_and_noe() -> None:
    """a owes 4 and loses 3 of its 6 of assets: with 2 of equity it pays 3, and b loses 1."""
    system = build(
        nodes=[{"node": "a", "buffer": 2.0}, {"node": "b", "buffer": 5.0}],
        claims=[{"creditor": "b", "debtor": "a", "amount": 4.0}],
    )
    solution = ct.solve(system, ct.Scenario(losses={"a": 3.0}))
    assert solution.nodes.loc["a", "haircut"] == pytest.approx(0.25, rel=1e-15)
    assert solution.nodes.loc["b", "loss"] == pytest.approx(1.0, rel=1e-15)
    # of the 3 lost, a's owners bear 2 and b's owners 1; nothing is outside
    assert solution.totals["buffer_loss"] == pytest.approx(3.0, rel=1e-15)
    assert solution.totals["outside_loss"] == pytest.approx(0.0, abs=1e-15)


def test_ring_with_default_cost() -> None:
    """Three in a ring of 10 each: θ₁ = 1 − r(1 − (L − 1)/10), θ₂ from 10θ₁ likewise, …, back to L = 5 + 10θ₃."""
    names = ["a", "b", "c"]
    system = build(
        nodes=[{"node": name, "buffer": 1.0, "recovery_rate": 0.9} for name in names],
        claims=[{"creditor": names[(i + 1) % 3], "debtor": names[i], "amount": 10.0} for i in range(3)],
    )
    theta = dict.fromkeys(names, 0.0)
    for _ in range(2000):
        for i, name in enumerate(names):
            loss = 10 * theta[names[i - 1]] + (5.0 if name == "a" else 0.0)
            theta[name] = 1 - 0.9 * max(0.0, 1 - (loss - 1) / 10) if loss > 1 else 0.0
    solution = ct.solve(system, ct.Scenario(losses={"a": 5.0}))
    np.testing.assert_allclose(solution.nodes["haircut"], [theta[name] for name in names], rtol=1e-11)


def test_issuer_haircut_and_peg_move_the_reference_price() -> None:
    """An issuer that loses a quarter of its liabilities cuts its token by a quarter; the wrapped token follows."""
    system = build(
        nodes=[VENUE, {"node": "issuer", "buffer": 0.0, "liabilities": 100.0}],
        assets=[{"asset": "S", "issuer": "issuer"}, {"asset": "wS"}],
        markets=[
            {"market": "x:S", "venue": "x", "asset": "S", "price": 1.0, "depth": 5.0},
            {"market": "x:wS", "venue": "x", "asset": "wS", "price": 2.0, "depth": 5.0, "pegged_to": "x:S"},
        ],
    )
    solution = ct.solve(system, ct.Scenario(losses={"issuer": 25.0}, shocks={"wS": 0.1}))
    assert solution.markets["price"].tolist() == pytest.approx([0.75, 2.0 * 0.75 * 0.9], rel=1e-14)
    assert loose(solution.markets).loc["x:S", "drop_issuer"] == pytest.approx(0.25, rel=1e-14)


def test_issuer_without_any_assets_left() -> None:
    system = build(
        nodes=[VENUE, {"node": "issuer", "liabilities": 100.0}],
        assets=[{"asset": "S", "issuer": "issuer"}],
        markets=[{"market": "x:S", "venue": "x", "asset": "S", "price": 1.0}],
        accounts=[{"account": "a", "platform": "x"}],
        positions=[{"account": "a", "asset": "S", "quantity": 40.0}],
    )
    solution = ct.solve(system, ct.Scenario(losses={"issuer": 120.0}))
    assert solution.converged
    assert loose(solution.markets).loc["x:S", "price"] == 0.0
    assert loose(solution.markets).loc["x:S", ["drop", "drop_issuer"]].tolist() == [1.0, 1.0]
    # 40 of tokens are lost inside, 60 of liabilities outside, and 20 beyond all liabilities
    assert solution.totals["account_loss"] == 40.0
    assert solution.totals["outside_loss"] == pytest.approx(80.0, rel=1e-15)


def test_arbitrage_halves_a_drop() -> None:
    """Two pools of depth 1 joined by a link of 1: (1 + 1)x − y = Q, 2y − x = 0, so x = 2Q/3 and y = Q/3."""
    system = one_asset(depth=1.0, close_rule="full")
    markets = pd.concat([system.markets, system.markets.iloc[[0]].assign(market="y:A", venue="y")])
    system = system.with_table("markets", markets).with_table(
        "nodes", pd.DataFrame([VENUE, {"node": "y"}]).assign(close_rule="full")
    )
    links = pd.DataFrame([{"market_a": "x:A", "market_b": "y:A", "depth": 1.0}])
    system = system.with_table("arbitrage", links)
    linked = ct.solve(system, ct.Scenario(shocks={"A": 0.1}))
    np.testing.assert_allclose(linked.markets.loc[["x:A", "y:A"], "pressure"], [20 / 3, 10 / 3], rtol=1e-13)
    halted = ct.solve(system, ct.Scenario(shocks={"A": 0.1}, arbitrage=0.0))
    assert halted.markets.loc[["x:A", "y:A"], "pressure"].tolist() == [10.0, 0.0]


def test_nobody_buys() -> None:
    """Without any depth a sale falls to the floor, at once and for every unit."""
    solution = ct.solve(one_asset(depth=0.0, close_rule="full"), ct.Scenario(shocks={"A": 0.1}))
    assert loose(solution.markets).loc["x:A", "pressure"] == math.inf
    assert loose(solution.markets).loc["x:A", "price"] == pytest.approx(0.9 * 0.01, rel=1e-14)
    assert loose(solution.markets).loc["x:A", "average_price"] == pytest.approx(0.9 * 0.01, rel=1e-14)


def called_and_source(source_quantity: float) -> ct.System:
    """Return an account that is called and funds the call from another of the same owner."""
    base = one_asset(cost=0.0, call_level=1.1, target_level=1.2)
    accounts = pd.DataFrame(
        [{"account": "a", "platform": "x", "call_policy": "fund"}, {"account": "s", "platform": "x"}]
    )
    positions = [
        {"account": "a", "asset": "A", "quantity": 10.0},
        {"account": "a", "asset": "U", "side": "debt", "quantity": 6.5},
        {"account": "s", "asset": "B", "quantity": source_quantity},
    ]
    markets = pd.concat(
        [base.markets, pd.DataFrame([{"market": "x:B", "venue": "x", "asset": "B", "price": 2.0, "depth": 100.0}])]
    )
    return (
        base.with_table("accounts", accounts)
        .with_table("positions", pd.DataFrame(positions))
        .with_table("markets", markets)
        .with_table("assets", pd.DataFrame({"asset": ["A", "B", "U"]}))
        .with_table("funding", pd.DataFrame([{"account": "a", "source": "s"}]))
    )


def test_a_funded_call_sells_another_asset() -> None:
    """A falls by 12 %: W = 7.04 < 1.1·6.5, so 1.2·6.5 − 7.04 = 0.76 is raised by selling B, whose price then falls."""
    solution = ct.solve(called_and_source(10.0), ct.Scenario(shocks={"A": 0.12}))
    a, s = loose(solution.accounts).loc["a"], loose(solution.accounts).loc["s"]
    assert a["received"] == pytest.approx(0.76, rel=1e-12)
    assert s["given"] == pytest.approx(0.76, rel=1e-12)
    assert a["liquidated"] == 0.0
    assert s["liquidated"] == pytest.approx(0.76 / s["equity_if_sold"], rel=1e-9)
    assert s["cause"] == "funding"
    assert loose(solution.markets).loc["x:B", "drop_sales"] > 0.0
    assert (a["called_round"], s["liquidated_round"]) == (1, 1)


def test_a_source_asked_for_more_than_it_has_is_closed() -> None:
    solution = ct.solve(called_and_source(0.1), ct.Scenario(shocks={"A": 0.12}))
    s = loose(solution.accounts).loc["s"]
    assert s["liquidated"] == 1.0
    assert s["given"] == pytest.approx(s["equity_if_sold"], rel=1e-12)
    assert s["equity_after"] == pytest.approx(0.0, abs=1e-12)


def test_funding_respects_priority_and_then_the_order_of_rows() -> None:
    system = called_and_source(0.1)
    accounts = pd.concat([system.accounts, pd.DataFrame([{"account": "t", "platform": "x"}])])
    positions = pd.concat([system.positions, pd.DataFrame([{"account": "t", "asset": "B", "quantity": 50.0}])])
    system = system.with_table("accounts", accounts).with_table("positions", positions)
    for priorities, untouched in (([1, 2], None), ([2, 1], "s")):
        funding = pd.DataFrame({"account": "a", "source": ["s", "t"], "priority": priorities})
        solution = ct.solve(system.with_table("funding", funding), ct.Scenario(shocks={"A": 0.12}))
        given = solution.accounts["given"]
        assert given.sum() == pytest.approx(0.76, rel=1e-12)
        assert (given[untouched] == 0.0) if untouched else (given["s"] > 0.19)


def test_stop_loss_sells_before_any_liquidation() -> None:
    system = one_asset()
    system = system.with_table("accounts", system.accounts.assign(stop_loss=0.9))
    solution = ct.solve(system, ct.Scenario(shocks={"A": 0.04}))
    assert loose(solution.accounts).loc["a", ["liquidated", "cause"]].tolist() == [1.0, "stop_loss"]


def test_quotes_leave_with_the_market_makers_equity() -> None:
    """A maker who loses half of its equity has left a quarter of the way between 90 % and 50 %, if 60 % is left."""
    system = one_asset(depth=1.0)
    system = system.with_table("positions", system.positions.iloc[:1])
    quotes = pd.DataFrame([{"account": "a", "market": "x:A", "depth": 3.0, "full_at": 0.9, "withdrawn_at": 0.5}])
    solution = ct.solve(system.with_table("quotes", quotes), ct.Scenario(shocks={"A": 0.4}))
    assert solution.quotes["withdrawn"].tolist() == pytest.approx([0.75], rel=1e-12)
    assert loose(solution.markets).loc["x:A", ["depth_before", "depth"]].tolist() == pytest.approx(
        [4.0, 1.75], rel=1e-12
    )


def test_a_hard_coded_peg_hides_bad_debt() -> None:
    """The oracle reads 1 whatever happens: nobody is liquidated, and 7.6 of debt stands against 5 of collateral."""
    system = one_asset(cost=0.0)
    oracle = pd.DataFrame([{"platform": "x", "asset": "A", "value": 1.0}])
    solution = ct.solve(system.with_table("oracles", oracle), ct.Scenario(shocks={"A": 0.5}))
    assert loose(solution.accounts).loc["a", "liquidated"] == 0.0
    assert solution.totals["hidden_bad_debt"] == pytest.approx(2.6, rel=1e-12)
    assert solution.totals["deficit"] == 0.0


def test_deficit_falls_on_the_platforms_buffer_and_then_on_its_claimants() -> None:
    system = one_asset(depth=math.inf, cost=0.0, close_rule="full", buffer=1.0)
    claims = pd.DataFrame([{"creditor": "c", "debtor": "x", "amount": 8.0}])
    accounts = pd.concat([system.accounts, pd.DataFrame([{"account": "c", "platform": "x"}])])
    system = system.with_table("claims", claims).with_table("accounts", accounts)
    solution = ct.solve(system, ct.Scenario(shocks={"A": 0.5}))
    assert loose(solution.accounts).loc["a", "deficit"] == pytest.approx(2.6, rel=1e-13)
    assert solution.nodes.loc["x", "haircut"] == pytest.approx(1.6 / 8, rel=1e-13)
    assert loose(solution.accounts).loc["c", "loss"] == pytest.approx(1.6, rel=1e-13)
    # a loses its 2.4, the fund 1.0, the claimant 1.6
    assert solution.totals["loss"] == pytest.approx(2.4 + 1.0 + 1.6, rel=1e-13)


def near_tipping() -> tuple[ct.System, ct.Scenario]:
    """Return a market maker whose equity and whose quotes hold each other up, just past where they fall."""
    system = one_asset(depth=0.5)
    accounts = pd.DataFrame([{"account": "a", "platform": "x"}, {"account": "b", "platform": "x"}])
    positions = pd.DataFrame(
        [
            {"account": "a", "asset": "A", "quantity": 10.0},
            {"account": "b", "asset": "A", "quantity": 10.0},
            {"account": "b", "asset": "U", "side": "debt", "quantity": 7.4},
        ]
    )
    quotes = pd.DataFrame([{"account": "a", "market": "x:A", "depth": 2.0, "full_at": 1.0, "withdrawn_at": 0.2}])
    return (
        system.with_table("accounts", accounts).with_table("positions", positions).with_table("quotes", quotes),
        ct.Scenario(shocks={"A": 0.08}),
    )


def test_a_cap_on_rounds_is_never_silent() -> None:
    system, scenario = near_tipping()
    with pytest.raises(ct.NotConverged, match=r"no fixed point after 3 rounds.*tipping point") as caught:
        ct.solve(system, scenario, max_rounds=3)
    assert not caught.value.solution.converged
    assert "NOT CONVERGED" in repr(caught.value.solution)
    returned = ct.solve(system, scenario, max_rounds=3, on_failure="return")
    assert returned.residual > 1e-12
    assert len(returned.rounds) == 3


def test_rate_and_error_are_those_of_the_last_rounds() -> None:
    system, scenario = near_tipping()
    fine = ct.solve(system, scenario, tol=1e-14)
    coarse = ct.solve(system, scenario, tol=1e-6)
    assert 0.0 < coarse.rate < 1.0
    gap = float(np.abs(np.log(coarse.prices.iloc[-1] / fine.prices.iloc[-1])).max())
    assert coarse.residual <= 1e-6
    assert coarse.error_estimate <= 1e-9
    assert gap <= 2e-9


def test_bad_overrides_tables_and_shocks_are_listed_together() -> None:
    system = one_asset()
    system = system.with_table("positions", system.positions.assign(quantity=[10.0, math.inf]))
    wrong = (
        ct.Override("oracels", {"asset": "A"}, {"value": 1.0}),
        ct.Override("terms", {"asset": "B"}, {"weight": 0.5}),
    )
    with pytest.raises(ct.InputError) as caught:
        ct.solve(system, ct.Scenario(shocks={"C": 0.1}, overrides=wrong))
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for word in ("oracels", "no row where asset = 'B'", "inf", "'C'"):
        assert word in text


@pytest.mark.parametrize("arguments", [{"tol": 0.0}, {"tol": math.nan}, {"max_rounds": 0}, {"on_failure": "ignore"}])
def test_wrong_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ct.InputError, match=next(iter(arguments))):
        ct.solve(one_asset(), **arguments)


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    ct.solve(one_asset(), progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "rounds" in captured.err
