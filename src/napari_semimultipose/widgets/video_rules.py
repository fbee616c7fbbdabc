"""What predictions on frames without labels must obey, as a few boxes to tick."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_semimultipose.config import Config, VideoConfig
from napari_semimultipose.widgets.editors import WordsEditor, editor_for
from napari_semimultipose.widgets.forms import Fold, rows_of

RULES = {
    "temporal": (
        "No jumps",
        "A keypoint does not move further from one frame to the next than it usually does",
    ),
    "pca": (
        "Usual poses",
        "Poses are like the labelled ones; at least as many labelled animals as keypoints are needed",
    ),
    "multiview": (
        "Views agree",
        "What mirrors in the picture, or several cameras, see of a body part belongs together. Mirrors: "
        "keypoints named with the view as ending, such as nose_top and nose_bot; see also 'Views' in the "
        "advanced settings. Cameras: see below",
    ),
}


class VideoRules(Fold):
    """Tick boxes for the losses on video, the cameras that are compared, and the strength; folded away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Video rules", parent)
        self.boxes: dict[str, QCheckBox] = {}
        column = QVBoxLayout(self.content)
        column.setContentsMargins(10, 0, 0, 4)
        column.setSpacing(2)
        for name, (text, tip) in RULES.items():
            box = QCheckBox(text, self.content)
            box.setToolTip(f"{tip} (video.losses: {name})")
            box.toggled.connect(self._retitle)
            column.addWidget(box)
            self.boxes[name] = box
        fields = VideoConfig.model_fields
        self.cameras = WordsEditor(self.content)
        self.cameras.set_example("none")
        self.strength = editor_for(fields["strength"], parent=self.content)
        column.addLayout(
            rows_of(
                ("Cameras", self.cameras, f"{fields['cameras'].description} (video.cameras)"),
                ("Strength", self.strength, fields["strength"].description or ""),
            )
        )
        self.setToolTip(
            "What predictions on frames without labels must obey (Lightning Pose). They need videos: of "
            "the labels, or added as unlabelled frames"
        )

    def set_config(self, config: Config) -> None:
        """Show the rules and the strength of some settings."""
        for name, box in self.boxes.items():
            box.setChecked(name in config.video.losses)
        self.cameras.set_value(config.video.cameras)
        self.strength.set_value(config.video.strength)
        self._retitle()

    def changes(self) -> dict[str, Any]:
        """Return the settings, as ``{"group.name": value}``."""
        return {
            "video.losses": [name for name, box in self.boxes.items() if box.isChecked()],
            "video.cameras": self.cameras.value(),
            "video.strength": self.strength.value(),
        }

    def _retitle(self) -> None:
        n = sum(box.isChecked() for box in self.boxes.values())
        self.set_title(f"Video rules: {n} of {len(self.boxes)}" if n else "Video rules: none")
