"""Writes tests/fixtures/network: what PyTorch and torchvision say, for tests/network_parity.rs.

Needs torch 2.11 and torchvision: python tests/peers/make_network_goldens.py tests/fixtures/network
"""

import json
import sys
from pathlib import Path

import numpy as np
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


@torch.no_grad()
def golden_transformer() -> dict[str, torch.Tensor]:
    """A small nn.Transformer as MS-Transformer has them, what it is given and what it says."""
    torch.manual_seed(11)
    transformer = nn.Transformer(16, 4, 2, 2, 24, activation="gelu", batch_first=True, norm_first=True).eval()
    for name, tensor in transformer.state_dict().items():
        if tensor.dim() == 1:
            # Norms and biases start as ones and zeros, which would hide a mistake.
            tensor += 0.3 * torch.randn_like(tensor)
    tokens, queries = torch.randn(2, 6, 16), torch.randn(2, 3, 16)
    golden = {"tokens": tokens, "queries": queries, "output": transformer(tokens, queries)}
    tensors = transformer.state_dict() | {f"golden.{name}": tensor for name, tensor in golden.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


# Each encoder of torchvision, and the modules behind which our stages end.
ENCODERS = {
    "resnet18": ["maxpool", "layer1", "layer2", "layer3", "layer4"],
    "resnet34": ["maxpool", "layer1", "layer2", "layer3", "layer4"],
    "resnet50": ["maxpool", "layer1", "layer2", "layer3", "layer4"],
    "googlenet": ["maxpool2", "inception3b", "inception4a", "inception4c", "inception4d", "inception5b"],
    "vgg16": ["features.4", "features.9", "features.16", "features.23", "features.30"],
    "squeezenet1_0": ["features.1", "features.5", "features.10", "features.12"],
    "mobilenet_v2": ["features.1", "features.3", "features.6", "features.13", "features.18"],
    "efficientnet_b0": ["features.1", "features.2", "features.3", "features.5", "features.8"],
}
# Values kept of each stage.
KEPT = 16


def encoder(name: str) -> nn.Module:
    options = {"aux_logits": False, "init_weights": False, "transform_input": False} if name == "googlenet" else {}
    return getattr(torchvision.models, name)(weights=None, **options).eval()


def parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and statistics without the classifier, in the order of their names."""
    heads = ("fc.", "classifier.", "aux")
    return {name: tensor for name, tensor in sorted(model.state_dict().items())
            if "num_batches" not in name and not name.startswith(heads)}


def noise(stream: int, count: int) -> np.ndarray:
    """Numbers in [-1, 1) that any language can make: SplitMix64 of the stream and the position."""
    z = (np.uint64(stream) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
    z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def fill(name: str, tensor: torch.Tensor, stream: int) -> None:
    values = noise(stream, tensor.numel())
    if tensor.dim() == 4:
        values *= (6.0 / tensor[0].numel()) ** 0.5
    elif name.endswith("running_var"):
        values = 1.0 + 0.5 * values
    elif name.endswith("running_mean"):
        values *= 0.2
    elif name.endswith("weight"):
        values = 1.0 + 0.2 * values
    else:
        values *= 0.1
    tensor.copy_(torch.from_numpy(values.astype(np.float32)).view(tensor.shape))


@torch.no_grad()
def encoder_goldens() -> dict:
    """Of each encoder with those weights: shape, mean magnitude and some values behind each stage."""
    image = torch.from_numpy(2.0 * noise(2**31, 3 * 64 * 96)).float().view(1, 3, 64, 96)
    goldens = {}
    for name, modules in ENCODERS.items():
        model, stages = encoder(name), []
        for stream, (parameter, tensor) in enumerate(parameters(model).items()):
            fill(parameter, tensor, stream)
        for module in modules:
            # In place operations behind a stage would change what is kept.
            model.get_submodule(module).register_forward_hook(lambda _, __, output: stages.append(output.clone()))
        model(image)
        goldens[name] = [{
            "shape": list(stage.shape),
            "mean_magnitude": stage.abs().mean().item(),
            "values": [stage.flatten()[i * (stage.numel() - 1) // (KEPT - 1)].item() for i in range(KEPT)],
        } for stage in stages]
    return goldens


def encoder_names() -> str:
    """One line per parameter: model, name, shape."""
    return "".join(f"{name} {parameter} {'x'.join(map(str, tensor.shape))}\n"
                   for name in ENCODERS for parameter, tensor in parameters(encoder(name)).items())


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(golden_activations(), folder / "elu_bottleneck.safetensors")
    save_file(golden_transformer(), folder / "transformer.safetensors")
    (folder / "encoder_names.txt").write_text(encoder_names())
    (folder / "encoders.json").write_text(json.dumps(encoder_goldens(), indent=1))
