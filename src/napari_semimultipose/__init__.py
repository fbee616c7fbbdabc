"""Multi-animal pose estimation in napari that learns from labelled and unlabelled frames."""

__version__ = "0.1.0"
