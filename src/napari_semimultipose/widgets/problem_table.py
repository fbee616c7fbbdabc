"""The list of problems of the Review widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QVBoxLayout, QWidget
from typing_extensions import override

from napari_semimultipose.labeling.problems import Kind, Problem
from napari_semimultipose.widgets.plots import Legend

HEADINGS = ("Frames", "Animal", "Problem")
OPEN, FINE, REPAIRED = "", "fine", "repaired"
COLORS = {
    Kind.SWAP: "#ff7ac6",
    Kind.JUMP: "#ffb300",
    Kind.MISSING: "#56b4e9",
    Kind.SURPLUS: "#8f9bff",
    Kind.CONFIDENCE: "#e0605f",
    Kind.SHAPE: "#38d16a",
    Kind.POSE: "#b5d33d",
    Kind.PLACE: "#e6a0c4",
    Kind.SIDES: "#ff9d5c",
    Kind.DUPLICATE: "#c08cff",
    Kind.MODEL: "#4fd6d0",
}
SORT_ROLE = Qt.ItemDataRole.UserRole + 1


class ProblemModel(QAbstractTableModel):
    """Problems, what was done about each, and who their animals are now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.problems: list[Problem] = []
        self.names: Callable[[Problem], str] = lambda problem: ""
        self._states: list[str] = []

    def set_problems(self, problems: list[Problem], states: list[str]) -> None:
        """Show other problems."""
        self.beginResetModel()
        self.problems, self._states = problems, states
        self.endResetModel()

    def state(self, index: int) -> str:
        """Return what was done about a problem."""
        return self._states[index]

    def set_state(self, index: int, state: str) -> None:
        """Say what was done about a problem."""
        self._states[index] = state
        self.dataChanged.emit(self.index(index, 0), self.index(index, len(HEADINGS) - 1))

    def set_state_of(self, problem: Problem, state: str) -> None:
        """Say what was done about a problem, if it is in the list."""
        if problem in self.problems:
            self.set_state(self.problems.index(problem), state)

    def renamed(self) -> None:
        """Show the animals again, because their identities have changed."""
        if self.problems:
            self.dataChanged.emit(self.index(0, 1), self.index(len(self.problems) - 1, 1))

    @override
    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of problems."""
        return 0 if parent is not None and parent.isValid() else len(self.problems)

    @override
    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return len(HEADINGS)

    @override
    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        """Return the headings."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return HEADINGS[section]
        return None

    @override
    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows."""
        problem, column = self.problems[index.row()], index.column()
        state = self._states[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            if column == 0:
                return str(problem.first) if problem.first == problem.last else _span(problem)
            if column == 1:
                return self.names(problem)
            return f"{problem.text} ({state})" if state else problem.text
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{problem.kind}: {problem.text}; {problem.severity:.1f} times the limit"
        if role == Qt.ItemDataRole.ForegroundRole:
            if state:
                return QColor("#808080")
            return QColor(COLORS[problem.kind]) if column == 2 else None
        if role == SORT_ROLE:
            return (problem.first, self.names(problem), -problem.severity)[column]
        return None


def _span(problem: Problem) -> str:
    return f"{problem.first} - {problem.last}"


class _Filter(QSortFilterProxyModel):
    """Hides the problems of some kinds."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.hidden: set[str] = set()
        self.setSortRole(SORT_ROLE)

    @override
    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Whether a problem is shown."""
        model = self.sourceModel()
        return not isinstance(model, ProblemModel) or model.problems[row].kind not in self.hidden


class ProblemTable(QWidget):
    """Problems with a toggle for each kind; one of them is the current one.

    A click on a heading sorts: by frame, by animal, or the worst ones first.
    """

    chosen = Signal()
    """Another problem is the current one, or the current one was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ProblemModel(self)
        self._filter = _Filter(self)
        self._filter.setSourceModel(self.model)
        self.kinds = Legend(self)
        self.kinds.toggled.connect(self._on_toggled)
        self.view = QTableView(self)
        self.view.setModel(self._filter)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setMinimumHeight(120)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        header = self.view.horizontalHeader()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.resizeSection(0, 84)
        header.resizeSection(1, 76)
        self.view.selectionModel().currentRowChanged.connect(self._on_current)
        self.view.clicked.connect(lambda _: self.chosen.emit())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.kinds)
        layout.addWidget(self.view, 1)

    def set_problems(self, problems: list[Problem], fine: list[bool]) -> None:
        """Show other problems; those that a person has called fine stay so."""
        shown = {name: self.kinds.shows(name) for name in self.kinds.names()}
        self.kinds.clear()
        for kind, color in COLORS.items():
            n = sum(problem.kind is kind for problem in problems)
            if n:
                self.kinds.set_curve(kind.value, color, shown=shown.get(kind.value, True))
                self.kinds.set_text(kind.value, f"{kind.value} {n}")
        self._filter.hidden = {k for k, on in shown.items() if not on and k in self.kinds.names()}
        self.model.set_problems(problems, [FINE if is_fine else OPEN for is_fine in fine])
        self._filter.invalidate()

    def sort_by_severity(self) -> None:
        """Show the worst ones first."""
        self.view.sortByColumn(HEADINGS.index("Problem"), Qt.SortOrder.AscendingOrder)

    def current(self) -> int | None:
        """Index of the current problem."""
        index = self.view.selectionModel().currentIndex()
        return self._filter.mapToSource(index).row() if index.isValid() else None

    def set_current(self, index: int) -> None:
        """Make a problem the current one, if it is shown."""
        place = self._filter.mapFromSource(self.model.index(index, 0))
        if place.isValid():
            self.view.setCurrentIndex(place)
            self.view.scrollTo(place)

    def step(self, direction: int) -> bool:
        """Go to the next (+1) or previous (-1) open problem of the list; False without any."""
        n = self._filter.rowCount()
        index = self.view.selectionModel().currentIndex()
        here = index.row() if index.isValid() else (-1 if direction > 0 else n)
        row = here + direction
        while 0 <= row < n:
            source = self._filter.mapToSource(self._filter.index(row, 0)).row()
            if self.model.state(source) == OPEN:
                self.set_current(source)
                return True
            row += direction
        return False

    def n_open(self) -> int:
        """Return the number of problems that nothing was done about."""
        return sum(self.model.state(i) == OPEN for i in range(len(self.model.problems)))

    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit()

    def _on_toggled(self, name: str, on: bool) -> None:
        (self._filter.hidden.discard if on else self._filter.hidden.add)(name)
        self._filter.invalidate()
