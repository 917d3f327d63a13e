"""Training steps per second of vloc and of PyTorch: the same network, batch, input, loss, optimizer and threads, in turns.

Needs torch 2.11 and torchvision 0.26: python tests/peers/training_throughput.py [--threads N] [--rounds N]

Each round runs vloc (`cargo bench --bench training_steps`), then PyTorch; the best round of either counts, and the ratio.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import torch
import torchvision
from torch import nn

WARM_UP = 2
ROOT = Path(__file__).parents[2]


class PoseNet(nn.Module):
    """A ResNet, one fully connected layer, and heads for position, quaternion and log-variances."""

    def __init__(self, name):
        super().__init__()
        self.encoder = getattr(torchvision.models, name)(weights=None)
        width, self.encoder.fc = self.encoder.fc.in_features, nn.Identity()
        self.fc, self.dropout = nn.Linear(width, 1024), nn.Dropout(0.5)
        self.xyz, self.wpqr, self.log_variance = nn.Linear(1024, 3), nn.Linear(1024, 4), nn.Linear(1024, 6)
        self.s = nn.Parameter(torch.tensor([0.0, -3.0]))

    def forward(self, image):
        hidden = self.dropout(self.fc(self.encoder(image)).relu())
        return self.xyz(hidden), nn.functional.normalize(self.wpqr(hidden)), self.log_variance(hidden)

    def loss(self, image, xyz, wpqr):
        found_xyz, found_wpqr, log_variance = self(image)
        errors = (found_xyz - xyz).abs().mean(), (found_wpqr - wpqr).abs().mean()
        square = torch.cat([found_xyz - xyz, 2.0 * (found_wpqr - wpqr)[:, 1:]], 1).detach().square()
        likely = 0.5 * (square * (-log_variance).exp() + log_variance).sum(1).mean()
        return sum(error * (-s).exp() + s for error, s in zip(errors, self.s)) + 0.1 * likely


def pytorch(name, device, images, steps, side):
    """Images per second."""
    torch.manual_seed(1)
    model = PoseNet(name).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=5e-4)
    image = torch.randn(images, 3, side, side, device=device)
    xyz, wpqr = torch.zeros(images, 3, device=device), torch.tensor([[1.0, 0.0, 0.0, 0.0]], device=device)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        optimizer.zero_grad()
        loss = model.loss(image, xyz, wpqr)
        loss.item()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()
    return images * steps / (time.perf_counter() - start)


def vloc(settings):
    """Images per second of each network."""
    program = os.environ.get("VLOC_TRAINING_BENCH")
    command = [program] if program else ["cargo", "bench", "--quiet", "--bench", "training_steps"]
    lines = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True, capture_output=True, text=True)
    rates = [json.loads(line) for line in lines.stdout.splitlines() if line.startswith("{")]
    return {rate["network"]: rate["images_per_second"] for rate in rates}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=16, help="of a batch")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--input", type=int, default=224, help="rows and columns")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = {"VLOC_THREADS": arguments.threads, "VLOC_BATCH": arguments.images, "VLOC_STEPS": arguments.steps,
                "VLOC_INPUT": arguments.input, "VLOC_DEVICE": arguments.device}
    settings = {name: str(value) for name, value in settings.items()}
    best = {}
    for _ in range(arguments.rounds):
        for name, ours in vloc(settings).items():
            theirs = pytorch(name, arguments.device, arguments.images, arguments.steps, arguments.input)
            known = best.get(name, (0.0, 0.0))
            best[name] = max(known[0], ours), max(known[1], theirs)
    print(f"{arguments.images} images of {arguments.input}x{arguments.input} a step, {arguments.threads} threads, "
          f"{arguments.device}, torch {torch.__version__}, best of {arguments.rounds}")
    for name, (ours, theirs) in best.items():
        print(f"{name}: vloc {ours:.2f} images/s, PyTorch {theirs:.2f}, {ours / theirs:.2f}x")


if __name__ == "__main__":
    main()
