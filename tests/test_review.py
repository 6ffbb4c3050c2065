"""What is valid and may not be meant."""

import math
from typing import Any

import pandas as pd
import pytest

import contagion as ct
from contagion import System, generate
from contagion.review import review
from tests.test_validate import good


def warned(system: System) -> list[tuple[str, int, str, str]]:
    frame = review(system).fillna({"row": 0})
    return list(frame[["table", "row", "name", "warning"]].itertuples(index=False, name=None))


def test_review_of_a_clean_system_is_an_empty_frame() -> None:
    frame = review(System(nodes=pd.DataFrame({"node": ["x"]})))
    assert list(frame.columns) == ["table", "row", "name", "warning", "value", "text"]
    assert frame.empty


def test_review_refuses_an_invalid_system() -> None:
    with pytest.raises(ct.InputError, match="did you mean 'Aave:BTC'"):
        review(good(quotes={"market": ["Aave:BTX"]}))


def test_review_names_what_may_not_be_meant() -> None:
    assert warned(good()) == [
        ("accounts", 2, "b", "liquidated_at_opening"),
        ("quotes", 1, "b", "quote_withdrawn_at_opening"),
        ("positions", 3, "Binance / default mode / BTC", "no_terms"),
        ("assets", 2, "USDe", "issuer_without_liabilities"),
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"markets": {"depth": [10, math.inf, 0]}}, ("markets", 3, "Binance:USDe", "no_depth")),
        ({"oracles": {"value": [7, 99]}}, ("oracles", 1, "Aave", "value_unused")),
        ({"nodes": {"liabilities": [1, 2, 3]}}, ("nodes", 2, "Binance", "liabilities_below_claims")),
        ({"accounts": {"call_policy": ["none", "fund"]}}, ("funding", 1, "a", "funding_unused")),
        ({"accounts": {"call_policy": ["fund", "fund"]}}, ("accounts", 2, "b", "funding_missing")),
        ({"accounts": {"call_policy": ["fund", "delever"]}}, ("accounts", 2, "b", "called_at_opening")),
        ({"accounts": {"mode": ["zz", ""]}}, ("positions", 1, "Aave / zz / BTC", "no_terms_in_mode")),
        (
            {"positions": {"side": ["collateral"] * 3, "quantity": [1, 1, 1]}},
            ("positions", 2, "Binance / default mode / USDe", "no_terms"),
        ),
        ({"nodes": {"remark": ["x", "y", "z"]}}, ("nodes", 0, "remark", "extra_column")),
        (
            {"assets": {"issuer": ["fund", ""]}, "markets": {"pegged_to": ["Binance:BTC", "", ""]}},
            ("markets", 1, "Aave:BTC", "issuer_counts_twice"),
        ),
        ({"accounts": {"stop_loss": [math.nan, 0.5]}}, ("accounts", 2, "b", "stop_loss_at_opening")),
        ({"markets": {"price": [100, 49, 1]}}, ("arbitrage", 1, "Aave:BTC", "linked_prices_differ")),
        (
            {
                "positions": {
                    "account": ["a"] * 3,
                    "asset": ["BTC"] * 3,
                    "side": ["collateral"] * 3,
                    "quantity": [1, 2, 1],
                    "entry_price": [math.nan] * 3,
                }
            },
            ("positions", 3, "a", "repeated_row"),
        ),
        (
            {"claims": {"creditor": ["fund"] * 2, "debtor": ["Binance"] * 2, "amount": [2, 2]}},
            ("claims", 2, "fund", "repeated_row"),
        ),
    ],
)
def test_each_warning(changes: dict[str, dict[str, list[Any]]], expected: tuple[str, int, str, str]) -> None:
    assert expected not in warned(good())
    assert expected in warned(good(**changes))


def test_review_counts_positions_of_an_asset_without_a_market() -> None:
    system = good(markets={"asset": ["BTC", "BTC", "BTC"]})
    frame = review(system).set_index("warning")
    assert list(frame.loc["no_market", ["name", "value"]]) == ["USDe", 1.0]


def test_review_gives_the_surplus_at_opening() -> None:
    frame = review(good()).set_index("warning")
    # owes 2 USDe at 1 and holds a short perp opened at the market price
    assert frame.loc["liquidated_at_opening", "value"] == -2.0


def test_tokens_that_accounts_hold_count_as_liabilities_of_their_issuer() -> None:
    held = {"side": ["collateral", "collateral", "perp"], "asset": ["BTC", "USDe", "BTC"]}
    for owed, found in ((1.9, True), (2.0, False), (math.nan, False)):
        frame = review(good(positions=held, nodes={"liabilities": [math.nan, math.nan, owed]}))
        below = frame[frame["warning"] == "liabilities_below_claims"]
        assert below["name"].tolist() == ["fund"] * found
        assert below["value"].tolist() == [2.0] * found
        assert ("issuer_without_liabilities" in frame["warning"].tolist()) == math.isnan(owed)
    lent = good(positions=held | {"side": ["collateral", "debt", "perp"]}, nodes={"liabilities": [0, 3, 1]})
    assert "liabilities_below_claims" not in review(lent)["warning"].tolist()


def test_claims_and_tokens_add_up() -> None:
    held = {"side": ["collateral", "collateral", "perp"], "asset": ["BTC", "USDe", "BTC"]}
    claims: dict[str, list[Any]] = {"creditor": ["a"], "debtor": ["fund"], "amount": [5.0]}
    frame = review(good(positions=held, claims=claims)).set_index("warning")
    assert list(frame.loc["liabilities_below_claims", ["name", "value"]]) == ["fund", 7.0]


def test_an_account_named_like_a_node_asks_for_its_owner() -> None:
    accounts = pd.DataFrame({"account": ["fund"], "platform": "Aave"})
    system = System(nodes=pd.DataFrame({"node": ["Aave", "fund"]}), accounts=accounts)
    assert warned(system) == [("accounts", 1, "fund", "owner_missing")]
    assert warned(system.with_table("accounts", accounts.assign(owner="fund"))) == []
    assert warned(system.with_table("accounts", accounts.assign(owner="somebody"))) == []


def test_a_system_without_a_row_is_named() -> None:
    assert warned(System()) == [("nodes", 0, "system", "empty")]


def test_a_generated_system_has_nothing_to_look_at() -> None:
    assert warned(generate.system(accounts=500, seed=3)[0]) == []


@pytest.mark.parametrize(
    ("holdings", "caught"),
    [
        ([("a", "A")], ["a"]),  # its own token
        ([("a", "B"), ("b", "A")], ["a", "b"]),  # each the other's
        ([("a", "B"), ("b", "C")], []),  # a chain is none
    ],
)
def test_issuer_cycles(holdings: list[tuple[str, str]], caught: list[str]) -> None:
    system = ct.System(
        nodes=pd.DataFrame({"node": ["a", "b", "c"], "liabilities": 10.0}),
        assets=pd.DataFrame({"asset": ["A", "B", "C"], "issuer": ["a", "b", "c"]}),
        markets=pd.DataFrame(
            {"market": ["mA", "mB", "mC"], "venue": "a", "asset": ["A", "B", "C"], "price": 1.0}
        ).assign(depth=1.0),
        accounts=pd.DataFrame({"account": [f"x{i}" for i in range(len(holdings))], "platform": "c"}).assign(
            owner=[owner for owner, _ in holdings]
        ),
        positions=pd.DataFrame({"account": [f"x{i}" for i in range(len(holdings))], "quantity": 1.0}).assign(
            asset=[asset for _, asset in holdings], weight=0.5
        ),
    )
    found = review(system)
    assert found.loc[found["warning"] == "issuer_cycle", "name"].tolist() == caught
