#!/bin/sh
# Runs a command in a network of its own, with loopback alone, so that nothing leaves the machine, with CycloneDDS told to
# use it. Exit status 77: this machine cannot make the network (it takes root or user namespaces, unshare and ip).
#
#   tests/peers/loopback.sh COMMAND [ARGUMENTS]
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
# The peers carry services as rmw_cyclonedds does.
RMW_IMPLEMENTATION=rmw_cyclonedds_cpp
# A Python peer that crashes says where.
PYTHONFAULTHANDLER=1
export CYCLONEDDS_URI RMW_IMPLEMENTATION PYTHONFAULTHANDLER
unset ROS_DOMAIN_ID
exec "$@"
