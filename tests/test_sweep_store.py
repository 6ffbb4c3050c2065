"""Sweeps on disk: one file in the end, and nothing done twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import contagion as ct
from contagion import channels, generate
from contagion.kernels import chunks
from contagion.sweep import engine, store, tasks
from contagion.sweep.store import Store

MEASURES = ["loss", "price:exchange0:asset0"]
COUNT = 24


def case() -> tuple[ct.System, ct.Grid]:
    system, scenario = generate.system(accounts=200, assets=3, seed=6)
    drops = [0.01 * number for number in range(COUNT)]
    return system, ct.grid(
        ct.Scenario(depth={"exchange0": 0.5}, name=scenario.name), arbitrage=[1.0], shocks={"asset0": drops}
    )


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each scenario a task of its own."""
    monkeypatch.setattr(tasks, "_MOST", 1)


def counting(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Count solves, and interrupt the one after ``most`` of them."""
    begun: list[int] = []
    iterate: Any = vars(engine)["iterate_ahead"]

    def counted(*given: Any) -> Any:
        if len(begun) == most:
            raise KeyboardInterrupt
        begun.append(1)
        return iterate(*given)

    monkeypatch.setattr(engine, "iterate_ahead", counted)
    return begun


def test_the_file_holds_the_table(tmp_path: Path) -> None:
    system, plan = case()
    out = tmp_path / "sweep.parquet"
    table = ct.sweep(system, plan, MEASURES, out=out)
    pd.testing.assert_frame_equal(pd.read_parquet(out), table, check_exact=True)
    pd.testing.assert_frame_equal(ct.sweep(system, plan, MEASURES), table, check_exact=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.parquet"]


def test_what_is_done_is_read_and_not_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, plan = case()
    out = str(tmp_path / "sweep.parquet")
    table = ct.sweep(system, plan, MEASURES, out=out)
    begun = counting(monkeypatch, 0)
    pd.testing.assert_frame_equal(ct.sweep(system, plan, MEASURES, out=out), table, check_exact=True)
    assert not begun


@pytest.mark.usefixtures("one_by_one")
def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, plan = case()
    whole, out = ct.sweep(system, plan, MEASURES), tmp_path / "sweep.parquet"
    with monkeypatch.context() as patched:
        counting(patched, 7)
        with pytest.raises(KeyboardInterrupt):
            ct.sweep(system, plan, MEASURES, out=out)
    assert not out.exists()
    parts = sorted((tmp_path / "sweep.parquet.parts").glob("task-*.parquet"))
    assert [len(pd.read_parquet(part)) for part in parts] == [1] * 7
    with monkeypatch.context() as patched:
        begun = counting(patched, COUNT)
        pd.testing.assert_frame_equal(ct.sweep(system, plan, MEASURES, out=out), whole, check_exact=True)
    assert len(begun) == COUNT - 7


SCRIPT = """
import sys, time
from pathlib import Path
import contagion as ct
from contagion.kernels import chunks
from contagion.sweep import engine, tasks
from tests.test_sweep_store import MEASURES, case

out, log, workers, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
tasks._MOST = 1
if workers > 1:
    chunks.COMPILED_FROM = tasks.COMPILED_FROM = 0
iterate = engine.iterate_ahead

def logged(inputs, *given):
    made = iterate(inputs, *given)
    with log.open("a") as lines:
        lines.write(f"{inputs.markets.shock.max():.17g}\\n")
    if len(log.read_text().splitlines()) > most:
        time.sleep(600)  # until it is killed
    return made

engine.iterate_ahead = logged
ct.sweep(*case(), MEASURES, out=out, workers=workers)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_sweep_loses_nothing_and_repeats_nothing(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, log = tmp_path / "sweep.parquet", tmp_path / "solved.txt"
    root = Path(__file__).parent.parent
    given = [sys.executable, "-c", SCRIPT, str(out), str(log), str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    running = subprocess.Popen([*given, "8"], cwd=root, env=environment)
    parts = tmp_path / "sweep.parquet.parts"
    while len(list(parts.glob("task-*.parquet"))) < 5:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    done = {int(pd.read_parquet(part)["scenario"].iloc[0]) for part in parts.glob("task-*.parquet")}
    assert 5 <= len(done) < COUNT
    assert not out.exists()
    log.write_text("")
    subprocess.run([*given, str(COUNT)], cwd=root, env=environment, check=True)
    system, plan = case()
    solved = sorted(float(line) for line in log.read_text().split())
    left = sorted(engine_shock(plan, number) for number in set(range(COUNT)) - done)
    assert solved == left
    if workers > 1:
        monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
        monkeypatch.setattr(tasks, "COMPILED_FROM", 0)
    pd.testing.assert_frame_equal(pd.read_parquet(out), ct.sweep(system, plan, MEASURES), check_exact=True)
    assert not parts.exists()


def engine_shock(plan: ct.Grid, number: int) -> float:
    """Return the largest log drop that a scenario imposes, as the solver is given it."""
    return float(channels.log_drop(np.array(list(plan[number].shocks.values()))).max())


def test_row_groups_hold_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_GROUP", 10)
    system, plan = case()
    ct.sweep(system, plan, MEASURES, out=tmp_path / "sweep.parquet")
    assert parquet.ParquetFile(tmp_path / "sweep.parquet").num_row_groups == 3


@pytest.mark.parametrize("what", ["system", "scenarios", "names", "measures"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_file_of_another_sweep_is_refused(
    what: str, finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, plan = case()
    out, scenarios = tmp_path / "sweep.parquet", dict(zip("ab", plan[2:4], strict=True))
    if finished:
        ct.sweep(system, scenarios, ["loss"], out=out)
    else:
        with monkeypatch.context() as patched:
            counting(patched, 0)
            with pytest.raises(KeyboardInterrupt):
                ct.sweep(system, scenarios, ["loss"], out=out)
    scale = np.where(np.arange(len(system.positions)) == 0, 1.0 + 1e-15, 1.0)
    positions = system.positions.assign(quantity=system.positions["quantity"] * scale)
    other: dict[str, tuple[Any, Any, Any]] = {
        "system": (system.with_table("positions", positions), scenarios, ["loss"]),
        "scenarios": (system, {"a": scenarios["a"], "b": plan[5]}, ["loss"]),
        "names": (system, {"a": scenarios["a"], "c": scenarios["b"]}, ["loss"]),
        "measures": (system, scenarios, ["liquidated"]),
    }
    with pytest.raises(ct.InputError, match="belongs to something else"):
        ct.sweep(*other[what], out)
    assert ct.sweep(system, scenarios, ["loss"], out=out)["converged"].all()


def test_a_cell_that_matters_under_some_overrides_alone_counts(tmp_path: Path) -> None:
    system, plan = case()
    out, rich = tmp_path / "sweep.parquet", (ct.Override("nodes", {"node": "lender0"}, {"buffer": 1e12}),)
    scenarios = [ct.Scenario(overrides=rich), plan[3]]
    ct.sweep(system, scenarios, out=out)
    poorer = system.nodes["buffer"].where(system.nodes["node"] != "lender0", 1.0)
    with pytest.raises(ct.InputError, match="belongs to something else"):
        ct.sweep(system.with_table("nodes", system.nodes.assign(buffer=poorer)), scenarios, out=out)


def test_groups_count_where_they_are_measured_and_the_order_of_rows_never_does(tmp_path: Path) -> None:
    system, plan = case()
    out, accounts = tmp_path / "sweep.parquet", system.accounts
    table = ct.sweep(system, plan[:2], ["equity:trader"], out=out)
    shuffled = system.with_table("accounts", accounts.sample(frac=1.0, random_state=2))
    pd.testing.assert_frame_equal(ct.sweep(shuffled, plan[:2], ["equity:trader"], out=out), table)
    first = accounts.index == accounts.index[accounts["group"] == "borrower"][0]
    moved = accounts.assign(group=accounts["group"].mask(first, "trader"))
    with pytest.raises(ct.InputError, match="belongs to something else"):
        ct.sweep(system.with_table("accounts", moved), plan[:2], ["equity:trader"], out=out)


def test_any_other_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "notes.parquet"
    out.write_text("my notes")
    with pytest.raises(ct.InputError, match="belongs to something else"):
        ct.sweep(*case(), out=out)
    assert out.read_text() == "my notes"


def test_parts_left_by_a_kill_at_the_very_end_are_cleared(tmp_path: Path) -> None:
    system, plan = case()
    out = tmp_path / "sweep.parquet"
    table = ct.sweep(system, plan, out=out)
    (tmp_path / "sweep.parquet.parts").mkdir()
    pd.testing.assert_frame_equal(ct.sweep(system, plan, out=out), table)
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.parquet"]


def test_places_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, plan = case()
    with pytest.raises(ct.InputError, match="there is no directory"):
        ct.sweep(system, plan, out=tmp_path / "nowhere" / "sweep.parquet")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ct.InputError, match="is a directory"):
        ct.sweep(system, plan, out=tmp_path / "folder.parquet")
    with pytest.raises(ct.InputError, match=r"ends in \.parquet"):
        ct.sweep(system, plan, out=3)  # type: ignore[arg-type]
    monkeypatch.setattr(store, "find_spec", lambda _: None)
    with pytest.raises(ct.InputError, match="pip install"):
        ct.sweep(system, plan, out=tmp_path / "sweep.parquet")


def test_overrides_keep_their_own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, plan = case()
    calm = (ct.Override("nodes", {"node": "lender0"}, {"liquidation_level": 0.5}),)
    scenarios = [
        ct.Scenario(shocks=each.shocks, overrides=calm if number % 2 else ()) for number, each in enumerate(plan[:8])
    ]
    monkeypatch.setattr(tasks, "_MOST", 1)
    whole = ct.sweep(system, scenarios)
    out = tmp_path / "sweep.parquet"
    with monkeypatch.context() as patched:
        counting(patched, 6)
        with pytest.raises(KeyboardInterrupt):
            ct.sweep(system, scenarios, out=out)
    begun = counting(monkeypatch, 8)
    pd.testing.assert_frame_equal(ct.sweep(system, scenarios, out=out), whole, check_exact=True)
    assert len(begun) == 2


def test_a_store_is_its_file_its_parts_and_its_word(tmp_path: Path) -> None:
    opened = Store.open(tmp_path / "a.parquet", ("loss",), "word")
    assert opened.parts == tmp_path / "a.parquet.parts"
    assert opened.finished() is None
    with pytest.raises(ct.InputError, match=r"another sweep is at work on .*a\.parquet'; wait until it is done"):
        Store.open(tmp_path / "a.parquet", ("loss",), "word")
    opened.close()
    again = Store.open(tmp_path / "a.parquet", ("loss",), "word")
    assert again[:-1] == opened[:-1]
    again.close()


WITH_PROCESSES = """
import sys
import contagion as ct
from contagion.sweep import tasks
from tests.test_sweep_store import case

if __name__ == "__main__":
    tasks._MOST = 1
    system, plan = case()
    ct.sweep(system, list(plan) * 200, ["loss"], out=sys.argv[1], workers=2)
"""


def workers_of(script: Path) -> list[int]:
    """Return the processes whose environment names a script: that which runs it, and those that it has begun."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(script).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_the_workers_of_a_killed_sweep_end_with_it(tmp_path: Path) -> None:
    script, root = tmp_path / "script.py", Path(__file__).parent.parent
    script.write_text(WITH_PROCESSES)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(scratch), "SWEEP_OF": str(script)}
    running = subprocess.Popen([sys.executable, script, tmp_path / "sweep.parquet"], env=environment)
    parts = tmp_path / "sweep.parquet.parts"
    while len(list(parts.glob("task-*.parquet"))) < 3:
        assert running.poll() is None
        time.sleep(0.01)
    assert len(workers_of(script)) >= 3
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    patience = time.monotonic() + 120.0
    while workers_of(script) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not workers_of(script)
    assert not list(scratch.iterdir())


def unsolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any solve fail."""

    def fail(*_: object) -> None:
        raise AssertionError("a scenario is solved")

    monkeypatch.setattr(engine, "iterate_ahead", fail)


def interrupted(out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stop a sweep after three of its scenarios, each a task of its own, and return what it has kept."""
    with monkeypatch.context() as patched:
        counting(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            ct.sweep(*case(), MEASURES, out=out)
    return out.with_name(out.name + ".parts")


def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tmp_path / "sweep.parquet.parts"
    unsolved(monkeypatch)
    parts.mkdir()
    (parts / "thesis.tex").write_text("mine")
    with pytest.raises(ct.InputError, match="holds files that are not of a sweep; move it") as caught:
        ct.sweep(*case(), ["los"], out=tmp_path / "sweep.parquet")
    assert len(caught.value.problems) == 2
    assert [entry.name for entry in parts.iterdir()] == ["thesis.tex"]
    (parts / "thesis.tex").rename(tmp_path / "thesis.tex")
    parts.rmdir()
    (tmp_path / "thesis.tex").rename(parts)
    with pytest.raises(ct.InputError, match=r"parts', .* is not a directory"):
        ct.sweep(*case(), out=tmp_path / "sweep.parquet")
    assert parts.read_text() == "mine"


def test_a_folder_made_once_the_sweep_is_done_is_left_alone(tmp_path: Path) -> None:
    out, parts = tmp_path / "sweep.parquet", tmp_path / "sweep.parquet.parts"
    table = ct.sweep(*case(), out=out)
    parts.mkdir()
    for name in ("thesis.tex", "task-000000000.parquet"):
        (parts / name).write_text("mine")
    pd.testing.assert_frame_equal(ct.sweep(*case(), out=out), table, check_exact=True)
    assert sorted(entry.name for entry in parts.iterdir()) == ["task-000000000.parquet", "thesis.tex"]


@pytest.mark.usefixtures("one_by_one")
def test_only_what_the_sweep_has_written_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "sweep.parquet"
    parts = interrupted(out, monkeypatch)
    (parts / ".task-000000003.parquet.new").write_bytes(b"as a kill leaves it")
    for name in ("thesis.tex", "task-notes.parquet"):
        (parts / name).write_text("mine")
    ct.sweep(*case(), MEASURES, out=out)
    assert sorted(entry.name for entry in parts.iterdir()) == ["task-notes.parquet", "thesis.tex"]
    assert ct.sweep(*case(), MEASURES, out=out)["converged"].all()


def test_a_folder_that_a_kill_left_without_its_word_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "sweep.parquet.parts").mkdir()
    (tmp_path / "sweep.parquet.parts" / ".sweep.json.new").write_text("{")
    ct.sweep(*case(), out=tmp_path / "sweep.parquet")
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.parquet"]


@pytest.mark.parametrize("content", [b'{"finger', b"[1, 2]", b"3", b"\x80\xff\x00", b"", b"[" * 100_000, None])
def test_a_word_that_cannot_be_read_is_told(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tmp_path / "sweep.parquet.parts"
    unsolved(monkeypatch)
    parts.mkdir()
    if content is None:
        (parts / "sweep.json").mkdir()
    else:
        (parts / "sweep.json").write_bytes(content)
    with pytest.raises(ct.InputError, match=r"sweep\.json' cannot be read .*; remove ") as caught:
        ct.sweep(*case(), ["los"], out=tmp_path / "sweep.parquet")
    assert len(caught.value.problems) == 2
    (parts / "thesis.tex").write_text("mine")
    with pytest.raises(ct.InputError, match=r"sweep\.json' cannot be read"):
        Store.open(tmp_path / "sweep.parquet", ("loss",), "word")
    assert (parts / "thesis.tex").exists()


def test_a_word_of_nobody_is_another_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep.parquet.parts").mkdir()
    (tmp_path / "sweep.parquet.parts" / "sweep.json").write_text("{}")
    with pytest.raises(ct.InputError, match="belongs to something else"):
        ct.sweep(*case(), out=tmp_path / "sweep.parquet")


def truncated(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-20])


def emptied(part: Path) -> None:
    part.write_bytes(b"")


def worded(part: Path) -> None:
    part.write_text("my notes")


def foldered(part: Path) -> None:
    part.unlink()
    part.mkdir()


def flipped(file: Path) -> None:
    """Change one bit of a number."""
    chunk = parquet.ParquetFile(file).metadata.row_group(0).column(3)
    content = bytearray(file.read_bytes())
    content[(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1] ^= 1
    file.write_bytes(content)


def replaced(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    """Return what writes another table in the place of a task."""

    def write(part: Path) -> None:
        change(pd.read_parquet(part)).to_parquet(part, index=False)

    return write


DAMAGES = {
    "truncated": truncated,
    "empty": emptied,
    "text": worded,
    "directory": foldered,
    "flipped": flipped,
    "columns": replaced(lambda frame: frame.rename(columns={"value:0": "value:7"})),
    "fewer": replaced(lambda frame: frame.drop(columns="value:1")),
    "types": replaced(lambda frame: frame.astype({"residual": "str"})),
    "floats": replaced(lambda frame: frame.astype({"rounds": "float64"})),
    "null": replaced(lambda frame: frame.astype({"residual": "Float64"}).assign(residual=pd.array([None], "Float64"))),
    "nulls": replaced(lambda frame: frame.astype({"rounds": "Int64"}).assign(rounds=pd.array([None], "Int64"))),
    "scenarios": replaced(lambda frame: frame.assign(scenario=23)),
    "rows": replaced(lambda frame: pd.concat([frame, frame])),
    "none": replaced(lambda frame: frame.iloc[:0]),
}


@pytest.fixture(scope="module")
def four() -> tuple[ct.System, list[ct.Scenario], pd.DataFrame]:
    """Return a system, some scenarios and what they come to."""
    system, plan = case()
    return system, plan[8:12], ct.sweep(system, plan[8:12], MEASURES)


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_task_that_is_damaged_is_solved_again(
    damage: str,
    four: tuple[ct.System, list[ct.Scenario], pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system, scenarios, table = four
    out = tmp_path / "sweep.parquet"
    with monkeypatch.context() as patched:
        counting(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            ct.sweep(system, scenarios, MEASURES, out=out)
    DAMAGES[damage](tmp_path / "sweep.parquet.parts" / "task-000000001.parquet")
    begun = counting(monkeypatch, 4)
    pd.testing.assert_frame_equal(ct.sweep(system, scenarios, MEASURES, out=out), table, check_exact=True)
    assert len(begun) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.parquet"]


@pytest.mark.usefixtures("one_by_one")
def test_a_folder_in_the_place_of_a_task_is_not_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "sweep.parquet"
    parts = interrupted(out, monkeypatch)
    foldered(parts / "task-000000002.parquet")
    (parts / "task-000000002.parquet" / "thesis.tex").write_text("mine")
    unsolved(monkeypatch)
    with pytest.raises(ct.InputError, match=r"task-000000002\.parquet"):
        ct.sweep(*case(), MEASURES, out=out)
    assert (parts / "task-000000002.parquet" / "thesis.tex").exists()


def test_a_table_that_is_damaged_is_told(tmp_path: Path) -> None:
    out = tmp_path / "sweep.parquet"
    ct.sweep(*case(), MEASURES, out=out)
    flipped(out)
    with pytest.raises(ct.InputError, match=r"sweep\.parquet' cannot be read .*; remove it"):
        ct.sweep(*case(), MEASURES, out=out)


@pytest.mark.parametrize(
    "out",
    [
        "a\0b.parquet",
        "\ud800.parquet",
        "a" * 300 + ".parquet",
        "a" * 245 + ".parquet",  # as long as a name may be, but for what is added to it
        "notes.txt/sweep.parquet",
        "notes.txt/more/sweep.parquet",
        "loop/sweep.parquet",
    ],
)
def test_names_that_no_file_can_have_are_refused(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    unsolved(monkeypatch)
    with pytest.raises(ct.InputError, match=r"^out: ") as caught:
        ct.sweep(*case(), out=tmp_path / out)
    assert len(caught.value.problems) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["loop", "notes.txt"]


def test_a_folder_where_the_table_is_written_first_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".sweep.parquet.new").mkdir()
    unsolved(monkeypatch)
    with pytest.raises(ct.InputError, match=r"\.sweep\.parquet\.new', where .* is a directory; move it"):
        ct.sweep(*case(), out=tmp_path / "sweep.parquet")


def test_folders_that_are_closed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "sweep.parquet"
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, _: Path(path) != tmp_path)  # a superuser may write anywhere
        with pytest.raises(ct.InputError, match="nothing may be written into") as caught:
            ct.sweep(*case(), ["los"], out=out)
        assert len(caught.value.problems) == 2
    table = ct.sweep(*case(), out=out)
    monkeypatch.setattr(os, "access", lambda *_: False)
    pd.testing.assert_frame_equal(ct.sweep(*case(), out=out), table)  # what is done is read there too


@pytest.mark.parametrize("name", ["mkdir", "lstat", "write_bytes"])
def test_what_the_disk_refuses_is_told_before_anything_is_solved(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsolved(monkeypatch)

    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, name, refused)
    with pytest.raises(ct.InputError, match=r"sweep\.parquet' cannot be used .*Permission denied"):
        ct.sweep(*case(), out=tmp_path / "sweep.parquet")


def test_a_table_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ct.sweep(*case(), out=tmp_path / "sweep.parquet")

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(parquet, "read_schema", refused)
    with pytest.raises(ct.InputError, match=r"sweep\.parquet' cannot be used .*Permission denied"):
        ct.sweep(*case(), out=tmp_path / "sweep.parquet")
