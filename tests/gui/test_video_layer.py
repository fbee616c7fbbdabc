"""A recording in a real viewer: napari decodes what is shown, and no frame to guess something."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.sample import SyntheticRecording, write_sample
from napari_semimultipose.io.video import as_layer_data, open_frames


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def recording(request, tmp_path_factory) -> Frames:
    painted = SyntheticRecording(60, animals=2, size=(120, 160), channels=request.param)
    files = write_sample(tmp_path_factory.mktemp("video"), painted, labelled=5)
    return open_frames(files.frames)


def test_adding_and_scrubbing_read_the_shown_frames_only(viewer, recording, monkeypatch):
    read: list[int] = []
    original = type(recording)._read
    monkeypatch.setattr(
        type(recording), "_read", lambda self, i: read.append(i) or original(self, i)
    )
    data = as_layer_data(recording)
    layer = viewer.add_image(data, rgb=data.rgb, contrast_limits=(0, 255), multiscale=False)
    QApplication.processEvents()
    shown = viewer.dims.current_step[0]
    assert set(read) <= {0, shown}
    assert len(read) <= 3
    for i in (5, 59, 0, 30, 31):
        read.clear()
        viewer.dims.set_current_step(0, i)
        QApplication.processEvents()
        assert read == [i]
        picture = np.asarray(layer._slice.image.raw)
        np.testing.assert_array_equal(picture, original(recording, i).squeeze())
    assert layer.data is data
    assert layer.rgb == (recording.shape[3] == 3)
    assert viewer.dims.nsteps[0] == 60
