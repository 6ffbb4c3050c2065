"""Invariants of the model (its section 15) over random systems."""

import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import contagion as ct
from contagion import generate, kernels
from contagion.arrays import lower
from contagion.kernels import convergence, rounds
from tests.seeds import some
from tests.systems import draw, loose

seeds = st.integers(0, 100_000)
few = settings(
    max_examples=len(some(16)), phases=[Phase.explicit, Phase.generate]
)  # a smaller seed is no simpler system


def state_of(solution: ct.Solution) -> kernels.State:
    return solution.parts.run.state


def at_least(high: ct.Solution, low: ct.Solution, slack: float = 1e-9) -> None:
    """Assert that no log drop, liquidated share, withdrawn share or haircut is milder in the first."""
    for more, less in zip(state_of(high)[:4], state_of(low)[:4], strict=True):
        assert (more >= less - slack).all()


def isotone(seed: int) -> tuple[ct.System, ct.Scenario]:
    """Return a long-only system without the two links that break the order even there (docs/decisions/0008).

    A node's loss on an account that it owns falls when the account sells above the terminal mark, and the deficit of
    a closed account falls when a larger call brings it more money.
    """
    system, scenario = draw(seed, shorts=False)
    accounts = system.accounts
    policy = accounts["call_policy"].replace("fund", "delever")
    return system.with_table("accounts", accounts.assign(owner="", call_policy=policy)), scenario


def calm(system: ct.System) -> ct.System:
    """Return the system with cash added where an account is called, liquidated or without equity at opening."""
    opening = ct.solve(system, max_rounds=1, on_failure="return").accounts
    rules = system.nodes.set_index("node").reindex(system.accounts["platform"])
    level = rules["call_level"].fillna(rules["liquidation_level"]).to_numpy()
    broke = (opening["health_before"] < level) | (opening["equity_before"] <= 0.0)
    needed = opening["weighted_assets_before"].abs() + 3 * opening["debt_before"] + 3 * opening["maintenance_before"]
    needed += opening["equity_before"].abs() + 1.0
    cash = system.accounts["cash"] + np.where(broke, needed, 0.0)
    return system.with_table("accounts", system.accounts.assign(cash=cash))


@few
@given(seeds)
def test_1_without_a_shock_nothing_moves(seed: int) -> None:
    system, _ = draw(seed)
    solution = ct.solve(calm(system))
    assert len(solution.rounds) == 1
    assert all((unknown == 0.0).all() for unknown in state_of(solution)[:4])
    assert solution.totals["loss"] == solution.totals["gains"] == solution.totals["liquidated"] == 0.0


@few
@given(seeds)
def test_1_unless_accounts_are_below_their_level_at_opening(seed: int) -> None:
    """A debt of more than it has, and the account sells in the first round without a shock, as `review` says."""
    system = calm(draw(seed)[0])
    row = seed % len(system.accounts)
    broke = system.accounts.copy()
    chosen = np.arange(len(broke)) == row
    broke["cash"] -= np.where(chosen, 1e6, 0.0)  # more than anybody has
    broke["call_policy"] = broke["call_policy"].mask(chosen, "none")
    broke["stop_loss"] = broke["stop_loss"].mask(chosen)
    system = system.with_table("accounts", broke)
    solution = ct.solve(system, on_failure="return")
    account = str(broke["account"].iloc[row])
    assert loose(solution.accounts).loc[account, ["liquidated_round", "cause"]].tolist() == [1, "liquidation"]
    assert account in set(ct.review(system).query("warning == 'liquidated_at_opening'")["name"])


@few
@given(seeds, st.floats(1.0, 1.6))
def test_2_larger_shocks_do_more(seed: int, factor: float) -> None:
    system, scenario = isotone(seed)
    larger = replace(scenario, shocks={key: min(0.99, drop * factor) for key, drop in scenario.shocks.items()})
    at_least(ct.solve(system, larger), ct.solve(system, scenario))


@few
@given(seeds, st.floats(0.3, 1.0), st.sampled_from(["depth", "buffer", "cash", "cost"]))
def test_2_less_depth_buffers_or_cash_and_more_cost_do_more(seed: int, factor: float, what: str) -> None:
    system, scenario = isotone(seed)
    if what == "depth":
        worse, harsher = system, replace(scenario, depth={**scenario.depth, **depth_factors(system, scenario, factor)})
    else:
        worse, harsher = {"buffer": less_buffer, "cash": less_cash, "cost": more_cost}[what](system, factor), scenario
    at_least(ct.solve(worse, harsher), ct.solve(system, scenario))


@few
@given(seeds, st.floats(1.0, 3.0), st.sampled_from(["account", "claims"]))
def test_2_larger_exposures_do_more(seed: int, factor: float, what: str) -> None:
    """A larger account, to scale; or nodes that are owed more, of the same buffer, by debtors of the same debts."""
    system, scenario = isotone(seed)
    if what == "account":
        base, larger = system, larger_account(system, factor)
    else:
        base = system.with_table("nodes", system.nodes.assign(liabilities=liabilities_of(system)))
        amount = base.claims["amount"]
        of_accounts = base.claims["creditor"].isin(base.accounts["account"])  # to whom they are assets like others
        larger = base.with_table("claims", base.claims.assign(amount=amount.where(of_accounts, amount * factor)))
    at_least(ct.solve(larger, scenario), ct.solve(base, scenario))


def larger_account(system: ct.System, factor: float) -> ct.System:
    """Return the system with the largest account that is owed nothing scaled, its cash included."""
    free = ~system.positions["account"].isin(system.claims["creditor"])
    size = system.positions["quantity"].abs().where(free, 0.0)
    name = system.positions["account"].iloc[int(size.argmax())]
    assume(free.any())
    for table, column in (("accounts", "cash"), ("positions", "quantity")):
        frame = getattr(system, table)
        mine = frame["account"] == name
        system = system.with_table(table, frame.assign(**{column: frame[column].where(~mine, frame[column] * factor)}))
    return system


def liabilities_of(system: ct.System) -> Any:
    """Return what each node owes: the claims listed where it is not given."""
    listed = system.claims.groupby("debtor")["amount"].sum().reindex(system.nodes["node"]).fillna(0.0)
    return system.nodes["liabilities"].fillna(pd.Series(listed.to_numpy()))


def depth_factors(system: ct.System, scenario: ct.Scenario, factor: float) -> dict[str, float]:
    return {name: scenario.depth.get(name, 1.0) * factor for name in system.markets["market"]}


def less_buffer(system: ct.System, factor: float) -> ct.System:
    return system.with_table("nodes", system.nodes.assign(buffer=system.nodes["buffer"] * factor))


def less_cash(system: ct.System, factor: float) -> ct.System:
    """Return less cash where that changes opening equity of nobody who has quotes, a stop-loss or a node as owner."""
    accounts = system.accounts
    special = accounts["account"].isin(system.quotes["account"]) | accounts["stop_loss"].notna()
    special |= accounts["owner"].isin(system.nodes["node"])
    cash = accounts["cash"].where(special | (accounts["cash"] < 0), accounts["cash"] * factor)
    return system.with_table("accounts", accounts.assign(cash=cash))


def more_cost(system: ct.System, factor: float) -> ct.System:
    cost = 1 - (1 - system.terms["cost"]) * factor
    return system.with_table("terms", system.terms.assign(cost=cost))


@few
@given(seeds)
def test_3_any_order_of_updates_reaches_the_same_solution(seed: int) -> None:
    """Update a random half of the unknowns at a time: the least fixed point of a long-only system does not care."""
    system, scenario = isotone(seed)
    inputs, _ = lower(system, scenario)
    want = kernels.iterate(inputs, 1e-13, 20_000).state
    rng = np.random.default_rng(seed)
    opening = rounds.opening_lines(inputs).equity
    state = rounds.start(inputs)
    for _ in range(40_000):
        new = rounds.step(inputs, state, opening)[0]
        moved = float(np.abs(new.liquidated - state.liquidated).max(initial=0.0))
        if convergence.distance(state, new, moved) <= 1e-13 and np.allclose(
            new.average, state.average, rtol=1e-13, atol=0.0
        ):
            break
        masks = [rng.random(old.size) < 0.5 for old in state[:4]]
        masks.append(masks[0])  # a market's two prices move together
        state = kernels.State(*(np.where(m, a, b) for m, a, b in zip(masks, new, state, strict=True)))
    for got, expected in zip(state[:4], want[:4], strict=True):
        assert (np.isclose(got, expected, rtol=0, atol=1e-8) | (got == expected)).all()


@few
@given(seeds)
def test_4_the_order_of_rows_changes_no_bit(seed: int) -> None:
    system, scenario = draw(seed)
    rng = np.random.default_rng(seed)
    shuffled = ct.System(
        **{name: table.take(rng.permutation(len(table))) for name, table in system.tables() if name != "funding"},
        funding=system.funding,
    )
    one, two = (ct.solve(tables, scenario, on_failure="return") for tables in (system, shuffled))
    for a, b in zip(state_of(one), state_of(two), strict=True):
        assert np.array_equal(a, b)
    assert dict(one.totals) == dict(two.totals)
    pd.testing.assert_frame_equal(one.accounts, two.accounts.loc[one.accounts.index], check_exact=True)


@few
@given(seeds)
def test_4_names_do_not_matter(seed: int) -> None:
    system, scenario = draw(seed)
    rng = np.random.default_rng(seed)
    named = [("nodes", "node"), ("assets", "asset"), ("markets", "market"), ("accounts", "account")]
    old = pd.concat([getattr(system, table)[key] for table, key in named]).to_numpy(dtype=object)
    new = dict(zip(old, (f"n{i}" for i in rng.permutation(old.size)), strict=True))
    renamed = ct.System(**{name: rename(table, new) for name, table in system.tables()})
    parts: dict[str, Any] = {
        part: {new[key]: value for key, value in getattr(scenario, part).items()}
        for part in ("shocks", "depth", "losses")
    }
    one = ct.solve(system, scenario, on_failure="return")
    two = ct.solve(renamed, replace(scenario, **parts), on_failure="return")
    if one.converged:
        money = one.accounts["gross_assets_before"].sum() + one.nodes["liabilities"].sum()
        assert two.totals["loss"] == pytest.approx(one.totals["loss"], abs=1e-9 * money)
        drops = one.markets["drop"].rename(index=new)
        np.testing.assert_allclose(two.markets.loc[drops.index, "drop"], drops, atol=1e-9)


def rename(table: pd.DataFrame, new: dict[str, str]) -> pd.DataFrame:
    names = {"node", "asset", "market", "account", "issuer", "venue", "pegged_to", "platform", "owner"}
    names |= {"creditor", "debtor", "source", "market_a", "market_b"}
    return table.assign(**{c: table[c].map(lambda name: new.get(name, name)) for c in table.columns if c in names})


@few
@given(seeds, st.sampled_from([0.5, 4.0, 1e3]))
def test_4_doubling_all_money_doubles_all_money(seed: int, unit: float) -> None:
    """Prices stay; quantities, cash, claims, buffers, depths and losses are counted in another unit."""
    system, scenario = draw(seed)
    money = {
        "nodes": ["buffer", "liabilities"],
        "markets": ["depth"],
        "accounts": ["cash"],
        "positions": ["quantity"],
        "claims": ["amount"],
        "quotes": ["depth"],
        "arbitrage": ["depth"],
    }
    scaled = system
    for table, columns in money.items():
        frame = getattr(system, table)
        scaled = scaled.with_table(table, frame.assign(**{name: frame[name] * unit for name in columns}))
    losses = {name: unit * loss for name, loss in scenario.losses.items()}
    one = ct.solve(system, scenario, on_failure="return")
    two = ct.solve(scaled, replace(scenario, losses=losses), on_failure="return")
    if one.converged:
        np.testing.assert_allclose(two.markets["drop"], one.markets["drop"], atol=1e-9)
        size = one.accounts["gross_assets_before"].sum() + one.nodes["liabilities"].sum()
        for name, value in one.totals.items():
            assert two.totals[name] == pytest.approx(unit * value, abs=unit * 1e-9 * size)


@few
@given(seeds, st.integers(2, 4))
def test_5_splitting_an_account_changes_nothing(seed: int, parts: int) -> None:
    system, scenario = draw(seed)
    one = ct.solve(system, scenario, on_failure="return")
    tied = one.accounts.index.isin(pd.concat([system.funding["account"], system.funding["source"]]))
    free = loose(one.accounts)[~tied]
    assume(one.converged and (free["liquidated"] > 0.0).any())
    name = str(free["liquidated"].idxmax())
    two = ct.solve(split_account(system, name, parts), scenario, on_failure="return")
    money = same_outcome(one, two)
    pieces = two.accounts.loc[[f"{name}/{part}" for part in range(parts)]]
    for column in ("equity_after", "deficit", "loss", "gain"):
        whole = float(loose(one.accounts).loc[name, column])
        assert pieces[column].sum() == pytest.approx(whole, abs=1e-9 * money)
    np.testing.assert_allclose(pieces["liquidated"], free.loc[name, "liquidated"], atol=1e-9)


@few
@given(seeds, st.integers(2, 4))
def test_5_splitting_claims_positions_and_quotes_changes_nothing(seed: int, parts: int) -> None:
    system, scenario = draw(seed)
    one = ct.solve(system, scenario, on_failure="return")
    assume(one.converged and one.nodes["haircut"].max() > 0.0 and len(system.claims))
    split = system
    for table, column in (("claims", "amount"), ("positions", "quantity"), ("quotes", "depth")):
        frame = getattr(system, table)
        pieces = [frame.assign(**{column: frame[column] / parts})] * parts
        split = split.with_table(table, pd.concat(pieces))
    two = ct.solve(split, scenario, on_failure="return")
    money = same_outcome(one, two)
    np.testing.assert_allclose(two.accounts["liquidated"], one.accounts["liquidated"], atol=1e-9)
    np.testing.assert_allclose(two.accounts["equity_after"], one.accounts["equity_after"], atol=1e-9 * money)


def same_outcome(one: ct.Solution, two: ct.Solution) -> float:
    """Assert that markets, nodes and totals are the same, and return the money that they are compared against."""
    money = float(one.accounts["gross_assets_before"].sum() + one.nodes["liabilities"].sum())
    np.testing.assert_allclose(two.markets["drop"], one.markets["drop"], atol=1e-9)
    np.testing.assert_allclose(two.nodes["haircut"], one.nodes["haircut"], atol=1e-9)
    np.testing.assert_allclose(two.nodes["loss"], one.nodes["loss"], atol=1e-9 * money)
    for name, value in one.totals.items():
        assert two.totals[name] == pytest.approx(value, abs=1e-9 * money), name
    return money


def split_account(system: ct.System, name: str, parts: int) -> ct.System:
    amounts = {"accounts": "cash", "positions": "quantity", "quotes": "depth", "claims": "amount"}
    for table, amount in amounts.items():
        frame = getattr(system, table)
        key = "creditor" if table == "claims" else "account"
        mine = frame[frame[key] == name]
        pieces = [mine.assign(**{key: f"{name}/{part}", amount: mine[amount] / parts}) for part in range(parts)]
        system = system.with_table(table, pd.concat([frame[frame[key] != name], *pieces]))
    return system


@few
@given(seeds)
def test_7_an_account_that_was_not_touched_can_go(seed: int) -> None:
    system, scenario = draw(seed)
    one = ct.solve(system, scenario, on_failure="return")
    tied = [system.quotes["account"], system.funding["account"], system.funding["source"]]
    tied += [system.nodes["node"], system.claims["creditor"]]
    keeps = one.accounts["liquidated"].gt(0) | one.accounts["called_round"].notna()
    free = one.accounts.index[~keeps & ~one.accounts.index.isin(pd.concat(tied))]
    free = free[~system.accounts.set_index("account").loc[free, "owner"].isin(system.nodes["node"])]
    assume(one.converged and len(free) and one.totals["loss"] > 0.0)
    name = one.accounts.loc[free, "gross_assets_before"].idxmax()
    without = system
    for table in ("accounts", "positions"):
        frame = getattr(system, table)
        without = without.with_table(table, frame[frame["account"] != name])
    two = ct.solve(without, scenario)
    np.testing.assert_allclose(two.markets["drop"], one.markets["drop"], atol=1e-11)
    pd.testing.assert_series_equal(two.nodes["loss"], one.nodes["loss"], rtol=1e-9, atol=1e-6)


@few
@given(seeds, st.sampled_from(["full", "restore"]), st.sampled_from([math.inf, 50.0, 5.0]))
def test_9_perps_that_net_to_zero_pay_losers_deficits_from_winners_gains(seed: int, rule: str, depth: float) -> None:
    """One perp at one price, cash margin, no costs: what losers cannot pay is at most what winners have won.

    Winners and losers are marked at p or settle at v: Σ (X − E0) = Σ n(p − p0) + Σ λn(v − p), the first sum is zero,
    and the second is (v − p)·Q/p0, which is never negative: where they sell on balance v is above p, where they buy it
    is below. So gains ≥ losses, and the loss of an account with a deficit is more than the deficit.
    """
    rng = np.random.default_rng(seed)
    count = 12
    quantity = rng.normal(size=count)
    quantity -= quantity.mean()
    names = [f"a{i}" for i in range(count)]
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "margin_rule": "maintenance", "close_rule": rule}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": depth}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "maintenance": 0.05}),
        accounts=pd.DataFrame(
            {"account": names, "platform": "x", "cash": np.abs(quantity) * rng.uniform(0.1, 0.5, count)}
        ),
        positions=pd.DataFrame(
            {"account": names, "asset": "A", "side": "perp", "quantity": quantity, "entry_price": 1.0}
        ),
    )
    solution = ct.solve(system, ct.Scenario(shocks={"A": float(rng.uniform(0.1, 0.6))}), on_failure="return")
    totals, market, accounts = solution.totals, solution.markets.iloc[0], solution.accounts
    assume(solution.converged and totals["deficit"] > 0.0)
    assert totals["deficit"] <= totals["gains"] * (1 + 1e-12)
    share = accounts["liquidated"]
    change = (1 - share) * accounts["equity_marked"] + share * accounts["equity_if_sold"] - accounts["equity_before"]
    assert totals["gains"] == pytest.approx(change.clip(lower=0.0).sum(), rel=1e-12)
    paid_by_others = (market["average_price"] - market["price"]) * market["sold"]
    assert paid_by_others >= -1e-12
    assert change.sum() == pytest.approx(paid_by_others, abs=1e-11)
    assert solution.stock_flow["equity_change"] == pytest.approx(paid_by_others, abs=1e-11)
    assert solution.nodes["loss_deficits"].sum() == pytest.approx(totals["deficit"], rel=1e-12)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_11_runs_are_equal_bit_for_bit(threads: str) -> None:
    code = (
        "import hashlib, contagion as ct\n"
        "s, c = ct.generate.system(accounts=3000, seed=5)\n"
        "state = ct.solve(s, c).parts.run.state\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in state)).hexdigest())"
    )
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    system, scenario = generate.system(accounts=3000, seed=5)
    state = ct.solve(system, scenario).parts.run.state
    assert done.stdout.strip() == hashlib.sha256(b"".join(a.tobytes() for a in state)).hexdigest()


@few
@given(st.integers(2, 40), seeds)
def test_12_one_asset_is_solved_by_sorting(count: int, seed: int) -> None:
    """Borrowers of one asset, closed in full: let them fall in the order of the price that breaks them."""
    rng = np.random.default_rng(seed)
    held = rng.exponential(size=count)
    breaking = rng.uniform(0.5, 0.99, size=count)  # price at which 0.8·p·held = debt
    shock, depth = float(rng.uniform(0.02, 0.3)), float(rng.uniform(0.2, 20.0))
    names = [f"a{i}" for i in range(count)]
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": depth}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
        accounts=pd.DataFrame({"account": names, "platform": "x", "cash": -0.8 * held * breaking}),
        positions=pd.DataFrame({"account": names, "asset": "A", "quantity": held}),
    )
    price, sold = 1.0 - shock, 0.0
    for i in np.argsort(-breaking):
        if price < breaking[i] * (1 - 1e-12):
            sold += held[i]
            price = (1.0 - shock) * max(0.99 ** (sold / depth), 0.01)
        else:
            break
    solution = ct.solve(system, ct.Scenario(shocks={"A": shock}))
    assert solution.markets.loc["x:A", "price"] == pytest.approx(price, rel=1e-10)
    assert solution.totals["liquidated"] == pytest.approx(sold, rel=1e-10)
