"""The command line as a user meets it: output, files and exit codes, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import contagion as ct
from contagion import cli

SCENARIO = 'name = "a fall"\n[shocks]\nA = 0.1\n[depth]\nx = 0.5\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the tables of one liquidation and its scenario beside it."""
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "kind": "exchange", "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A", "U"]}),
        markets=pd.DataFrame({"market": ["x:A", "x:U"], "venue": "x", "asset": ["A", "U"], "price": 1.0}).assign(
            depth=[2.0, float("inf")]
        ),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8, "cost": 0.05}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x", "group": "whale"}),
        positions=pd.DataFrame(
            {"account": "a", "asset": ["A", "U"], "side": ["collateral", "debt"], "quantity": [10.0, 7.6]}
        ),
    )
    ct.write_system(system, tmp_path / "tables")
    (tmp_path / "fall.toml").write_text(SCENARIO, "utf-8")
    return tmp_path


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "contagion", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160", "NO_COLOR": "1"}
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def test_solve_writes_everything_twice_the_same(folder: Path) -> None:
    done = run("solve", folder / "tables", folder / "fall.toml", "--out", folder / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a fall: loss $1.9, liquidated $10" in done.stdout
    assert "whale @ x" in done.stdout
    files = {file.name: file.read_bytes() for file in (folder / "out").iterdir()}
    tables = "ranking markets accounts nodes rounds prices quotes liquidations knife_edge"
    pictures = "cascade.svg cascade.png exposures.svg exposures.png"
    assert set(files) == {f"{name}.csv" for name in tables.split()} | set(pictures.split()) | {"run.json"}
    accounts = pd.read_csv(folder / "out" / "accounts.csv", index_col="account")
    assert accounts["equity_after"]["a"] == pytest.approx(2.4 - 1.865612546769761, rel=1e-12)
    record = json.loads(files["run.json"])
    assert record["converged"] is True
    assert record["totals"]["loss"] == pytest.approx(1.865612546769761, rel=1e-12)
    assert record["scenario"]["depth"] == {"x": 0.5}
    assert set(record["input"]) == {"nodes", "assets", "markets", "terms", "accounts", "positions"}
    run("solve", folder / "tables", folder / "fall.toml", "--out", folder / "out")
    assert {file.name: file.read_bytes() for file in (folder / "out").iterdir()} == files


def test_check_lists_every_problem(folder: Path) -> None:
    (folder / "tables" / "positions.csv").write_text(
        "account,asset,side,quantity\na,A,collateral,nan\nb,A,collateral,1\n", "utf-8"
    )
    done = run("check", folder / "tables")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "nan" in done.stderr
    assert "'b'" in done.stderr


def test_check_of_good_tables_shows_warnings(folder: Path) -> None:
    markets = (folder / "tables" / "markets.csv").read_text("utf-8").replace(",2.0", ",0.0")
    (folder / "tables" / "markets.csv").write_text(markets, "utf-8")
    done = run("check", folder / "tables", folder / "fall.toml")
    assert done.returncode == 0
    assert "no problems, 1 warnings" in done.stdout
    assert "no depth" in done.stdout


def test_check_of_a_scenario_with_an_unknown_name(folder: Path) -> None:
    (folder / "fall.toml").write_text('[shocks]\n"x:AA" = 0.1\n', "utf-8")
    done = run("check", folder / "tables", folder / "fall.toml")
    assert done.returncode == 1
    assert "did you mean 'x:A'" in done.stderr


def test_rank_and_draw(folder: Path) -> None:
    done = run("rank", folder / "tables", folder / "fall.toml", "--out", "ranking.csv", "--top", 1, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "and 3 more" in done.stdout
    assert pd.read_csv(folder / "ranking.csv")["rank"].tolist() == [1, 2, 3, 4]
    for arguments in (["tables"], ["tables", "fall.toml", "--out", "cascade"]):
        drawn = run("draw", *arguments, cwd=folder)
        assert (drawn.returncode, drawn.stderr) == (0, "")
        assert all((folder / line).stat().st_size > 1000 for line in drawn.stdout.split())


def test_demo_of_a_small_dataset(tmp_path: Path) -> None:
    done = run("demo", "--dataset", "loop_lending", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    scenarios = ct.datasets.load("loop_lending")[1]
    assert {path.name for path in (tmp_path / "contagion-demo").iterdir()} == set(scenarios)
    assert all(name in done.stdout for name in scenarios)


def test_doctor_names_what_it_found() -> None:
    done = run("doctor")
    assert done.returncode == 0
    for word in ("python", "contagion", "renderer", "fonts", "threads"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["solve"], 2, "Missing argument"),
        (["sovle"], 2, "No such command"),
        (["demo", "--dataset", "october_2052"], 1, "october_2025"),
        (["check", "nowhere"], 1, "nowhere: not there"),
        (["check", ".", "nowhere.toml"], 1, "no table"),
    ],
)
def test_wrong_calls(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_fixed_point_the_exit_code_is_three(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    solve = ct.solve
    monkeypatch.setattr(ct, "solve", lambda *a, **k: solve(*a, **(k | {"max_rounds": 1})))
    monkeypatch.setattr(
        sys,
        "argv",
        ["contagion", "solve", str(folder / "tables"), str(folder / "fall.toml"), "--out", str(folder / "out")],
    )
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == cli.NOT_CONVERGED == 3
    captured = capsys.readouterr()
    assert "NOT CONVERGED" in captured.out
    assert "not a result" in captured.err
    assert json.loads((folder / "out" / "run.json").read_text("utf-8"))["converged"] is False


@pytest.mark.parametrize(("error", "code"), [(ct.InputError("no"), 1), (ct.NotConverged("not yet"), 3)])
def test_errors_become_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == code
    assert capsys.readouterr().err == f"contagion: {error}\n"
