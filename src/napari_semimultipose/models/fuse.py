"""Fold batch normalisation into convolutions: the same function with fewer layers, for prediction."""

from __future__ import annotations

import itertools

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse_norms(network: nn.Module) -> None:
    """Fold each batch normalisation that follows a convolution into it, in place.

    Parameters
    ----------
    network : Module
        In evaluation mode; it cannot be trained afterwards.
    """
    for module in list(network.modules()):
        if isinstance(module, fx.GraphModule):
            _fuse_graph(module)
        elif isinstance(module, nn.Sequential):
            _fuse_sequence(module)


def _fuse_sequence(module: nn.Sequential) -> None:
    names = list(module._modules)
    for first, second in itertools.pairwise(names):
        conv, norm = module._modules[first], module._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(conv, norm))
            setattr(module, second, nn.Identity())


def _fuse_graph(module: fx.GraphModule) -> None:
    layers = dict(module.named_modules())
    for node in list(module.graph.nodes):
        if node.op != "call_module" or not isinstance(layers[node.target], nn.BatchNorm2d):
            continue
        before = node.args[0]
        if before.op != "call_module" or len(before.users) > 1:
            continue
        conv = layers[before.target]
        if not isinstance(conv, nn.Conv2d):
            continue
        path, _, name = before.target.rpartition(".")
        setattr(
            layers[path] if path else module, name, fuse_conv_bn_eval(conv, layers[node.target])
        )
        node.replace_all_uses_with(before)
        module.graph.erase_node(node)
    module.delete_all_unused_submodules()
    module.recompile()
