#!/usr/bin/env bash
# Trains and evaluates the family on 7-Scenes redkitchen (both splits) and in the synthetic room, and prints the tables.
# It can be stopped at any time: started again, it goes on with the training that was interrupted.
#
#   scripts/benchmark_models.sh [PRESET ...]       all of them, the cheap ones first; but for mapnet-plus, which goes on
#                                                  from a mapnet with a video of its own, and scene-coordinates, which
#                                                  needs depth and has a resolution and a budget of its own
#
#   DATA=../shared/data   where redkitchen and the ImageNet weights of SqueezeNet are; without, the room alone
#   OUT=out/benchmark     where models and evaluations go
#   EPOCHS=20 INPUT=96x72 BATCH=16   the budget of every member, the same for all: a night on two cores
#   DEVICE=auto           where to compute
#   THREADS=1             of one training: with one, a row can be had again bit for bit; 0 for all cores
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data} out=${OUT:-out/benchmark}
epochs=${EPOCHS:-20} input=${INPUT:-96x72} batch=${BATCH:-16} device=${DEVICE:-auto} threads=${THREADS:-1}
thread_arguments=()
[ "$threads" = 0 ] || thread_arguments=(--threads "$threads")
presets=("$@")
[ ${#presets[@]} -gt 0 ] || presets=(vlocnet-squeezenet vlocnet-small posenet posenet-learned mapnet hourglass-pose nnnet-squeezenet
  posenet-reprojection anchornet svs-pose nnnet relocnet branchnet bayesian-posenet lstm-pose vlocnet vlocnet-plus-plus
  vlocnet-plus-plus-semantic dgrnets
  ms-transformer)
scripts/setup.sh
[ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --bin vloc
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
vloc=$target/release/vloc
squeezenet=$data/weights/squeezenet1_0_imagenet.safetensors

train_and_evaluate() { # NAME PRESET DATASET TRAINING_SPLIT TEST_SPLIT [more arguments of train]
  local name=$1 preset=$2 dataset=$3 training_split=$4 test_split=$5 model=$out/$6/$1/model evaluation=$out/$6/$1/eval
  shift 6
  if [ ! -e "$model/model.yaml" ]; then
    local resume=()
    [ -e "$model/checkpoint/state.json" ] && resume=(--resume)
    printf '== %s: %s\n' "$name" "$model"
    "$vloc" train --dataset "$dataset" --split "$training_split" --preset "$preset" --input "$input" --epochs "$epochs" \
      --batch-size "$batch" --device "$device" "${thread_arguments[@]}" --out "$model" "$@" "${resume[@]}"
  fi
  [ -e "$evaluation/metrics.json" ] ||
    "$vloc" eval --dataset "$dataset" --split "$test_split" --model "$model" --device "$device" --fused --out "$evaluation" \
      >/dev/null
}

on_dataset() { # FOLDER DATASET TRAINING_SPLIT TEST_SPLIT
  local preset
  for preset in "${presets[@]}"; do
    if [ "$preset" = vlocnet-plus-plus-semantic ] && [ ! -e "$2/labels.yaml" ]; then
      printf '%s: no labels in %s\n' "$preset" "$2"
    elif [ "$preset" = nnnet-squeezenet ]; then
      [ ! -r "$squeezenet" ] || train_and_evaluate "$preset" "$preset" "$2" "$3" "$4" "$1" --weights "$squeezenet"
    elif [ "$preset" = vlocnet-squeezenet ]; then
      if [ -r "$squeezenet" ]; then
        train_and_evaluate "$preset" "$preset" "$2" "$3" "$4" "$1" --weights "$squeezenet"
        train_and_evaluate "$preset-fine-tuned" "$preset" "$2" "$3" "$4" "$1" --weights "$squeezenet" --unfreeze
      fi
      train_and_evaluate "$preset-from-scratch" "$preset" "$2" "$3" "$4" "$1" --unfreeze
    else
      train_and_evaluate "$preset" "$preset" "$2" "$3" "$4" "$1"
    fi
  done
  python3 scripts/benchmark_table.py "$out/$1"
}

if [ -d "$data/redkitchen" ]; then
  splits=config/splits
  on_dataset interpolation "$data/redkitchen" $splits/interpolation_validation.yaml $splits/interpolation.yaml
  on_dataset extrapolation "$data/redkitchen" $splits/extrapolation_validation.yaml $splits/extrapolation.yaml
else
  printf 'redkitchen is not in %s: the synthetic room alone was measured\n' "$data"
fi
room=$out/labelled_room
[ -e "$room/TestSplit.txt" ] || "$vloc" synth --out "$room" --depth --labels
on_dataset synthetic "$room" config/splits/synthetic_room.yaml config/splits/sequences.yaml
