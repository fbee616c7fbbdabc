"""Settings of prediction, tracking and scoring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_semimultipose.config.base import Fraction, Settings


class TrackConfig(Settings):
    """How instances are joined over time."""

    animals: Annotated[int, Field(ge=0)] = Field(
        0, description="Number of animals, if it is fixed; 0: unknown"
    )
    max_gap_frames: Annotated[int, Field(ge=0)] = Field(
        25,
        title="Longest gap",
        description="An animal that is lost for at most this many frames keeps its track; counted "
        "in the frames that were predicted when these are every n-th of the video",
    )
    min_similarity: Fraction = Field(
        0.05,
        title="Least similarity",
        description="Least pose similarity (OKS) between a predicted motion and a detection",
    )
    min_length_frames: Annotated[int, Field(ge=1)] = Field(
        3, title="Shortest track", description="Tracks with fewer detections are dropped"
    )
    sigma: Annotated[float, Field(gt=0)] = Field(
        0.2,
        title="Pose tolerance",
        description="Tolerance of the pose similarity as a share of the animal's size",
    )
    weak_score: Fraction = Field(
        0.5,
        description="Detections with less than this share of the mean score continue a track when "
        "nothing better does, but begin none",
    )


class ReviewConfig(Settings):
    """What counts as a problem of predicted poses."""

    animals: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Number of animals on every frame, if it is fixed; 0: unknown, nobody is missing",
    )
    confidence: Fraction = Field(
        0.5,
        title="Low confidence",
        description="An animal whose confidence is below this share of what is usual is a problem",
    )
    jump: Annotated[float, Field(ge=1)] = Field(
        3.0,
        title="Jump",
        description="A movement is a jump when it is so many times as fast as 95 % of all movements",
    )
    swap: Fraction = Field(
        0.5,
        title="Swapped places",
        description="Two animals are suspected to be swapped when exchanging them would shorten "
        "their ways to this share or less",
    )
    shape: Annotated[float, Field(ge=1)] = Field(
        1.5,
        title="Unusual shape",
        description="A pose is unusual when a part is so many times as long as it usually gets",
    )
    pose: Annotated[float, Field(ge=1)] = Field(
        1.5,
        title="Pose outside the labels",
        description="A pose is a problem when it is so many times as far from the labelled ones as these "
        "are from each other; looked at where there are 20 labelled animals",
    )
    place: Annotated[float, Field(ge=0)] = Field(
        1.0,
        title="Place outside the labels",
        description="An animal is a problem when it lies so many body lengths outside of the part of the "
        "picture in which animals were labelled; looked at where there are 20 of them in this recording",
    )
    merge_frames: Annotated[int, Field(ge=0)] = Field(
        10,
        title="One problem within",
        description="Problems of one kind and animal with at most so many frames between are one",
    )


class EvaluateConfig(Settings):
    """How predictions are compared with true poses."""

    sigma: Annotated[float, Field(gt=0)] = Field(
        0.05, description="Keypoint tolerance of the OKS (COCO form, one value for all keypoints)"
    )
    oks_form: Literal["coco", "sleap2020"] = Field(
        "coco",
        description="'coco' divides by 8 area sigma^2, 'sleap2020' by 2 area sigma^2",
    )
    area: Literal["extent", "box", "constant"] = Field(
        "extent",
        description="Area of a true animal: 'extent' is its keypoint box with a margin of "
        "`area_margin_px` on each side, 'box' the same without a margin, 'constant' is `area_px2`",
    )
    area_margin_px: Annotated[float, Field(ge=0)] = Field(
        10.0, description="Margin of 'extent', px"
    )
    area_px2: Annotated[float, Field(gt=0)] = Field(
        10_000.0,
        description="Area of every animal for 'constant', px^2; animals of one keypoint need it",
    )
    swap: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of keypoints that may be exchanged within an animal"
    )
    score_threshold: Fraction = Field(
        0.0, description="Precision and counts leave out instances with a lower score; AP uses all"
    )
    match_min_oks: Fraction = Field(
        0.0, description="Pixel errors and PCK are taken of pairs with an OKS above this"
    )
    pck: Annotated[float, Field(gt=0)] = Field(
        0.1, description="PCK counts a keypoint within this share of the animal's size as correct"
    )
    pck_reference: tuple[str, str] | None = Field(
        None,
        description="Two keypoints whose median distance is the animal's size; without them it is "
        "the median of the longer sides of the keypoint boxes",
    )
    pck_px: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (5.0, 10.0, 20.0), description="Further distances in px for which PCK is given"
    )
    track_sigma: Annotated[float, Field(gt=0)] = Field(
        0.1, description="As `sigma`, where identities are scored"
    )
    track_min_oks: Fraction = Field(
        0.5,
        description="Least OKS of a detection that follows an animal, where identities are scored",
    )
    track_distance_px: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="Score identities by the mean keypoint distance, at most this many px, instead "
        "of the OKS; 0: OKS. For animals of one keypoint",
    )


class PredictConfig(Settings):
    """How a trained model is applied to frames."""

    score_threshold: Fraction = Field(0.25, description="Instances with a lower score are dropped")
    nms: Literal["oks", "box"] = Field(
        "oks", title="Duplicates by", description="What removes duplicates: OKS or box overlap"
    )
    nms_threshold: Fraction = Field(
        0.5, title="Duplicate overlap", description="Overlap above which the weaker one is removed"
    )
    max_animals: Annotated[int, Field(ge=0)] = Field(
        0, title="Most animals", description="Keep at most this many animals a frame; 0: no limit"
    )
    refresh_every: Annotated[int, Field(ge=0)] = Field(
        100,
        title="Whole frames",
        description="Find a known number of animals (`max_animals`) near where they were, and look at "
        "the whole frame every so many frames, or when one is missing; 0: always the whole frame",
    )
    turns: Literal[0, 1, 2, 4] = Field(
        0,
        description="Average over copies of the picture turned by half (2) or quarters (4): more exact, and so "
        "many times slower; for models of several animals that were trained with free rotation. 0: 4 on "
        "single pictures, 1 on recordings",
    )
    refine_cells: Annotated[float, Field(ge=0)] = Field(
        6.0,
        title="Refinement radius",
        description="Move a keypoint to the heat-map peak within this many cells; 0: leave it",
    )
    refine_peak: Fraction = Field(
        0.1, title="Refinement peak", description="Least heat-map value of such a peak"
    )
    part_pairs: bool = Field(
        True,
        title="Left and right apart",
        description="Part mirrored keypoints (left and right) that have fallen together, and put them on the "
        "sides on which the labelled animals have them where the network is undecided",
    )
    heat_score: bool = Field(
        True,
        title="Heat maps in the score",
        description="The score of an animal is the geometric mean of what the network says of the animal and of "
        "what its heat maps say, on average, of its keypoints; otherwise the former alone",
    )
    plausible: bool = Field(
        True,
        title="Plausible poses",
        description="One animal: where a heat map has several peaks, choose those that together are most like the "
        "labelled poses and, with mirrors, agree between the views; otherwise the highest",
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="Number format; 'auto': bf16 where the processor computes in it"
    )
    batch_size: Annotated[int, Field(ge=0)] = Field(
        0, description="Frames a forward pass; 0: automatic"
    )
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'")
