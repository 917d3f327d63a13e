#!/bin/sh
# A vloc node and a DDS peer on a network of their own, with loopback alone, so that nothing leaves the machine.
#
#   NODE=target/release/vloc_node PYTHON=.venv/bin/python tests/peers/run_peer_test.sh BAG MODEL OUT [play_images.py's options]
#
# $NODE_PARAMETERS goes to the node: more of its arguments, such as "-p use_estimator:=false".
#
# Prints the peer's JSON line. Exit status: 0 good, 1 an answer was missing, late or wrong, 2 the node did not stop
# cleanly, 77 this machine cannot make the network (it takes root or user namespaces, unshare and ip).
set -eu
if [ "${VLOC_PEER_NETWORK:-}" != ready ]; then
    for unshare in "unshare -n" "unshare -rn"; do
        if command -v ip >/dev/null && $unshare true 2>/dev/null; then
            VLOC_PEER_NETWORK=ready exec $unshare "$0" "$@"
        fi
    done
    echo "cannot make a network namespace: needs root or user namespaces, unshare and ip (iproute2)" >&2
    exit 77
fi
ip link set lo up
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo
CYCLONEDDS_URI='<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo" multicast="true"/></Interfaces></General></Domain></CycloneDDS>'
export CYCLONEDDS_URI
unset ROS_DOMAIN_ID
bag=$1 model=$2 out=$3
shift 3
mkdir -p "$out"
"$NODE" --ros-args -p model:="$model" -p device:=cpu ${NODE_PARAMETERS:-} 2>"$out/node.log" &
node=$!
trap 'kill -KILL $node 2>/dev/null || true' EXIT
status=0
"$PYTHON" "$(dirname "$0")/play_images.py" "$bag" --out "$out" "$@" || status=1
kill -TERM $node
( sleep 10; kill -KILL $node 2>/dev/null ) &
watchdog=$!
wait $node || status=2
kill $watchdog 2>/dev/null || true
trap - EXIT
exit $status
