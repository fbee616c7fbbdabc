"""The list of suggested frames: thumbnail, frame, reason, and whether it is labelled by now."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QRect, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPixmap
from qtpy.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget
from typing_extensions import override

from napari_semimultipose.labeling.suggest import Suggestion
from napari_semimultipose.widgets.suggestion_jobs import THUMBNAIL_PX, Thumbnail

TITLE, REASON, LABELLED = (Qt.ItemDataRole.UserRole + i for i in range(3))
MARGIN = 5


class SuggestionModel(QAbstractListModel):
    """Suggestions in the order of their importance."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.suggestions: tuple[Suggestion, ...] = ()
        self._labelled: frozenset[int] = frozenset()
        self._pictures: dict[int, QPixmap] = {}

    def set_suggestions(self, suggestions: tuple[Suggestion, ...]) -> None:
        """Show other suggestions; the pictures of frames that stay are kept."""
        self.beginResetModel()
        self.suggestions = suggestions
        wanted = {s.frame for s in suggestions}
        self._pictures = {f: p for f, p in self._pictures.items() if f in wanted}
        self.endResetModel()

    def set_labelled(self, frames: Container[int]) -> None:
        """Say which frames are labelled by now."""
        labelled = frozenset(s.frame for s in self.suggestions if s.frame in frames)
        if labelled != self._labelled:
            self._labelled = labelled
            self._changed()

    def set_thumbnail(self, thumbnail: Thumbnail) -> None:
        """Show the picture of a frame."""
        height, width = thumbnail.picture.shape[:2]
        data = thumbnail.picture.tobytes()
        image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._pictures[thumbnail.frame] = QPixmap.fromImage(image)
        self._changed()

    def missing(self) -> list[int]:
        """Frames without a picture."""
        return [s.frame for s in self.suggestions if s.frame not in self._pictures]

    def _changed(self) -> None:
        if self.suggestions:
            self.dataChanged.emit(self.index(0), self.index(len(self.suggestions) - 1))

    @override
    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of suggestions."""
        return len(self.suggestions)

    @override
    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the title, the reason or the picture of a suggestion."""
        if not index.isValid():
            return None
        suggestion = self.suggestions[index.row()]
        labelled = suggestion.frame in self._labelled
        title = f"Frame {suggestion.frame}" + ("  ✓ labelled" if labelled else "")
        reason = suggestion.reason[:1].upper() + suggestion.reason[1:]
        values = {
            Qt.ItemDataRole.DisplayRole: f"{title}: {reason}",  # what screen readers say
            Qt.ItemDataRole.ToolTipRole: reason,
            Qt.ItemDataRole.DecorationRole: self._pictures.get(suggestion.frame),
            TITLE: title,
            REASON: reason,
            LABELLED: labelled,
        }
        return values.get(role)


class _Delegate(QStyledItemDelegate):
    """Draws the thumbnail on the left, the frame in bold beside it, and the reason below."""

    @override
    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw a row."""
        if painter is None:
            return
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, option.palette.highlight())
        box = option.rect.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        frame = QRect(box.left(), box.top(), *THUMBNAIL_PX)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if index.data(LABELLED):
            painter.setOpacity(0.45)
        if picture is None:
            painter.fillRect(frame, option.palette.alternateBase())
        else:
            spot = picture.rect()
            spot.moveCenter(frame.center())
            painter.drawPixmap(spot.topLeft(), picture)
        text = box.adjusted(THUMBNAIL_PX[0] + 2 * MARGIN, 0, 0, 0)
        painter.setPen(option.palette.text().color())
        font = option.font
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(text, Qt.AlignmentFlag.AlignTop, index.data(TITLE))
        font.setBold(False)
        painter.setFont(font)
        text.setTop(text.top() + painter.fontMetrics().lineSpacing() + 2)
        flags = Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(text, int(flags), index.data(REASON))
        painter.restore()

    @override
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the size of a row."""
        return QSize(220, THUMBNAIL_PX[1] + 2 * MARGIN)


class SuggestionList(QListView):
    """List of suggestions; the current row is the one that is looked at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.suggestions = SuggestionModel(self)
        self.setModel(self.suggestions)
        self.setItemDelegate(_Delegate(self))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(self.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(120)

    def show_current(self, row: int | None) -> None:
        """Select a row without telling anybody, and scroll to it."""
        index = QModelIndex() if row is None else self.suggestions.index(row)
        if index != self.currentIndex():
            selection = self.selectionModel()
            blocked = selection.blockSignals(True)
            self.setCurrentIndex(index)
            selection.blockSignals(blocked)
            self.viewport().update()
            if row is not None:
                self.scrollTo(index)
