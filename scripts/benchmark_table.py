"""Prints the table of a folder of models and evaluations that scripts/benchmark_models.sh made, as Markdown.

usage: python3 scripts/benchmark_table.py FOLDER
"""

import csv
import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path


def number(text, key):
    """The number behind `key:` in a YAML file of ours."""
    return float(re.search(rf"^\s*{key}: ([0-9.e+-]+)$", text, re.MULTILINE)[1])


def pose(errors):
    return f"{errors['median_translation_error']:.3f} m, {errors['median_rotation_error']:.2f}°"


def percent(share):
    return f"{100 * share:.0f} %"


def beats(errors, baseline):
    return all(errors[key] < baseline[key] for key in ("median_translation_error", "median_rotation_error"))


def percentile(values, share):
    """As numpy's, linear between ranks."""
    place = share * (len(values) - 1)
    below, above = math.floor(place), math.ceil(place)
    values = sorted(values)
    return values[below] + (place - below) * (values[above] - values[below])


def fusion(folder):
    """Median and 99th percentile of the fused position by those of the network alone, where both answered."""
    file = folder / "eval/fused/errors.csv"
    if not file.exists():
        return ["", ""]
    errors = defaultdict(dict)
    with open(file, newline="") as rows:
        for line in csv.DictReader(rows):
            if line["translation_error_m"]:
                errors[line["method"]][line["name"]] = float(line["translation_error_m"])
    fused, alone, *_ = errors.values()
    both = fused.keys() & alone.keys()
    fused, alone = [fused[frame] for frame in both], [alone[frame] for frame in both]
    return [f"{percentile(fused, share) / percentile(alone, share):.2f}" for share in (0.5, 0.99)]


def row(folder, metrics, baselines):
    model = folder / "model"
    card, timing = (model / "model.yaml").read_text(), (model / "timing.yaml").read_text()
    own, nees = metrics["method"]["errors"], metrics["consistency"]["pose"]
    network = next(latency for latency in metrics["latency"] if latency["step"] == "network")
    named = {baseline["name"]: baseline["errors"] for baseline in baselines}
    blind = named.pop("mean training pose")
    retrieval = [errors for name, errors in named.items() if "oracle" not in name]
    mark = "" if all(beats(own, errors) for errors in retrieval) else " †"
    mark += "" if beats(own, blind) else " ‡"
    return [f"`{folder.name}`{mark}", pose(own), percent(own["recall_25cm_2deg"]), percent(own["recall_50cm_5deg"]),
            percent(own["wrong_rate"]), f"{nees['mean']:.1f}", percent(nees["coverage_90"]), *fusion(folder),
            f"{number(card, 'parameters') / 1e6:.1f} M", f"{network['median_ms']:.1f} ms",
            f"{number(timing, 'seconds') / 60:.0f} min"]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folders = sorted(path.parent.parent for path in Path(sys.argv[1]).glob("*/eval/metrics.json"))
    if not folders:
        sys.exit(f"{sys.argv[1]}: expected folders with eval/metrics.json, found none; run scripts/benchmark_models.sh")
    read = {folder: json.loads((folder / "eval/metrics.json").read_text()) for folder in folders}
    order = sorted(folders, key=lambda folder: read[folder]["method"]["errors"]["median_translation_error"])
    first = max(read.values(), key=lambda metrics: len(metrics["baselines"]))
    titles = ["model", "median", "25 cm 2°", "50 cm 5°", "wrong", "NEES (6)", "90 % ellipsoid", "fused median",
              "fused 99 %", "parameters", "forward", "training"]
    print(f"\n{first['provenance']['dataset']}, {first['provenance']['split']}, {first['method']['errors']['frames']} frames\n")
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    for folder in order:
        print("| " + " | ".join(row(folder, read[folder], first["baselines"])) + " |")
    for baseline in first["baselines"]:
        errors = baseline["errors"]
        print("| " + " | ".join([baseline["name"], pose(errors), percent(errors["recall_25cm_2deg"]),
                                 percent(errors["recall_50cm_5deg"]), percent(errors["wrong_rate"])] + [""] * 7) + " |")
    print("\n† does not beat image retrieval in both medians; ‡ nor the mean training pose; fused: the estimator over the model's own poses, causal, as a share of "
          "the network alone (median and 99th percentile of the position, frames that both answered)")


if __name__ == "__main__":
    main()
