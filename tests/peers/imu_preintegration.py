"""The preintegration of GTSAM 4.3.0 on a seeded second of readings: tests/fixtures/imu/gtsam_preintegration.json.

Usage: imu_preintegration.py OUTPUT.json      (needs numpy and gtsam==4.3.0)

GTSAM integrates readings that are constant over a step, with Euler steps whose error is of first order in the step;
vloc takes readings that are linear between two stamps. So GTSAM gets the straight line between two readings in many
small steps, and its results are extrapolated to steps of no length (Richardson, for the powers 1 to 4 of the step).
What remains is what GTSAM's equations say of the same signal. Orders are turned into vloc's: 9-vectors
[position, rotation, velocity], biases [gyroscope, accelerometer].
"""

import json
import sys

import gtsam
import numpy as np

RATE = 200.0
GYROSCOPE_NOISE_DENSITY = 1.7e-4
GYROSCOPE_RANDOM_WALK = 2.0e-5
ACCELEROMETER_NOISE_DENSITY = 2.0e-3
ACCELEROMETER_RANDOM_WALK = 3.0e-3
BIAS_GYROSCOPE = np.array([0.01, -0.02, 0.03])
BIAS_ACCELEROMETER = np.array([0.1, 0.05, -0.2])
SUBSTEPS = [8, 16, 32, 64, 128]


def readings():
    """Stamps (ns, unevenly spaced), rates of turn (rad/s) and specific forces (m/s^2), rounded as the file has them."""
    random = np.random.default_rng(7)
    times = np.arange(int(RATE) + 1) / RATE
    times[1:-1] += random.uniform(-1e-3, 1e-3, len(times) - 2)
    nanos = np.round(times * 1e9).astype(np.int64)
    t = nanos * 1e-9
    waves = lambda scale: sum(
        scale / k * np.sin(2.0 * k * t[:, None] + random.uniform(0.0, 6.28, 3)) for k in (1, 2, 4)
    )
    turn = waves(1.5) + random.normal(0.0, 2e-3, (len(t), 3))
    force = np.array([0.5, -1.0, 9.81]) + waves(3.0) + random.normal(0.0, 3e-2, (len(t), 3))
    return nanos, np.round(turn, 6), np.round(force, 6)


def parameters():
    parameters = gtsam.PreintegrationCombinedParams.MakeSharedU(9.81)
    eye = np.eye(3)
    parameters.setGyroscopeCovariance(GYROSCOPE_NOISE_DENSITY**2 * eye)
    parameters.setAccelerometerCovariance(ACCELEROMETER_NOISE_DENSITY**2 * eye)
    parameters.setIntegrationCovariance(np.zeros((3, 3)))
    parameters.setBiasOmegaCovariance(GYROSCOPE_RANDOM_WALK**2 * eye)
    parameters.setBiasAccCovariance(ACCELEROMETER_RANDOM_WALK**2 * eye)
    return parameters


def integrate(kind, substeps, nanos, turn, force):
    measured = kind(parameters(), gtsam.imuBias.ConstantBias(BIAS_ACCELEROMETER, BIAS_GYROSCOPE))
    for k in range(len(nanos) - 1):
        step = (nanos[k + 1] - nanos[k]) * 1e-9 / substeps
        for part in range(substeps):
            ratio = (part + 0.5) / substeps
            measured.integrateMeasurement(
                force[k] + ratio * (force[k + 1] - force[k]), turn[k] + ratio * (turn[k + 1] - turn[k]), step
            )
    return measured


def ordered(measured):
    """The covariance in vloc's order and axes.

    GTSAM: [rotation, position, velocity] and, combined, [accelerometer, gyroscope] after them; position and velocity in
    the axes of the end (NavState's retraction), in vloc in those of the start.
    """
    covariance = measured.preintMeasCov()
    to_start = np.eye(len(covariance))
    to_start[3:6, 3:6] = to_start[6:9, 6:9] = measured.deltaRij().matrix()
    order = [3, 4, 5, 0, 1, 2, 6, 7, 8]
    if len(covariance) == 15:
        order += [12, 13, 14, 9, 10, 11]
    return (to_start @ covariance @ to_start.T)[np.ix_(order, order)]


def limit(values):
    """Richardson's extrapolation of values at steps 1, 1/2, 1/4, ... with errors in all integer powers of the step."""
    table = [np.asarray(value) for value in values]
    for power in range(1, len(table)):
        factor = 2.0**power
        table = [(factor * fine - coarse) / (factor - 1.0) for coarse, fine in zip(table, table[1:])]
    return table[0]


def rotation_vector(measured):
    return gtsam.Rot3.Logmap(measured.deltaRij())


def main():
    nanos, turn, force = readings()
    run = lambda kind: [integrate(kind, n, nanos, turn, force) for n in SUBSTEPS]
    white = run(gtsam.PreintegratedImuMeasurementsManifold)
    combined = run(gtsam.PreintegratedCombinedMeasurementsManifold)
    out = {
        "gtsam": "4.3.0, PreintegratedImuMeasurementsManifold and PreintegratedCombinedMeasurementsManifold",
        "substeps": SUBSTEPS,
        "noise": {
            "gyroscope_noise_density": GYROSCOPE_NOISE_DENSITY,
            "gyroscope_random_walk": GYROSCOPE_RANDOM_WALK,
            "accelerometer_noise_density": ACCELEROMETER_NOISE_DENSITY,
            "accelerometer_random_walk": ACCELEROMETER_RANDOM_WALK,
        },
        "bias": {"gyroscope": BIAS_GYROSCOPE.tolist(), "accelerometer": BIAS_ACCELEROMETER.tolist()},
        "stamps": nanos.tolist(),
        "angular_velocity": turn.tolist(),
        "linear_acceleration": force.tolist(),
        "delta": {
            "position": limit([m.deltaPij() for m in white]).tolist(),
            "rotation": limit([rotation_vector(m) for m in white]).tolist(),
            "velocity": limit([m.deltaVij() for m in white]).tolist(),
        },
        "covariance_white": limit([ordered(m) for m in white]).tolist(),
        "covariance_with_biases": limit([ordered(m) for m in combined]).tolist(),
    }
    with open(sys.argv[1], "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
