"""The window that the demo opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
import pytest

from napari_semimultipose import api, demo
from napari_semimultipose.io.sample import SyntheticRecording, write_sample
from napari_semimultipose.poses import Source


def test_the_result_is_shown_on_the_recording(
    tmp_path: Path, make_napari_viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = write_sample(tmp_path, SyntheticRecording(12, animals=2), labelled=4, unseen=4)
    truth = api.read_poses(sample.truth)
    seen = truth.select(np.isin(truth.frame, sample.unseen))
    poses = replace(seen, source=np.full_like(seen.source, Source.PREDICTED))
    viewer = make_napari_viewer()
    monkeypatch.setattr(napari, "Viewer", lambda **_: viewer)
    shown = {}

    def look() -> None:
        shown["layers"] = [layer.name for layer in viewer.layers]
        shown["frame"] = viewer.dims.current_step[0]
        shown["picture"] = np.asarray(viewer.layers["recording"].data[9])

    monkeypatch.setattr(napari, "run", look)
    demo.show(sample, poses)
    assert shown["layers"][0] == "recording"
    assert {"predictions", "predictions skeleton", "predictions tracks"} <= set(shown["layers"])
    assert shown["frame"] == sample.unseen.start
    with api.open_frames(sample.frames) as frames:
        np.testing.assert_array_equal(shown["picture"], frames[9])
