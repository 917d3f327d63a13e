#!/bin/sh
# A vloc node and a DDS peer on a network of their own, with loopback alone, so that nothing leaves the machine.
#
#   NODE=target/release/vloc_node PYTHON=.venv/bin/python tests/peers/run_peer_test.sh BAG MODEL OUT [play_images.py's options]
#
# $NODE_PARAMETERS goes to the node: more of its arguments, such as "-p use_estimator:=false".
#
# Prints the peer's JSON line. Exit status: 0 good, 1 an answer was missing, late or wrong, 2 the node did not stop
# cleanly, 77 this machine cannot make the network.
set -eu
peers=$(dirname "$0")
[ "${VLOC_PEER_NETWORK:-}" = ready ] || exec "$peers/loopback.sh" "$0" "$@"
bag=$1 model=$2 out=$3
shift 3
mkdir -p "$out"
"$NODE" --ros-args -p model:="$model" -p device:=cpu ${NODE_PARAMETERS:-} 2>"$out/node.log" &
node=$!
trap 'kill -KILL $node 2>/dev/null || true' EXIT
status=0
"$PYTHON" "$peers/play_images.py" "$bag" --out "$out" "$@" || status=1
kill -TERM $node
( sleep 10; kill -KILL $node 2>/dev/null ) &
watchdog=$!
wait $node || status=2
kill $watchdog 2>/dev/null || true
trap - EXIT
exit $status
