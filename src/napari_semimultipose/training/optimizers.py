"""Optimisers: Muon for the hidden layers, AdamW or SGD for the rest, and their learning rates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_semimultipose.config import TrainConfig
from napari_semimultipose.models.device import computes_in_bf16

_QUINTIC = (3.4445, -4.7750, 2.0315)  # maps singular values 0..1 near 1 in a few steps
_UPDATE_RMS = 0.2  # size of AdamW's updates, so that rates and decays mean the same


def _bare(method: Callable[..., Any]) -> Any:
    """Return a method of torch without the wrappers that load torch's compiler, which takes seconds."""
    return inspect.unwrap(method)


class _Optimizer(torch.optim.Optimizer):
    add_param_group = _bare(torch.optim.Optimizer.add_param_group)
    load_state_dict = _bare(torch.optim.Optimizer.load_state_dict)
    state_dict = _bare(torch.optim.Optimizer.state_dict)
    zero_grad = _bare(torch.optim.Optimizer.zero_grad)


class AdamW(_Optimizer, torch.optim.AdamW):
    """Adam with decoupled weight decay, as torch has it."""

    step = torch.no_grad()(_bare(torch.optim.AdamW.step))


class SGD(_Optimizer, torch.optim.SGD):
    """Stochastic gradient descent, as torch has it."""

    step = torch.no_grad()(_bare(torch.optim.SGD.step))


class Muon(_Optimizer):
    """Momentum with orthogonalised updates, for the weights of convolutions.

    The update of a weight matrix is its Nesterov momentum with all singular values brought near 1
    by five Newton-Schulz steps (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
    networks"), scaled to the size of AdamW's updates, 0.2 sqrt(max(rows, columns)) (Liu et al. 2025,
    arXiv:2502.16982, equation 4). The kernel of a convolution is a matrix of output channels by
    inputs; that of a grouped convolution is one such matrix for each group.

    Parameters
    ----------
    params : iterable of dict
        Parameter groups. ``blocks`` is the number of groups of the convolutions in a group.
    lr : float
        Learning rate.
    momentum : float
        Share of the old direction that is kept.
    weight_decay : float
        Decay relative to the learning rate.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 4e-3,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "blocks": 1}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        by_shape: dict[torch.Size, list[tuple[nn.Parameter, float, Tensor]]] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "direction" not in state:
                    state["direction"] = torch.zeros_like(parameter)
                direction = state["direction"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(direction, group["momentum"])
                matrices = update.reshape(group["blocks"], len(update) // group["blocks"], -1)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                by_shape.setdefault(matrices.shape[1:], []).append(
                    (parameter, group["lr"], matrices)
                )
        for shape, members in by_shape.items():
            size = _UPDATE_RMS * max(shape) ** 0.5
            together = torch.cat([m for _, _, m in members])
            if computes_in_bf16(together.device):
                together = together.bfloat16()
            done = orthogonalize(together).to(members[0][0].dtype)
            parts = torch.split(done, [len(m) for _, _, m in members])
            for (parameter, lr, _), part in zip(members, parts, strict=True):
                parameter.add_(part.reshape(parameter.shape), alpha=-lr * size)
        return loss


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of matrices [N, r, c] near 1 (0.7 to 1.2), by Newton-Schulz steps."""
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    done: Tensor = x.mT if tall else x
    return done


def build_optimizers(
    network: nn.Module, config: TrainConfig, readouts: Collection[nn.Module] = ()
) -> list[torch.optim.Optimizer]:
    """Build the optimisers; the backbone and pyramid learn at their own rate, biases and norms do not decay.

    With SGD (the paper's presets) biases learn twice as fast. With Muon, the first convolution, the
    `readouts` and everything that is no convolution are left to AdamW.
    """
    hidden: dict[int, int] = {}
    if config.optimizer == "muon":
        hidden = {
            id(m.weight): m.groups
            for m in network.modules()
            if isinstance(m, nn.Conv2d) and m.in_channels > 3 and m not in readouts
        }
    muon: dict[tuple[bool, int], list[nn.Parameter]] = {}
    rest: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        slow = name.startswith(("backbone.", "pyramid."))
        if id(parameter) in hidden:
            muon.setdefault((slow, hidden[id(parameter)]), []).append(parameter)
        else:
            rest.setdefault((slow, parameter.ndim <= 1), []).append(parameter)
    sgd = config.optimizer == "sgd"

    def options(parameters: list[nn.Parameter], lr: float, *, slow: bool) -> dict[str, Any]:
        lr *= config.backbone_lr if slow else 1.0
        return {"params": parameters, "lr": lr, "peak_lr": lr, "weight_decay": config.weight_decay}

    groups = []
    for (slow, plain), parameters in rest.items():
        group = options(parameters, config.lr * (2.0 if sgd and plain else 1.0), slow=slow)
        groups.append(group | ({"weight_decay": 0.0} if plain else {}))
    first = SGD(groups, momentum=0.9) if sgd else AdamW(groups, betas=(0.9, 0.99))
    if not muon:
        return [first]
    return [
        first,
        Muon(
            [
                options(parameters, config.muon_lr, slow=slow) | {"blocks": blocks}
                for (slow, blocks), parameters in muon.items()
            ]
        ),
    ]


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    """Set all groups to their highest rate times `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
