"""Print the table of measured times: ``python -m tests.benchmarks``, from a checkout.

Each size runs in a process of its own; progress goes to stderr, the tables to stdout. Ten million accounts need some
20 GB of memory and a few minutes: ``--sizes 1e3 1e4 1e5 1e6 1e7``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from tests.benchmarks import growth, peers, tabled

_SIZES = [1_000, 10_000, 100_000, 1_000_000]
_NETWORKS = [5_000, 500_000]
_LARGEST_OF_NEVA = 20_000


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print it; 1 if a size could not be measured."""
    given = _arguments(words)
    form = "csv" if given.csv else "markdown" if given.markdown else "text"
    _show(tabled.machine(), form)
    rows = [_size(count, given.scenarios) for count in given.sizes]
    found = [row for row in rows if row is not None]
    _print(tabled.sizes(found), form)
    _print(_growth(found), form)
    neva = peers.find_neva(given.peer)
    if given.networks and neva is None:
        _note(f"neva is not in {given.peer}" if given.peer else "neva is not installed; --peer FOLDER says where it is")
    _print(_peers(given.networks, neva), form)
    return int(len(found) < len(rows))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--sizes", type=_count, nargs="*", default=_SIZES, metavar="N", help="accounts; 1e3 to 1e6")
    parser.add_argument(
        "--networks", type=_count, nargs="*", default=_NETWORKS, metavar="N", help="banks to clear beside the peers"
    )
    parser.add_argument("--scenarios", type=int, default=20, help="scenarios of the sweep (0: none)")
    parser.add_argument("--peer", metavar="FOLDER", help="folder that holds the neva package")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    form.add_argument("--markdown", action="store_true", help="print Markdown tables")
    return parser.parse_args(words)


def _count(text: str) -> int:
    """Return a count that may be written as 1e6."""
    return int(float(text))


def _size(count: int, scenarios: int) -> dict[str, float] | None:
    _note(f"{count:,} accounts ...")
    row = tabled.measured(count, scenarios)
    _note("  " + (f"solved in {row['solve']:.3g} s" if row else "died; left out"))
    return row


def _growth(rows: Sequence[dict[str, float]]) -> tabled.Cells:
    names = ["step", "stated", "fitted exponent", "holds"]
    grown = growth.grown(rows)
    body = [[str(each["step"]), str(each["stated"]), f"{each['exponent']:.2f}", str(each["holds"])] for each in grown]
    return [names, *body] if body else []


def _peers(networks: Sequence[int], neva: ModuleType | None) -> tabled.Cells:
    cells = [["banks", "who", "from what to what", "CPU s", "over the bar", "largest difference"]]
    for count in networks:
        _note(f"a network of {count:,} banks ...")
        repeats = 9 if count <= _LARGEST_OF_NEVA else 3
        small = neva if count <= _LARGEST_OF_NEVA else None
        for each in peers.compared(peers.network(count), repeats, small):
            figures = [f"{each.seconds:.3g}", f"{each.ratio:.3g}", f"{each.difference:.0e}"]
            cells.append([f"{count:,}", each.peer, each.what, *figures])
    return cells if networks else []


def _show(line: str, form: str) -> None:
    sys.stdout.write(("# " if form == "csv" else "") + line + "\n\n")


def _print(cells: tabled.Cells, form: str) -> None:
    if len(cells) > 1:
        sys.stdout.write(tabled.written(cells, form) + "\n")
        sys.stdout.flush()


def _note(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
