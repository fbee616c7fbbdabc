"""Pictures of lean layers lie where those of plain layers do, and look the same."""

from __future__ import annotations

import numpy as np
from napari.layers import Points, Vectors

from napari_semimultipose.layers import predictions, view
from napari_semimultipose.layers.lean import draw_lean, lean
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Skeleton

from .conftest import process_events

DOTS = np.array([[f, 20.0 + 5 * f, 30.0] for f in range(6)])


def matrices(viewer, layers) -> list[np.ndarray]:
    visuals = viewer.window._qt_viewer.canvas.layer_to_visual
    return [visuals[layer]._master_transform.matrix for layer in layers]


def test_changes_of_place_and_dimensions_are_drawn(viewer):
    viewer.add_image(np.zeros((6, 64, 80), np.uint8))
    lines = np.stack([DOTS, np.ones_like(DOTS)], 1)
    plain = [Points(DOTS), Vectors(lines)]
    spared = [Points(DOTS), Vectors(lines)]
    for layer in plain + spared:
        viewer.add_layer(layer)
    for layer in spared:
        lean(viewer, layer)
        draw_lean(viewer, layer)

    def same() -> None:
        process_events()
        for a, b in zip(matrices(viewer, plain), matrices(viewer, spared), strict=True):
            np.testing.assert_allclose(a, b)

    for change in (
        lambda layer: setattr(layer, "scale", (1.0, 0.5, 2.0)),
        lambda layer: setattr(layer, "translate", (0.0, 4.0, -3.0)),
        lambda layer: setattr(layer, "affine", np.diag([1.0, 2.0, 1.0, 1.0])),
    ):
        for layer in plain + spared:
            change(layer)
        same()
        viewer.dims.set_point(0, (viewer.dims.point[0] + 1) % 6)
        same()
    for layer in plain + spared:
        with layer.events.blocker_all():  # as napari's own events would not tell
            layer.scale = (1.0, 3.0, 3.0)
        layer.refresh()
    same()
    viewer.dims.ndisplay = 3
    same()
    viewer.dims.ndisplay = 2
    same()
    viewer.dims.order = (1, 0, 2)
    same()


def test_texts_come_move_and_go(viewer):
    viewer.add_image(np.zeros((6, 64, 80), np.uint8))
    layer = viewer.add_points(DOTS, features={"name": list("abcdef")})
    lean(viewer, layer)
    draw_lean(viewer, layer)
    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node

    def said() -> list[str]:
        process_events()
        return list(np.atleast_1d(node.text.text))

    viewer.dims.set_point(0, 0)
    assert said() == [""]
    layer.text = "name"
    assert said() == ["a"]
    viewer.dims.set_point(0, 4)
    assert said() == ["e"]
    layer.text.visible = False
    assert said() == [""]


def test_selected_points_are_marked_on_each_frame(viewer):
    viewer.add_image(np.zeros((6, 64, 80), np.uint8))
    layer = viewer.add_points(DOTS)
    lean(viewer, layer)
    draw_lean(viewer, layer)
    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
    layer.mode = "select"
    layer.selected_data = {2}

    def marked() -> list[float]:
        process_events()
        data = node.selection_markers._data
        return [] if data is None else data["a_position"][:, :2].tolist()

    viewer.dims.set_point(0, 2)
    assert marked() == [[30.0, 30.0]]
    viewer.dims.set_point(0, 3)
    assert marked() != [[30.0, 30.0]]


def test_predictions_look_the_same_with_and_without(viewer, monkeypatch):
    xy = np.random.default_rng(0).uniform(5, 55, (8, 2, 3, 2))
    track = np.tile([0, 1], (8, 1))
    poses = Poses(Skeleton(("a", "b", "c"), ((0, 1), (1, 2))), xy, np.arange(8), track=track)
    image = viewer.add_image(np.zeros((8, 64, 80), np.uint8))
    pictures = []
    for spared in (True, False):
        if not spared:
            for module in (predictions, view):
                for name in ("lean", "draw_lean"):
                    monkeypatch.setattr(module, name, lambda *given: None)
        layers = PredictionLayers(viewer, poses, image=image)
        for frame in (1, 2, 6, 5):
            viewer.dims.set_point(0, frame)
            process_events()
        layers.points.blending = "opaque"
        layers.points.blending = "translucent"
        viewer.dims.set_point(0, 4)
        process_events()
        pictures.append(viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int))
        for layer in (layers.points, *(x for x in (layers.vectors, layers.tracks) if x)):
            if layer in viewer.layers:
                viewer.layers.remove(layer)
        process_events()
    colours = pictures[0].reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 10  # dots, lines and trails are there
    assert (np.abs(pictures[0] - pictures[1]).max(-1) > 20).sum() < 20
