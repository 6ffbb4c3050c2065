from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

import contagion as ct
from contagion import datasets
from contagion.data.october_2025.build import build
from contagion.data.october_2025.tables import HERE, VENUES
from contagion.schema import TABLES

ENDLESS_DEPTH = dict.fromkeys([*VENUES, "Uniswap", "Curve"], 1e12)


@cache
def solved(scenario: str) -> ct.Solution:
    system, scenarios = datasets.load("october_2025")
    return ct.solve(system, scenarios[scenario])


@cache
def loop(scenario: str) -> ct.Solution:
    system, scenarios = datasets.load("loop_lending")
    return ct.solve(system, scenarios[scenario])


def cell(frame: pd.DataFrame, row: str, column: str) -> float:
    return float(frame[column].to_dict()[row])


def drop(scenario: str, market: str) -> float:
    return cell(solved(scenario).markets, market, "drop")


def liquidated(scenario: str, platform: str, asset: str | None = None) -> float:
    """USD closed by the platform itself, not by owners who answer calls elsewhere."""
    solution = solved(scenario)
    accounts = solution.accounts
    named = accounts[(accounts["platform"] == platform) & (accounts["cause"] == "liquidation")]
    if asset is not None:
        positions = solution.system.positions
        holders = positions.loc[(positions["asset"] == asset) & (positions["side"] == "collateral"), "account"]
        named = named[named.index.isin(holders)]
    return float((named["liquidated"] * named["gross_assets_before"]).sum())


def test_names_are_the_folders_with_tables() -> None:
    assert datasets.names() == ("loop_lending", "october_2025")


def test_unknown_name_offers_the_near_miss() -> None:
    with pytest.raises(ct.InputError, match="did you mean 'october_2025'"):
        datasets.load("october_2024")


@pytest.mark.parametrize("name", datasets.names())
def test_every_scenario_is_valid_and_converges(name: str) -> None:
    system, scenarios = datasets.load(name)
    for scenario in scenarios.values():
        ct.validate(scenario.apply(system), scenario)
        solution = solved(scenario.name) if name == "october_2025" else loop(scenario.name)
        assert solution.converged
        assert len(solution.rounds) < 1000
        assert solution.stock_flow["residual"] == pytest.approx(
            0.0, abs=1e-12 * solution.accounts["gross_assets_before"].sum()
        )


@pytest.mark.parametrize("name", datasets.names())
def test_nothing_happens_without_a_shock(name: str) -> None:
    solution = ct.solve(datasets.load(name)[0])
    assert solution.totals["loss"] == 0.0
    assert solution.accounts["called_round"].isna().all()
    assert not solution.accounts["liquidated"].any()


def test_scenarios_come_with_the_main_case_first() -> None:
    assert list(datasets.load("october_2025")[1]) == ["record", "narrative", "transfers_open", "mild"]
    assert list(datasets.load("loop_lending")[1]) == ["fall_10", "fall_25", "wipe_out", "thin_exit"]


class TestLoopLending:
    def test_five_rounds_at_80_percent(self) -> None:
        account = loop("fall_10").accounts.iloc[0]
        collateral = 100_000 * (1 - 0.8**6) / 0.2
        assert collateral == pytest.approx(368_928, rel=1e-15)
        assert account["gross_assets_before"] == 368_928
        assert account["debt_before"] == 268_928
        assert account["equity_before"] == 100_000
        assert account["leverage_before"] == pytest.approx(3.68928, rel=1e-15)

    def test_a_tenth_leaves_the_loop_whole(self) -> None:
        account = loop("fall_10").accounts.iloc[0]
        assert account["liquidated"] == 0.0
        assert account["equity_after"] == pytest.approx(100_000 - 36_892.8, rel=1e-12)

    def test_a_quarter_takes_92_percent_of_the_equity(self) -> None:
        account = loop("fall_25").accounts.iloc[0]
        assert account["equity_after"] == pytest.approx(7_768, rel=1e-12)
        short = 268_928 - 0.85 * 0.75 * 368_928
        assert account["liquidated"] == pytest.approx(short / (7_768 + short), rel=1e-12)

    def test_one_over_leverage_wipes_it_out(self) -> None:
        account = loop("wipe_out").accounts.iloc[0]
        assert account["equity_marked"] == pytest.approx(0.0, abs=1e-6)
        assert loop("wipe_out").totals["loss"] == pytest.approx(100_000, abs=1e-6)

    @pytest.mark.parametrize(("nudge", "touched"), [(-1e-9, False), (1e-9, True)])
    def test_liquidation_price_is_one_less_one_over_leverage_over_the_threshold(
        self, nudge: float, touched: bool
    ) -> None:
        price = (1 - 1 / 3.68928) / 0.85
        solution = ct.solve(datasets.load("loop_lending")[0], ct.Scenario(shocks={"USDe": 1 - price + nudge}))
        assert bool(solution.accounts.iloc[0]["liquidated"] > 0.0) is touched

    def test_a_thin_exit_makes_the_fall_its_own_cause(self) -> None:
        account, market = loop("thin_exit").accounts.iloc[0], loop("thin_exit").markets.iloc[0]
        assert market["drop"] > 0.20
        assert account["loss"] > 1.3 * 0.15 * 368_928


class TestTables:
    def test_rebuilt_byte_for_byte(self, tmp_path: Path) -> None:
        build(tmp_path)
        shipped = sorted(path.name for path in HERE.glob("*.csv"))
        assert sorted(path.name for path in tmp_path.iterdir()) == shipped == sorted(f"{table}.csv" for table in TABLES)
        for name in shipped:
            assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes(), f"{name}: run build.py again"

    def test_another_seed_draws_other_accounts(self, tmp_path: Path) -> None:
        build(tmp_path, seed=1)
        assert (tmp_path / "positions.csv").read_bytes() != (HERE / "positions.csv").read_bytes()
        assert (tmp_path / "nodes.csv").read_bytes() == (HERE / "nodes.csv").read_bytes()

    def test_small(self) -> None:
        assert sum(path.stat().st_size for path in HERE.glob("*.csv")) < 600_000
        assert len(datasets.load("october_2025")[0].accounts) <= 2_000

    def test_every_element_of_the_case_is_there(self) -> None:
        system, _ = datasets.load("october_2025")
        groups = set(system.accounts["group"])
        assert groups >= {
            "loop",
            "whale pledge",
            "whale loop",
            "market maker",
            "perp long",
            "perp short",
            "hedged book",
        }
        assert groups >= {"issuer hedge", "staking carry", "borrower", "spot holder", "macro fund"}
        assert set(system.nodes["domain"]) == {"cefi", "defi", "tradfi"}
        assert {"Binance", "Bybit", "OKX", "Hyperliquid", "Uniswap", "Curve", "Aave", "Morpho", "Ethena"} <= set(
            system.nodes["node"]
        )
        assert system.assets.set_index("asset").loc["USDe", "issuer"] == "Ethena"
        makers = system.accounts.loc[system.accounts["group"] == "market maker", "account"]
        held = system.positions[system.positions["account"].isin(makers)]
        assert {"WBETH", "BNSOL", "USDe", "ALTS", "USDT"} <= set(held["asset"])
        assert set(held["side"]) == {"collateral", "debt", "perp"}
        assert set(system.accounts["call_policy"]) == {"none", "delever", "fund"}
        assert set(system.quotes["account"]) == set(makers)
        assert (system.oracles["market"] == "").any()

    def test_whales_fund_calls_across_the_domains(self) -> None:
        system, _ = datasets.load("october_2025")
        platform = system.accounts.set_index("account")["platform"]
        pairs = set(zip(system.funding["account"].map(platform), system.funding["source"].map(platform), strict=True))
        assert {("Binance Loans", "Aave"), ("Aave", "Binance Loans"), ("Prime broker", "Bybit")} <= pairs

    def test_perps_are_closed(self) -> None:
        system, _ = datasets.load("october_2025")
        perps = system.positions[system.positions["side"] == "perp"]
        venue = perps["account"].map(system.accounts.set_index("account")["platform"])
        for _, quantity in perps.groupby([venue, perps["asset"]])["quantity"]:
            assert abs(quantity.sum()) < 1e-5 * quantity.abs().sum()


class TestStory:
    def test_mild_stays_mild(self) -> None:
        system, scenarios = datasets.load("october_2025")
        direct = ct.solve(system, replace(scenarios["mild"], depth=ENDLESS_DEPTH)).totals["loss"]
        assert direct <= solved("mild").totals["loss"] < 1.05 * direct
        assert drop("mild", "Binance:USDe") < 0.001
        assert solved("mild").totals["liquidated"] < 0.5e9

    def test_the_record_tips(self) -> None:
        system, scenarios = datasets.load("october_2025")
        direct = ct.solve(system, replace(scenarios["record"], depth=ENDLESS_DEPTH)).totals["loss"]
        assert solved("record").totals["loss"] > 2.0 * direct
        below = replace(scenarios["record"], shocks={k: 0.75 * v for k, v in scenarios["record"].shocks.items()})
        assert ct.solve(system, below).totals["loss"] < 0.5 * solved("record").totals["loss"]

    @pytest.mark.parametrize(
        ("market", "low", "high"),
        [
            ("Binance:BTC", 0.12, 0.17),
            ("Binance:ETH", 0.18, 0.24),
            ("Binance:SOL", 0.22, 0.34),
            ("Binance:ALTS", 0.60, 0.80),
            ("Binance:XRP", 0.45, 0.65),
            ("Binance:DOGE", 0.55, 0.75),
            ("Binance:SUI", 0.75, 0.90),
            ("Binance:WBETH", 0.80, 0.93),
            ("Binance:BNSOL", 0.75, 0.93),
            ("Binance:USDe", 0.25, 0.36),
            ("Bybit:USDe", 0.01, 0.10),
            ("Uniswap:USDe", 0.0, 0.012),
            ("Curve:USDe", 0.0, 0.015),
            ("Bybit:BTC", 0.11, 0.15),
        ],
    )
    def test_prices_of_the_record(self, market: str, low: float, high: float) -> None:
        assert low <= drop("record", market) <= high

    def test_altcoins_fall_further_where_transfers_fail(self) -> None:
        for asset in ("ALTS", "XRP", "DOGE", "AVAX", "LINK", "ENA", "ATOM", "SUI"):
            assert drop("record", f"Binance:{asset}") > drop("record", f"Bybit:{asset}") + 0.1
        assert drop("transfers_open", "Binance:ALTS") < 0.5 * drop("record", "Binance:ALTS")
        assert drop("transfers_open", "Binance:USDe") < 0.1

    def test_liquidated_in_the_record(self) -> None:
        assert 15e9 < solved("record").totals["liquidated"] < 25e9
        assert 0.05e9 < liquidated("record", "Aave") < 0.4e9

    def test_the_peg_that_aave_reads_holds_its_loops(self) -> None:
        assert liquidated("record", "Aave", "USDe") == liquidated("record", "Aave", "sUSDe") == 0.0
        assert liquidated("narrative", "Aave", "USDe") > 1e9
        assert liquidated("narrative", "Aave", "sUSDe") > 0.5e9
        assert drop("narrative", "Curve:USDe") > 0.1
        assert solved("narrative").totals["loss"] > solved("record").totals["loss"] + 0.3e9
        assert cell(solved("narrative").nodes, "Aave", "loss") > 0.0 == cell(solved("record").nodes, "Aave", "loss")

    def test_quotes_leave(self) -> None:
        quotes = solved("record").quotes
        on_binance = quotes[quotes["market"].str.startswith("Binance:")]
        assert (on_binance["withdrawn"] * on_binance["depth"]).sum() > 0.9 * on_binance["depth"].sum()

    def test_makers_leverage_doubles_without_a_trade(self) -> None:
        accounts = solved("record").accounts
        makers = accounts[accounts["group"] == "market maker"]
        assert 2.0 < makers["leverage_before"].median() < 3.0
        assert makers["leverage"].median() > 3.0
        assert (makers["leverage"] > makers["leverage_before"]).all()

    def test_buffers_are_drawn_not_exhausted(self) -> None:
        nodes = solved("record").nodes
        assert 0.1e9 < cell(nodes, "Binance", "buffer_used") < 0.5e9
        assert cell(nodes, "Ethena", "loss") == pytest.approx(0.0, abs=1.0)
        assert cell(nodes, "Lender A", "haircut") > 0.0
        assert cell(nodes, "Credit fund", "loss_claims") > 0.0

    def test_the_chain_runs_in_order(self) -> None:
        accounts = solved("narrative").accounts
        called = accounts["called_round"].groupby(accounts["group"]).min()
        first = accounts["liquidated_round"].groupby([accounts["platform"], accounts["group"]]).median()
        assert called["macro fund"] == called["whale pledge"] == 1
        assert first["Binance Loans", "whale loop"] < first["Binance Loans", "loop"]
        assert first["Binance Loans", "loop"] <= first["Aave", "loop"] <= first["Binance Loans", "loop"] + 5
        assert first["Binance", "market maker"] < first["Binance", "staking carry"]
