"""Prediction with an ensemble: every member looks at the frames, and what they find is joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.errors import FramesError
from napari_semimultipose.inference import predict
from napari_semimultipose.inference.ensemble import fuse
from napari_semimultipose.inference.predict import PredictedChunk, Predictor
from napari_semimultipose.models.ensemble import is_ensemble, member_folders
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

# Frames that one member predicts before it is the next one's turn: few at first, so that something is there soon.
_FIRST_BLOCK, _BLOCK = 16, 128


class EnsemblePredictor(Predictor):
    """Several networks that are asked one after the other.

    Parameters
    ----------
    members : sequence of Predictor
        Of one skeleton.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        self.members = list(members)
        first = self.members[0]
        self.info, self.config, self.device = first.info, first.config, first.device


def load_predictor(path: Path, config: PredictConfig) -> Predictor:
    """Load a model folder or an ensemble.

    Raises
    ------
    ModelError
        When it is neither, or no member has been trained.
    """
    if not is_ensemble(path):
        return predict.Predictor.from_folder(path, config)
    return EnsemblePredictor(
        [predict.Predictor.from_folder(f, config) for f in member_folders(path)]
    )


def predict_stream(
    predictor: Predictor,
    frames: Frames,
    *,
    frame_range: range | Sequence[int],
    follow: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[PredictedChunk]:
    """Predict a recording piece by piece; see `inference.predict.predict_stream`.

    The members of an ensemble take turns at blocks of frames, so that memory stays bounded and what is
    done when somebody stops is done by all of them. Where a frame cannot be read, all of them see those before it.
    """
    if not isinstance(predictor, EnsemblePredictor):
        yield from predict.predict_stream(
            predictor, frames, frame_range=frame_range, follow=follow, should_stop=should_stop
        )
        return
    start, size = 0, _FIRST_BLOCK
    while start < len(frame_range):
        block = frame_range[start : start + size]
        parts: list[Poses] = []
        broken: FramesError | None = None
        for member in predictor.members:
            chunks: list[Poses] = []
            stream = predict.predict_stream(
                member, frames, frame_range=block, follow=follow, should_stop=should_stop
            )
            try:
                for chunk in stream:
                    chunks.append(chunk.poses)
            except FramesError as error:
                broken = error
                block = block[: sum(map(len, chunks))]
                if not block:
                    raise
            if sum(map(len, chunks)) < len(block):
                return  # stopped: the others have not seen these frames
            parts.append(Poses.concatenate(chunks))
        start += len(block)
        common = set(block)
        joined = fuse(
            [part.select([f in common for f in part.frame.tolist()]) for part in parts],
            most=predictor.config.max_animals,
        )
        yield PredictedChunk(joined, start, len(frame_range))
        if broken is not None:
            raise broken
        size = min(2 * size, _BLOCK)
