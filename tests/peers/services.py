"""Calls of ROS 2 services over DDS, in the way of rmw_cyclonedds: the request's identity leads its payload."""

import random
import time
from dataclasses import dataclass
from types import new_class

from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import int64, sequence, uint8, uint64
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from ros_types import (ListParametersResult, Parameter, ParameterDescriptor, ParameterValue, SetParametersResult, State,
                       Transition, TransitionDescription, qos)

EMPTY = {"structure_needs_at_least_one_member": uint8}
NAMES = {"names": sequence[str]}
TRANSITIONS = {"available_transitions": sequence[TransitionDescription]}

# Name below the node (~/) or in its namespace, package, type, fields of the request and of the response.
SERVICES = {
    "reinitialize_global_localization": ("std_srvs", "Empty", EMPTY, EMPTY),
    "reset": ("std_srvs", "Trigger", EMPTY, {"success": bool, "message": str}),
    "~/change_state": ("lifecycle_msgs", "ChangeState", {"transition": Transition}, {"success": bool}),
    "~/get_state": ("lifecycle_msgs", "GetState", EMPTY, {"current_state": State}),
    "~/get_available_states": ("lifecycle_msgs", "GetAvailableStates", EMPTY, {"available_states": sequence[State]}),
    "~/get_available_transitions": ("lifecycle_msgs", "GetAvailableTransitions", EMPTY, TRANSITIONS),
    "~/get_transition_graph": ("lifecycle_msgs", "GetAvailableTransitions", EMPTY, TRANSITIONS),
    "~/get_parameters": ("rcl_interfaces", "GetParameters", NAMES, {"values": sequence[ParameterValue]}),
    "~/get_parameter_types": ("rcl_interfaces", "GetParameterTypes", NAMES, {"types": sequence[uint8]}),
    "~/list_parameters": ("rcl_interfaces", "ListParameters", {"prefixes": sequence[str], "depth": uint64},
                          {"result": ListParametersResult}),
    "~/describe_parameters": ("rcl_interfaces", "DescribeParameters", NAMES,
                              {"descriptors": sequence[ParameterDescriptor]}),
    "~/set_parameters": ("rcl_interfaces", "SetParameters", {"parameters": sequence[Parameter]},
                         {"results": sequence[SetParametersResult]}),
    "~/set_parameters_atomically": ("rcl_interfaces", "SetParametersAtomically", {"parameters": sequence[Parameter]},
                                    {"result": SetParametersResult}),
}


def message(package, name, fields):
    """A message of a service: the header of rmw_cyclonedds, then the fields."""
    annotations = {"client_guid": uint64, "sequence_number": int64, **fields}
    kind = new_class(f"{name}_", (IdlStruct,), {"typename": f"{package}::srv::dds_::{name}_"},
                     lambda namespace: namespace.update(__annotations__=annotations, __module__=__name__))
    return dataclass(kind)


# Each service's types, made once.
MESSAGES = {name: (message(package, f"{kind}_Request", asked), message(package, f"{kind}_Response", answered))
            for name, (package, kind, asked, answered) in SERVICES.items()}


class NoAnswer(Exception):
    """A service did not answer in time."""


class Client:
    """One client of each service of a node."""

    def __init__(self, participant, namespace="", node="vloc"):
        self.guid, self.sequence_number, self.ends = random.getrandbits(63), 0, {}
        for name, (request, response) in MESSAGES.items():
            path = namespace + "/" + name.replace("~", node)
            writer = DataWriter(participant, Topic(participant, f"rq{path}Request", request), qos=qos(True, 10))
            reader = DataReader(participant, Topic(participant, f"rr{path}Reply", response), qos=qos(True, 10))
            self.ends[name] = (request, writer, reader)

    def send(self, name, *fields):
        """Asks; the number of the request."""
        request, writer, reader = self.ends[name]
        deadline = time.monotonic() + 20
        while not (writer.get_matched_subscriptions() and reader.get_matched_publications()):
            if time.monotonic() > deadline:
                raise NoAnswer(f"{name}: no such service")
            time.sleep(0.02)
        self.sequence_number += 1
        writer.write(request(self.guid, self.sequence_number, *(fields or (0,))))
        return self.sequence_number

    def answer(self, name, number, seconds=20.0):
        """The answer to a request."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for response in self.ends[name][2].take(N=10):
                if (response.client_guid, response.sequence_number) == (self.guid, number):
                    return response
            time.sleep(0.005)
        raise NoAnswer(f"{name}: no answer within {seconds} s")

    def call(self, name, *fields):
        """Asks and waits."""
        return self.answer(name, self.send(name, *fields))

    def wait_until(self, state, seconds=30.0):
        """Waits for a state of the lifecycle."""
        deadline = time.monotonic() + seconds
        while (now := self.call("~/get_state").current_state.label) != state:
            if time.monotonic() > deadline:
                raise NoAnswer(f"the node is {now}, not {state}")
            time.sleep(0.05)
