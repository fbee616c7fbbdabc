"""Which network the labels ask for."""

from __future__ import annotations

from collections.abc import Sequence

from napari_semimultipose.config import Config
from napari_semimultipose.data.single import is_single, posture
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import Poses, Source


def with_kind(config: Config, labels: Poses, labeled_rows: Sequence[int] | None = None) -> Config:
    """Return the settings with the network chosen, and with what follows from the choice.

    'auto' becomes 'heatmap' where no labelled frame has more than one animal, and the posture of the animal
    'fixed' or 'free' by its labels.

    Parameters
    ----------
    config : Config
    labels : Poses
        Predicted instances are no labels.
    labeled_rows : sequence of int, optional
        Rows that may be used as labels; all by default.

    Raises
    ------
    LabelsError
        If heat maps of one animal are asked for, and a frame shows several.
    """
    used = labels if labeled_rows is None else labels.select(list(labeled_rows))
    used = used.keep(used.source != Source.PREDICTED)
    single = is_single(used)
    kind = config.model.kind
    if kind == "heatmap" and used.n_instances and not single:
        raise LabelsError(
            f"{int((used.present.sum(1) > 1).sum())} labelled frames show more than one animal: "
            "the heat-map network finds one. Use model.kind=directpose, or give each animal "
            "keypoints of its own"
        )
    if kind == "auto":
        kind = "heatmap" if single else "directpose"
    if kind == "directpose":
        return config.with_settings({"model.kind": kind})
    kept = config.heatmap.posture
    return config.with_settings(
        {
            "model.kind": kind,
            "heatmap.posture": posture(used.xy[used.present]) if kept == "auto" else kept,
            # The scale follows from the side of the frames, and there is one track.
            "data.animal_px": 0,
            "track.animals": 1,
        }
    )
