"""Presets: values of the settings that belong together."""

from __future__ import annotations

from typing import Any

_PAPER: dict[str, dict[str, Any]] = {
    "model": {
        "kind": "directpose",
        "backbone": "resnet50",
        "pretrained": True,
        "norm": "bn",
        "channels": 256,
        "finest": 8,
        "levels": (8, 16, 32),
        "level_ranges": (64.0, 128.0),
        "tower_depth": 4,
        "tower": "grouped",
        "tower_norm": "gn",
        "groups": "one",
        "heat_channels": 128,
        "heat_depth": 2,
    },
    "data": {
        "animal_px": 0,
        "max_scale": 8.0,
        "crop_px": 608,
        "batch_labeled": 2,
        "batch_unlabeled": 1,
    },
    "augment": {
        "rotate_deg": 0,
        "scale": (1, 1),
        "brightness": 0,
        "contrast": 0,
        "color": 0,
        "blur": 0,
        "noise": 0,
        "paste": 0,
    },
    "loss": {
        "heat": "focal",
        "heat_window": 1,
        "heat_weight": 4.0,
        "regression": "l1_centerness",
        "quality": "centerness",
        "locator_weight": 0,
        "rescue_thin": False,
        "fusion_target": "gauss",
        "pseudo_set": "dense",
        "pseudo_score": "cls",
        "alpha": 0.04,
        "beta": 0.4,
        "alpha_start": 2 / 15,
        "beta_start": 5 / 15,
        "ramp": 0,
        "teacher": False,
        "consistency": 0,
        "agreement_cells": 0,
    },
    "train": {
        "minutes": 0,
        "iterations": 15000,
        "precision": "32",
        "optimizer": "sgd",
        "lr": 0.1,
        "backbone_lr": 0.1,
        "weight_decay": 1e-4,
        "warmup": 500 / 15000,
        "schedule": "step",
        "ema": 0,
    },
    "predict": {
        "nms": "box",
        "nms_threshold": 0.4,
        "refine_cells": 0,
        "part_pairs": False,
        "heat_score": False,
        "precision": "32",
    },
}

_AUTHORS_CODE: dict[str, dict[str, Any]] = {group: dict(values) for group, values in _PAPER.items()}
_AUTHORS_CODE["model"] |= {"pretrained": False}
_AUTHORS_CODE["augment"] |= {"unlabeled_top_left": True}
_AUTHORS_CODE["loss"] |= {
    "heat_window": 0,
    "ignore_missing": False,
    "fusion_target": "onehot",
    "pseudo_set": "nms",
    "pseudo_score": "cls_quality",
    "pseudo_eval_pass": True,
    "pad_stretch": True,
    "beta_start": 4 / 15,
}
_AUTHORS_CODE["train"] |= {"schedule": "poly"}

_LIGHTNING_POSE: dict[str, dict[str, Any]] = {
    "model": {"kind": "heatmap", "backbone": "resnet50", "pretrained": True},
    "heatmap": {
        "head": "deconvolution",
        "loss": "mse",
        "posture": "fixed",
        "rotate_deg": 25,
        "batch": 16,
        "teach": 0,
    },
    "video": {"frame": "image"},
    "predict": {"plausible": False},
    "train": {
        "minutes": 0,
        "iterations": 3000,
        "precision": "32",
        "optimizer": "adamw",
        "lr": 1e-3,
        "backbone_lr": 0.3,
        "weight_decay": 0,
        "ema": 0,
    },
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "paper": _PAPER,
    "authors_code": _AUTHORS_CODE,
    "lightning_pose": _LIGHTNING_POSE,
}
