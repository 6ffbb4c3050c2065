from __future__ import annotations

import math
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contagion import InputError, System, datasets, generate
from contagion.validate import problems
from tests.test_validate import good


def assert_round_trip(system: System) -> nx.MultiDiGraph[str]:
    graph = system.to_networkx()
    back = System.from_networkx(graph)
    for (table, frame), (_, expected) in zip(back.tables(), system.tables(), strict=True):
        pd.testing.assert_frame_equal(frame, expected, check_exact=True, obj=table)
    assert back == system
    return graph


def edges(graph: nx.MultiDiGraph[str], kind: str) -> list[tuple[str, str, float]]:
    return [(a, b, data["amount"]) for a, b, data in graph.edges(data=True) if data["kind"] == kind]


def test_the_pair_round_trips() -> None:
    assert_round_trip(good())
    assert_round_trip(System())
    assert_round_trip(generate.system(accounts=300, seed=5)[0])
    assert_round_trip(datasets.load("loop_lending")[0])


def test_nodes_carry_kind_table_and_columns() -> None:
    graph = good().to_networkx()
    assert graph.nodes["Binance:BTC"]["kind"] == "market"
    assert graph.nodes["Binance:BTC"]["table"] == "markets"
    assert graph.nodes["Binance:BTC"]["price"] == 100.0
    assert graph.nodes["a"]["kind"] == "account"
    assert graph.nodes["BTC"]["kind"] == "token"
    assert graph.nodes["Aave"]["kind"] == "institution"
    assert all({"kind", "table", "name", "row"} <= set(data) for _, data in graph.nodes(data=True))
    assert all({"kind", "amount", "table"} <= set(data) for _, _, data in graph.edges(data=True))


def test_edges_carry_usd() -> None:
    graph = good().to_networkx()
    assert edges(graph, "collateral") == [("a", "BTC", 100.0)]
    assert edges(graph, "debt") == [("b", "USDe", 2.0)]
    assert edges(graph, "perp") == [("b", "BTC", 300.0)]
    assert sorted(edges(graph, "claim")) == [("a", "Binance", 1.0), ("fund", "Binance", 2.0)]
    assert edges(graph, "quote") == [("b", "Aave:BTC", 5.0)]
    assert edges(graph, "funding") == [("a", "b", 0.0)]
    assert sorted(edges(graph, "oracle")) == [("Aave", "Aave:BTC", 0.0), ("Aave", "BTC", 0.0)]
    assert sorted(edges(graph, "arbitrage")) == [("Aave:BTC", "Binance:BTC", 3.0), ("Binance:BTC", "Aave:BTC", 3.0)]
    assert edges(graph, "issuer") == [("USDe", "fund", 0.0)]
    assert sorted(edges(graph, "margin")) == [("a", "Aave", 0.0), ("b", "Binance", 0.0)]


def test_amounts_use_the_platforms_own_market_else_the_depth_weighted_price() -> None:
    markets = {"price": [90.0, 110.0, 1.0], "depth": [3.0, 1.0, 1.0]}
    positions = {"asset": ["BTC", "BTC", "BTC"], "account": ["a", "b", "c"]}
    accounts = {"account": ["a", "b", "c"], "platform": ["Aave", "Binance", "fund"], "call_policy": ["none"] * 3}
    graph = good(markets=markets, positions=positions, accounts=accounts).to_networkx()
    amounts = {
        a: data["amount"] for a, b, data in graph.edges(data=True) if b == "BTC" and data["table"] == "positions"
    }
    assert amounts == {"a": 90.0, "b": 220.0, "c": 285.0}


@pytest.mark.parametrize(("depth", "price"), [([math.inf, 1.0], 90.0), ([0.0, 0.0], 100.0)])
def test_infinite_and_absent_depth_weigh_as_in_the_model(depth: list[float], price: float) -> None:
    markets = {"price": [90.0, 110.0, 1.0], "depth": [*depth, 1.0]}
    graph = good(markets=markets, accounts={"platform": ["fund", "fund"]}).to_networkx()
    assert edges(graph, "collateral") == [("a", "BTC", price)]


def test_an_asset_without_a_market_counts_nothing() -> None:
    graph = good(markets={"asset": ["BTC"] * 3}).to_networkx()
    assert edges(graph, "debt") == [("b", "USDe", 0.0)]


def test_one_name_in_several_tables() -> None:
    system = System(
        nodes=pd.DataFrame({"node": ["x", "account:x"]}),
        assets=pd.DataFrame({"asset": ["x"], "issuer": ["x"]}),
        markets=pd.DataFrame({"market": ["x"], "venue": ["x"], "asset": ["x"], "price": [2.0]}),
        accounts=pd.DataFrame({"account": ["x", "account:account:x"], "platform": ["x", "account:x"]}),
        positions=pd.DataFrame({"account": ["account:account:x", "x"], "asset": "x", "quantity": 3.0}),
    )
    graph = assert_round_trip(system)
    assert list(graph) == ["x", "account:x", "asset:x", "market:x", "account:account:account:x", "account:account:x"]
    assert graph.nodes["account:account:account:x"]["name"] == "x"
    assert sorted(edges(graph, "collateral")) == [
        ("account:account:account:x", "asset:x", 6.0),
        ("account:account:x", "asset:x", 6.0),
    ]


def test_columns_outside_the_schema_keep_name_and_type() -> None:
    extra: dict[str, list[Any]] = {"name": [1, 2], "kind": [True, False], "accounts.row": [0.5, 1.5], "tag": ["x", "y"]}
    accounts = pd.DataFrame({"account": ["a", "b"], "platform": "n"} | extra)
    system = System(nodes=pd.DataFrame({"node": ["n"]}), accounts=accounts, claims=pd.DataFrame({"tag": [1]}).head(0))
    graph = assert_round_trip(system)
    assert graph.nodes["a"]["kind"] == "account"
    assert graph.nodes["a"]["accounts.kind"] is True


def test_repeated_names_and_unreadable_numbers_survive() -> None:
    system = System(
        nodes=pd.DataFrame({"node": ["n", "n"], "buffer": ["1", "x"]}),
        claims=pd.DataFrame({"creditor": ["n"], "debtor": ["n"], "amount": ["much"]}),
    )
    graph = assert_round_trip(system)
    assert graph.edges["n", "n", 0]["amount"] == "much"


NAMES = st.lists(
    st.text(min_size=1, max_size=4) | st.sampled_from(["007", "NA", "nan", "account:x", "x"]),
    min_size=2,
    max_size=5,
    unique=True,
)
NUMBERS = st.floats(allow_nan=False, width=64)


@settings(max_examples=25, deadline=None)
@given(nodes=NAMES, assets=NAMES, accounts=NAMES, numbers=st.lists(NUMBERS, min_size=6, max_size=6), data=st.data())
def test_any_names_and_floats_round_trip(
    nodes: list[str], assets: list[str], accounts: list[str], numbers: list[float], data: st.DataObject
) -> None:
    def pick(names: list[str]) -> list[str]:
        return data.draw(st.lists(st.sampled_from(names), min_size=6, max_size=6))

    def frame(**columns: Any) -> pd.DataFrame:
        return pd.DataFrame(columns).astype({name: "str" for name in columns if name not in ("quantity", "amount")})

    system = System(
        nodes=frame(node=nodes),
        assets=frame(asset=assets, issuer=pick(["", *nodes])[: len(assets)] + [""] * max(0, len(assets) - 6)),
        accounts=frame(account=accounts, platform=nodes[0]),
        positions=frame(account=pick(accounts), asset=pick(assets), quantity=numbers),
        claims=frame(creditor=pick([*nodes, *accounts]), debtor=pick(nodes), amount=numbers),
    )
    assert_round_trip(system)


def test_a_graph_made_by_hand_needs_only_kinds() -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_node("bank", kind="institution", buffer=2)
    graph.add_node("dex", kind="protocol")
    graph.add_node("BTC", kind="native")
    graph.add_node("dex:BTC", kind="market", venue="dex", asset="BTC", price=50_000)
    graph.add_node("whale", kind="account", platform="dex")
    graph.add_edge("whale", "BTC", kind="collateral", quantity=3)
    graph.add_edge("bank", "dex", kind="claim", amount=7)
    graph.add_edge("whale", "dex:BTC", kind="quote", amount=100)
    graph.add_edge("dex", "dex:BTC", kind="oracle")
    graph.add_edge("dex", "BTC", kind="terms", weight=0.8)
    graph.add_edge("whale", "dex", kind="margin")
    graph.edges["dex", "dex:BTC", 0]["asset"] = "BTC"
    system = System.from_networkx(graph)
    assert problems(system) == []
    assert list(system.claims.loc[0, ["creditor", "debtor", "amount"]]) == ["bank", "dex", 7.0]
    assert list(system.positions.loc[0, ["account", "asset", "side", "quantity"]]) == [
        "whale",
        "BTC",
        "collateral",
        3.0,
    ]
    assert system.quotes.loc[0, "depth"] == 100.0
    assert system.nodes["buffer"].tolist() == [2.0, 0.0]
    assert system.terms.loc[0, "weight"] == 0.8


def test_a_graph_without_kinds_is_one_clear_error() -> None:
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    graph.add_nodes_from(range(8))
    graph.add_edge(1, 2)
    with pytest.raises(InputError) as caught:
        System.from_networkx(graph)  # type: ignore[arg-type]
    assert caught.value.problems == (
        "graph: nodes 0, 1, 2, 3, 4 and 3 more without a known kind; give the attribute kind: exchange, protocol, "
        "institution, market, account, or the kind of an asset",
        "graph: edge 1 → 2 without a known kind; give the attribute kind: collateral, debt, perp, terms, oracle, "
        "route, claim, quote, funding, arbitrage",
    )


def test_extra_columns_that_no_longer_fit_their_type_are_kept_as_they_are() -> None:
    graph = System(nodes=pd.DataFrame({"node": ["a", "b"], "rank": [1, 2]})).to_networkx()
    graph.nodes["a"]["rank"] = "first"
    assert System.from_networkx(graph).nodes["rank"].tolist() == ["first", 2]


def test_rows_that_name_nothing_cannot_be_drawn() -> None:
    positions = pd.DataFrame({"account": ["a", *["zz"] * 7], "asset": "BTC", "quantity": 1.0})
    with pytest.raises(InputError, match=r"positions rows 2, 3, 4, 5, 6 and 2 more: names a row that is not listed"):
        good().with_table("positions", positions).to_networkx()
