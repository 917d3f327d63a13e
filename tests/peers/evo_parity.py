"""Trajectory errors of two TUM files as evo computes them, as JSON on standard output.

Usage: evo_parity.py TRUTH.tum ESTIMATE.tum

Poses are associated by stamp within 10 ms. The keys are those of tests/evaluation.rs; nothing is rounded.
"""

import copy
import json
import sys

from evo.core import metrics, sync
from evo.tools import file_interface

STATISTICS = ("rmse", "mean", "median", "std", "min", "max")


def statistics(metric):
    everything = metric.get_all_statistics()
    return {name: float(everything[name]) for name in STATISTICS}


def both_parts(make_metric, truth, estimate):
    """Statistics in translation (m) and rotation (rad), and the number of errors."""
    parts = {}
    for part, relation in (
        ("translation", metrics.PoseRelation.translation_part),
        ("rotation", metrics.PoseRelation.rotation_angle_rad),
    ):
        metric = make_metric(relation)
        metric.process_data((truth, estimate))
        parts[part] = statistics(metric)
        parts["pairs"] = len(metric.error)
    return parts


def main():
    truth = file_interface.read_tum_trajectory_file(sys.argv[1])
    estimate = file_interface.read_tum_trajectory_file(sys.argv[2])
    truth, estimate = sync.associate_trajectories(truth, estimate, max_diff=0.01)
    result = {}
    for name, options in (("none", None), ("rigid", {}), ("similarity", {"correct_scale": True})):
        aligned = copy.deepcopy(estimate)
        if options is not None:
            aligned.align(truth, **options)
        result[f"ate_{name}"] = both_parts(metrics.APE, truth, aligned)
    for delta in (1, 10):
        for all_pairs in (False, True):

            def rpe(relation):
                return metrics.RPE(relation, delta, metrics.Unit.frames, all_pairs=all_pairs)

            name = f"rpe_{delta}_{'all' if all_pairs else 'consecutive'}"
            result[name] = both_parts(rpe, truth, estimate)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
