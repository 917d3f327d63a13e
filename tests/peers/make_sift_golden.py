"""Writes tests/fixtures/retrieval/sift.json: OpenCV's SIFT descriptors of upright keypoints, for tests/retrieval.rs.

Needs opencv-python-headless (5.0.0 wrote the file that is committed):
python tests/peers/make_sift_golden.py tests/fixtures/retrieval/sift.json
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 96, 80
PLACES = [(30, 30), (41, 33), (48, 40), (53, 47), (65, 49)]


def pattern() -> np.ndarray:
    """Slopes, stripes and steps; tests/retrieval.rs draws the same."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    slopes = (x * x + 2 * y * y + x * y) // 20
    steps = 60 * ((x // 11 + y // 7) % 3)
    return ((slopes + steps) % 256).astype(np.uint8)


def descriptors(bin_size: int) -> list[list[int]]:
    # A keypoint of the first octave's first layer is described in the image blurred to `sigma`; its bins are 3/2 of its
    # size. OpenCV multiplies by 512 and rounds.
    sift = cv2.SIFT_create(sigma=bin_size / 6)
    keypoints = [cv2.KeyPoint(float(x), float(y), 2 * bin_size / 3, 0.0, 1.0, 0, -1) for x, y in PLACES]
    found, values = sift.compute(pattern(), keypoints)
    assert [(round(k.pt[0]), round(k.pt[1])) for k in found] == PLACES
    return values.astype(int).tolist()


def main() -> None:
    golden = {
        "width": WIDTH,
        "height": HEIGHT,
        "places": PLACES,
        "scales": [{"bin_size": size, "descriptors": descriptors(size)} for size in (4, 6, 8, 10)],
    }
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
