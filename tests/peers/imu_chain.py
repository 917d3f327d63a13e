"""A chain of 500 states with IMU as GTSAM solves it: tests/fixtures/imu/chain.json, for tests/imu_factor.rs.

Usage: imu_chain.py > tests/fixtures/imu/chain.json      (needs numpy and gtsam==4.3.0)

The problem is not stored: both sides make it from `wave`, the same closed form: readings at 100 Hz, a state every tenth
reading, a noisy absolute pose at every tenth state, priors on the first state. Solved twice:

- "same": GTSAM's solver and marginals on vloc's factor. The readings are preintegrated here, in numpy, by the equations
  of src/imu/README.md; residual and derivatives are a gtsam.CustomFactor on GTSAM's own Pose3 and Rot3. States and
  covariances must agree to rounding.
- "native": GTSAM's own CombinedImuFactor on the same readings, in 16 steps between two of them. Its integration, its
  residual (in the axes of the end) and its noise (Euler steps, and another sign of the covariance of motion and
  biases) are another discretization of the same model: what differs is the size of these choices.

Tangents are [translation, rotation] in the fixture, biases [gyroscope, accelerometer].
"""

import json
import sys

import gtsam
import numpy as np

STATES = 500
STEPS = 10
STEP = 0.01
SUBSTEPS = 16
GRAVITY = np.array([0.0, 0.0, -9.81])
GYROSCOPE = (1.7e-3, 2.0e-4)
ACCELEROMETER = (2.0e-2, 3.0e-3)
BIAS = np.array([0.02, -0.01, 0.03, 0.1, -0.2, 0.05])
POSE_SIGMAS = np.array([0.05] * 3 + [0.02] * 3)
VELOCITY_SIGMA = 0.1
BIAS_SIGMAS = np.array([0.05] * 3 + [0.3] * 3)
SWAP = [3, 4, 5, 0, 1, 2]
X, V, B = (lambda k: gtsam.symbol("x", k)), (lambda k: gtsam.symbol("v", k)), (lambda k: gtsam.symbol("b", k))


def wave(k, j):
    """Deterministic values in [-1, 1]."""
    return np.sin(1.3 * k * (j + 1) + 0.7 * j * j)


def waves(k, first, count=6):
    return np.array([wave(k, first + j) for j in range(count)])


def reading(index):
    """Rate of turn and specific force of the reading `index`: a smooth motion, a ripple, and the bias."""
    t = STEP * index
    smooth = np.array([np.sin((0.7 + 0.2 * j) * t + j) for j in range(6)])
    turn = 0.6 * smooth[:3] + 0.002 * waves(index, 50, 3)
    force = 2.0 * smooth[3:] + 0.03 * waves(index, 53, 3) - GRAVITY
    return turn + BIAS[:3], force + BIAS[3:]


def hat(v):
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def exp(v):
    return gtsam.Rot3.Expmap(v).matrix()


def right_jacobian(v):
    return gtsam.Rot3.ExpmapDerivative(v)


class Preintegrated:
    """The equations of src/imu/README.md, readings linear in time, bias zero."""

    def __init__(self, first):
        self.rotation, self.position, self.velocity = np.eye(3), np.zeros(3), np.zeros(3)
        self.jacobian, self.joint = np.zeros((9, 6)), np.zeros((15, 15))
        self.duration = STEPS * STEP
        for index in range(first, first + STEPS):
            self.append(*reading(index), *reading(index + 1), STEP)

    def append(self, w0, a0, w1, a1, h):
        coning, turn = np.cross(w0, w1), hat(w1 - w0)
        phi = h * (w0 + w1) / 2.0 + h * h / 12.0 * coning
        phi_middle = h * (3.0 * w0 + w1) / 8.0 + h * h / 96.0 * coning
        end, middle = exp(phi), exp(phi_middle)
        force_middle, force_end = middle @ (a0 + a1) / 2.0, end @ a1
        velocity = h / 6.0 * (a0 + 4.0 * force_middle + force_end)
        position = h * h / 6.0 * (a0 + 2.0 * force_middle)
        eye = np.eye(3)
        d_phi = right_jacobian(phi) @ (h * h / 12.0 * turn - h * eye)
        d_phi_middle = right_jacobian(phi_middle) @ (h * h / 96.0 * turn - h / 2.0 * eye)
        d_middle = -hat(force_middle) @ middle @ d_phi_middle
        d_end = -hat(force_end) @ end @ d_phi
        by_reading = np.zeros((9, 6))
        by_reading[0:3, 0:3] = self.rotation @ (h * h / 3.0 * d_middle)
        by_reading[3:6, 0:3] = d_phi
        by_reading[6:9, 0:3] = self.rotation @ (h / 6.0 * (4.0 * d_middle + d_end))
        by_reading[0:3, 3:6] = self.rotation @ (-h * h / 6.0 * (eye + 2.0 * middle))
        by_reading[6:9, 3:6] = self.rotation @ (-h / 6.0 * (eye + 4.0 * middle + end))
        transition = np.eye(9)
        transition[0:3, 3:6] = -self.rotation @ hat(position)
        transition[0:3, 6:9] = h * eye
        transition[3:6, 3:6] = end.T
        transition[6:9, 3:6] = -self.rotation @ hat(velocity)
        # The joint covariance of delta and biases in one product, and what happens within the step.
        joint = np.eye(15)
        joint[:9, :9], joint[:9, 9:] = transition, by_reading
        self.joint = joint @ self.joint @ joint.T
        squares = lambda index: np.diag([GYROSCOPE[index] ** 2] * 3 + [ACCELEROMETER[index] ** 2] * 3)
        white, walk = squares(0), squares(1)
        self.joint[:9, :9] += by_reading @ (white / h + walk * h / 3.0) @ by_reading.T
        self.joint[:3, :3] += h**3 / 12.0 * ACCELEROMETER[0] ** 2 * eye
        self.joint[:9, 9:] += by_reading @ walk * h / 2.0
        self.joint[9:, :9] = self.joint[:9, 9:].T
        self.joint[9:, 9:] += walk * h
        self.jacobian = transition @ self.jacobian + by_reading
        self.position = self.position + h * self.velocity + self.rotation @ position
        self.velocity = self.velocity + self.rotation @ velocity
        self.rotation = self.rotation @ end

    def delta(self, bias):
        change = self.jacobian @ bias
        return self.rotation @ exp(change[3:6]), self.position + change[0:3], self.velocity + change[6:9], change[3:6]

    def predict(self, pose, velocity, bias):
        rotation, position, gained, _ = self.delta(bias)
        turn, t = pose.rotation().matrix(), self.duration
        translation = pose.translation() + t * velocity + t * t / 2.0 * GRAVITY + turn @ position
        return gtsam.Pose3(gtsam.Rot3(turn @ rotation), translation), velocity + t * GRAVITY + turn @ gained

    def residual(self, pose_i, velocity_i, bias_i, pose_j, velocity_j, bias_j, jacobians=None):
        rotation, position, gained, correction = self.delta(bias_i)
        to_i, j, t = pose_i.rotation().matrix().T, pose_j.rotation().matrix(), self.duration
        moved = to_i @ (pose_j.translation() - pose_i.translation() - t * velocity_i - t * t / 2.0 * GRAVITY)
        speeded = to_i @ (velocity_j - velocity_i - t * GRAVITY)
        turned = gtsam.Rot3.Logmap(gtsam.Rot3(rotation.T @ to_i @ j))
        if jacobians is not None:
            inverse = np.linalg.inv(right_jacobian(turned))
            eye = np.eye(3)
            # Pose3 tangents are [rotation, translation].
            by_pose_i, by_pose_j = np.zeros((15, 6)), np.zeros((15, 6))
            by_pose_i[0:3, 0:3], by_pose_i[0:3, 3:6] = hat(moved), -eye
            by_pose_i[3:6, 0:3] = -inverse @ j.T @ to_i.T
            by_pose_i[6:9, 0:3] = hat(speeded)
            by_pose_j[0:3, 3:6], by_pose_j[3:6, 0:3] = to_i @ j, inverse
            by_velocity_i, by_velocity_j = np.zeros((15, 3)), np.zeros((15, 3))
            by_velocity_i[0:3], by_velocity_i[6:9], by_velocity_j[6:9] = -t * to_i, -to_i, to_i
            by_bias_i, by_bias_j = np.zeros((15, 6)), np.zeros((15, 6))
            by_bias_i[:9], by_bias_i[9:], by_bias_j[9:] = -self.jacobian, -np.eye(6), np.eye(6)
            turn_by_bias = self.jacobian[3:6, 0:3]
            by_bias_i[3:6, 0:3] = -inverse @ exp(turned).T @ right_jacobian(correction) @ turn_by_bias
            blocks = [by_pose_i, by_velocity_i, by_bias_i, by_pose_j, by_velocity_j, by_bias_j]
            for index, block in enumerate(blocks):
                jacobians[index] = block
        return np.concatenate([moved - position, turned, speeded - gained, bias_j - bias_i])


def custom_factor(k, readings):
    keys = [X(k), V(k), B(k), X(k + 1), V(k + 1), B(k + 1)]

    def error(this, values, jacobians):
        pose = lambda key: values.atPose3(key)
        vector = lambda key: values.atVector(key)
        arguments = [pose(keys[0]), vector(keys[1]), vector(keys[2]), pose(keys[3]), vector(keys[4]), vector(keys[5])]
        return readings.residual(*arguments, jacobians)

    return gtsam.CustomFactor(gtsam.noiseModel.Gaussian.Covariance(readings.joint), keys, error)


def combined_factor(k):
    eye = np.eye(3)
    parameters = gtsam.PreintegrationCombinedParams.MakeSharedU(-GRAVITY[2])
    parameters.setGyroscopeCovariance(GYROSCOPE[0] ** 2 * eye)
    parameters.setAccelerometerCovariance(ACCELEROMETER[0] ** 2 * eye)
    parameters.setIntegrationCovariance(1e-20 * eye)
    parameters.setBiasOmegaCovariance(GYROSCOPE[1] ** 2 * eye)
    parameters.setBiasAccCovariance(ACCELEROMETER[1] ** 2 * eye)
    measured = gtsam.PreintegratedCombinedMeasurements(parameters, gtsam.imuBias.ConstantBias())
    for index in range(k * STEPS, (k + 1) * STEPS):
        (turn, force), (turn_1, force_1) = reading(index), reading(index + 1)
        for part in range(SUBSTEPS):
            ratio = (part + 0.5) / SUBSTEPS
            measured.integrateMeasurement(
                force + ratio * (force_1 - force), turn + ratio * (turn_1 - turn), STEP / SUBSTEPS
            )
    return gtsam.CombinedImuFactor(X(k), V(k), X(k + 1), V(k + 1), B(k), B(k + 1), measured)


def native_bias(bias):
    return gtsam.imuBias.ConstantBias(bias[3:], bias[:3])


def problem(native):
    """The graph, and the start: the states that the readings predict with the true bias, moved by waves."""
    graph, start = gtsam.NonlinearFactorGraph(), gtsam.Values()
    pose, velocity = gtsam.Pose3(), np.array([0.5, 0.0, 0.0])
    diagonal = lambda sigmas: gtsam.noiseModel.Diagonal.Sigmas(np.asarray(sigmas))
    for k in range(STATES):
        w = waves(k, 40, 15)
        moved = pose * gtsam.Pose3.Expmap((np.array([0.1] * 3 + [0.03] * 3) * w[:6])[SWAP])
        start.insert(X(k), moved)
        start.insert(V(k), velocity + 0.1 * w[6:9])
        bias = BIAS_SIGMAS * 0.2 * w[9:15]
        start.insert(B(k), native_bias(bias) if native else bias)
        if k % 10 == 0:
            measured = pose * gtsam.Pose3.Expmap((POSE_SIGMAS * waves(k, 20))[SWAP])
            graph.add(gtsam.PriorFactorPose3(X(k), measured, diagonal(POSE_SIGMAS[SWAP])))
        if k == 0:
            graph.add(gtsam.PriorFactorVector(V(0), velocity, diagonal([VELOCITY_SIGMA] * 3)))
            if native:
                sigmas = np.concatenate([BIAS_SIGMAS[3:], BIAS_SIGMAS[:3]])
                prior = gtsam.PriorFactorConstantBias(B(0), native_bias(np.zeros(6)), diagonal(sigmas))
            else:
                prior = gtsam.PriorFactorVector(B(0), np.zeros(6), diagonal(BIAS_SIGMAS))
            graph.add(prior)
        if k + 1 < STATES:
            readings = Preintegrated(k * STEPS)
            graph.add(combined_factor(k) if native else custom_factor(k, readings))
            pose, velocity = readings.predict(pose, velocity, BIAS)
    return graph, start


def solve(native):
    graph, start = problem(native)
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setRelativeErrorTol(0.0)
    parameters.setAbsoluteErrorTol(1e-12)
    parameters.setMaxIterations(30)
    values = gtsam.LevenbergMarquardtOptimizer(graph, start, parameters).optimize()
    marginals = gtsam.Marginals(graph, values)
    states = []
    for k in list(range(0, STATES, 50)) + [STATES - 1]:
        pose = values.atPose3(X(k))
        q = pose.rotation().toQuaternion()
        if native:
            bias, order = values.atConstantBias(B(k)).vector(), [3, 4, 5, 0, 1, 2]
        else:
            bias, order = values.atVector(B(k)), list(range(6))
        upper = lambda matrix: [float(f"{x:.12e}") for x in np.asarray(matrix)[np.triu_indices(len(matrix))]]
        states.append(
            {
                "index": k,
                "translation": pose.translation().tolist(),
                "quaternion_xyzw": [q.x(), q.y(), q.z(), q.w()],
                "velocity": values.atVector(V(k)).tolist(),
                "bias": np.asarray(bias)[order].tolist(),
                "pose_covariance_upper": upper(marginals.marginalCovariance(X(k))[np.ix_(SWAP, SWAP)]),
                "velocity_covariance_upper": upper(marginals.marginalCovariance(V(k))),
                "bias_covariance_upper": upper(marginals.marginalCovariance(B(k))[np.ix_(order, order)]),
            }
        )
    return {"initial_error": graph.error(start), "final_error": graph.error(values), "states": states}


def main():
    json.dump({"gtsam": "4.3.0", "same": solve(False), "native": solve(True)}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
