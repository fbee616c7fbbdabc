"""All settings, with units, limits and help texts.

These models are the one source of the forms in the viewer, of the command line's ``--set`` and of
the ``config.yaml`` in a model folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import Field, ValidationError

from napari_semimultipose.config.applying import (
    EvaluateConfig,
    PredictConfig,
    ReviewConfig,
    TrackConfig,
)
from napari_semimultipose.config.base import Settings
from napari_semimultipose.config.learning import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
)
from napari_semimultipose.config.presets import PRESETS
from napari_semimultipose.config.single import HeatmapConfig
from napari_semimultipose.config.smoothing import SmoothConfig
from napari_semimultipose.config.video import VideoConfig
from napari_semimultipose.errors import ConfigError

__all__ = [
    "PRESETS",
    "AugmentConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "HeatmapConfig",
    "LossConfig",
    "ModelConfig",
    "PredictConfig",
    "ReviewConfig",
    "Settings",
    "SmoothConfig",
    "TrackConfig",
    "TrainConfig",
    "VideoConfig",
]


class Config(Settings):
    """All settings of a model: what ``config.yaml`` in a model folder holds."""

    preset: str = Field(
        "default", description="Name of the preset that these settings started from"
    )
    model: ModelConfig = ModelConfig()
    heatmap: HeatmapConfig = HeatmapConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    video: VideoConfig = VideoConfig()
    train: TrainConfig = TrainConfig()
    predict: PredictConfig = PredictConfig()
    track: TrackConfig = TrackConfig()

    @classmethod
    def from_preset(cls, name: str) -> Config:
        """Return the settings of a preset.

        Raises
        ------
        ConfigError
            If there is no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
        return cls.model_validate({"preset": name, **PRESETS[name]})

    def with_settings(self, settings: Iterable[str] | Mapping[str, Any]) -> Config:
        """Return a copy with some settings changed.

        Parameters
        ----------
        settings : iterable of str, or mapping
            ``"train.seed=3"`` items, with values in YAML notation, or ``{"train.seed": 3}``.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is out of its limits; the text says which are allowed.
        """
        if isinstance(settings, Mapping):
            items = list(settings.items())
        else:
            items = []
            for text in settings:
                key, equals, value = text.partition("=")
                if not equals:
                    raise ConfigError(f"setting {text!r} must have the form group.name=value")
                items.append((key.strip(), yaml.safe_load(value)))
        tree = self.model_dump()
        for key, value in items:
            node, *path = key.split(".")
            branch = tree
            for part in path:
                if not isinstance(branch.get(node), dict):
                    raise ConfigError(_unknown(key, tree))
                branch, node = branch[node], part
            if node not in branch or isinstance(branch[node], dict):
                raise ConfigError(_unknown(key, tree))
            branch[node] = value
        return self._checked(tree)

    @classmethod
    def _checked(cls, tree: Mapping[str, Any], origin: str = "") -> Config:
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            lines = [
                f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}"
                # What a whole group was given says little where its settings do not go together.
                + ("" if e["type"] == "value_error" else f" (got {e['input']!r})")
                for e in error.errors()
            ]
            raise ConfigError(f"{origin}wrong settings: " + "; ".join(lines)) from None

    @property
    def teacher_turns(self) -> int:
        """Over how many turned copies a teacher averages: over one where the network does not know others."""
        return self.loss.teacher_turns if self.augment.all_round else 1

    def to_yaml(self) -> str:
        """Return the settings as YAML text."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))

    @classmethod
    def from_yaml(cls, text: str, origin: str = "config.yaml") -> Config:
        """Read settings from YAML text; `origin` names the file in errors.

        Raises
        ------
        ConfigError
            If the text is no YAML mapping or a setting is unknown or out of its limits.
        """
        try:
            tree = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{origin} is not valid YAML: {error}") from None
        if not isinstance(tree, dict):
            raise ConfigError(f"{origin} holds no settings")
        return cls._checked(tree, f"{origin}: ")


def _unknown(key: str, tree: Mapping[str, Any]) -> str:
    names = [f"{g}.{n}" for g, b in tree.items() if isinstance(b, dict) for n in b]
    near = difflib.get_close_matches(key, names, n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"there is no setting {key!r}{hint}"
