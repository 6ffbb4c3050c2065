"""When rounds may set out from something milder: every condition by itself."""

import pandas as pd
import pytest
from hypothesis import given

import contagion as ct
from contagion.arrays import lower
from contagion.stress.order import grows_with_multiple, keeps_order
from tests.stress_systems import borrowers, examples, seeds
from tests.test_properties import isotone


def ordered(system: ct.System) -> bool:
    ct.validate(system)
    return keeps_order(lower(system, ct.Scenario())[0])


def with_position(**position: object) -> ct.System:
    """Return a long-only system with one more position, and a dollar that does not move beside A."""
    system = borrowers(7.6, 7.0)
    dollar = system.markets.assign(market="x:U", asset="U", depth=float("inf"))
    system = system.with_table("assets", pd.DataFrame({"asset": ["A", "U"]}))
    system = system.with_table("markets", pd.concat([system.markets, dollar]))
    added = pd.DataFrame([{"account": "a0", "asset": "A", "quantity": 1.0, **position}])
    return system.with_table("positions", pd.concat([system.positions, added]))


@examples(40)
@given(seeds)
def test_long_only_systems_keep_the_order(seed: int) -> None:
    system, scenario = isotone(seed)
    assert keeps_order(lower(system, scenario)[0])


@pytest.mark.parametrize(
    ("position", "kept"),
    [
        ({"side": "collateral"}, True),
        ({"side": "perp", "entry_price": 1.0}, True),
        ({"side": "perp", "entry_price": 1.0, "quantity": -1.0}, False),
        ({"side": "debt"}, False),
        ({"side": "debt", "asset": "U"}, True),
    ],
)
def test_shorts_and_debts_in_what_moves_bend_it(position: dict[str, object], kept: bool) -> None:
    assert ordered(with_position(**position)) == kept


def test_a_dollar_that_an_issuer_backs_or_a_peg_moves_is_a_short_to_owe() -> None:
    system = with_position(side="debt", asset="U")
    issued = system.with_table("assets", system.assets.assign(issuer="x"))
    assert not ordered(issued)
    pegged = system.markets.assign(pegged_to=system.markets["market"].map({"x:U": "x:A"}).fillna(""))
    assert not ordered(system.with_table("markets", pegged))
    shocked, _ = lower(system, ct.Scenario(shocks={"U": 0.1}))
    assert not keeps_order(shocked)


def test_heavy_perps_owned_accounts_and_funded_calls_bend_it() -> None:
    system = with_position(side="perp", entry_price=1.0, maintenance=0.5)
    rules = system.nodes.assign(margin_rule="maintenance")
    assert ordered(system.with_table("nodes", rules))
    assert not ordered(system.with_table("nodes", rules.assign(liquidation_level=2.5)))
    system = borrowers(7.6, 7.0)
    assert not ordered(system.with_table("accounts", system.accounts.assign(owner="x")))
    funding = pd.DataFrame({"account": ["a0"], "source": "a1"})
    funded = system.with_table("funding", funding)
    assert ordered(funded)  # nobody asks for it
    assert not ordered(funded.with_table("accounts", system.accounts.assign(call_policy="fund")))


@pytest.mark.parametrize(
    ("scenario", "links", "grows"),
    [
        (ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}, losses={"x": 1.0}), True, True),
        (ct.Scenario(depth={"x": 1.5}), False, False),
        (ct.Scenario(arbitrage=0.5), True, False),
        (ct.Scenario(arbitrage=0.5), False, True),
        (ct.Scenario(arbitrage=2.0), True, False),
    ],
)
def test_what_grows_with_the_multiple(scenario: ct.Scenario, links: bool, grows: bool) -> None:
    assert grows_with_multiple(scenario, links) == grows
