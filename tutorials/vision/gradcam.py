"""Grad-CAM (R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks", ICCV 2017)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data import StudyError
from tutorials.vision.models import head_name

# N images, C feature maps of h x w


def grad_cam(net: nn.Module, images: Tensor, classes: Tensor | list[int], layer: str | None = None) -> Tensor:
    """Class activation maps: images (N, 3, H, W) and N class indices -> (N, H, W) in 0..1.

    ReLU of the sum of a layer's feature maps, each weighted by the mean gradient of the class's logit.
    `layer` is a module's path; by default the last one before the head whose output has spatial dimensions. Raises
    StudyError where there is none.
    """
    caught: list[Tensor] = []
    with evaluating(net), torch.enable_grad(), ExitStack() as hooks:
        module = net.get_submodule(layer or last_map(net, images[:1]))
        hooks.callback(module.register_forward_hook(lambda _module, _inputs, output: caught.append(output)).remove)
        logits = net(images.detach().clone().requires_grad_())  # so that a frozen net has gradients too
        chosen = logits.gather(1, torch.as_tensor(classes, device=logits.device).view(-1, 1)).sum()
        maps = caught[0]
        gradients = torch.autograd.grad(chosen, maps)[0]  # (N, C, h, w)
    cam = (gradients.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()  # (N, 1, h, w)
    cam = F.interpolate(cam.float(), images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]  # (N, H, W)
    return cam / cam.amax((1, 2), keepdim=True).clamp(min=1e-12)


@torch.no_grad()
def last_map(net: nn.Module, images: Tensor) -> str:
    """The path of the last module that returned (N, C, h, w), with h w > 1, before the head was called."""
    head = net.get_submodule(head_name(net))
    returned: list[str] = []
    before_head: list[str] = []

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
            returned.append(name)

    with evaluating(net), ExitStack() as hooks:
        for name, module in net.named_modules():
            hook = module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
            hooks.callback(hook.remove)
        hooks.callback(head.register_forward_pre_hook(lambda *_: before_head.extend(returned)).remove)
        net(images)
    if not before_head:
        raise StudyError(f"grad_cam: a {type(net).__name__} has no feature maps before its head. Name a layer of it.")
    return before_head[-1]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """The net in evaluation mode; afterwards every module has its own mode again."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
