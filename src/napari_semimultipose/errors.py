"""Errors meant for users: what is wrong, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_semimultipose.poses import Poses


class SemiMultiPoseError(Exception):
    """Base of all errors that a user can cause and mend.

    The text is shown as it is, in the viewer and on the command line, without a
    traceback: it names the file or setting and says what to do.
    """


class LabelsError(SemiMultiPoseError):
    """A labels file cannot be read or written, or its labels cannot be used."""


class FramesError(SemiMultiPoseError):
    """A video, image folder or stack cannot be read."""


class _KeptPosesError(SemiMultiPoseError):
    """An error that keeps what was found.

    Parameters
    ----------
    message : str
    poses : Poses
        What was found.
    """

    def __init__(self, message: str, poses: Poses) -> None:
        super().__init__(message)
        self.poses = poses

    def __reduce__(self) -> tuple[type[_KeptPosesError], tuple[str, Poses]]:
        return type(self), (str(self), self.poses)


class PartialPredictionError(_KeptPosesError, FramesError):
    """A recording could not be read to its end; holds the poses of the frames before."""


class UnsavedPosesError(_KeptPosesError, LabelsError):
    """Poses that took long to make could not be written; holds them."""


class ConfigError(SemiMultiPoseError):
    """A setting has a value that cannot work."""


class ModelError(SemiMultiPoseError):
    """A model folder is missing something, damaged, or does not fit the data."""


class TrainingError(SemiMultiPoseError):
    """Training cannot start or cannot go on."""
