"""Every script in examples/ runs; real accounts, claims and portfolios give what sources or plain sums say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from tests import oracle
from tests.test_oracle import compare

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
AAVE = ROOT / "examples" / "aave_accounts.py"
DATA = Path(os.environ.get("CONTAGION_AAVE_DATA", ROOT / "../shared/data/aave-v3-steth-2023"))
NETWORKS = Path(os.environ.get("CONTAGION_NETWORK_DATA", ROOT / "../shared/data"))
COUNTRIES = [NETWORKS / "bis-country-network" / f"{year}.json" for year in (2008, 2016, 2025)]
BANKS = NETWORKS / "eba-2011" / "cleaned_data_2011.csv"
QUARTERS = {1: 8_856, 31: 7_639, 59: 6_328}
US_BANKS = NETWORKS / "us-bank-portfolios"

needs_data = pytest.mark.skipif(
    not (DATA / "steth_aave_v3.csv").is_file(),
    reason=f"no steth_aave_v3.csv in {DATA}: set CONTAGION_AAVE_DATA to the folder data of "
    "github.com/lidofinance/aave-liquidation-model",
)


needs_countries = pytest.mark.skipif(
    not all(path.is_file() for path in COUNTRIES),
    reason=f"no bis-country-network in {NETWORKS}: set CONTAGION_NETWORK_DATA to a folder in which that is the folder "
    "data-pipeline/out/by_year of github.com/lastch1ld/debtrank-globe",
)
needs_banks = pytest.mark.skipif(
    not BANKS.is_file(),
    reason=f"no eba-2011 in {NETWORKS}: set CONTAGION_NETWORK_DATA to a folder in which that is the folder "
    "dataArtAssessingSystemicRisk/EBA_stress_test_data/2011 of github.com/domenicodigangi/GraphsData",
)


def run(script: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(script), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("script", [path for path in EXAMPLES if path != AAVE], ids=lambda path: path.stem)
def test_example_runs(script: Path, tmp_path: Path) -> None:
    done = run(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= 4, "a table and a sentence"


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example_asks_one_question_in_few_lines(script: Path) -> None:
    text = script.read_text("utf-8")
    docstring = text.split('"""')[1]
    assert docstring.count("Question: ") == docstring.count("Answer: ") == 1
    assert len(text.splitlines()) <= (60 if script != AAVE else 300)


def test_there_are_enough_examples() -> None:
    assert len(EXAMPLES) >= 6


def test_aave_example_says_what_is_missing(tmp_path: Path) -> None:
    done = run(AAVE, tmp_path, str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "github.com/lidofinance/aave-liquidation-model" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def imported(script: Path) -> ModuleType:
    spec = util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return imported(AAVE)


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return pd.read_csv(DATA / "steth_aave_v3.csv", index_col=0)


@pytest.fixture(scope="module")
def system(example: ModuleType) -> ct.System:
    built: ct.System = example.build(*example.read_accounts(DATA))
    return built


@pytest.fixture(scope="module")
def first(example: ModuleType, system: ct.System) -> pd.DataFrame:
    found: pd.DataFrame = example.first_round(system)
    return found


@needs_data
def test_stored_health_factors_are_reproduced(system: ct.System, raw: pd.DataFrame) -> None:
    accounts = ct.solve(system).accounts.loc[raw["user"]]
    assert len(accounts) == 502
    np.testing.assert_allclose(accounts["health"], raw["healthf"], rtol=1e-9)
    np.testing.assert_allclose(accounts["gross_assets_before"], raw["collateral"], rtol=1e-12)
    np.testing.assert_allclose(accounts["debt_before"], raw["debt"], rtol=1e-12)


@needs_data
@pytest.mark.parametrize(
    ("shock", "accounts", "debt"),
    [
        ("all collateral and ETH debts -30 %", 56, 53.81e6),
        ("all collateral -5 %", 19, 34.82e6),
        ("all collateral -10 %", 63, 143.07e6),
        ("wstETH -10 %", 59, 138.28e6),
    ],
)
def test_first_round_is_that_of_the_source(first: pd.DataFrame, shock: str, accounts: int, debt: float) -> None:
    assert first.loc[shock, "accounts"] == accounts
    assert first.loc[shock, "debt"] == pytest.approx(debt, abs=5e3)


@needs_data
def test_first_round_agrees_with_arithmetic_on_the_raw_columns(first: pd.DataFrame, raw: pd.DataFrame) -> None:
    collateral = raw["collateral"] - 0.1 * np.minimum(raw["collateral_steth_calc"], raw["collateral"])
    below = collateral * raw["threshold"] / 1e4 < raw["debt"]
    assert first.loc["wstETH -10 %", "accounts"] == below.sum()
    assert first.loc["wstETH -10 %", "debt"] == pytest.approx(raw["debt"][below].sum(), rel=1e-9)


@needs_data
def test_sales_make_every_shock_worse(example: ModuleType, system: ct.System, first: pd.DataFrame) -> None:
    fixed = example.summary(example.feedback(system))
    assert (fixed["accounts"] > first["accounts"]).all()
    assert (fixed["wstETH_drop_by_sales"] > 0.0).all()


@needs_data
def test_fixed_point_of_real_accounts_is_that_of_the_slow_solver(example: ModuleType, system: ct.System) -> None:
    shocks = example.FIRST_ROUND["wstETH -10 %"]
    tables = {
        table: [{str(name): cell for name, cell in row.items() if cell == cell and cell != ""} for row in rows]
        for table, rows in ((table, frame.to_dict("records")) for table, frame in system.tables())
    }
    compare(ct.solve(system, ct.Scenario(shocks=shocks)), oracle.solve(tables, {"shocks": shocks}), "aave")


@needs_data
def test_script_writes_tables_and_a_diagram(tmp_path: Path) -> None:
    done = run(AAVE, tmp_path, str(DATA), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "502 accounts" in done.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {"first_round.csv", "fixed_point.csv", "ranking.csv", "accounts.csv", "markets.csv", "nodes.csv"}
    assert expected | {"contagion.svg", "contagion.png", "system"} <= written
    assert ct.read_system(tmp_path / "out" / "system").positions["quantity"].gt(0.0).all()


@needs_countries
@pytest.mark.parametrize("path", COUNTRIES, ids=lambda path: path.stem)
def test_claims_are_read_with_debtors_in_rows(path: Path) -> None:
    debts, equity = imported(ROOT / "examples" / "country_claims.py").read(str(path))
    raw = json.loads(path.read_text("utf-8"))
    assert debts.shape == (217, 217)
    assert debts.index.equals(equity.index)
    assert all(debts.loc[edge["debtor"], edge["creditor"]] == edge["amount"] for edge in raw["edges"])
    assert (debts > 0.0).sum().sum() == sum(edge["amount"] > 0.0 for edge in raw["edges"])


@needs_countries
@pytest.mark.parametrize("path", COUNTRIES, ids=lambda path: path.stem)
def test_models_on_real_claims_are_those_of_plain_iteration(path: Path, tmp_path: Path) -> None:
    """Payments and distress by iterating their equations on dense arrays; the script prints their sums."""
    debts, capital = (frame.to_numpy() for frame in imported(ROOT / "examples" / "country_claims.py").read(str(path)))
    first = int(np.argmax(debts.sum(axis=1)))
    owed, assets = debts.sum(axis=1) + debts.sum(axis=0), capital + debts.sum(axis=1)
    assets[first] -= capital[first] + 0.2 * owed[first]
    payments, distress = owed.copy(), np.where(np.arange(capital.size) == first, 1.0, 0.0)
    start, shares = distress.copy(), debts / np.maximum(owed, 1.0)[:, None]
    for _ in range(2_000):
        payments = np.minimum(owed, assets + payments @ shares)
        distress = np.minimum(1.0, start + (distress @ debts) / capital)
    equity = np.maximum(assets + payments @ shares - owed, 0.0)
    others = np.arange(capital.size) != first
    lost = {"clearing": (capital - equity)[others].sum(), "debtrank": (distress * capital)[others].sum()}
    failed = {"clearing": (payments < owed * (1 - 1e-9))[others].sum(), "debtrank": (distress > 1 - 1e-9)[others].sum()}
    done = run(ROOT / "examples" / "country_claims.py", tmp_path, str(path), str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    for model in ("clearing", "debtrank"):
        share = lost[model] / capital[others].sum()
        found = f"{model}: the others lose {lost[model] / 1e9:,.0f}, {share:.1%} of their equity; {failed[model]} of"
        assert found in done.stdout
    assert (tmp_path / "country-claims.png").read_bytes().startswith(b"\x89PNG")


@needs_banks
def test_vulnerable_banks_of_2011_are_those_of_the_matrix_formula() -> None:
    """AV = 1' A M L M' B A M f / E with dense matrices, as Greenwood, Landier and Thesmar (2015) write it."""
    module = imported(ROOT / "examples" / "bank_portfolios.py")
    holdings, equity = module.read(str(BANKS))
    assert holdings.shape == (90, 42)
    total = holdings.to_numpy().sum(axis=1)
    shares = holdings.to_numpy() / total[:, None]
    shock = np.where(holdings.columns.isin(module.FALLING), 0.5, 0.0)
    leverage = np.minimum((total - equity) / equity, 30.0)
    caused = 1e-13 * total @ shares @ shares.T @ np.diag(leverage * total * (shares @ shock)) / equity.sum()
    result = module.run(holdings, equity)
    np.testing.assert_allclose(result.systemicness, caused, rtol=1e-12, atol=0.0)
    assert result.aggregate_vulnerability == pytest.approx(caused.sum(), rel=1e-12)
    bonds = holdings[module.FALLING].to_numpy().sum()
    assert result.direct_effect == pytest.approx(0.5 * bonds / equity.sum(), rel=1e-12)


@needs_banks
def test_script_runs_on_the_banks_of_2011(tmp_path: Path) -> None:
    done = run(ROOT / "examples" / "bank_portfolios.py", tmp_path, str(BANKS))
    assert (done.returncode, done.stderr) == (0, "")
    assert "90 banks" in done.stdout


needs_us_banks = pytest.mark.skipif(
    not all((US_BANKS / f"matr_{quarter}.csv").is_file() for quarter in QUARTERS),
    reason=f"no us-bank-portfolios in {NETWORKS}: set CONTAGION_NETWORK_DATA to a folder in which that is the folder "
    "dataArtAssessingSystemicRisk/US_com_banks/csv_data of github.com/domenicodigangi/GraphsData",
)


@needs_us_banks
@pytest.mark.parametrize("quarter", list(QUARTERS))
def test_vulnerability_of_all_us_commercial_banks_is_that_of_plain_sums(quarter: int) -> None:
    """2001Q1, 2008Q3 and 2015Q3, all banks with positive equity: a fall of all assets but cash by 1 %.

    By sums over asset classes, without the matrix formula: what each class is sold for, how far its price falls, and
    what all banks hold of it.
    """
    held = pd.read_csv(US_BANKS / f"matr_{quarter}.csv", header=None, index_col=0).astype(float) * 1e3
    equity = pd.read_csv(US_BANKS / f"equities_{quarter}.csv", header=None, index_col=0)[1].astype(float) * 1e3
    holdings = held[(equity > 0.0).to_numpy() & (held.sum(axis=1) > 0.0).to_numpy()]
    own = equity.loc[holdings.index]
    shock, impact = np.where(np.arange(20) == 0, 0.0, 0.01), np.where(np.arange(20) == 0, 0.0, 1e-13)
    result = ct.clearing.vulnerable_banks(holdings, own, shock, impact, leverage_cap=30.0)
    sold_of, lost = np.zeros(20), 0.0
    for row, capital in zip(holdings.to_numpy(), own, strict=True):
        assets = row.sum()
        sale = min((assets - capital) / capital, 30.0) * (row @ shock)
        sold_of += sale * row / assets
    for column in range(20):
        lost += holdings.to_numpy()[:, column].sum() * sold_of[column] * impact[column]
    assert result.aggregate_vulnerability == pytest.approx(lost / own.sum(), rel=1e-10)
    assert result.systemicness.sum() == pytest.approx(result.aggregate_vulnerability, rel=1e-10)
    assert len(holdings) > 0.9 * QUARTERS[quarter]
