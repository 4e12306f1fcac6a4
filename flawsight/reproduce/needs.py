"""What the cells of a request will need of time and memory, estimated before any of them runs: see `fitting.estimate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flawsight import fitting
from flawsight.errors import FlawsightError
from flawsight.reproduce import oracle, pictures
from flawsight.reproduce.planning import Cell, Group, Request, make_work
from flawsight.reproduce.running import CELLS, read
from flawsight.system import memory
from flawsight.types import Progress


@dataclass(frozen=True)
class CellNeeds:
    """What each of the cells of a row in a category will need, all of which learn from so many good pictures.

    cells: how many there are, of other seeds. fit_s: seconds of all fits of one, judge_s: of scoring what it is judged on. peak_mb:
    the most memory of the process, 10⁶ bytes. why: it cannot be estimated, in which case these are 0.
    """

    row: str
    category: str
    shots: int | None
    cells: int
    fit_s: float = 0.0
    judge_s: float = 0.0
    peak_mb: float = 0.0
    why: str = ""

    @property
    def total_s(self) -> float:
        """Seconds of all the cells, one after another."""
        return self.cells * (self.fit_s + self.judge_s)


@dataclass(frozen=True)
class Needs:
    """What a request will need. finished: cells that are there already. not_run: (row or "", category or "", why)."""

    of_cells: list[CellNeeds]
    finished: int
    not_run: list[tuple[str, str, str]]

    @property
    def total_s(self) -> float:
        """Seconds of all cells that can be estimated, one after another."""
        return sum(one.total_s for one in self.of_cells)


def needs(request: Request, out: Path | None, progress: Progress | None = None) -> Needs:
    """What the cells that are not yet in `out`/cells will need; nothing is written.

    A few pictures, or a few steps of each training, are tried out for each row and category, once for all seeds. Raises as
    `planning.make_work` does.
    """
    work = make_work(request)
    alike: dict[tuple[str, str, int | None], list[tuple[Group, Cell]]] = {}
    for group in work.groups:
        for cell in group.cells:
            if out is None or read(out / CELLS, cell) is None:
                alike.setdefault((cell.row, cell.category, cell.shots), []).append((group, cell))
    found: list[CellNeeds] = []
    for cells in alike.values():
        if progress:
            progress("trying rows", len(found), len(alike))
        found.append(_of_one(*cells[0], len(cells)))
        memory.give_back()
    rows = [row.name for row in request.rows]
    found.sort(key=lambda one: rows.index(one.row))
    return Needs(found, len(work.cells) - sum(one.cells for one in found), work.not_run)


def _of_one(group: Group, cell: Cell, n: int) -> CellNeeds:
    """What one cell will need, of n that are alike."""
    fit_s = judge_s = peak_mb = 0.0
    try:
        plan, train, test = pictures.of_cell(group, cell)
        for _, one in oracle.plans(plan, cell.alternatives):
            cost = fitting.estimate(train, one)
            if cost is None:
                return CellNeeds(cell.row, cell.category, cell.shots, n, why=fitting.UNTOLD)
            fit_s += cost.total_s
            judge_s += len(test) * cost.latency_ms / 1000
            peak_mb = max(peak_mb, cost.peak_mb)
    except FlawsightError as error:
        return CellNeeds(cell.row, cell.category, cell.shots, n, why=str(error))
    return CellNeeds(cell.row, cell.category, cell.shots, n, fit_s, judge_s, peak_mb)
