#!/usr/bin/env bash
# Trains and evaluates the family on 7-Scenes redkitchen (both splits) and in the synthetic room, and prints the tables.
# It can be stopped at any time: started again, it goes on with the trainings that were interrupted.
#
#   scripts/benchmark_models.sh [PRESET ...]       all of them, the cheap ones first; but for mapnet-plus, which goes on
#                                                  from a mapnet with a video of its own, and scene-coordinates, which
#                                                  needs depth and has a resolution and a budget of its own
#
#   DATA=../shared/data   where redkitchen and the ImageNet weights of SqueezeNet are; without, the room alone
#   OUT=out/benchmark     where models, evaluations and what each of them said (log.txt) go
#   SETS="interpolation extrapolation synthetic"   which of them
#   EPOCHS=20 INPUT=96x72 BATCH=16   the budget of every member, the same for all: a night on two cores
#   DEVICE=auto           where to compute
#   THREADS=1             of one training: with one, a row can be had again bit for bit; 0 for all cores
#   JOBS=1                members side by side, one per core while THREADS=1; times are then those of a busy machine
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data} out=${OUT:-out/benchmark} jobs=${JOBS:-1} ended=0
sets=${SETS:-interpolation extrapolation synthetic}
for set in $sets; do
  [[ " interpolation extrapolation synthetic " = *" $set "* ]] ||
    { printf 'SETS has "%s": expected some of interpolation, extrapolation, synthetic\n' "$set" >&2 && exit 2; }
done
export epochs=${EPOCHS:-20} input=${INPUT:-96x72} batch=${BATCH:-16} device=${DEVICE:-auto} threads=${THREADS:-1}
presets=("$@")
[ ${#presets[@]} -gt 0 ] || presets=(vlocnet-squeezenet vlocnet-small posenet posenet-learned nnnet-squeezenet ms-transformer
  posenet-reprojection anchornet branchnet bayesian-posenet lstm-pose relocnet nnnet mapnet hourglass-pose vlocnet
  vlocnet-plus-plus vlocnet-plus-plus-semantic dgrnets svs-pose)
scripts/setup.sh
[ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --bin vloc
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
export vloc=$target/release/vloc
squeezenet=$data/weights/squeezenet1_0_imagenet.safetensors unfrozen=config/training/vlocnet-squeezenet-unfrozen.yaml

train_and_evaluate() { # FOLDER RETRIEVAL DATASET TRAINING_SPLIT TEST_SPLIT PRESET [more arguments of train]
  local folder=$1 retrieval=$2 dataset=$3 training_split=$4 test_split=$5 preset=$6 model=$1/model evaluation=$1/eval resume=()
  local one_thread=() log=$1/log.txt
  shift 6
  mkdir -p "$folder"
  [ "$threads" = 0 ] || one_thread=(--threads "$threads")
  if [ ! -e "$model/model.yaml" ]; then
    [ ! -e "$model/checkpoint/state.json" ] || resume=(--resume)
    printf '== %s: training\n' "$folder"
    "$vloc" train --dataset "$dataset" --split "$training_split" --preset "$preset" --input "$input" --epochs "$epochs" \
      --batch-size "$batch" --device "$device" "${one_thread[@]}" --out "$model" "$@" "${resume[@]}" >>"$log" 2>&1 || failed "$log" $?
  fi
  if [ ! -e "$evaluation/metrics.json" ]; then
    printf '== %s: evaluation\n' "$folder"
    "$vloc" eval --dataset "$dataset" --split "$test_split" --model "$model" --device "$device" --fused --retrieval "$retrieval" \
      --out "$evaluation" >>"$log" 2>&1 || failed "$log" $?
  fi
}

failed() { # LOG STATUS
  tail -n 1 "$1" >&2
  [ "$2" != 130 ] || exit 255 # interrupted: xargs begins no other
  exit 1
}
export -f train_and_evaluate failed

on_dataset() { # FOLDER DATASET TRAINING_SPLIT TEST_SPLIT
  [[ " $sets " = *" $1 "* ]] || return 0
  local preset retrieval=dense-vlad folder=$out/$1 status=0
  shift
  member() { # NAME PRESET DATASET TRAINING_SPLIT TEST_SPLIT [more arguments of train]
    local name=$1 preset=$2 dataset=$3 training=$4 test=$5
    shift 5
    printf '%q ' train_and_evaluate "$folder/$name" "$retrieval" "$dataset" "$training" "$test" "$preset" "$@"
    printf '\0'
    retrieval=thumbnail # one evaluation compares with everything, for all of them
  }
  for preset in "${presets[@]}"; do
    if [ "$preset" = vlocnet-plus-plus-semantic ] && [ ! -e "$1/labels.yaml" ]; then
      printf '%s: no labels in %s\n' "$preset" "$1" >&2
    elif [ "$preset" = nnnet-squeezenet ]; then
      [ ! -r "$squeezenet" ] || member "$preset" "$preset" "$@" --weights "$squeezenet"
    elif [ "$preset" = vlocnet-squeezenet ]; then
      if [ -r "$squeezenet" ]; then
        member "$preset" "$preset" "$@" --weights "$squeezenet"
        member "$preset-fine-tuned" "$preset" "$@" --weights "$squeezenet" --config "$unfrozen"
      fi
      member "$preset-from-scratch" "$preset" "$@" --config "$unfrozen"
    else
      member "$preset" "$preset" "$@"
    fi
  done | xargs -0 -r -n 1 -P "$jobs" bash -euo pipefail -c || status=$?
  [ "$status" != 124 ] || exit 130
  [ "$status" = 0 ] || { ended=1 && printf '%s: not all of them came to their end\n' "$folder" >&2; }
  python3 scripts/benchmark_table.py "$folder"
}

if [ -d "$data/redkitchen" ]; then
  splits=config/splits
  on_dataset interpolation "$data/redkitchen" $splits/interpolation_validation.yaml $splits/interpolation.yaml
  on_dataset extrapolation "$data/redkitchen" $splits/extrapolation_validation.yaml $splits/extrapolation.yaml
else
  printf 'redkitchen is not in %s: the synthetic room alone was measured\n' "$data"
fi
room=$out/labelled_room
[[ " $sets " != *" synthetic "* ]] || [ -e "$room/TestSplit.txt" ] || "$vloc" synth --out "$room" --depth --labels
on_dataset synthetic "$room" config/splits/synthetic_room.yaml config/splits/sequences.yaml
exit "$ended"
