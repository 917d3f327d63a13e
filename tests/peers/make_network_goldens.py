"""Writes tests/fixtures/network: what PyTorch and torchvision say, for tests/network_parity.rs.

Needs torch 2.11 and torchvision: python tests/peers/make_network_goldens.py tests/fixtures/network
"""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn


class EluBottleneck(torchvision.models.resnet.Bottleneck):
    """A bottleneck whose every ReLU, also the one behind the sum, is an ELU."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.relu = nn.ELU()


def narrow_resnet(width: int) -> nn.Module:
    """ResNet-50's plan at [1, 2, 1, 1] blocks and `width` instead of 64 channels, without the classifier."""
    trunk = torchvision.models.ResNet(EluBottleneck, [1, 1, 1, 1])
    trunk.inplanes = width
    trunk.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
    trunk.bn1 = nn.BatchNorm2d(width)
    trunk.relu = nn.ELU()
    trunk.layer1 = trunk._make_layer(EluBottleneck, width, 1)
    trunk.layer2 = trunk._make_layer(EluBottleneck, 2 * width, 2, stride=2)
    trunk.layer3 = trunk._make_layer(EluBottleneck, 4 * width, 1, stride=2)
    trunk.layer4 = trunk._make_layer(EluBottleneck, 8 * width, 1, stride=2)
    trunk.fc = nn.Identity()
    return trunk.eval()


@torch.no_grad()
def golden_activations() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    trunk = narrow_resnet(2)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    tensors = {name: tensor for name, tensor in trunk.state_dict().items() if "num_batches" not in name}
    features = input_b3hw = torch.randn(1, 3, 32, 48)
    tensors["golden.input"] = input_b3hw
    features = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(features))))
    tensors["golden.stage0"] = features
    for index in range(1, 5):
        features = getattr(trunk, f"layer{index}")(features)
        tensors[f"golden.stage{index}"] = features
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def resnet_names() -> str:
    """One line per parameter: model, name, shape."""
    lines = []
    for name in ("resnet18", "resnet34", "resnet50"):
        for parameter, tensor in getattr(torchvision.models, name)().state_dict().items():
            if "num_batches" not in parameter and not parameter.startswith("fc."):
                lines.append(f"{name} {parameter} {'x'.join(map(str, tensor.shape))}\n")
    return "".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(golden_activations(), folder / "elu_bottleneck.safetensors")
    (folder / "resnet_names.txt").write_text(resnet_names())
