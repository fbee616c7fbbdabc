"""Skeletons to start from."""

from __future__ import annotations

from napari_semimultipose.poses import Skeleton


def _skeleton(name: str, keypoints: str, edges: str = "") -> Skeleton:
    names = tuple(keypoints.split())
    pairs = [edge.split("-") for edge in edges.split()]
    return Skeleton(
        names, tuple((names.index(a), names.index(b)) for a, b in pairs), name=name
    ).with_guessed_symmetry()


PRESETS: dict[str, Skeleton] = {
    "One point": _skeleton("animal", "center"),
    "Head and tail": _skeleton("animal", "head tail", "head-tail"),
    "Head, body, tail": _skeleton("animal", "head body tail", "head-body body-tail"),
    "Honeybee (5)": _skeleton(
        "honeybee",
        "head thorax tail antennaL antennaR",
        "tail-thorax thorax-head head-antennaL head-antennaR",
    ),
    "Fly (13)": _skeleton(
        "fly",
        "head thorax abdomen wingL wingR forelegL forelegR midlegL midlegR hindlegL hindlegR "
        "eyeL eyeR",
        "head-thorax thorax-abdomen thorax-wingL thorax-wingR thorax-forelegL thorax-forelegR "
        "thorax-midlegL thorax-midlegR thorax-hindlegL thorax-hindlegR head-eyeL head-eyeR",
    ),
    "Mouse from above (4)": _skeleton(
        "mouse",
        "nose left_ear right_ear tail_base",
        "nose-left_ear nose-right_ear left_ear-tail_base right_ear-tail_base",
    ),
    "Mouse from above (9)": _skeleton(
        "mouse",
        "nose left_ear right_ear neck left_hip right_hip tail_base tail_middle tail_tip",
        "nose-left_ear nose-right_ear left_ear-neck right_ear-neck neck-left_hip neck-right_hip "
        "left_hip-tail_base right_hip-tail_base tail_base-tail_middle tail_middle-tail_tip",
    ),
    "Fish from above (5)": _skeleton(
        "fish",
        "snout left_eye right_eye body tail",
        "snout-left_eye snout-right_eye left_eye-body right_eye-body body-tail",
    ),
    "Quadruped from the side (15)": _skeleton(
        "quadruped",
        "nose left_ear right_ear neck back tail_base tail_tip left_elbow left_front_paw "
        "right_elbow right_front_paw left_knee left_hind_paw right_knee right_hind_paw",
        "nose-left_ear nose-right_ear nose-neck neck-back back-tail_base tail_base-tail_tip "
        "neck-left_elbow left_elbow-left_front_paw neck-right_elbow right_elbow-right_front_paw "
        "tail_base-left_knee left_knee-left_hind_paw tail_base-right_knee "
        "right_knee-right_hind_paw",
    ),
}
