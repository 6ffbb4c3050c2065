"""Moves of the Gibbs sampler: an amount goes round a cycle of debts, and every total stays what it is."""

from __future__ import annotations

import numpy as np

from contagion.clearing.network import Floats
from contagion.reconstruct.compiled import part
from contagion.reconstruct.links import BARRED, FREE, Ints, Links

__all__ = ["LONGEST", "swept"]

LONGEST = 64
"""Most debtors in a cycle that is walked."""

_GO_ON = 0.5
"""Probability that a walked cycle has one more debtor; it has two at least."""

_REACH = 20_000
"""Most debts that are looked at to count the paths which join two banks."""


def swept(links: Links, odds: Floats, switches: float, moves: int, rng: np.random.Generator) -> None:
    """Make so many moves, in place, a share ``switches`` of which switch one link.

    ``odds`` (n, n), or (1, 1) for all alike, is p/(1 − p) times the rate of amounts: what the density of a network
    gains by a link. The other moves shift an amount round a walked cycle.
    """
    rows, columns = np.empty(LONGEST, dtype=np.int64), np.empty(LONGEST, dtype=np.int64)
    marks = np.zeros(links.amounts.shape[0], dtype=np.int64)
    for _ in range(moves):
        if rng.random() < switches:
            _switched(links, odds, rows, columns, marks, rng)
        else:
            _moved(links, odds, rows, columns, rng)


@part
def _put(links: Links, row: int, column: int) -> None:
    """Add a cell to the lists of its row and column."""
    place, other = links.row_degree[row], links.column_degree[column]
    links.in_row[row, column], links.in_column[row, column] = place, other
    links.row_list[row, place], links.column_list[column, other] = column, row
    links.row_degree[row] += 1
    links.column_degree[column] += 1


@part
def _taken(links: Links, row: int, column: int) -> None:
    """Take a cell off the lists of its row and column; the last of each list takes its place."""
    links.amounts[row, column] = 0.0
    place = links.in_row[row, column]
    links.row_degree[row] -= 1
    last = links.row_list[row, links.row_degree[row]]
    links.row_list[row, place], links.in_row[row, last] = last, place
    links.in_row[row, column] = FREE
    place = links.in_column[row, column]
    links.column_degree[column] -= 1
    last = links.column_list[column, links.column_degree[column]]
    links.column_list[column, place], links.in_column[last, column] = last, place


@part
def _gain(odds: Floats, row: int, column: int) -> float:
    gain: float = odds[row, column] if odds.shape[0] > 1 else odds[0, 0]
    return gain


@part
def _walked(links: Links, rows: Ints, columns: Ints, size: int, rng: np.random.Generator) -> bool:
    """Walk along debts, from a debtor to one of its creditors, to another debtor of that one, and so on.

    Returns whether the walk has ``size`` debtors and as many creditors, none of them twice.
    """
    row = int(rng.random() * links.amounts.shape[0])
    if links.row_degree[row] == 0:
        return False
    column = links.row_list[row, int(rng.random() * links.row_degree[row])]
    rows[0], columns[0] = row, column
    for step in range(1, size):
        if links.column_degree[column] < 2:
            return False
        pick = int(rng.random() * (links.column_degree[column] - 1))
        row = links.column_list[column, pick + (pick >= links.in_column[row, column])]
        if links.row_degree[row] < 2:
            return False
        pick = int(rng.random() * (links.row_degree[row] - 1))
        column = links.row_list[row, pick + (pick >= links.in_row[row, column])]
        for other in range(step):
            if rows[other] == row or columns[other] == column:
                return False
        rows[step], columns[step] = row, column
    return True


@part
def _moved(links: Links, odds: Floats, rows: Ints, columns: Ints, rng: np.random.Generator) -> None:
    """Shift an amount round a walked cycle, which the cell between its last creditor and first debtor closes.

    Δ is taken from every other cell of it and added to the rest, where Δ is drawn from the density given all else: an
    atom at either end, where a cell becomes zero, and flat in between. Each outcome is weighted by the probability of
    walking this cycle from there, which depends on degrees (d − 1 for each step, d for the first, and each cell of the
    cycle may be the one that closes it, if it is the only one without a link); so moves are in balance.
    """
    longest, size = min(links.amounts.shape[0], LONGEST), 2
    while size < longest and rng.random() < _GO_ON:
        size += 1
    if not _walked(links, rows, columns, size, rng) or links.in_row[rows[0], columns[size - 1]] == BARRED:
        return
    up, down = np.inf, np.inf  # the room: up until a lessened cell is empty, down until a raised one is
    for step in range(size):
        up = min(up, links.amounts[rows[step], columns[step]])
        down = min(down, links.amounts[rows[(step + 1) % size], columns[step]])
    change, end = _outcome(links, odds, rows, columns, size, up, down, rng)
    if change == 0.0:
        return
    for cell in range(2 * size):
        step, sign = cell % size, 1 if cell < size else -1
        row, column = rows[step if cell < size else (step + 1) % size], columns[step]
        after = links.amounts[row, column] - sign * change
        if end == sign and after <= 0.0:
            if links.in_row[row, column] >= 0:
                _taken(links, row, column)
            continue
        links.amounts[row, column] = after
        if links.in_row[row, column] < 0:
            _put(links, row, column)


@part
def _outcome(
    links: Links, odds: Floats, rows: Ints, columns: Ints, size: int, up: float, down: float, rng: np.random.Generator
) -> tuple[float, int]:
    """Return Δ and the end that it is at, 0 for none; weights are shares of that of a cycle linked throughout."""
    opening = int(links.in_row[rows[0], columns[size - 1]] < 0)
    weight_up, weight_down, walks, empty_up, empty_down = 1.0, 1.0, 0.0, 0, 0
    for cell in range(2 * size):
        step = cell % size
        row, column = rows[step if cell < size else (step + 1) % size], columns[step]
        row_others = links.row_degree[row] - 1.0 + (opening if row == rows[0] else 0)
        column_others = links.column_degree[column] - 1.0 + (opening if column == columns[size - 1] else 0)
        walks += column_others * row_others / (row_others + 1.0)
        weight = column_others / _gain(odds, row, column)
        if cell < size and links.amounts[row, column] <= up:
            empty_up += 1
            weight_up *= weight
        elif cell >= size and links.amounts[row, column] <= down:
            empty_down += 1
            weight_down *= weight
    weight_between = walks * (up + down)
    empty_up, empty_down = empty_up if weight_up > 0.0 else 0, empty_down if weight_down > 0.0 else 0
    if empty_up > 1 or empty_down > 1:  # a network with one link less is infinitely denser
        weight_between = 0.0
        if empty_up != empty_down:
            weight_up, weight_down = (1.0, 0.0) if empty_up > empty_down else (0.0, 1.0)
    choice = rng.random() * (weight_up + weight_down + weight_between)
    if choice < weight_up:
        return up, 1
    if choice < weight_up + weight_down:
        return -down, -1
    change = -down + rng.random() * (up + down)
    return (change, 0) if -down < change < up else (0.0, 0)


@part
def _switched(links: Links, odds: Floats, rows: Ints, columns: Ints, marks: Ints, rng: np.random.Generator) -> None:
    """Put a link in, take it out, or change it, against the links of a path that joins its ends otherwise.

    Walked cycles of sparse networks are hardly ever closed by a link, so that they seldom take one out. Here, every
    second time, a cell is drawn among the links of a debtor or of a creditor, and the path evenly among all N of three
    or five links that join its ends; else the path is walked and the cell is what closes it. Neither N nor the links of
    the path depend on the cell. With W the probability of the path's steps, and d and e links of the debtor and of the
    creditor beside the cell, both come up with W/d if it is empty, and with W/(d + 1) + (1/(d + 1) + 1/(e + 1))/2N
    if it is linked. By these the two outcomes are weighted.
    """
    size = 2 if rng.random() < 0.5 else 3
    paths = _joined(links, rows, columns, marks, size, rng)
    if paths <= 0:
        return
    row, column = rows[0], columns[size - 1]
    room, slack, steps = np.inf, np.inf, 1.0
    for step in range(size):
        room = min(room, links.amounts[rows[step], columns[step]])
        if step > 0:
            slack = min(slack, links.amounts[rows[step], columns[step - 1]])
            steps *= (links.column_degree[columns[step - 1]] - 1.0) * (links.row_degree[rows[step]] - 1.0)
    before = links.amounts[row, column]
    own = 1.0 if links.in_row[row, column] >= 0 else 0.0
    beside, besides = links.row_degree[row] - own, links.column_degree[column] - own
    drawn = steps / paths * 0.5 * (1.0 / (beside + 1.0) + 1.0 / (besides + 1.0))
    least = max(before - slack, 0.0)
    linked = _gain(odds, row, column) * (before + room - least) * beside * (1.0 / (beside + 1.0) + drawn)
    if before < slack and rng.random() * (1.0 + linked) < 1.0:
        after = 0.0
    else:
        after = least + rng.random() * (before + room - least)
        if not least < after < before + room:
            return
    _set(links, rows, columns, size, after)


@part
def _joined(links: Links, rows: Ints, columns: Ints, marks: Ints, size: int, rng: np.random.Generator) -> int:
    """Draw a cell and a path that joins its ends; return how many do, none or less if there is nothing to switch."""
    if rng.random() < 0.5:
        if not _walked(links, rows, columns, size, rng) or links.in_row[rows[0], columns[size - 1]] == BARRED:
            return 0
        return _paths(links, marks, rows[0], columns[size - 1], size, -1, rows, columns)
    row = column = int(rng.random() * links.amounts.shape[0])
    if rng.random() < 0.5:
        if links.row_degree[row] < 2:
            return 0
        column = links.row_list[row, int(rng.random() * links.row_degree[row])]
    else:
        if links.column_degree[column] < 2:
            return 0
        row = links.column_list[column, int(rng.random() * links.column_degree[column])]
    paths = _paths(links, marks, row, column, size, -1, rows, columns)
    if paths > 0:
        rows[0], columns[size - 1] = row, column
        _paths(links, marks, row, column, size, int(rng.random() * paths), rows, columns)
    return paths


@part
def _set(links: Links, rows: Ints, columns: Ints, size: int, after: float) -> None:
    """Give the cell that closes a path an amount, and the links of the path what keeps all sums, none of them zero."""
    row, column = rows[0], columns[size - 1]
    change = after - links.amounts[row, column]
    for step in range(size):
        if links.amounts[rows[step], columns[step]] - change <= 0.0:
            return
        if step > 0 and links.amounts[rows[step], columns[step - 1]] + change <= 0.0:
            return
    for step in range(size):
        links.amounts[rows[step], columns[step]] -= change
        if step > 0:
            links.amounts[rows[step], columns[step - 1]] += change
    if after == 0.0:
        if links.in_row[row, column] >= 0:
            _taken(links, row, column)
        return
    links.amounts[row, column] = after
    if links.in_row[row, column] < 0:
        _put(links, row, column)


@part
def _paths(links: Links, marks: Ints, row: int, column: int, size: int, wanted: int, rows: Ints, columns: Ints) -> int:
    """Return the number of paths of 2·size − 1 links from a debtor to a creditor beside their own; −1 for too many.

    If one is ``wanted``, counting stops at it and it is written to ``rows`` and ``columns``. What is looked at, and so
    what is too many, does not depend on whether the two are linked.
    """
    work, found = 0, 0
    if size == 3:
        for place in range(links.row_degree[row]):
            middle = links.row_list[row, place]
            work += links.column_degree[middle] if middle != column else 0
        if work > _REACH:
            return -1
        _mark(links, marks, row, column, 1)
    for place in range(links.column_degree[column]):
        last = links.column_list[column, place]
        for position in range(links.row_degree[last] if last != row else 0):
            middle = links.row_list[last, position]
            if middle == column:
                continue
            work += links.column_degree[middle] if size == 3 else 1
            own = int(links.in_row[row, middle] >= 0)
            before = found
            found += _through(links, marks, row, last, middle, own) if size == 3 else own
            if before <= wanted < found:
                rows[size - 1], columns[size - 2] = last, middle
                if size == 3:
                    _begin(links, marks, row, column, wanted - before, own, rows, columns)
                break
        if 0 <= wanted < found or work > _REACH:
            break
    if size == 3:
        _mark(links, marks, row, column, -1)
    return found if work <= _REACH else -1


@part
def _mark(links: Links, marks: Ints, row: int, column: int, sign: int) -> None:
    """Count at each debtor the ways to it from another one by one creditor, other than the given one."""
    for place in range(links.row_degree[row]):
        first = links.row_list[row, place]
        for position in range(links.column_degree[first] if first != column else 0):
            marks[links.column_list[first, position]] += sign


@part
def _through(links: Links, marks: Ints, row: int, last: int, middle: int, own: int) -> int:
    """Return the number of paths that end with this creditor and debtor; ``own`` leave by the creditor itself."""
    found = 0
    for place in range(links.column_degree[middle]):
        other = links.column_list[middle, place]
        if row != other and last != other:
            found += marks[other] - own
    return found


@part
def _begin(links: Links, marks: Ints, row: int, column: int, wanted: int, own: int, rows: Ints, columns: Ints) -> None:
    """Write the start of one of the paths that `_through` counts."""
    middle, last = columns[1], rows[2]
    for place in range(links.column_degree[middle]):
        other = links.column_list[middle, place]
        if row == other or last == other:
            continue
        if wanted >= marks[other] - own:
            wanted -= marks[other] - own
            continue
        for position in range(links.row_degree[other]):
            first = links.row_list[other, position]
            if first != column and first != middle and links.in_row[row, first] >= 0:
                if wanted == 0:
                    columns[0], rows[1] = first, other
                    return
                wanted -= 1
