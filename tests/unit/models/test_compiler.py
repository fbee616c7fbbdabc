"""Libraries without torch's compiler: in processes of their own, because a module is loaded once."""

from __future__ import annotations

import subprocess
import sys

COMPILER = ("torch._dynamo", "sympy")


def loaded_by(code: str) -> set[str]:
    """Which modules of the compiler are there after `code`."""
    code += f"\nimport sys; print(*[name for name in {COMPILER!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_step_of_training_and_a_prediction_do_without_the_compiler() -> None:
    """As they take as long to load as torch itself; asked for in another thread, it is the real one."""
    code = """
import torch
from napari_semimultipose.config import Config
from napari_semimultipose.inference.decode import nms
from napari_semimultipose.models.backbone import Backbone
from napari_semimultipose.training.optimizers import build_optimizers
from napari_semimultipose.training.run import Fabric
network = Backbone("resnet18", (8, 16))
config = Config().train
for name in ("muon", "adamw", "sgd"):
    first, *more = optimizers = build_optimizers(network, config.model_copy(update={"optimizer": name}))
    before = [p.clone() for p in network.parameters()]
    loss = sum(f.square().mean() for f in network(torch.rand(2, 3, 64, 64)).values())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    fabric = Fabric(accelerator="cpu", devices=1)
    wrapped, *ready = fabric.setup(network, *optimizers)
    fabric.backward(wrapped(torch.rand(2, 3, 64, 64))["8"].mean())
    for optimizer in ready:
        optimizer.step()
    for optimizer in optimizers:
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.zero_grad()
    assert any((a != b).any() for a, b in zip(before, network.parameters()))
assert len(nms(torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]]), torch.ones(2), 0.5)) == 1
"""
    assert loaded_by(code) == set()


def test_the_compiler_is_the_real_one_for_everybody_else() -> None:
    """Compiled modules are still known to Fabric, and RoI align still asks."""
    code = """
import sys
from napari_semimultipose.models import vision
from napari_semimultipose.training.run import Fabric
from napari_semimultipose.models.compiler import without_compiler
with without_compiler():
    stand_in = sys.modules["torch._dynamo"]
    assert callable(stand_in.graph_break)  # as somebody in another thread would ask
    import torch._dynamo.utils
    assert torch._dynamo.utils.is_compile_supported("cpu") in (True, False)
from torchvision.ops import roi_align
import torch
from lightning_fabric.wrappers import OptimizedModule, _unwrap_compiled
plain = torch.nn.Linear(2, 2)
assert not isinstance(plain, OptimizedModule)
compiled = torch.compile(plain, backend="eager")
assert isinstance(compiled, OptimizedModule) and not isinstance(plain, OptimizedModule)
assert _unwrap_compiled(compiled)[0] is plain
boxes = [torch.tensor([[0.0, 0, 4, 4]])]
assert roi_align(torch.ones(1, 1, 8, 8), boxes, 2).shape == (1, 1, 2, 2)
assert torch.compiler.is_compiling() is False
assert type(sys.modules["torch._dynamo"]).__name__ == "module"
"""
    assert loaded_by(code) == set(COMPILER)
