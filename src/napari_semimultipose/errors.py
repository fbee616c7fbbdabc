"""Errors meant for users: what is wrong, where, and what to do about it."""

from __future__ import annotations


class SemiMultiPoseError(Exception):
    """Base of all errors that a user can cause and mend.

    The text is shown as it is, in the viewer and on the command line, without a
    traceback: it names the file or setting and says what to do.
    """


class LabelsError(SemiMultiPoseError):
    """A labels file cannot be read or written, or its labels cannot be used."""


class FramesError(SemiMultiPoseError):
    """A video, image folder or stack cannot be read."""


class ConfigError(SemiMultiPoseError):
    """A setting has a value that cannot work."""


class ModelError(SemiMultiPoseError):
    """A model folder is missing something, damaged, or does not fit the data."""


class TrainingError(SemiMultiPoseError):
    """Training cannot start or cannot go on."""
