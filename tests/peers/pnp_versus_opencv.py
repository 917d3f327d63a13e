"""Poses from points and pixels, half of them wrong: vloc's solver and OpenCV's solvePnPRansac on the same problems, one thread.

Needs opencv-python-headless (5.0.0.93 was measured) and numpy: python tests/peers/pnp_versus_opencv.py

Prints the median errors and times of both. OpenCV has the same threshold (10 pixels), as many iterations as it wants up
to 10000 at a confidence of 0.9999, and its refinement of all inliers; `--default` leaves its own settings (100 iterations, 8 pixels, 0.99).
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]
CAMERA = np.array([[525.0, 0.0, 319.5], [0.0, 525.0, 239.5], [0.0, 0.0, 1.0]])
SETTINGS = {"iterationsCount": 10000, "reprojectionError": 10.0, "confidence": 0.9999}


def opencv(rows, truth, settings, flags):
    """Seconds, metres and degrees of one problem."""
    pixels, points = np.ascontiguousarray(rows[:, :2]), np.ascontiguousarray(rows[:, 2:])
    start = time.perf_counter()
    found, rotation, translation, _ = cv2.solvePnPRansac(points, pixels, CAMERA, None, flags=flags, **settings)
    seconds = time.perf_counter() - start
    assert found
    rotation = cv2.Rodrigues(rotation)[0]
    between = rotation @ truth[:3, :3]
    cosine = np.clip((np.trace(between) - 1) / 2, -1, 1)
    return seconds, np.linalg.norm(-rotation.T @ translation[:, 0] - truth[:3, 3]), np.degrees(np.arccos(cosine))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--default", action="store_true", help="OpenCV's own settings")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    settings = {} if arguments.default else SETTINGS
    with tempfile.TemporaryDirectory() as folder:
        program = os.environ.get("VLOC_PNP_BENCH")
        command = [program] if program else ["cargo", "bench", "--quiet", "--no-default-features", "--bench", "pnp_speed", "--"]
        output = subprocess.run([*command, folder], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(f"{'points':>6} {'solver':24} {'ms':>8} {'mm':>8} {'deg':>8}   (medians)")
        for ours in map(json.loads, output.splitlines()):
            count = ours["points"]
            rows = np.fromfile(f"{folder}/{count}.f64").reshape(-1, count, 5)
            truth = np.array(json.loads(Path(folder, f"{count}.json").read_text())).reshape(-1, 4, 4)
            print(f"{count:6} {'vloc':24} {1e3 * ours['seconds']:8.2f} {1e3 * ours['metres']:8.2f} {ours['degrees']:8.4f}")
            for name in ("SOLVEPNP_ITERATIVE", "SOLVEPNP_P3P", "SOLVEPNP_SQPNP"):
                solved = [opencv(*problem, settings, getattr(cv2, name)) for problem in zip(rows, truth)]
                seconds, metres, degrees = np.median(solved, axis=0)
                print(f"{count:6} {'OpenCV ' + name[9:].lower():24} {1e3 * seconds:8.2f} {1e3 * metres:8.2f} {degrees:8.4f}")


if __name__ == "__main__":
    main()
