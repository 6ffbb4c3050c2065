"""Moves of the Gibbs sampler: an amount goes round a cycle of debts, and every total stays what it is."""

from __future__ import annotations

import numpy as np

from contagion.clearing.network import Floats
from contagion.reconstruct.compiled import part
from contagion.reconstruct.links import BARRED, FREE, LONGEST, Cycle, Links

__all__ = ["swept"]

_GO_ON, _REACH = 0.5, 1_000
"""Probability that a walked cycle has one more debtor than two; most debts looked at to count paths of two banks."""


def swept(links: Links, odds: Floats, switches: float, moves: int, rng: np.random.Generator) -> int:
    """Make so many moves, in place, a share ``switches`` of which switch one link; return how many there was room for.

    ``odds`` (n, n), or (1, 1) for all alike, is p/(1 − p) times the rate of amounts: what the density of a network
    gains by a link. The other moves shift an amount round a walked cycle.
    """
    cycle = Cycle(links.spare[0], links.spare[1], links.spare[2], links.spare[3])
    for row in range(links.row_degree.size):
        for place in range(links.row_start[row], links.row_start[row] + links.row_degree[row]):
            links.gains[place] = _gain(odds, row, links.creditors[place])
    for move in range(moves):
        if links.state[0] > 0:
            return move
        if rng.random() < switches:
            _switched(links, odds, cycle, rng)
        else:
            _moved(links, odds, cycle, rng)
    return moves


@part
def _gain(odds: Floats, row: int, column: int) -> float:
    gain: float = odds[row, column] if odds.shape[0] > 1 else odds[0, 0]
    return gain


@part
def _put(links: Links, odds: Floats, row: int, column: int, amount: float) -> None:
    """Add a link at the end of both of its lists."""
    place = links.row_start[row] + links.row_degree[row]
    other = links.column_start[column] + links.column_degree[column]
    links.in_row[row, column], links.creditors[place], links.owed[place] = place, column, amount
    links.gains[place], links.in_column[place] = _gain(odds, row, column), other
    links.debtors[other], links.in_rows[other] = row, place
    links.row_degree[row] += 1
    links.column_degree[column] += 1
    if place + 1 == links.row_start[row + 1] or other + 1 == links.column_start[column + 1]:
        links.state[0] = 1


@part
def _taken(links: Links, row: int, column: int) -> None:
    """Take a link off its lists; the last of each list takes its place."""
    place = links.in_row[row, column]
    other = links.in_column[place]
    links.row_degree[row] -= 1
    links.column_degree[column] -= 1
    last = links.row_start[row] + links.row_degree[row]
    links.creditors[place], links.owed[place] = links.creditors[last], links.owed[last]
    links.gains[place], links.in_column[place] = links.gains[last], links.in_column[last]
    links.in_rows[links.in_column[place]], links.in_row[row, links.creditors[place]] = place, place
    links.in_row[row, column] = FREE
    last = links.column_start[column] + links.column_degree[column]
    if last != other:
        links.debtors[other], links.in_rows[other] = links.debtors[last], links.in_rows[last]
        links.in_column[links.in_rows[other]] = other


@part
def _walked(links: Links, cycle: Cycle, size: int, rng: np.random.Generator) -> bool:
    """Walk along debts, from a debtor to one of its creditors, to another debtor of that one, and so on.

    Returns whether the walk has ``size`` debtors and as many creditors, none of them twice, and may be closed.
    """
    row_start, row_degree, creditors = links.row_start, links.row_degree, links.creditors
    column_start, column_degree, rows, columns = links.column_start, links.column_degree, cycle.rows, cycle.columns
    row = int(rng.random() * row_degree.size)
    if row_degree[row] == 0:
        return False
    place = row_start[row] + int(rng.random() * row_degree[row])
    for step in range(size):
        rows[step], columns[step], cycle.down[step] = row, creditors[place], place
        for other in range(step):
            if rows[other] == row or columns[other] == columns[step]:
                return False
        if step == size - 1:
            break
        column = columns[step]
        if column_degree[column] < 2:
            return False
        pick = column_start[column] + int(rng.random() * (column_degree[column] - 1))
        pick += int(pick >= links.in_column[place])
        row, place = links.debtors[pick], links.in_rows[pick]
        cycle.across[step] = place
        if row_degree[row] < 2:
            return False
        pick = row_start[row] + int(rng.random() * (row_degree[row] - 1))
        place = pick + int(pick >= place)
    cycle.across[size - 1] = links.in_row[rows[0], columns[size - 1]]
    return bool(cycle.across[size - 1] != BARRED)


@part
def _moved(links: Links, odds: Floats, cycle: Cycle, rng: np.random.Generator) -> None:
    """Shift an amount round a walked cycle, which the cell between its last creditor and first debtor closes.

    Δ is taken from every other cell of it and added to the rest, where Δ is drawn from the density given all else: an
    atom at either end, where a cell becomes zero, and flat in between. Each outcome is weighted by the probability of
    walking this cycle from there, which depends on degrees (d − 1 for each step, d for the first, and each cell of the
    cycle may be the one that closes it, if it is the only one without a link); so moves are in balance.
    """
    longest, size = min(links.row_degree.size, LONGEST), 2
    while size < longest and rng.random() < _GO_ON:
        size += 1
    owed, downs, acrosses = links.owed, cycle.down, cycle.across
    change, end = _outcome(links, odds, cycle, size, rng) if _walked(links, cycle, size, rng) else (0.0, 0)
    if change == 0.0:
        return
    for step in range(size):
        owed[downs[step]] -= change
        if acrosses[step] >= 0:
            owed[acrosses[step]] += change
    if acrosses[size - 1] < 0:
        _put(links, odds, cycle.rows[0], cycle.columns[size - 1], change)
    emptied = downs if end == 1 else acrosses
    for step in range(size if end != 0 else 0):
        emptied[step] = FREE if emptied[step] >= 0 and owed[emptied[step]] <= 0.0 else 0
    for step in range(size if end != 0 else 0):  # for what is taken gives its place to others
        if emptied[step] == FREE:
            _taken(links, cycle.rows[step if end == 1 else (step + 1) % size], cycle.columns[step])


@part
def _outcome(links: Links, odds: Floats, cycle: Cycle, size: int, rng: np.random.Generator) -> tuple[float, int]:
    """Return Δ and the end that it is at, 0 for none; weights are shares of that of a cycle linked throughout."""
    owed, gains, row_degree, column_degree = links.owed, links.gains, links.row_degree, links.column_degree
    rows, columns, downs, acrosses = cycle.rows, cycle.columns, cycle.down, cycle.across
    up, down = np.inf, np.inf  # the room: up until a lessened cell is empty, down until a raised one is
    for step in range(size):
        up = min(up, owed[downs[step]])
        down = min(down, owed[acrosses[step]] if acrosses[step] >= 0 else 0.0)
    opening = acrosses[size - 1] < 0
    weight_up, weight_down, walks, empty_up, empty_down = 1.0, 1.0, 0.0, 0, 0
    for cell in range(2 * size):
        step, at = cell % size, cell if cell < size else (cell + 1) % size
        place = downs[step] if cell < size else acrosses[step]
        row_others = row_degree[rows[at]] - 1.0 + (opening and at == 0)
        column_others = column_degree[columns[step]] - 1.0 + (opening and step == size - 1)
        walks += column_others * row_others / (row_others + 1.0)
        gain = gains[place] if place >= 0 else _gain(odds, rows[0], columns[step])
        if cell < size and owed[place] <= up:
            empty_up += 1
            weight_up *= column_others / gain
        elif cell >= size and (place < 0 or owed[place] <= down):
            empty_down += 1
            weight_down *= column_others / gain
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
def _switched(links: Links, odds: Floats, cycle: Cycle, rng: np.random.Generator) -> None:
    """Put a link in, take it out, or change it, against the links of a path that joins its ends otherwise.

    Walked cycles of sparse networks are hardly ever closed by a link, so that they seldom take one out. Here, every
    second time, a cell is drawn among the links of a debtor or of a creditor, then another debtor of that creditor, and
    the path evenly among all N of five links that join the two ends by that debtor; else the path is walked and the
    cell is what closes it. Neither N nor the links of the path depend on the cell. With W the probability of the path's
    steps, and d and e links of the debtor and of the creditor beside the cell, both come up with W/d if it is empty,
    and with W/(d + 1) + (1/(d + 1) + 1/(e + 1))/2eN if it is linked. By these the two outcomes are weighted.
    """
    walked = rng.random() < 0.5
    found = _walked(links, cycle, 3, rng) if walked else _picked(links, cycle, rng)
    paths = _paths(links, cycle, not walked, rng) if found else 0
    if paths == 0:
        return
    owed, down, across, closing = links.owed, cycle.down, cycle.across, cycle.across[2]
    row, column = cycle.rows[0], cycle.columns[2]
    room, slack = min(owed[down[0]], owed[down[1]], owed[down[2]]), min(owed[across[0]], owed[across[1]])
    steps = (links.column_degree[cycle.columns[0]] - 1.0) * (links.row_degree[cycle.rows[1]] - 1.0)
    steps *= (links.column_degree[cycle.columns[1]] - 1.0) * (links.row_degree[cycle.rows[2]] - 1.0)
    own, before = (1.0, owed[closing]) if closing >= 0 else (0.0, 0.0)
    beside, besides = links.row_degree[row] - own, links.column_degree[column] - own
    drawn = steps / (besides * paths) * 0.5 * (1.0 / (beside + 1.0) + 1.0 / (besides + 1.0))
    least = max(before - slack, 0.0)
    linked = _gain(odds, row, column) * (before + room - least) * beside * (1.0 / (beside + 1.0) + drawn)
    after = 0.0
    if before >= slack or rng.random() * (1.0 + linked) >= 1.0:
        after = least + rng.random() * (before + room - least)
    change = after - before
    if change >= room or change <= -slack or (after == 0.0 and before == 0.0):  # the first two by rounding
        return
    for step in range(3):
        owed[down[step]] -= change
        if step < 2:
            owed[across[step]] += change
    if closing < 0:
        _put(links, odds, row, column, after)
    elif after > 0.0:
        owed[closing] = after
    else:
        _taken(links, row, column)


@part
def _picked(links: Links, cycle: Cycle, rng: np.random.Generator) -> bool:
    """Draw a link of a debtor or of a creditor, and another debtor of its creditor; return whether there are any."""
    bank = int(rng.random() * links.row_degree.size)
    by_row = rng.random() < 0.5
    degree = links.row_degree[bank] if by_row else links.column_degree[bank]
    if degree == 0:
        return False
    pick = int(rng.random() * degree)
    place = links.row_start[bank] + pick if by_row else links.in_rows[links.column_start[bank] + pick]
    row, column = links.debtors[links.in_column[place]], links.creditors[place]
    if links.row_degree[row] < 2 or links.column_degree[column] < 2:
        return False
    pick = links.column_start[column] + int(rng.random() * (links.column_degree[column] - 1))
    pick += int(pick >= links.in_column[place])
    cycle.rows[0], cycle.rows[2], cycle.columns[2] = row, links.debtors[pick], column
    cycle.across[2], cycle.down[2] = place, links.in_rows[pick]
    return True


@part
def _paths(links: Links, cycle: Cycle, draw: bool, rng: np.random.Generator) -> int:
    """Return the number of paths of five links from a debtor to a creditor by the given last one; 0 for too many.

    If one is to be drawn, it is written to ``cycle``. What is looked at, and so what is too many, does not depend on
    whether the two ends are linked. Marks above the last count's are this one's: so none has to be wiped out.
    """
    row_start, row_degree, creditors = links.row_start, links.row_degree, links.creditors
    column_start, column_degree, debtors, marks = links.column_start, links.column_degree, links.debtors, links.marks
    row, last, column, work, found = cycle.rows[0], cycle.rows[2], cycle.columns[2], 0, 0
    for bank in (row, last):
        for place in range(row_start[bank], row_start[bank] + row_degree[bank]):
            work += column_degree[creditors[place]] if creditors[place] != column else 0
    if work > _REACH:
        return 0
    base = links.state[1]
    links.state[1] += row_degree.size
    for place in range(row_start[row], row_start[row] + row_degree[row]):
        first = creditors[place]
        if first != column:
            marks[1, first] = base + 1
            for pick in range(column_start[first], column_start[first] + column_degree[first]):
                marks[0, debtors[pick]] = max(marks[0, debtors[pick]], base) + 1  # ways to it by one creditor
    for place in range(row_start[last], row_start[last] + row_degree[last]):
        middle = creditors[place]
        if middle != column:
            own = base + int(marks[1, middle] > base)  # the way by the middle creditor itself is no path
            for pick in range(column_start[middle], column_start[middle] + column_degree[middle]):
                if debtors[pick] != row and debtors[pick] != last:
                    found += max(marks[0, debtors[pick]] - own, 0)
        marks[2, place - row_start[last]] = found
    if draw and found > 0:
        _written(links, cycle, base, int(rng.random() * found))
    return found


@part
def _written(links: Links, cycle: Cycle, base: int, wanted: int) -> None:
    """Write one of the paths that have been counted to ``cycle``."""
    creditors, debtors, marks, last, step = links.creditors, links.debtors, links.marks, cycle.rows[2], 0
    while marks[2, step] <= wanted:
        step += 1
    wanted -= marks[2, step - 1] if step > 0 else 0
    place = links.row_start[last] + step
    middle = creditors[place]
    own, pick = base + int(marks[1, middle] > base), links.column_start[middle]
    while True:
        other = debtors[pick]
        ways = max(marks[0, other] - own, 0) if cycle.rows[0] != other and last != other else 0
        if wanted < ways:
            break
        wanted, pick = wanted - ways, pick + 1
    cycle.rows[1], cycle.columns[1], cycle.down[1], cycle.across[1] = other, middle, links.in_rows[pick], place
    place = links.row_start[other] - 1
    while wanted >= 0:
        place += 1
        wanted -= int(marks[1, creditors[place]] > base and creditors[place] != middle)
    cycle.columns[0], cycle.across[0] = creditors[place], place
    cycle.down[0] = links.in_row[cycle.rows[0], creditors[place]]
