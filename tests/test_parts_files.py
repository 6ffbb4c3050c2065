"""Files of systems in parts that are missing, changed, misnamed or out of reach: told at once, and with the cure."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.io.partitioned import part_name, read_part
from contagion.kernels import chunks
from contagion.parts.local import Streaming
from tests.test_parts import drawn, edited

NAME = part_name(1)


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_ACCOUNTS", 7)


@pytest.fixture
def parted(tmp_path: Path) -> ct.Partitioned:
    return ct.partition(drawn(2)[0], tmp_path / "parts", parts=3)


def problems(act: Callable[..., Any], *given: Any, **options: Any) -> list[str]:
    with pytest.raises(ct.InputError) as caught:
        act(*given, **options)
    found = list(caught.value.problems)
    assert len(set(found)) == len(found)
    return found


def only(act: Callable[..., Any], *given: Any, **options: Any) -> str:
    (problem,) = problems(act, *given, **options)
    return problem


def cannot(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", "somewhere")


# ---------------------------------------------------------------------------------------------------------------------
# Changes after the solve


def richer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(cash=frame["cash"] + 1.0)


def fewer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:-1]


@pytest.mark.parametrize(
    ("table", "change"), [("positions", None), ("accounts", None), ("accounts", richer), ("accounts", fewer)]
)
def test_accounts_are_not_written_from_other_files_than_were_solved(
    tmp_path: Path, parted: ct.Partitioned, table: str, change: Callable[[pd.DataFrame], pd.DataFrame] | None
) -> None:
    solution = ct.solve(parted, drawn(2)[1])
    solution.write_accounts(tmp_path / "before")
    if change is None:
        (parted.folder / table / NAME).unlink()
    else:
        edited(parted.folder, 1, table, change)
    problem = only(solution.write_accounts, tmp_path / "after")
    assert f"{parted.folder}: {table}/{NAME} has changed, or gone, since the solve began; solve again" in problem
    assert not (tmp_path / "after").exists()


def test_all_files_that_have_changed_are_named(tmp_path: Path, parted: ct.Partitioned) -> None:
    solution = ct.solve(parted, drawn(2)[1])
    for number in range(3):
        edited(parted.folder, number, "positions", lambda frame: frame.assign(quantity=frame["quantity"] * 2.0))
        (parted.folder / "accounts" / part_name(number)).unlink()
    problem = only(solution.write_accounts, tmp_path / "after")
    assert f"accounts/{part_name(0)}, positions/{part_name(0)}, accounts/{NAME}" in problem
    assert "and 1 more have changed" in problem


def test_a_file_that_is_written_again_alike_is_the_same(tmp_path: Path, parted: ct.Partitioned) -> None:
    solution = ct.solve(parted, drawn(2)[1])
    file = parted.folder / "positions" / NAME
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data)
    solution.write_accounts(tmp_path / "after")


def test_a_file_that_changes_while_accounts_are_written_is_found_out(
    tmp_path: Path, parted: ct.Partitioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    solution = ct.solve(parted, drawn(2)[1])

    def late(folder: Path, name: str) -> dict[str, pd.DataFrame]:
        if name == NAME:
            edited(folder, 1, "accounts", richer)
        return read_part(folder, name)

    monkeypatch.setattr("contagion.parts.seal.read_part", late)
    assert f"accounts/{NAME} has changed" in only(solution.write_accounts, tmp_path / "after")


def test_files_that_go_before_the_solve_are_named_together(parted: ct.Partitioned) -> None:
    (parted.folder / "accounts" / part_name(0)).unlink()
    (parted.folder / "accounts" / NAME).unlink()
    (parted.folder / "positions" / NAME).unlink()
    found = problems(ct.solve, parted)
    assert len(found) == 3
    for problem, file in zip(found, (f"accounts/{part_name(0)}", f"accounts/{NAME}", f"positions/{NAME}"), strict=True):
        assert f"{file}: is not there any more; put it back, or open the system again" in problem
    assert f"accounts/{NAME}: is not there any more" in problems(parted.part, 1)[0]


def test_a_closed_solution_has_no_accounts_to_write(tmp_path: Path, parted: ct.Partitioned) -> None:
    solution = ct.solve(parted)
    solution.close()
    assert "write before close(), or solve again" in only(solution.write_accounts, tmp_path / "after")


# ---------------------------------------------------------------------------------------------------------------------
# What stands in the folder


def test_suffixes_are_read_in_any_case(tmp_path: Path, parted: ct.Partitioned) -> None:
    want = ct.solve(parted)
    for table in ("accounts", "positions", "claims"):
        for file in (parted.folder / table).glob(NAME):
            file.rename(file.with_suffix(".PARQUET"))
    again = ct.open_partitioned(parted.folder)
    assert len(again.names) == 3
    assert sum(again.accounts) == sum(parted.accounts)
    assert dict(ct.solve(again).totals) == pytest.approx(dict(want.totals), rel=1e-9)


def test_what_is_no_part_is_refused_and_what_is_hidden_is_not(tmp_path: Path, parted: ct.Partitioned) -> None:
    accounts = parted.folder / "accounts"
    for name in ("_SUCCESS", ".part-00000.parquet.crc", "._part-00007.parquet", "_temporary"):
        (accounts / name).touch()
    (accounts / ".cache").mkdir()
    assert ct.open_partitioned(parted.folder).accounts == parted.accounts
    for number in range(3, 10):
        (accounts / f"part-0000{number}.csv").touch()
    (accounts / "part-00011.parquet").symlink_to(tmp_path / "nowhere")
    (parted.folder / "positions" / "part-00012.parquet").mkdir()
    text, link, folder = problems(ct.open_partitioned, parted.folder)
    assert "part-00003.csv, part-00004.csv, part-00005.csv" in text
    assert "and 2 more: not a Parquet file; one .parquet file is a part here: write it as that" in text
    assert f"{accounts}: part-00011.parquet: a link to nothing" in link
    assert "positions: part-00012.parquet: a folder" in folder


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("claim/", "folder claim is not a table (did you mean 'claims'?); rename or remove it"),
        ("Claims/", "folder Claims is not a table (did you mean 'claims'?); rename or remove it"),
        ("claims", "claims is a single file here; give a folder claims with one file a part"),
        ("claims.PARQUET/", "claims is a single file here; give a folder claims with one file a part"),
        ("oracles/", "oracles is a folder, but does not stand in parts; give one file, oracles.parquet"),
        ("oracle/", "folder oracle is not a table (did you mean 'oracles.parquet'?); rename or remove it"),
        ("oracles.parquet/", "oracles.parquet is a folder; a table is one file"),
    ],
)
def test_what_looks_like_a_table_is_not_passed_over(tmp_path: Path, made: str, said: str) -> None:
    system, _ = ct.generate.system(accounts=20, assets=3, seed=1)
    empty = {"claims": system.claims.iloc[:0], "oracles": system.oracles.iloc[:0]}
    folder = ct.partition(ct.System(**{**dict(system.tables()), **empty}), tmp_path / "parts").folder
    (folder / made).mkdir() if made.endswith("/") else (folder / made).touch()
    assert any(f"{folder}: {said}" in problem for problem in problems(ct.open_partitioned, folder))


def test_other_folders_stay(parted: ct.Partitioned) -> None:
    for name in ("notes", "accounts_old", "_claim", ".claims", "node"):
        (parted.folder / name).mkdir()
    assert ct.open_partitioned(parted.folder).accounts == parted.accounts


def test_a_table_of_a_folder_is_a_file(tmp_path: Path) -> None:
    ct.write_system(ct.generate.system(accounts=20, assets=3, seed=1)[0], tmp_path)
    (tmp_path / "quotes.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "funding.parquet").mkdir()
    folder, link = problems(ct.read_system, tmp_path)
    assert "funding.parquet is a folder; a table is one file" in folder
    assert "quotes.csv is a link to nothing" in link


# ---------------------------------------------------------------------------------------------------------------------
# Paths and arguments


@pytest.mark.parametrize("given", [3, None])
def test_what_is_no_path_is_said(tmp_path: Path, parted: ct.Partitioned, given: Any) -> None:
    kind = type(given).__name__
    assert f"folder is a {kind}; give a path" in only(ct.open_partitioned, given)
    assert f"folder is a {kind}; give a path" in only(ct.partition, drawn(2)[0], given)
    assert f"folder is a {kind}; give a path" in only(ct.solve(parted).write_accounts, given)
    assert f"path is a {kind}; give a path" in only(ct.read_system, given)


def test_folders_that_cannot_be_made_are_said(
    tmp_path: Path, parted: ct.Partitioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    solution = ct.solve(parted)
    for below in ("file/parts", "file/more/parts"):
        for act in (lambda folder: ct.partition(drawn(2)[0], folder), solution.write_accounts):
            assert f"{below}: cannot be made (" in only(act, tmp_path / below)
    monkeypatch.setattr(os, "mkdir", cannot)
    problem = only(solution.write_accounts, tmp_path / "after")
    assert "cannot be made (Permission denied: somewhere); give a new name in a folder that you may write to" in problem


def test_folders_that_cannot_be_read_are_said(parted: ct.Partitioned, monkeypatch: pytest.MonkeyPatch) -> None:
    for look in ("iterdir", "is_dir"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, look, cannot)
            found = problems(ct.open_partitioned, parted.folder)
            assert (
                found[0]
                == f"{parted.folder}: cannot be read (Permission denied); mend its permissions, or give another"
            )
    monkeypatch.setattr(Path, "exists", cannot)
    assert "cannot be read (Permission denied)" in problems(parted.part, 1)[0]


def test_a_folder_is_the_same_wherever_the_process_works(
    tmp_path: Path, parted: ct.Partitioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(parted.folder.parent)
    opened = ct.open_partitioned(parted.folder.name)
    monkeypatch.chdir("/")
    assert ct.solve(opened).totals == ct.solve(parted).totals
    assert opened.part(0).accounts.equals(parted.part(0).accounts)


def test_a_system_in_parts_is_none_for_what_takes_tables(tmp_path: Path, parted: ct.Partitioned) -> None:
    given: Any = parted
    for call in (ct.validate, ct.review, lambda each: ct.write_system(each, tmp_path / "new")):
        with pytest.raises(ct.InputError, match="system is a Partitioned; give a System"):
            call(given)
    assert not (tmp_path / "new").exists()
    engine: Any = "x"
    with pytest.raises(ct.InputError, match=r"give a distributed\.Client, or a contagion\.Streaming, or None"):
        ct.solve(parted, engine=engine)
    assert ct.solve(parted).looks == 0


def test_a_scratch_folder_is_a_folder_and_workers_are_counted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert only(Streaming, tmp_path / "file").endswith("file', which is a file; give a folder")
    assert only(Streaming, f"{tmp_path}/nothing").endswith("nothing', which is not there; give a folder")
    assert problems(Streaming, 3, "2") == [
        "scratch is a int; give a path, as text or pathlib.Path",
        "workers is '2'; give a whole number of at least 1",
    ]
    for workers in (0, 1.5, True):
        assert only(Streaming, None, workers) == f"workers is {workers!r}; give a whole number of at least 1"


def test_a_scratch_folder_that_cannot_be_written_to_is_said(
    tmp_path: Path, parted: ct.Partitioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "scratch"
    gone.mkdir()
    engine = Streaming(gone)
    gone.rmdir()
    assert f"{gone}: no scratch directory can be made there (No such" in only(ct.solve, parted, engine=engine)
    monkeypatch.setattr(tempfile, "mkdtemp", cannot)
    problem = only(ct.solve, parted)
    assert f"{tmp_path}: no scratch directory can be made there (Permission denied)" in problem
    assert 'engine=contagion.Streaming("/scratch/folder")' in problem


@pytest.mark.parametrize("number", [99, 3, -1, "1", None])
def test_a_part_that_is_none_is_said(parted: ct.Partitioned, number: Any) -> None:
    assert only(parted.part, number) == f"number is {number!r}; there are 3 parts: give a whole number from 0 to 2"


def test_streaming_says_what_is_left_behind() -> None:
    assert re.search(r"SIGTERM too,\s+leaves it behind; it may be removed", Streaming.__doc__ or "")


# ---------------------------------------------------------------------------------------------------------------------
# One error lists every problem


def test_all_files_that_cannot_be_read_are_named(parted: ct.Partitioned) -> None:
    broken = ("accounts/part-00000.parquet", f"accounts/{NAME}", f"positions/{NAME}", "markets.parquet")
    for file in broken:
        (parted.folder / file).write_bytes(b"nothing")
    found = problems(ct.open_partitioned, parted.folder)
    assert [file for file in broken if any(f"{file}: not a readable Parquet file" in each for each in found)] == [
        *broken
    ]
    solved = problems(ct.solve, parted)
    assert [each for each in found if "markets" not in each and "footer" in each] != []
    assert len(solved) == 3


def test_scenario_small_tables_and_parts_are_told_together(tmp_path: Path, parted: ct.Partitioned) -> None:
    edited(parted.folder, 1, "accounts", lambda frame: frame.assign(cash=np.inf))
    edited(parted.folder, 2, "accounts", lambda frame: frame.assign(call_policy="pray"))
    scenario = ct.Scenario(
        shocks={"nothing": 0.1},
        overrides=(ct.Override("accounts", {"account": "a"}, {"cash": 7.0}),),
    )
    found = problems(ct.solve, parted, scenario)
    assert [sum(word in each for each in found) for word in ("override of accounts", "'nothing'", "'pray'")] == [
        1,
        1,
        1,
    ]
    assert sum("part-00001: accounts row" in each and "cash inf" in each for each in found) == 1
    file = parted.folder / "nodes.parquet"
    pd.read_parquet(file).assign(buffer=np.inf).to_parquet(file)
    more = problems(ct.solve, ct.open_partitioned(parted.folder), scenario)
    assert sum("buffer inf" in each for each in more) == 1
    assert set(more) - set(found) == {each for each in more if "buffer inf" in each}
    assert set(found) <= set(more)
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_a_bad_scenario_or_table_alone_stops_a_solve(tmp_path: Path, parted: ct.Partitioned) -> None:
    assert "'nothing'" in only(ct.solve, parted, ct.Scenario(shocks={"nothing": 0.1}))
    file = parted.folder / "nodes.parquet"
    pd.read_parquet(file).assign(buffer=np.inf).to_parquet(file)
    assert all("nodes row" in each for each in problems(ct.solve, ct.open_partitioned(parted.folder)))
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_a_partition_tells_what_a_solve_does(tmp_path: Path) -> None:
    system, _ = ct.generate.system(accounts=20, assets=3, seed=1)
    accounts, positions = system.accounts.copy(), system.positions.copy()
    accounts.loc[0, "platform"], accounts.loc[1, "cash"] = "nowhere", np.inf
    positions.loc[2, "account"], positions.loc[3, "quantity"] = "nobody", 0.0
    wrong = system.with_table("accounts", accounts).with_table("positions", positions)
    found = problems(ct.partition, wrong, tmp_path / "parts")
    assert found == problems(ct.solve, wrong)
    assert len(found) == 4
    assert list(tmp_path.iterdir()) == []
    assert "is there already" in only(ct.partition, system, Path())


def test_rows_of_other_parts_keep_their_other_problems_and_their_numbers(parted: ct.Partitioned) -> None:
    elsewhere = parted.part(0).positions.iloc[:1].assign(quantity=0.0)
    edited(parted.folder, 1, "positions", lambda frame: pd.concat([elsewhere, frame]).assign(side="sideways"))
    node = parted.small.nodes["node"].iloc[0]
    claims = pd.DataFrame({"creditor": ["nobody", node], "debtor": ["no debtor", node], "amount": [-1.0, 1.0]})
    claims.to_parquet(parted.folder / "claims" / NAME)
    found = problems(ct.solve, parted)
    name = elsewhere["account"].iloc[0]
    said = [f"positions/{NAME}: account {name!r} (1 rows)", f"claims/{NAME}: creditor 'nobody' (1 rows)"]
    rows = ["part-00001: positions row 1 ", "part-00001: claims row 1 ", "part-00001: claims row 2 "]
    for words in (*said, *rows):
        assert any(words in each for each in found), (words, found)
    together = "\n".join(found)
    assert "holds nothing; give a number other than 0" in together
    assert "'no debtor' is not in nodes" in together
    assert "amount -1 is out of range" in together
    assert "is the debtor itself" in together
    assert "not in accounts; add it" not in together


def test_a_script_without_a_guard_is_told(tmp_path: Path, parted: ct.Partitioned) -> None:
    """Processes that pack parts import the script, which then begins anew in each of them."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import contagion as ct\n"
        f"ct.solve(ct.open_partitioned({str(parted.folder)!r}), engine=ct.Streaming({str(tmp_path)!r}, workers=2))\n"
    )
    made = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600)
    assert made.returncode == 1
    # the last line but for what Python's own tracker of resources may say of processes that were ended
    told = [line for line in made.stderr.splitlines() if line.startswith("contagion.errors.InputError")]
    assert len(told) == 1
    assert "keep the work of the script under `if __name__" in told[0]
