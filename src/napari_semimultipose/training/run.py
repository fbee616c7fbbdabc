"""The state of one training run: network, optimiser, averaged weights and progress."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_semimultipose.config import Config
from napari_semimultipose.data.batch import Batch, BatchSize
from napari_semimultipose.data.frames import FrameRef, ScaledFrames
from napari_semimultipose.data.split import TrainingData, with_frame_sizes
from napari_semimultipose.errors import ModelError, TrainingError
from napari_semimultipose.inference.pairs import PairParting
from napari_semimultipose.inference.plausible import PlausibleChoice
from napari_semimultipose.models.build import Network, NetworkOutput, build_network
from napari_semimultipose.models.checkpoint import RESUME, ModelInfo, check_new_folder
from napari_semimultipose.models.compiler import without_compiler
from napari_semimultipose.models.device import keep_freed_memory, pick_device, pick_precision
from napari_semimultipose.models.directpose import DirectPose
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.poses import Skeleton
from napari_semimultipose.sides import fit_pairs
from napari_semimultipose.training.clip_animals import ClipObjective
from napari_semimultipose.training.events import Notice, Step, Validation
from napari_semimultipose.training.files import Limits, RunFiles, read_state
from napari_semimultipose.training.heatmap_step import HeatmapObjective
from napari_semimultipose.training.optimizers import build_optimizers, set_learning_rate
from napari_semimultipose.training.rounds import PseudoRounds, labels_whole_frames
from napari_semimultipose.training.schedule import (
    AveragedNetwork,
    Progress,
    learning_rate_factor,
)
from napari_semimultipose.training.step import Objective, longest_limbs_px
from napari_semimultipose.training.teacher import Teacher
from napari_semimultipose.training.validate import validate
from napari_semimultipose.training.video import (
    VideoLosses,
    labelled_shapes,
    prepare_video_losses,
)

with without_compiler():
    from lightning_fabric import Fabric

_BAD_STEPS = 20  # non-finite gradients in a row before giving up
_MIN_BEST = 5  # validation frames that make "best" more than luck
_NO_TEACHER = (
    "frames without labels are not learned from: it takes at least eight labelled frames, and as many as there are "
    "keypoints, to tell which poses are plausible, and animals that turn need enough keypoints"
)


class Run:
    """A training run. Make it with `open`, then call `start` once the data are known.

    Attributes
    ----------
    scale : float or None
        Working scale of a resumed run, which it keeps: its network and its pseudo labels are of that scale.
    """

    device: torch.device
    objective: Objective | HeatmapObjective | ClipObjective
    progress: Progress
    pseudo: PseudoRounds
    video: VideoLosses | None

    def __init__(
        self,
        folder: Path,
        config: Config,
        skeleton: Skeleton,
        state: dict[str, Any] | None = None,
        scale: float | None = None,
    ) -> None:
        self.folder = folder
        self.limits = Limits(state)
        self._files = RunFiles(folder)
        self.config = config
        self.skeleton = skeleton
        self.scale = scale
        self.scores: Mapping[str, float] = {}
        self.improved = False
        self._state = state
        self._best = -math.inf
        self._bad_steps = 0
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self.batch_size = BatchSize.of(config)
        if state is not None:
            self.batch_size = BatchSize(*state["batch_size"])
            self._best = state["best"]
            self.scores = state["scores"]

    @classmethod
    def open(cls, folder: Path, config: Config, skeleton: Skeleton, *, resume: bool) -> Run:
        """Begin a run in a new folder, or go on with the one in `folder`.

        Raises
        ------
        TrainingError
            If `resume` is False and the folder holds a model or files that the run would replace; or if there is
            nothing to resume, or another skeleton.
        """
        if not resume:
            check_new_folder(folder)
            return cls(folder, config, skeleton)
        info, state = read_state(folder, skeleton)
        # The settings of the run stay; only its length and device may be given anew.
        fresh = {name: getattr(config.train, name) for name in ("minutes", "iterations", "device")}
        train = info.config.train.model_copy(update=fresh)
        config = info.config.model_copy(update={"train": train})
        return cls(folder, config, info.skeleton, state, info.scale)

    @property
    def validation_keys(self) -> list[tuple[int, int]] | None:
        """Validation frames of a resumed run."""
        if self._state is None:
            return None
        return [(int(v), int(f)) for v, f in self._state["validation"]]

    def start(self, data: TrainingData) -> None:
        """Build the network and its company, and write what does not change during the run."""
        config = self.config
        torch.manual_seed(config.train.seed)
        self.device = pick_device(config.train.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.fabric = Fabric(
            accelerator=self.device.type,
            devices=1 if self.device.index is None else [self.device.index],
            precision=pick_precision(config.train.precision, self.device),
        )
        self.skeleton = data.poses.skeleton
        network = build_network(config, self.skeleton.keypoints)
        network.to(memory_format=torch.channels_last)
        network = network.to(self.device)
        self.network: Network = network
        optimizers = build_optimizers(network, config.train, network.readouts)
        self._wrapped, *self.optimizers = self.fabric.setup(network, *optimizers)
        # Fabric's wrapper forbids the gradients that weigh the losses on video.
        self._forward = (
            self._wrapped if not config.video.losses else _Autocast(network, self.fabric)
        )
        self.averaged = AveragedNetwork(network, config.train.ema) if config.train.ema else None
        rows = [r.row for r in data.train]
        labelled = data.poses.select(rows)
        self.scale = data.scale
        self._animal_size_px = labelled.animal_size_px
        self._pairs = fit_pairs(labelled.xy[labelled.present], self.skeleton, self._animal_size_px)
        part = (
            PairParting(self._pairs, self._animal_size_px * data.scale)
            if config.predict.part_pairs and data.scale
            else None
        )
        self.video, self._notes = prepare_video_losses(config, data, self.device)
        self._shapes: dict[str, Any] = {}
        choice: PlausibleChoice | None = None
        if isinstance(network, HeatmapTracker):
            self._shapes = labelled_shapes(config, data)
            choice = PlausibleChoice.of(self._shapes, network.stride / 2)
            choice = None if choice is None else choice.to(self.device)
            teaches = choice is not None and choice.can_teach
            if not teaches and data.unlabeled and labels_whole_frames(config):
                self._notes.append(_NO_TEACHER)
            self.objective = HeatmapObjective(config, self.video, network.readouts, teaches=teaches)
        else:
            objective = Objective(
                config,
                self.skeleton,
                network.groups,
                longest_limbs_px(data.poses, rows, data.scale or 1.0),
                self.device,
                part,
            )
            self.objective = (
                objective
                if self.video is None
                else ClipObjective(objective, self.video, network.readouts)
            )
        self._teacher = Teacher(config, self._final(), self.fabric, self.device, part, choice)
        self._validation = [list(r.key) for r in data.validation]  # type: ignore[call-overload]
        self.pseudo = PseudoRounds(config)
        self.progress = Progress(config.train, 0, 0.0)
        if self._state is not None:
            self._restore(self._state, data.unlabeled)
            self._state = None
        refs = [*data.train, *data.validation]
        used = with_frame_sizes(data.poses, refs).select([r.row for r in refs])
        self._files.begin(self._info(), used, data.split(), new=self.progress.iteration == 0)

    def _restore(self, state: dict[str, Any], unlabeled: Sequence[FrameRef]) -> None:
        self.progress = Progress(
            self.config.train, int(state["iteration"]), float(state["elapsed_s"])
        )
        share = self.progress.share
        try:
            self.network.load_state_dict(state["network"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            if self.averaged is not None:
                self.averaged.network.load_state_dict(state["averaged"])
                self.averaged.updates = state["updates"]
            gone = self.pseudo.restore(state["pseudo"], share, unlabeled)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"{self.folder / RESUME} does not fit the settings of this run: {error}"
            ) from None
        if gone:
            self._notes.append(
                f"{gone} of the unlabelled frames that this training has learned from are there no longer: what "
                "was found on them is forgotten, and the network looks at those that are there"
            )
        if self.video is not None and state.get("video"):
            self.video.restore(state["video"], share)
        torch.set_rng_state(state["rng"])

    # ------------------------------------------------------------------ steps

    def step(self, batch: Batch) -> None:
        """Take one optimiser step.

        Raises
        ------
        TrainingError
            If the loss is not finite several times in a row.
        """
        config = self.config.train
        share = self.progress.share
        batch = batch.to(self.device)
        if self.device.type == "cpu":
            batch.images = batch.images.contiguous(memory_format=torch.channels_last)
            if batch.around is not None:
                flat = batch.around.flatten(0, 1).contiguous(memory_format=torch.channels_last)
                batch.around = flat.view(batch.around.shape)
        set_learning_rate(self.optimizers, learning_rate_factor(config, share))
        self.network.train()
        teacher = None
        if self.averaged is not None and isinstance(self.averaged.network, DirectPose):
            teacher = self._teacher.views
        self.network.zero_grad(set_to_none=True)
        loss = self.objective(self._forward, teacher, batch, share)
        self.fabric.backward(loss.total)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        if bool(torch.isfinite(norm)) and bool(torch.isfinite(loss.total)):
            for optimizer in self.optimizers:
                optimizer.step()
            if self.averaged is not None:
                self.averaged.update(self.network)
            self._bad_steps = 0
        else:
            self._bad_steps += 1
            if self._bad_steps >= _BAD_STEPS or not self.progress.iteration:
                broken = [n for n, v in loss.terms.items() if not bool(torch.isfinite(v))]
                raise TrainingError(
                    f"the loss is not finite at step {self.progress.iteration} "
                    f"({', '.join(broken) or 'gradient'}): lower train.lr, or set train.precision=32; "
                    f"the state saved before is kept in {self.folder}"
                )
        for name, value in {**loss.terms, "total": loss.total.detach()}.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value
        self._count += 1
        self.progress.iteration += 1

    def label_frames(
        self,
        unlabeled: Sequence[FrameRef],
        scaled: ScaledFrames,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Notice | None:
        """Let the teacher label whole frames; a round of `PseudoRounds`.

        Returns
        -------
        Notice or None
            None when it should stop: the round is then made when training goes on.

        Raises
        ------
        FramesError
            If a frame cannot be read.
        """
        share = self.progress.share
        steps = self.progress.iteration / max(share, 1e-3)
        pixels = scaled(unlabeled[0])[0].numel()
        refs = self.pseudo.frames(unlabeled, self.pseudo.affordable(steps, pixels))
        found = self._teacher.frames(refs, scaled, share, should_stop)
        if found is None:
            return None
        self.pseudo.take(found, {ref.key: ref.name for ref in refs})
        animals = sum(len(poses.xy) for poses in found.values())
        return Notice(f"learning from {animals} animals found on {len(found)} unlabelled frames")

    def report(self) -> Step:
        """Mean losses since the last report; also written to ``log.csv``."""
        losses = {name: float(value) / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        lr = max(g["lr"] for o in self.optimizers for g in o.param_groups)
        self._files.log(self.progress, "loss", losses)
        self._files.log(self.progress, "rate", {"learning_rate": lr})
        p = self.progress
        return Step(p.iteration, p.elapsed_s, p.share, p.remaining_s, losses, lr)

    def notes(self) -> list[str]:
        """Return what the user should know, and has not been told yet."""
        notes, self._notes = self._notes, []
        if self.video is not None:
            notes, self.video.notes = [*notes, *self.video.notes], []
        return notes

    def validate(self, data: TrainingData) -> Validation:
        """Score the weights that would be saved now."""
        network = self.averaged.network if self.averaged else self.network.eval()
        scores = validate(
            network,
            self._info(),
            data.validation,
            data.poses,
            str(self.device),
            data.neighbours,
        )
        if isinstance(self.network, HeatmapTracker) and isinstance(network, HeatmapTracker):
            # The average would forget what was measured on it.
            self.network.calibration.copy_(network.calibration)
        self._files.log(self.progress, "validation", scores)
        value = scores["ap"] + scores["ap_loose"]
        # Of few frames "best" is luck: then the newest weights are kept, and their scores.
        counts = len(data.validation) >= _MIN_BEST
        self.improved = counts and value >= self._best
        if self.improved:
            self._best = value
        if self.improved or not counts:
            self.scores = scores
        return Validation(self.progress.iteration, self.progress.elapsed_s, scores, self.improved)

    # ------------------------------------------------------------------ files

    def _info(self) -> ModelInfo:
        return ModelInfo(
            self.skeleton,
            self.config,
            self.scale or 0.0,
            self._animal_size_px,
            self.scores,
            self.progress.iteration,
            self._pairs,
            self._shapes,
        )

    def _final(self) -> Network:
        return self.averaged.network if self.averaged else self.network

    def save(self) -> None:
        """Write the newest weights and everything that a resumed run needs."""
        self._files.save(
            self._final(),
            self._info(),
            {
                "iteration": self.progress.iteration,
                "elapsed_s": self.progress.elapsed_s,
                "network": self.network.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "averaged": self.averaged.network.state_dict() if self.averaged else {},
                "updates": self.averaged.updates if self.averaged else 0,
                "rng": torch.get_rng_state(),
                "pseudo": self.pseudo.state(),
                "batch_size": list(astuple(self.batch_size)),
                "validation": self._validation,
                "best": self._best,
                "scores": dict(self.scores),
                "video": self.video.state() if self.video else {},
                **self.limits.state(),
            },
        )

    def save_best(self) -> None:
        """Write the present weights as the model, because they validated best."""
        self._files.save_best(self._final(), self._info())

    def free_memory(self) -> None:
        """Give back what the failed step held."""
        self.network.zero_grad(set_to_none=True)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class _Autocast(nn.Module):
    """A network in the number format of the run."""

    def __init__(self, network: Network, fabric: Fabric) -> None:
        super().__init__()
        self.network = network
        self._fabric = fabric

    def forward(self, *inputs: Tensor | None) -> NetworkOutput:
        with self._fabric.autocast():
            output: NetworkOutput = self.network(*inputs)
        return output
