"""vloc's and GTSAM's optimizers on standard pose graphs, in turns in the same run: a table of times and their ratio.

Needs gtsam==4.3.0 and numpy in the Python that runs it.

Usage: graph_versus_gtsam.py FOLDER_OF_G2O_FILES [--sets sphere2500,torus3D,...] [--core 0] [--relative 1e-6]

Both run on one core (taskset) and one thread, from the same start, with the same stopping rule (relative and absolute
decrease of the error), and hold the first pose (GTSAM by a tight prior). 3D sets start from GTSAM's chordal
initialization, written to a g2o file that both read; 2D sets from their own vertices. Reading files is not timed;
building the symbolic structure is. Times are the best of three; the ratio is that of each side's best method among those
that reach the lowest error. vloc's LM may use a factorization for several steps (Settings::reuse_factorization); its
iterations count those steps.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHODS = {"lm": "LevenbergMarquardt", "gn": "GaussNewton", "dogleg": "Dogleg"}
PLANAR = ("intel", "city10000", "manhattan")
DEFAULT_SETS = "smallGrid3D,sphere2500,torus3D,parking-garage,intel,city10000,manhattan"


def read(path):
    import gtsam

    graph, values = gtsam.readG2o(str(path), path.stem not in PLANAR)
    first = min(values.keys())
    if path.stem in PLANAR:
        anchor = gtsam.PriorFactorPose2(first, values.atPose2(first), gtsam.noiseModel.Isotropic.Sigma(3, 1e-4))
    else:
        anchor = gtsam.PriorFactorPose3(first, values.atPose3(first), gtsam.noiseModel.Isotropic.Sigma(6, 1e-4))
    graph.add(anchor)
    return graph, values


def optimizer(name, graph, values, relative):
    import gtsam

    parameters = {
        "lm": gtsam.LevenbergMarquardtParams,
        "gn": gtsam.GaussNewtonParams,
        "dogleg": gtsam.DoglegParams,
    }[name]()
    parameters.setRelativeErrorTol(relative)
    parameters.setAbsoluteErrorTol(relative)
    parameters.setMaxIterations(100)
    return getattr(gtsam, METHODS[name] + "Optimizer")(graph, values, parameters)


def run_gtsam(path, relative):
    """Seconds, iterations and error of each method; runs in a process of its own."""
    graph, start = read(path)
    results = {}
    for name in METHODS:
        best = None
        for _ in range(3):
            begin = time.perf_counter()
            search = optimizer(name, graph, start, relative)
            try:
                values = search.optimize()
            except RuntimeError as error:  # an indeterminate system
                print(f"gtsam {name} on {path.stem}: {str(error).splitlines()[0]}", file=sys.stderr)
                break
            seconds = time.perf_counter() - begin
            if best is None or seconds < best["seconds"]:
                best = {"seconds": seconds, "iterations": search.iterations(), "final_error": graph.error(values)}
        results[name] = best
    return results


def chordal_start(path, folder):
    """GTSAM's chordal initialization as a g2o file, and the seconds it took (best of three)."""
    import gtsam

    graph, values = read(path)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        start = gtsam.InitializePose3.initialize(graph)
        seconds.append(time.perf_counter() - begin)
    out = Path(folder) / path.name
    graph.remove(graph.size() - 1)
    gtsam.writeG2o(graph, start, str(out))
    return {"file": str(out), "seconds": min(seconds)}


def own_child(arguments, core):
    environment = dict(os.environ, OMP_NUM_THREADS="1", TBB_NUM_THREADS="1")
    command = ["taskset", "-c", str(core)] + arguments
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def own_results(bench, path, relative, core, chordal=False):
    results = {}
    for name in METHODS:
        arguments = [bench, "--method", name, "--relative", str(relative), "--absolute", str(relative)]
        line = own_child(arguments + (["--chordal"] if chordal else []) + [str(path)], core)
        results[name] = json.loads(line)
    return results


def build_bench():
    command = ["cargo", "bench", "--no-default-features", "--bench", "graph", "--no-run", "--message-format=json"]
    for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "graph" and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo built no benchmark named graph")


def best_of(results):
    """The fastest method among those whose error is the lowest one, within 1e-4."""
    done = {name: result for name, result in results.items() if result}
    lowest = min(result["final_error"] for result in done.values())
    good = {name: result for name, result in done.items() if result["final_error"] <= lowest * (1 + 1e-4) + 1e-9}
    name = min(good, key=lambda name: good[name]["seconds"])
    return name, good[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=DEFAULT_SETS)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--relative", type=float, default=1e-6)
    parser.add_argument("--bench", help="the benchmark's executable; built if not given")
    parser.add_argument("--child", choices=("optimize", "chordal"), help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child == "optimize":
        return json.dump(run_gtsam(arguments.folder, arguments.relative), sys.stdout)
    if arguments.child == "chordal":
        return json.dump(chordal_start(arguments.folder, arguments.out), sys.stdout)
    bench = arguments.bench or build_bench()
    print("| set | start | GTSAM best: ms (iterations) | vloc LM / GN / dog-leg: ms (iterations) | error GTSAM, vloc | ratio |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.sets.split(","):
            path, start = arguments.folder / f"{name}.g2o", "the file's"
            me = [sys.executable, __file__]
            common = ["--relative", str(arguments.relative)]
            if name not in PLANAR:
                chordal = json.loads(own_child(me + [str(path), "--child", "chordal", "--out", folder], arguments.core))
                own = json.loads(own_child([bench, "--chordal", str(path)], arguments.core))
                start = f"chordal ({chordal['seconds'] * 1e3:.0f} ms GTSAM, {own['chordal_seconds'] * 1e3:.0f} ms vloc)"
                path = Path(chordal["file"])
            peer = json.loads(own_child(me + [str(path), "--child", "optimize"] + common, arguments.core))
            ours = own_results(bench, path, arguments.relative, arguments.core)
            peer_name, peer_best = best_of(peer)
            _, own_best = best_of(ours)
            cells = " / ".join(f"{ours[m]['seconds'] * 1e3:.1f} ({ours[m]['iterations']})" for m in METHODS)
            errors = f"{peer_best['final_error']:.8g}, {own_best['final_error']:.8g}"
            ratio = peer_best["seconds"] / own_best["seconds"]
            gtsam_cell = f"{peer_name} {peer_best['seconds'] * 1e3:.1f} ({peer_best['iterations']})"
            print(f"| {name} | {start} | {gtsam_cell} | {cells} | {errors} | {ratio:.1f}x |", flush=True)


if __name__ == "__main__":
    main()
