"""Systems in parts against the same systems in memory: the same bits, whatever the cuts, threads and engines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.io.partitioned import part_name, read_part, write_part
from contagion.kernels import chunks, threads
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.reaction import Funds
from contagion.parts.book import State
from contagion.parts.chest import Chest
from contagion.parts.local import Streaming
from contagion.parts.messages import Acted, Broadcast, Ending, Lost, Plan
from contagion.parts.packing import PackedPart, pack_part
from contagion.parts.part import Part
from contagion.parts.solve import solve_parts
from tests.random_systems import random_tables
from tests.seeds import some
from tests.systems import to_scenario, to_system


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_ACCOUNTS", 7)


def drawn(seed: int) -> tuple[ct.System, ct.Scenario]:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=seed % 2 == 0, size="large")
    return to_system(tables), to_scenario(scenario)


def scattered(system: ct.System, folder: Path, parts: int, rng: np.random.Generator) -> ct.Partitioned:
    """Write a system in parts with accounts, and all rows, in any order."""
    folder.mkdir()
    for table, frame in system.tables():
        if table not in ("accounts", "positions", "claims") and len(frame):
            frame.to_parquet(folder / f"{table}.parquet", index=False)
    place = dict(zip(system.accounts["account"], rng.integers(parts, size=len(system.accounts)), strict=True))
    for number in range(parts):
        frames = {}
        for table, key in (("accounts", "account"), ("positions", "account"), ("claims", "creditor")):
            frame = getattr(system, table)
            rows = frame[[place.get(name, parts - 1) == number for name in frame[key]]]
            frames[table] = rows.sample(frac=1.0, random_state=number)
        write_part(folder, number, frames)
    return ct.open_partitioned(folder)


def assert_same_rounds(want: Any, got: Any) -> None:
    """Prices, λ of quoting accounts, η and θ of every round, bit for bit."""
    assert want.converged == got.converged
    assert want.prices.equals(got.prices)
    assert want.rounds.drop(columns="evaluated_count").equals(got.rounds.drop(columns="evaluated_count"))
    assert want.quotes.equals(got.quotes)
    assert want.markets.equals(got.markets)
    assert want.nodes["haircut"].equals(got.nodes["haircut"])


class InMemory:
    """An engine that keeps parts in memory, and loses one of them now and then."""

    def __init__(self, loses: Callable[[int, int], bool]) -> None:
        self.loses = loses

    def open(self, plan: Plan, progress: bool = False) -> "HeldParts":  # noqa: ARG002
        return HeldParts([pack_part(plan, number) for number in range(len(plan.parts))], self.loses)


class HeldParts:
    def __init__(self, packed: Sequence[PackedPart], loses: Callable[[int, int], bool]) -> None:
        self.packed, self.loses, self.history, self.lost_count = packed, loses, [], 0  # type: ignore[var-annotated]
        self.summaries = [each.summary for each in packed]

    def place(self, columns: Sequence[Ints]) -> None:
        self.columns = columns
        self.parts = [self._made(place) for place in range(len(self.packed))]

    def _made(self, place: int) -> Part:
        book = self.packed[place].book
        assert book is not None
        return Part(book, State.fresh(book), self.columns[place])

    def ask(self, at: Broadcast) -> list[tuple[Floats, Floats]]:
        return [part.ask(at) for part in self.parts]

    def react(self, number: int, at: Broadcast, funds: Sequence[Funds] | None) -> list[Acted]:
        for place in range(len(self.parts)):
            if self.loses(number, place):
                self.parts[place] = self._made(place)
                self.lost_count += 1
                for told in self.history:
                    self._tell(place, *told)
        self.history.append((number, at, funds))
        return [self._tell(place, number, at, funds) for place in range(len(self.parts))]

    def _tell(self, place: int, number: int, at: Broadcast, funds: Sequence[Funds] | None) -> Acted:
        return self.parts[place].react(number, at, None if funds is None else funds[place])

    def lost(self, at: Broadcast, worth: Floats, funds: Sequence[Funds] | None) -> list[Lost]:
        return [part.lost(at, worth, None if funds is None else funds[place]) for place, part in enumerate(self.parts)]

    def write_accounts(self, folder: Path, ending: Ending, funds: Sequence[Funds] | None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.mark.parametrize("seed", some(5))
def test_a_partition_has_the_bits_of_the_whole(tmp_path: Path, seed: int) -> None:
    system, scenario = drawn(seed)
    want = ct.solve(system, scenario, on_failure="return")
    parted = ct.partition(system, tmp_path / "parts", parts=1 + seed % 5)
    assert len(parted.names) == 1 + seed % 5
    got = ct.solve(parted, scenario, on_failure="return")
    assert_same_rounds(want, got)
    pd.testing.assert_frame_equal(got.nodes, want.nodes, rtol=1e-11, atol=1e-9)
    assert dict(got.totals) == pytest.approx(dict(want.totals), rel=1e-11, abs=1e-9)
    assert (got.residual, got.error_estimate) == (want.residual, want.error_estimate)
    got.write_accounts(tmp_path / "accounts")
    table = pd.read_parquet(tmp_path / "accounts").set_index("account")
    pd.testing.assert_frame_equal(table.loc[want.accounts.index], want.accounts, check_dtype=False, rtol=0, atol=0)
    got.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accounts", "parts"]


@pytest.mark.parametrize("seed", [0])
def test_any_folder_any_engine_any_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int) -> None:
    """To 1e-9 what it is in memory; the same bits on one thread and three, and where parts are lost and told again."""
    system, scenario = drawn(seed)
    want = ct.solve(system, scenario, on_failure="return")
    parted = scattered(system, tmp_path / "parts", 4, np.random.default_rng(seed))
    made = []
    for count in (1, 3):
        monkeypatch.setattr(threads, "count", lambda count=count: count)
        made.append(ct.solve(parted, scenario, on_failure="return"))
    loses = InMemory(lambda number, place: (number + place) % 3 == 2)
    made.append(solve_parts(parted, scenario, 1e-12, 20_000, loses))
    assert made[2].parts.lost_count > 0  # type: ignore[attr-defined]
    for each in made[1:]:
        assert_same_rounds(made[0], each)
        assert dict(each.totals) == dict(made[0].totals)
        assert each.nodes.equals(made[0].nodes)
    assert dict(made[0].totals) == pytest.approx(dict(want.totals), rel=1e-9, abs=1e-9)
    pd.testing.assert_frame_equal(made[0].markets, want.markets, rtol=1e-9, atol=1e-9)
    pd.testing.assert_frame_equal(made[0].nodes, want.nodes, rtol=1e-9, atol=1e-9)


def test_every_rule_is_in_use_across_parts() -> None:
    """The systems above have what reaches from part to part: funding, quotes, owners, claims, stop-losses, shorts."""
    found: dict[str, float] = {}
    for seed in some(8):
        system, scenario = drawn(seed)
        solution = ct.solve(system, scenario, on_failure="return")
        causes, accounts = solution.accounts["cause"].value_counts(), system.accounts["account"]
        counts = {
            "funded": solution.totals["funded"],
            "withdrawn": float(solution.quotes["withdrawn"].sum()),
            "owned": solution.nodes["loss_owned"].sum(),
            "claims of accounts": float(system.claims["creditor"].isin(accounts).sum()),
            "shorts": float((system.positions["quantity"] < 0.0).sum()),
            **{cause: float(causes.get(cause, 0)) for cause in ("call", "funding", "stop_loss", "liquidation")},
        }
        found = {name: found.get(name, 0.0) + count for name, count in counts.items()}
    assert all(count > 1.0 for count in found.values()), found


def test_overrides_change_small_tables_alone(tmp_path: Path) -> None:
    system, scenario = drawn(1)
    parted = ct.partition(system, tmp_path / "parts", parts=2)
    market = system.markets["market"].iloc[0]
    change = ct.Override("markets", {"market": market}, {"depth": 7.0})
    changed = ct.Scenario(scenario.shocks, overrides=(change,))
    assert_same_rounds(ct.solve(system, changed), ct.solve(parted, changed))
    account = ct.Override("accounts", {"account": system.accounts["account"].iloc[0]}, {"cash": 7.0})
    with pytest.raises(ct.InputError, match="override of accounts: this table stands in parts"):
        ct.solve(parted, ct.Scenario(overrides=(account,)))


def edited(folder: Path, number: int, table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = read_part(folder, part_name(number))[table]
    write_part(folder, number, {table: change(frame)})


def test_all_problems_of_all_parts_are_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    system, scenario = drawn(2)
    folder = tmp_path / "parts"
    parted = ct.partition(system, folder, parts=3)
    elsewhere, twin = parted.part(0).positions.iloc[:2], parted.part(0).accounts.iloc[:1]
    edited(folder, 1, "positions", lambda frame: pd.concat([frame, elsewhere]))
    edited(folder, 2, "accounts", lambda frame: frame.assign(cash=np.inf, platform="nowhere"))
    with pytest.raises(ct.InputError) as caught:
        ct.solve(ct.open_partitioned(folder), scenario)
    text = "\n".join(caught.value.problems)
    name = elsewhere["account"].iloc[0]
    assert f"positions/part-00001.parquet: account {name!r}" in text
    assert "stands in the part of its account: move it there" in text
    assert "part-00002: accounts row" in text
    assert "'nowhere' is not in nodes" in text
    assert "cash inf is out of range" in text
    edited(folder, 1, "positions", lambda frame: frame.iloc[:-2])
    edited(folder, 2, "accounts", lambda frame: pd.concat([frame.assign(cash=0.0, platform="ex0"), twin]))
    with pytest.raises(ct.InputError, match=r"in more than one part") as caught:
        ct.solve(ct.open_partitioned(folder), scenario)
    assert f"{twin['account'].iloc[0]!r} (part-00000, part-00002)" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_quotes_and_funding_may_name_accounts_of_any_part_but_no_others(tmp_path: Path) -> None:
    system, scenario = drawn(3)
    quotes = system.quotes.assign(account=["nobody", *system.quotes["account"].iloc[1:]])
    ct.partition(system, tmp_path / "parts", parts=3)
    quotes.to_parquet(tmp_path / "parts" / "quotes.parquet")
    parted = ct.open_partitioned(tmp_path / "parts")
    with pytest.raises(ct.InputError, match=r"quotes row 1 .*account 'nobody' is not in accounts"):
        ct.solve(parted, scenario)


def test_what_stops_a_solve_leaves_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system, scenario = drawn(4)
    parted, scratch = ct.partition(system, tmp_path / "parts", parts=2), tmp_path / "scratch"
    scratch.mkdir()

    def stop(*_: object) -> None:
        assert len(list(scratch.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(Part, "react", stop)
    with pytest.raises(KeyboardInterrupt):
        ct.solve(parted, scenario, engine=Streaming(scratch))
    assert list(scratch.iterdir()) == []


def test_folders_that_are_none(tmp_path: Path) -> None:
    system, _ = drawn(5)
    parted = ct.partition(system, tmp_path / "parts", parts=2)
    with pytest.raises(ct.InputError, match="is there already"):
        ct.partition(system, tmp_path / "parts")
    (parted.folder / "positions" / part_name(1)).rename(parted.folder / "positions" / part_name(7))
    with pytest.raises(ct.InputError) as caught:
        ct.open_partitioned(parted.folder)
    assert "part-00007.parquet has no counterpart in accounts" in str(caught.value)
    assert "part-00001.parquet is missing" in str(caught.value)
    with pytest.raises(ct.InputError, match="no accounts in parts"):
        ct.open_partitioned(tmp_path)
    with pytest.raises(ct.InputError, match="engine holds the parts"):
        ct.solve(system, engine=Streaming())  # type: ignore[call-overload]


def test_a_partition_refuses_text_among_numbers(tmp_path: Path) -> None:
    system, _ = ct.generate.system(accounts=20, assets=3, seed=1)
    positions = system.positions.astype({"quantity": object})
    positions.loc[2, "quantity"] = "many"
    with pytest.raises(ct.InputError, match=r"positions row 3 .*quantity 'many' is not a number"):
        ct.partition(system.with_table("positions", positions), tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_a_partitioned_solution_says_where_its_accounts_are(tmp_path: Path) -> None:
    system, scenario = drawn(6)
    with pytest.raises(ct.NotConverged, match="raise max_rounds, or take the unfinished state") as caught:
        ct.solve(ct.partition(system, tmp_path / "parts"), scenario, max_rounds=1)
    solution = caught.value.solution
    assert isinstance(solution, ct.PartitionedSolution)
    assert "NOT CONVERGED in 1 rounds" in repr(solution)
    with pytest.raises(AttributeError, match="write_accounts"):
        _ = solution.accounts
    with pytest.raises(AttributeError, match="read_system"):
        _ = solution.direct_loss
    assert not hasattr(solution, "walks")


def test_claims_alone_and_nothing_at_all(tmp_path: Path) -> None:
    """A network without accounts is one part without rows: the first pays half, so the second can pay half."""
    system = ct.System.from_liabilities([[0, 2, 0], [0, 0, 2], [0, 0, 0]], [1, 0, 0])
    got = ct.solve(ct.partition(system, tmp_path / "claims"))
    assert got.nodes["haircut"].tolist() == [0.5, 0.5, 0.0]
    assert dict(got.totals) == dict(ct.solve(system).totals)
    assert ct.solve(ct.partition(ct.System(), tmp_path / "nothing")).totals["loss"] == 0.0


def test_a_chest_gives_back_what_it_holds(tmp_path: Path) -> None:
    arrays = [np.arange(5), np.zeros(0), np.zeros((2, 3)), np.array([[1.5], [-0.0]]), np.ones(2000, dtype=np.int8)]
    chest = Chest.write(tmp_path / "chest", arrays)
    for mine, yours in zip(arrays, chest.open(), strict=True):
        assert mine.dtype == yours.dtype
        assert mine.tobytes() == yours.tobytes()
        assert mine.shape == yours.shape
    chest.open()[0][:] = 7
    assert chest.open()[0].tolist() == [0, 1, 2, 3, 4]
    chest.open(writable=True)[2][1] = 7.0
    assert chest.open()[2].tolist() == [[0.0] * 3, [7.0] * 3]


def test_a_synthetic_system_in_parts_is_one_in_memory(tmp_path: Path) -> None:
    scenario = ct.generate.partitioned(tmp_path / "parts", accounts=400, assets=4, seed=3, parts=3)
    parted = ct.open_partitioned(tmp_path / "parts")
    parts = [parted.part(number) for number in range(3)]
    tables = dict(parted.small.tables()) | {
        table: pd.concat([getattr(part, table) for part in parts]) for table in ("accounts", "positions", "claims")
    }
    want, got = ct.solve(ct.System(**tables), scenario), ct.solve(parted, scenario)
    assert want.totals["funded"] > 0.0
    assert want.quotes["withdrawn"].max() > 0.0
    assert dict(got.totals) == pytest.approx(dict(want.totals), rel=1e-9)
    again = ct.generate.partitioned(tmp_path / "again", accounts=400, assets=4, seed=3, parts=3)
    assert again == scenario
    assert ct.open_partitioned(tmp_path / "again").part(2) == parts[2]
