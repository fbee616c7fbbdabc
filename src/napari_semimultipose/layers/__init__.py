"""Poses as napari layers, both ways, and the edits that a person makes on them.

This is the only room in which coordinates stand in napari's order (time, row, column); everywhere
else they are (x, y). Nothing here imports Qt or torch.
"""
