"""The round-by-round story against the oracle's own rounds and hand-computed cascades."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.timeline import Timeline, timeline
from tests import oracle
from tests.random_systems import random_tables
from tests.seeds import some
from tests.stress_systems import squeeze
from tests.systems import loose, to_scenario, to_system

INF = math.inf
SEEDS = some(30)


def told(seed: int, shorts: bool = True) -> tuple[oracle.System, ct.Solution, Timeline]:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=shorts)
    solution = ct.solve(to_system(tables), to_scenario(scenario), on_failure="return")
    return oracle.read_system(tables, scenario), solution, timeline(solution)


def chain(**changes: Any) -> ct.System:
    """Two loans on A (100 USD): 10 A against 720 and 10 A against 640, at a weight of 0.8; depth 100."""
    positions = []
    for name, debt in (("first", 720.0), ("second", 640.0)):
        positions.append({"account": name, "asset": "A", "side": "collateral", "quantity": 10.0})
        positions.append({"account": name, "asset": "USD", "side": "debt", "quantity": debt})
    accounts: list[dict[str, Any]] = [
        {"account": name, "platform": "desk", "group": name, **changes.get(name, {})} for name in ("first", "second")
    ]
    tables: dict[str, list[dict[str, Any]]] = {
        "nodes": [{"node": "desk", "close_rule": "full"}, {"node": "bank"}],
        "assets": [{"asset": "A"}, {"asset": "USD", "kind": "stablecoin"}],
        "markets": [
            {"market": "desk:A", "venue": "desk", "asset": "A", "price": 100.0, "depth": 100.0},
            {"market": "desk:USD", "venue": "desk", "asset": "USD", "price": 1.0, "depth": INF},
        ],
        "terms": [{"platform": "desk", "asset": "A", "weight": 0.8}],
        "accounts": accounts,
        "positions": positions,
        "claims": changes.get("claims", []),
    }
    return to_system({name: rows for name, rows in tables.items() if rows})


def test_a_chain_of_two_is_told_in_two_rounds() -> None:
    # 12 %: 704 < 720 for the first only; its 1,000 USD take the price 10 % lower, to 79.6: 637 < 640
    solution = ct.solve(chain(), ct.Scenario(shocks={"desk:A": 0.12}))
    found = timeline(solution)
    rows = loose(found.triggers)
    assert rows[["round", "group", "trigger", "accounts", "usd", "market"]].to_numpy().tolist() == [
        [1, "first @ desk", "liquidation", 1, 1000.0, "desk:A"],
        [2, "second @ desk", "liquidation", 1, 1000.0, "desk:A"],
    ]
    assert rows["drop"].tolist() == pytest.approx([0.12, 1.0 - 0.88 * 0.99**10])
    assert rows["share"].tolist() == [1.0, 1.0]
    rounds = loose(found.rounds)
    assert rounds["sold"].tolist()[:4] == [0.0, 1000.0, 1000.0, 0.0]
    assert rounds["liquidated"].tolist()[:4] == [0, 1, 1, 0]
    assert rounds.loc[0, "equity"] == pytest.approx(640.0)
    lines = str(found).splitlines()
    assert lines[0] == "round 1: 1 account of first @ desk liquidated ($1k), mostly by desk:A (−12%)"
    assert lines[1] == "round 2: 1 account of second @ desk liquidated ($1k), mostly by desk:A (−20%)"
    assert lines[2].startswith("end: 2 accounts liquidated ($2k) in ")
    assert repr(found) == f"Timeline({len(solution.rounds)} rounds, 2 accounts liquidated)"


def test_accounts_below_their_level_from_the_opening_are_called_so() -> None:
    found = timeline(ct.solve(chain(first={"cash": -200.0})))
    row = loose(found.triggers).iloc[0]
    assert (row["round"], row["cause"], row["share"]) == (1, "opening", 1.0)
    assert row[["market", "node", "drop"]].isna().all()
    assert "below their level from the opening" in found.story()


def test_a_stop_loss_may_fall_for_claims() -> None:
    claims = [{"creditor": "second", "debtor": "bank", "amount": 500.0}]
    system = chain(second={"stop_loss": 0.5}, claims=claims)
    found = timeline(ct.solve(system, ct.Scenario(losses={"bank": 500.0})))
    row = loose(found.triggers).iloc[-1]
    assert (row["trigger"], row["cause"], row["node"], row["share"]) == ("stop_loss", "claims", "bank", 1.0)
    assert row[["market", "drop"]].isna().all()
    assert "stopped out" in found.story()
    assert "mostly by claims on bank" in found.story()
    assert "claims on bank begin to lose, 100% in the end" in found.story()


@pytest.mark.parametrize("seed", SEEDS)
def test_rounds_are_those_of_the_oracle(seed: int) -> None:
    slow, solution, found = told(seed)
    opening = oracle.opening_lines(slow)
    state = oracle.opening_state(slow)
    prices = loose(found.markets).pivot(index="round", columns="market", values="price")
    depth = loose(found.markets).pivot(index="round", columns="market", values="depth")
    haircut = loose(found.nodes).pivot(index="round", columns="node", values="haircut")
    for number in range(1, min(len(solution.rounds), 25)):
        state, _ = oracle.one_round(slow, state, opening)
        for name, market in slow.markets.items():
            expected = market["price"] * oracle.exp(-state.delta[name])
            assert prices.loc[number, name] == pytest.approx(expected, rel=1e-8, abs=1e-12)
            assert depth.loc[number, name] == pytest.approx(oracle.depths(slow, state.eta)[name], rel=1e-8, abs=1e-9)
        for node, theta in state.theta.items():
            assert haircut.loc[number, node] == pytest.approx(theta, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_round_is_the_solution(seed: int) -> None:
    _, solution, found = told(seed)
    last = len(solution.rounds)
    markets, nodes = (loose(table)[lambda rows: rows["round"] == last] for table in (found.markets, found.nodes))
    markets, nodes = markets.set_index("market"), nodes.set_index("node")
    for name in ("price", "drop", "sold", "depth"):
        pd.testing.assert_series_equal(markets[name], loose(solution.markets)[name].sort_index(), check_exact=True)
    for name in ("loss", "haircut"):
        pd.testing.assert_series_equal(nodes[name], loose(solution.nodes)[name].sort_index(), check_exact=True)
    platforms = loose(found.platforms)[lambda rows: rows["round"] == last].set_index("platform")["liquidated_usd"]
    assert platforms.to_dict() == {name: solution.nodes.loc[name, "liquidated"] for name in platforms.index}
    rounds = loose(found.rounds)
    assert rounds["sold_so_far"].iloc[-1] == solution.totals["liquidated"]
    assert rounds["deficit"].iloc[-1] == solution.totals["deficit"]
    assert rounds["equity"].iloc[-1] == pytest.approx(loose(solution.accounts)["equity_after"].sum())
    assert rounds["step"].tolist()[1:] == solution.rounds["step"].tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_are_those_of_the_accounts(seed: int) -> None:
    _, solution, found = told(seed)
    accounts, rounds = loose(solution.accounts), loose(found.rounds)
    for column, when in (("called", "called_round"), ("liquidated", "liquidated_round")):
        counts = accounts[when].dropna().astype(int).value_counts()
        assert rounds[column][rounds[column] > 0].to_dict() == counts.to_dict()
        by_platform = loose(found.platforms).groupby("round")[column].sum()
        assert by_platform.tolist() == rounds[column].tolist()
    names = accounts["group"] + " @ " + accounts["platform"]
    expected: dict[Any, int] = defaultdict(int)
    for account, row in accounts.iterrows():
        if not pd.isna(row["called_round"]):
            expected[(row["called_round"], names[account], "call")] += 1
        if not pd.isna(row["liquidated_round"]) and row["cause"] != "call":
            expected[(row["liquidated_round"], names[account], row["cause"])] += 1
    triggers = loose(found.triggers)
    assert triggers.set_index(["round", "group", "trigger"])["accounts"].to_dict() == dict(expected)
    assert triggers["usd"].sum() <= solution.totals["liquidated"] * (1 + 1e-9) + 1e-9
    assert ((triggers["share"] >= 0.0) & (triggers["share"] <= 1.0 + 1e-12)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_heaviest_market_is_that_of_plain_loops(seed: int) -> None:
    slow, solution, found = told(seed)
    opening, state = oracle.opening_lines(slow), oracle.opening_state(slow)
    accounts = loose(solution.accounts)
    before = {name: market["price"] for name, market in slow.markets.items()}
    for number in range(1, min(len(solution.rounds), 12)):
        price, _ = oracle.prices(slow, state)
        triggers = loose(found.triggers)
        rows = triggers[(triggers["round"] == number) & (triggers["trigger"] == "liquidation")]
        for _, row in rows.iterrows():
            lost: dict[str, float] = defaultdict(float)
            for name, account in accounts.iterrows():
                mine = account["liquidated_round"] is not pd.NA and account["liquidated_round"] == number
                same = f"{account['group']} @ {account['platform']}" == row["group"]
                if not (mine and same and account["cause"] == "liquidation"):
                    continue
                node = slow.nodes[account["platform"]]
                level, still = node["liquidation_level"], dict.fromkeys(slow.nodes, 0.0)
                whole = oracle.surplus(node, opening[name], level)
                lost["opening"] += max(0.0, -whole)
                for market in slow.markets:  # one price at a time, all others at the opening
                    line = oracle.lines_of(slow, name, before | {market: price[market]}, before, still)
                    lost[market] += max(0.0, whole - oracle.surplus(node, line, level))
            total = sum(lost.values())
            cause = row["market"] if row["cause"] == "market" else row["cause"]
            assert lost[cause] == pytest.approx(max(lost.values()), rel=1e-6)
            assert row["share"] == pytest.approx(lost[cause] / total, rel=1e-6)
        state, _called = oracle.one_round(slow, state, opening)


def test_funding_is_laid_at_the_door_of_those_who_called() -> None:
    """A loan on A calls, a loan on B at another platform sells: the market that weighed most is A's."""
    nodes: list[dict[str, Any]] = [{"node": "desk", "call_level": 1.2, "target_level": 1.3}, {"node": "vault"}]
    positions: list[dict[str, Any]] = []
    for name, asset, debt in (("caller", "A", 600.0), ("giver", "B", 300.0)):
        positions.append({"account": name, "asset": asset, "side": "collateral", "quantity": 10.0})
        positions.append({"account": name, "asset": "USD", "side": "debt", "quantity": debt})
    markets = [
        {"market": f"desk:{a}", "venue": "desk", "asset": a, "price": p, "depth": INF}
        for a, p in (("A", 100.0), ("B", 100.0), ("USD", 1.0))
    ]
    system = to_system(
        {
            "nodes": nodes,
            "assets": [{"asset": "A"}, {"asset": "B"}, {"asset": "USD"}],
            "markets": markets,
            "terms": [{"platform": p, "asset": a, "weight": 0.8} for p in ("desk", "vault") for a in ("A", "B")],
            "accounts": [
                {"account": "caller", "platform": "desk", "group": "fund", "call_policy": "fund"},
                {"account": "giver", "platform": "vault", "group": "fund"},
            ],
            "positions": positions,
            "funding": [{"account": "caller", "source": "giver"}],
        }
    )
    found = loose(timeline(ct.solve(system, ct.Scenario(shocks={"A": 0.15, "B": 0.05}))).triggers)
    assert found[["group", "trigger", "market", "share"]].to_numpy().tolist() == [
        ["fund @ desk", "call", "desk:A", 1.0],
        ["fund @ vault", "funding", "desk:A", 1.0],
    ]
    # the caller lacks 1.3·600 − 0.8·850 = 100, the giver's closing value is 950 − 300 = 650
    assert found["usd"].tolist() == [0.0, pytest.approx(1000.0 * 100.0 / 650.0)]


@pytest.mark.parametrize("seed", some(5))
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    tables, scenario = random_tables(np.random.default_rng(seed))
    system = shuffled = to_system(tables)
    for table, frame in system.tables():
        if table != "funding":
            shuffled = shuffled.with_table(table, frame.sample(frac=1.0, random_state=seed, ignore_index=True))
    one, other = (timeline(ct.solve(s, to_scenario(scenario))) for s in (system, shuffled))
    for name in ("rounds", "markets", "platforms", "triggers", "nodes"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)


def test_the_story_of_october_is_short_and_adds_up() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    found = timeline(ct.solve(system, scenarios["record"]))
    for lines in (2, 5, 12, 40):
        told_lines = found.story(lines).splitlines()
        assert len(told_lines) <= lines
        assert told_lines[-1].startswith("end: ")
    assert "round 1: " in found.story()
    with pytest.raises(ct.InputError, match="at least 2"):
        found.story(1)


def test_a_market_may_be_called_opening() -> None:
    """It is told by its price, and accounts below their level from the start are told from it."""
    system = chain()
    markets = system.markets.assign(market=["opening", "desk:USD"])
    told_by_price = loose(timeline(ct.solve(system.with_table("markets", markets), ct.Scenario(shocks={"A": 0.12}))))
    assert told_by_price.triggers[["cause", "market"]].to_numpy().tolist()[0] == ["market", "opening"]
    assert "mostly by opening (−12%)" in told_by_price.story()


def test_prices_beyond_all_numbers_are_told_without_a_warning() -> None:
    found = timeline(ct.solve(squeeze(), on_failure="return"))
    assert loose(found.markets).set_index(["round", "market"]).loc[(1, "desk:A"), "price"] == INF
    assert found.story().splitlines()[-1].startswith("end: ")


def test_nothing_happens_in_an_empty_system() -> None:
    found = timeline(ct.solve(ct.System(nodes=pd.DataFrame({"node": ["bank"]}))))
    assert len(found.triggers) == len(found.markets) == len(found.platforms) == 0
    assert str(found) == "end: 0 accounts liquidated in 1 round, equity $0 → $0"


def test_a_timeline_cannot_be_changed_and_asks_for_a_solution() -> None:
    found = timeline(ct.solve(chain()))
    rounds = found.rounds
    rounds.loc[0, "equity"] = -1.0
    assert found.rounds.loc[0, "equity"] == pytest.approx(640.0)
    with pytest.raises(ct.InputError, match="give a Solution"):
        timeline(loose(chain()))
