"""A chain of 500 poses as GTSAM solves it: tests/fixtures/graph/chain.json, for tests/graph.rs.

Needs gtsam==4.3.0 and numpy. Usage: graph_chain.py > tests/fixtures/graph/chain.json

The problem is not stored: both sides make it from `wave`, the same closed form. The fixture holds GTSAM's error, every
50th pose with its marginal covariance, and one joint covariance. GTSAM orders tangents [rotation, translation]; here
and in the fixture they are [translation, rotation].
"""

import json
import sys

import gtsam
import numpy as np

POSES = 500
SWAP = [3, 4, 5, 0, 1, 2]


def wave(k, j):
    """Deterministic values in [-1, 1]."""
    return np.sin(1.3 * k * (j + 1) + 0.7 * j * j)


def waves(k, first):
    return np.array([wave(k, first + j) for j in range(6)])


def exp(twist):
    return gtsam.Pose3.Expmap(np.asarray(twist)[SWAP])


def gaussian(covariance):
    return gtsam.noiseModel.Gaussian.Covariance(covariance[np.ix_(SWAP, SWAP)])


def diagonal(translation, rotation):
    return gtsam.noiseModel.Diagonal.Sigmas(np.array([rotation] * 3 + [translation] * 3))


def robust(kernel, noise):
    return gtsam.noiseModel.Robust.Create(kernel.Create(1.5), noise)


def problem():
    estimators = gtsam.noiseModel.mEstimator
    graph, start = gtsam.NonlinearFactorGraph(), gtsam.Values()
    truth = [gtsam.Pose3()]
    for k in range(POSES):
        w = waves(k, 0)
        truth.append(truth[-1] * exp([1.0, 0.1 * w[1], 0.1 * w[2], 0.1 * w[3], 0.1 * w[4], 0.2 * w[5]]))
    spread = np.array([0.05] * 3 + [0.02] * 3)
    for k in range(POSES - 1):
        measured = truth[k].between(truth[k + 1]) * exp(spread * waves(k, 10))
        graph.add(gtsam.BetweenFactorPose3(k, k + 1, measured, diagonal(0.05, 0.02)))
    # Loops, with a covariance that couples axes; every second one under Cauchy.
    sigmas = np.array([0.1, 0.2, 0.1, 0.03, 0.02, 0.03])
    correlation = np.eye(6)
    correlation[0, 5] = correlation[5, 0] = 0.4
    correlation[1, 3] = correlation[3, 1] = -0.3
    noise = gaussian(np.outer(sigmas, sigmas) * correlation)
    for n, k in enumerate(range(0, POSES - 25, 40)):
        measured = truth[k].between(truth[k + 25]) * exp(sigmas * waves(k, 30))
        model = robust(estimators.Cauchy, noise) if n % 2 else noise
        graph.add(gtsam.BetweenFactorPose3(k, k + 25, measured, model))
    # Absolute poses; every fifth one is 5 m off. Plain, under Huber, Geman-McClure and dynamic covariance scaling.
    kernels = [None, estimators.Huber, estimators.GemanMcClure, estimators.DCS]
    for n, k in enumerate(range(0, POSES, 10)):
        error = np.array([0.2] * 3 + [0.05] * 3) * waves(k, 20)
        kernel = kernels[n % 4]
        if n % 5 == 4 and kernel is not None:
            error[0] += 5.0
        noise = diagonal(0.2, 0.05)
        model = noise if kernel is None else robust(kernel, noise)
        graph.add(gtsam.PriorFactorPose3(k, truth[k] * exp(error), model))
    for k in range(POSES):
        start.insert(k, truth[k] * exp(0.05 * waves(k, 40)))
    return graph, start


def tidy(matrix):
    return np.asarray(matrix)[np.ix_(SWAP, SWAP)]


def main():
    graph, start = problem()
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setRelativeErrorTol(0.0)
    parameters.setAbsoluteErrorTol(1e-13)
    values = gtsam.LevenbergMarquardtOptimizer(graph, start, parameters).optimize()
    marginals = gtsam.Marginals(graph, values)
    poses = []
    for k in list(range(0, POSES, 50)) + [POSES - 1]:
        pose = values.atPose3(k)
        rotation = pose.rotation().toQuaternion()
        covariance = tidy(marginals.marginalCovariance(k))
        poses.append(
            {
                "index": k,
                "translation": pose.translation().tolist(),
                "quaternion_xyzw": [rotation.x(), rotation.y(), rotation.z(), rotation.w()],
                "covariance_upper": covariance[np.triu_indices(6)].tolist(),
            }
        )
    joint = marginals.jointMarginalCovariance(gtsam.KeyVector([100, 130]))
    cross = tidy(joint.at(100, 130))
    result = {
        "gtsam": "4.3.0",
        "initial_error": graph.error(start),
        "final_error": graph.error(values),
        "poses": poses,
        "cross_covariance_100_130": cross.flatten().tolist(),
    }
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
