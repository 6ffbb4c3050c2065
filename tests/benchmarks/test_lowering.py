"""Lowering of a million positions, against reading the same tables from Parquet.

Seconds are those of the machine and are reported; what is asserted is that reading is the larger part neither of
reading and lowering nor of reading and solving.
"""

import time
from collections.abc import Callable
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

import contagion as ct
from contagion.arrays import lower
from contagion.io.parquet import read_parquet, write_parquet

ACCOUNTS = 400_000
"""With two and a half positions each."""


def least(works: dict[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """Return the least seconds of each, all in turn, so that a busy machine is busy for all of them."""
    taken = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            taken[name] = min(taken[name], time.perf_counter() - begun)
    return taken


def test_reading_takes_no_longer_than_lowering_and_solving(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    system, scenario = ct.generate.system(accounts=ACCOUNTS, seed=7)
    shuffled = system
    for name in ("accounts", "positions"):
        write_parquet(getattr(system, name), tmp_path / name)
        rows = getattr(system, name).sample(frac=1.0, random_state=1)
        shuffled = shuffled.with_table(name, rows)
    taken = least(
        {
            "read positions": lambda: read_parquet(tmp_path / "positions"),
            "read positions and accounts": lambda: [
                read_parquet(tmp_path / name) for name in ("positions", "accounts")
            ],
            "lower": lambda: lower(system, scenario),
            "lower, rows in any order": lambda: lower(shuffled, scenario),
            "solve": lambda: ct.solve(system, scenario),
        }
    )
    benchmark.pedantic(lower, args=(system, scenario), rounds=1)
    millions = len(system.positions) / 1e6
    benchmark.extra_info |= {f"seconds per million: {name}": seconds / millions for name, seconds in taken.items()}
    read = taken["read positions"]
    for work in ("lower", "solve"):
        benchmark.extra_info[f"reading, of reading and {work}"] = read / (read + taken[work])
    assert read <= taken["lower"] <= taken["solve"]
