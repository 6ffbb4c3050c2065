"""The command line as a user meets it: output, files and exit codes."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import contagion as ct
from contagion import cli
from contagion.cli.console import NARROWEST, SHOWN, as_table, ranking_formats, terminal

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
    """Run a command here rather than in a process of its own, which would take seconds to begin."""
    words, output, errors, code = ["contagion", *map(str, arguments)], io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        for name, value in (("COLUMNS", "160"), ("NO_COLOR", "1")):
            patched.setenv(name, value)
        patched.chdir(cwd or Path.cwd())
        patched.setattr(sys, "argv", words)
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


def test_solve_writes_everything_twice_the_same(folder: Path) -> None:
    done = run("solve", folder / "tables", folder / "fall.toml", "--out", folder / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a fall: loss $1.9, liquidated $10" in done.stdout
    assert "whale @ x" in done.stdout
    files = {file.name: file.read_bytes() for file in (folder / "out").iterdir()}
    tables = "ranking markets accounts nodes rounds prices quotes liquidations knife_edge"
    tables += " sources channels transmission throughput opening edges mitigated paths"
    pictures = {f"{name}.{kind}" for name in ("cascade", "exposures", "paths", "timeline") for kind in ("svg", "png")}
    assert set(files) == {f"{name}.csv" for name in tables.split()} | pictures | {"run.json", "reading.txt"}
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
    assert "no problems, 1 warning\n" in done.stdout
    assert "no depth" in done.stdout


def test_check_of_a_scenario_with_an_unknown_name(folder: Path) -> None:
    (folder / "fall.toml").write_text('[shocks]\n"x:AA" = 0.1\n', "utf-8")
    done = run("check", folder / "tables", folder / "fall.toml")
    assert done.returncode == 1
    assert "did you mean 'x:A'" in done.stderr


def test_rank_and_draw(folder: Path) -> None:
    done = run("rank", folder / "tables", folder / "fall.toml", "--out", "ranking.csv", "--top", 1, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "and 5 more" in done.stdout
    assert pd.read_csv(folder / "ranking.csv")["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    for arguments in (["tables"], ["tables", "fall.toml", "--out", "cascade"]):
        drawn = run("draw", *arguments, cwd=folder)
        assert (drawn.returncode, drawn.stderr) == (0, "")
        assert all((folder / line).stat().st_size > 1000 for line in drawn.stdout.split())


def test_explain_says_where_the_loss_came_from(folder: Path) -> None:
    done = run("explain", folder / "tables", folder / "fall.toml", "--out", folder / "why")
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "  round 1: 1 account of whale @ x",
        "shock:A",
        "own shock",
        "shock:A → x:A → whale @ x",
        "on other paths",
        "ρ =",
    ):
        assert said in done.stdout
    written = {file.name for file in (folder / "why").iterdir()}
    tables = {"sources", "channels", "transmission", "throughput", "opening", "edges", "mitigated", "paths"}
    tables |= {f"timeline_{name}" for name in ("rounds", "markets", "platforms", "triggers", "nodes")}
    assert {f"{name}.csv" for name in tables} | {"paths.svg", "paths.png", "reading.txt", "story.txt"} == written
    assert (folder / "why" / "reading.txt").read_text("utf-8").strip() in done.stdout
    for line in (folder / "why" / "story.txt").read_text("utf-8").splitlines():
        assert f"  {line}\n" in done.stdout
    assert pd.read_csv(folder / "why" / "sources.csv")["share"].sum() == pytest.approx(1.0, abs=1e-12)
    done = run("explain", folder / "tables", folder / "fall.toml", "--target", "price:x:B")
    assert done.returncode == 1
    assert "'x:B' is not a market" in done.stderr


def test_explain_finds_a_typo_before_it_solves(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("solved in vain")

    monkeypatch.setattr(ct, "solve", fail)
    words = ["explain", folder / "tables", folder / "fall.toml", "--target", "equity:wale", "--by", "grup, platform"]
    monkeypatch.setattr(sys, "argv", ["contagion", *map(str, words), "--out", str(folder / "why")])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("contagion: explain: 2 problems\n")
    assert said.count("(did you mean 'whale") == 1
    assert said.count("(did you mean 'group'?)") == 1
    assert not (folder / "why").exists()


def test_explain_knows_the_names_that_overrides_make(folder: Path) -> None:
    override = '[[override]]\ntable = "accounts"\nwhere = { account = "a" }\nset = { group = "shark" }\n'
    (folder / "fall.toml").write_text(SCENARIO + override, "utf-8")
    for target, code in (("equity:shark", 0), ("equity:shark @ x", 0), ("equity:whale", 1)):
        done = run("explain", folder / "tables", folder / "fall.toml", "--target", target, "--by", "account")
        assert done.returncode == code, done.stderr


def test_tip_finds_the_multiple(folder: Path) -> None:
    done = run("tip", folder / "tables", folder / "fall.toml", "--out", folder / "tip")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The scenario tips between ×0.48")  # 0.4868, by hand in docs of `tipping_point`
    assert {file.name for file in (folder / "tip").iterdir()} == {"tipping.csv", "tipping.svg", "tipping.png"}


def test_tip_without_a_loss_says_so(folder: Path) -> None:
    (folder / "fall.toml").write_text('name = "calm"\n', "utf-8")
    done = run("tip", folder / "tables", folder / "fall.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No tipping point: nothing is lost up to ×2 (21 solves)\n"


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (["solve", "tables", "fall.toml"], "out/run.json"),
        (["rank", "tables", "fall.toml"], "out"),
        (["explain", "tables", "fall.toml"], "out/story.txt"),
        (["tip", "tables", "fall.toml"], "out/tipping.png"),
        (["compare", "tables", "fall.toml", "fall.toml"], "out/paths.csv"),
        (["demo", "--dataset", "loop_lending"], "out/fall_10/run.json"),
    ],
)
def test_files_are_written_though_nobody_reads_on(folder: Path, command: list[str], last: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "contagion", *command, "--out", "out"]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, cwd=folder, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
    assert (folder / last).stat().st_size > 0


def test_compare_says_what_changes(folder: Path) -> None:
    (folder / "mild.toml").write_text('name = "mild"\n[shocks]\nA = 0.01\n', "utf-8")
    done = run("compare", folder / "tables", folder / "mild.toml", folder / "fall.toml", "--out", folder / "both")
    assert (done.returncode, done.stderr) == (0, "")
    assert "loss" in done.stdout
    assert "mild →" in done.stdout
    assert "whale @ x" in done.stdout
    assert len(pd.read_csv(folder / "both" / "groups.csv")) == 1


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
    assert caught.value.code == 3
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


def test_a_terminal_of_80_columns_shows_every_number_in_full() -> None:
    system, scenario = ct.generate.system(accounts=300, assets=5, seed=1)
    ranking = ct.rank(ct.solve(system, scenario)).head(20)
    for width in (80, 140):
        formats = ranking_formats(width)
        console = Console(width=width, force_terminal=True, color_system=None)
        with console.capture() as captured:
            console.print(as_table(ranking.rename(lambda name: name * 9), formats))
        lines = captured.get().splitlines()
        assert max(map(len, lines)) <= width
        assert all("…" in line for line in lines[2:])
        for line, values in zip(lines[2:], ranking[list(formats)].itertuples(index=False), strict=True):
            cells = ["" if pd.isna(v) else write(v) for write, v in zip(formats.values(), values, strict=True)]
            assert line.split("…")[1].split() == [word for word in cells if word]
    assert len(ranking_formats(80)) == 6
    assert len(ranking_formats(140)) == len(SHOWN)


def test_what_is_piped_is_wide_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert terminal().width >= 140
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal().width == 80
    monkeypatch.setenv("COLUMNS", "20")
    assert terminal().width == NARROWEST


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", "tables", "fall.toml", "--out", "fall.toml"], "fall.toml: is a file; give a folder for --out"),
        (["solve", "tables", "fall.toml", "--out", "fall.toml/x"], "nothing can be written there (Not a directory)"),
        (["solve", "tables", "fall.toml", "--out", "/proc/x"], "nothing can be written there"),
        (["rank", "tables", "fall.toml", "--out", "tables"], "tables: is a folder; give a file for --out"),
        (["draw", "tables", "--out", "fall.toml/x.svg"], "fall.toml: is a file"),
        (["demo", "--dataset", "loop_lending", "--out", "fall.toml"], "nothing can be written there"),
    ],
)
def test_where_nothing_can_be_written(folder: Path, arguments: list[str], said: str) -> None:
    done = run(*arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_other_failures_of_the_disk_become_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device", "run.json")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("contagion: run.json: No space left on device; ")


def test_rank_makes_the_folder_of_its_file(folder: Path) -> None:
    done = run("rank", folder / "tables", folder / "fall.toml", "--out", folder / "deep" / "er" / "ranking.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pd.read_csv(folder / "deep" / "er" / "ranking.csv")) == 6


def test_rounds_can_be_capped(folder: Path) -> None:
    for command in ("solve", "rank", "draw"):
        done = run(command, "tables", "fall.toml", "--max-rounds", 1, "--out", f"out/{command}", cwd=folder)
        assert done.returncode == 3, command
    assert run("demo", "--dataset", "loop_lending", "--max-rounds", 1, cwd=folder).returncode == 3


def test_version_and_short_help() -> None:
    assert run("--version").stdout.startswith("contagion 0.")
    assert run("-h").stdout == run("--help").stdout
    assert "only that one" in " ".join(run("draw", "-h").stdout.split())


def test_many_warnings_are_cut_and_other_commands_mention_them(folder: Path) -> None:
    accounts = [f"a{number}" for number in range(25)]
    system = ct.read_system(folder / "tables")
    more = pd.DataFrame({"account": accounts, "platform": "x", "call_policy": "fund"})
    ct.write_system(system.with_table("accounts", pd.concat([system.accounts, more])), folder / "tables")
    checked = run("check", folder / "tables").stdout
    assert "no problems, 25 warnings" in checked
    assert checked.count("without a row in funding") == 20
    assert checked.endswith("… and 5 more (contagion.review lists all)\n")
    for command in ("solve", "rank"):
        said = run(command, "tables", "fall.toml", "--out", f"out/{command}", cwd=folder).stdout
        assert "25 warnings about the tables: contagion check tables fall.toml\n" in said


def test_check_of_an_empty_system_says_so(tmp_path: Path) -> None:
    ct.write_system(ct.System(), tmp_path / "empty")
    done = run("check", tmp_path / "empty")
    assert done.returncode == 0
    assert "no table has a row" in done.stdout
