"""The part of the Train widget that asks how to learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from napari_semimultipose.config import PRESETS, Config, ModelConfig, TrainConfig
from napari_semimultipose.widgets.choosers import PathField, devices, free_name
from napari_semimultipose.widgets.editors import ChoiceEditor, editor_for
from napari_semimultipose.widgets.forms import DEVICE_HELP, AdvancedSettings, rows_of
from napari_semimultipose.widgets.number_editors import FloatEditor
from napari_semimultipose.widgets.video_rules import VideoRules

PRESET_NAMES = {
    "default": "Recommended",
    "paper": "As in the paper",
    "authors_code": "As in the authors' code",
    "lightning_pose": "Lightning Pose",
}
KIND_NAMES = {"auto": "As labelled", "heatmap": "One animal", "directpose": "Several animals"}
KIND_HELP = {
    "auto": "One animal when no labelled frame shows more",
    "heatmap": "A heat map for each keypoint; finds one animal on every frame",
    "directpose": "DirectPose: finds any number of animals",
}
PRESET_HELP = {
    "default": "Small network, learns within minutes on a processor or a graphics card",
    "paper": "Network, losses and schedule of the SemiMultiPose paper; needs a graphics card",
    "authors_code": "What the authors' program does where it differs from their paper",
    "lightning_pose": "One animal: network and training of Lightning Pose; needs a graphics card",
}
METHOD_NAMES = {
    "semimultipose": "Labelled and other frames",
    "labeled": "Labelled frames, with fusion",
    "directpose": "Labelled frames alone",
}
METHOD_HELP = {
    "semimultipose": "SemiMultiPose: on frames without labels, the two branches of the network "
    "teach each other; of one animal, plausible poses found there are learnt from",
    "labeled": "The fusion loss between the two branches, on labelled frames only",
    "directpose": "DirectPose: supervised learning only",
}
GROUPS = ("model", "heatmap", "data", "augment", "loss", "video", "train")
IN_MAIN_FORM = (
    "model.kind",
    "model.context",
    "video.losses",
    "video.cameras",
    "video.strength",
    "train.method",
    "train.minutes",
    "train.iterations",
    "train.seed",
    "train.device",
)
MINUTES, STEPS = "minutes", "steps"
USUAL_LENGTH = {MINUTES: 10.0, STEPS: 2000.0}


class TrainingSettings(QWidget):
    """Preset, method, length, device, seed, model folder, and all other settings folded away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggested: Path | None = None
        self.preset = ChoiceEditor({name: PRESET_NAMES.get(name, name) for name in PRESETS}, self)
        self.preset.set_help(PRESET_HELP)
        self.kind = ChoiceEditor(KIND_NAMES, self)
        self.kind.set_help(KIND_HELP)
        self.context = editor_for(ModelConfig.model_fields["context"], parent=self)
        self.method = ChoiceEditor(METHOD_NAMES, self)
        self.method.set_help(METHOD_HELP)
        self.length = FloatEditor(0.05, 1e9, parent=self)
        self.unit = ChoiceEditor({MINUTES: "minutes", STEPS: "steps"}, self)
        self.device = ChoiceEditor({name: name for name in devices()}, self)
        self.seed = editor_for(TrainConfig.model_fields["seed"], parent=self)
        self.members = QSpinBox(self)
        self.members.setRange(1, 50)
        self.out = PathField("folder", "Model folder", parent=self)
        self.rules = VideoRules(self)
        self.advanced = AdvancedSettings(GROUPS, IN_MAIN_FORM, self)
        length = QWidget(self)
        row = QHBoxLayout(length)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.length, 1)
        row.addWidget(self.unit, 1)
        form = rows_of(
            ("Preset", self.preset, "Settings to start from; it sets all that follow"),
            ("Animals", self.kind, "\n".join(KIND_HELP.values())),
            (
                "Context",
                self.context,
                (ModelConfig.model_fields["context"].description or "") + " (model.context)",
            ),
            ("Learn from", self.method, "\n".join(METHOD_HELP.values())),
            ("Train for", length, "Wall-clock time, or number of optimiser steps"),
            ("Device", self.device, DEVICE_HELP),
            ("Seed", self.seed, TrainConfig.model_fields["seed"].description or ""),
            (
                "Models",
                self.members,
                "Train several models one after the other, each with its own seed and validation frames: "
                "Predict joins them, and their disagreement says how sure each position is",
            ),
            ("Model folder", self.out, "Where the model is written; it can be copied and shared"),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.rules)
        layout.addWidget(self.advanced)
        self.preset.changed.connect(self._on_preset)
        self.unit.changed.connect(lambda: self.length.set_value(USUAL_LENGTH[self.unit.value()]))
        self._on_preset()

    def config(self) -> Config:
        """Return the settings as they stand in the form.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        by_time = self.unit.value() == MINUTES
        length = self.length.value()
        changes: Mapping[str, Any] = {
            "model.kind": self.kind.value(),
            "model.context": self.context.value(),
            "train.method": self.method.value(),
            "train.minutes": length if by_time else 0.0,
            "train.iterations": 0 if by_time else max(1, round(length)),
            "train.seed": self.seed.value(),
            "train.device": self.device.value(),
            **self.rules.changes(),
            **self.advanced.changes(),
        }
        return Config.from_preset(self.preset.value()).with_settings(changes)

    def suggest_folder(self, place: Path) -> None:
        """Name the model folder, by a name that is free, unless the user has named it."""
        if self.out.path() == self._suggested:
            self._suggested = free_name(place)
            self.out.set_path(self._suggested)

    def _on_preset(self) -> None:
        config = Config.from_preset(self.preset.value())
        self.advanced.set_config(config)
        self.rules.set_config(config)
        self.kind.set_value(config.model.kind)
        self.context.set_value(config.model.context)
        self.method.set_value(config.train.method)
        by_steps = config.train.iterations > 0
        self.unit.set_value(STEPS if by_steps else MINUTES)
        self.length.set_value(config.train.iterations if by_steps else config.train.minutes)
