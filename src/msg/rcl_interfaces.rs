//! Package `rcl_interfaces`: the parameters of a node and the services that read, describe and change them.

use serde::{Deserialize, Serialize};

use super::builtin_interfaces::Time;

/// The kind of a parameter's value, `rcl_interfaces/msg/ParameterType`.
pub mod parameter_type {
    /// None, or no such parameter.
    pub const NOT_SET: u8 = 0;
    /// `bool_value`.
    pub const BOOL: u8 = 1;
    /// `integer_value`.
    pub const INTEGER: u8 = 2;
    /// `double_value`.
    pub const DOUBLE: u8 = 3;
    /// `string_value`.
    pub const STRING: u8 = 4;
    /// `byte_array_value`.
    pub const BYTE_ARRAY: u8 = 5;
    /// `bool_array_value`.
    pub const BOOL_ARRAY: u8 = 6;
    /// `integer_array_value`.
    pub const INTEGER_ARRAY: u8 = 7;
    /// `double_array_value`.
    pub const DOUBLE_ARRAY: u8 = 8;
    /// `string_array_value`.
    pub const STRING_ARRAY: u8 = 9;
}

/// A value: the field that `kind` names holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterValue {
    /// One of [`parameter_type`]; `type` in the message.
    pub kind: u8,
    /// A truth value.
    pub bool_value: bool,
    /// A whole number.
    pub integer_value: i64,
    /// A number.
    pub double_value: f64,
    /// A text.
    pub string_value: String,
    /// Bytes.
    pub byte_array_value: Vec<u8>,
    /// Truth values.
    pub bool_array_value: Vec<bool>,
    /// Whole numbers.
    pub integer_array_value: Vec<i64>,
    /// Numbers.
    pub double_array_value: Vec<f64>,
    /// Texts.
    pub string_array_value: Vec<String>,
}

/// A named value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, sections separated by dots.
    pub name: String,
    /// Its value.
    pub value: ParameterValue,
}

/// The numbers that a parameter may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FloatingPointRange {
    /// The least.
    pub from_value: f64,
    /// The greatest.
    pub to_value: f64,
    /// Distance between two of them; 0: any between.
    pub step: f64,
}

/// The whole numbers that a parameter may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegerRange {
    /// The least.
    pub from_value: i64,
    /// The greatest.
    pub to_value: i64,
    /// Distance between two of them; 0: any between.
    pub step: u64,
}

/// What a parameter means and may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterDescriptor {
    /// Its name.
    pub name: String,
    /// One of [`parameter_type`]; `type` in the message.
    pub kind: u8,
    /// What it means.
    pub description: String,
    /// What its value has to satisfy besides the ranges.
    pub additional_constraints: String,
    /// Whether it can be set at start only.
    pub read_only: bool,
    /// Whether its type may change.
    pub dynamic_typing: bool,
    /// None or one.
    pub floating_point_range: Vec<FloatingPointRange>,
    /// None or one.
    pub integer_range: Vec<IntegerRange>,
}

/// What became of an attempt to set parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetParametersResult {
    /// Whether they were set.
    pub successful: bool,
    /// Why they were not.
    pub reason: String,
}

/// Names below given prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParametersResult {
    /// Names of parameters.
    pub names: Vec<String>,
    /// Sections that they are in.
    pub prefixes: Vec<String>,
}

/// Parameters that changed, on `/parameter_events`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterEvent {
    /// When.
    pub stamp: Time,
    /// The absolute name of the node.
    pub node: String,
    /// Declared.
    pub new_parameters: Vec<Parameter>,
    /// Changed.
    pub changed_parameters: Vec<Parameter>,
    /// Gone.
    pub deleted_parameters: Vec<Parameter>,
}

/// Request of `GetParameters`, `GetParameterTypes` and `DescribeParameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesRequest {
    /// Names of parameters.
    pub names: Vec<String>,
}

/// Response of `GetParameters`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GetParametersResponse {
    /// One per name; empty if a name is unknown.
    pub values: Vec<ParameterValue>,
}

/// Response of `GetParameterTypes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetParameterTypesResponse {
    /// One per name, of [`parameter_type`].
    pub types: Vec<u8>,
}

/// Response of `DescribeParameters`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DescribeParametersResponse {
    /// One per name.
    pub descriptors: Vec<ParameterDescriptor>,
}

/// Request of `ListParameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParametersRequest {
    /// Sections to list; none: all.
    pub prefixes: Vec<String>,
    /// How many levels below them; 0: all.
    pub depth: u64,
}

/// Response of `ListParameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParametersResponse {
    /// What was found.
    pub result: ListParametersResult,
}

/// Request of `SetParameters` and `SetParametersAtomically`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetParametersRequest {
    /// New values.
    pub parameters: Vec<Parameter>,
}

/// Response of `SetParameters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetParametersResponse {
    /// One per parameter.
    pub results: Vec<SetParametersResult>,
}

/// Response of `SetParametersAtomically`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetParametersAtomicallyResponse {
    /// All of them, or none.
    pub result: SetParametersResult,
}

ros_message!(
    ParameterEvent,
    "rcl_interfaces/msg/ParameterEvent",
    parameter_event_fields,
    time_fields,
    parameter_fields,
    parameter_value_fields,
);
ros_message!(NamesRequest, "rcl_interfaces/srv/GetParameters_Request", names_fields);
ros_message!(
    GetParametersResponse,
    "rcl_interfaces/srv/GetParameters_Response",
    get_parameters_fields,
    parameter_value_fields,
);
ros_message!(GetParameterTypesResponse, "rcl_interfaces/srv/GetParameterTypes_Response", get_parameter_types_fields);
ros_message!(
    DescribeParametersResponse,
    "rcl_interfaces/srv/DescribeParameters_Response",
    describe_parameters_fields,
    parameter_descriptor_fields,
    floating_point_range_fields,
    integer_range_fields,
);
ros_message!(ListParametersRequest, "rcl_interfaces/srv/ListParameters_Request", list_parameters_request_fields);
ros_message!(
    ListParametersResponse,
    "rcl_interfaces/srv/ListParameters_Response",
    list_parameters_response_fields,
    list_parameters_result_fields,
);
ros_message!(
    SetParametersRequest,
    "rcl_interfaces/srv/SetParameters_Request",
    set_parameters_fields,
    parameter_fields,
    parameter_value_fields,
);
ros_message!(
    SetParametersResponse,
    "rcl_interfaces/srv/SetParameters_Response",
    set_parameters_response_fields,
    set_parameters_result_fields,
);
ros_message!(
    SetParametersAtomicallyResponse,
    "rcl_interfaces/srv/SetParametersAtomically_Response",
    set_parameters_atomically_response_fields,
    set_parameters_result_fields,
);
