"""Lines and paths that a reader drew for points, and that would not follow edits of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Tracks, Vectors

from napari_semimultipose.layers.canvas import make_gl_current
from napari_semimultipose.layers.points import METADATA_KEY

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer, Points

_KINDS: dict[str, type[Layer]] = {"skeleton": Vectors, "tracks": Tracks}


def remove_still(viewer: napari.Viewer, points: Points) -> None:
    """Remove the lines and paths that a reader drew for a Points layer.

    They bear its name; where it was renamed, they come from the same file and belong to no other layer.
    """
    layers = [layer for layer in viewer.layers if _kind(layer) is not None]
    for layer in layers:
        if layer.name == f"{points.name} {_kind(layer)}" or _is_left(viewer, layer, points):
            make_gl_current(viewer)
            viewer.layers.remove(layer)


def _kind(layer: Layer) -> str | None:
    """Return what a reader's layer shows, or None for another layer."""
    kind = layer.metadata.get(METADATA_KEY)
    return kind if isinstance(kind, str) and isinstance(layer, _KINDS.get(kind, ())) else None


def _is_left(viewer: napari.Viewer, layer: Layer, points: Points) -> bool:
    """Whether no points bear the name of a layer from the file of some points."""
    owner = layer.name.removesuffix(f" {_kind(layer)}")
    path = points.source.path
    return path is not None and layer.source.path == path and owner not in viewer.layers
