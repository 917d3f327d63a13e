"""Writes torchvision's ImageNet weights of an encoder as safetensors, for `vloc train --weights`.

usage: python scripts/export_torchvision.py NAME FILE

NAME is resnet18, resnet34, resnet50, googlenet, vgg16, squeezenet1_0, mobilenet_v2 or efficientnet_b0. Needs torch,
torchvision and safetensors, and torchvision's own download of the weights; they carry torchvision's licence.
"""

import sys

import torchvision
from safetensors.torch import save_file

NAMES = ("resnet18", "resnet34", "resnet50", "googlenet", "vgg16", "squeezenet1_0", "mobilenet_v2", "efficientnet_b0")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in NAMES:
        sys.exit(__doc__)
    name, file = sys.argv[1:]
    model = getattr(torchvision.models, name)(weights="IMAGENET1K_V1")
    # The classifier and GoogLeNet's auxiliary ones are of no use here.
    heads = ("fc.", "classifier.", "aux")
    tensors = {key: tensor.contiguous() for key, tensor in model.state_dict().items()
               if "num_batches" not in key and not key.startswith(heads)}
    save_file(tensors, file)
    print(f"{file}: {len(tensors)} tensors of {name}")


if __name__ == "__main__":
    main()
