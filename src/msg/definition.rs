//! The `.msg` texts of the messages, as literals that `concat!` can join.

/// Implements [`RosMessage`](super::RosMessage) for a message of this package.
macro_rules! ros_message {
    ($message:ident, $name:literal, $fields:ident $(, $dependency:ident)* $(,)?) => {
        impl $crate::msg::RosMessage for $message {
            const TYPE: &'static str = $name;
            const DEFINITION: &'static str = concat!($fields!() $(, $dependency!(named))*);
        }
        #[cfg(feature = "rtps")]
        impl ros2_client::Message for $message {}
    };
}

/// Defines a macro that expands to the fields of a message, or with `named` to its section in the definition of a
/// message that contains it.
macro_rules! fields {
    ($($text:ident = $name:literal: $($line:literal)*;)*) => {
        fields!(@each ($) $($text = $name: $($line)*;)*);
    };
    (@each ($dollar:tt) $($text:ident = $name:literal: $($line:literal)*;)*) => {
        $(macro_rules! $text {
            () => { concat!($($line, "\n"),*) };
            (named) => {
                concat!(
                    "================================================================================\n",
                    "MSG: ", $name, "\n", $($line, "\n"),*
                )
            };
        })*
    };
}

fields! {
    time_fields = "builtin_interfaces/Time": "int32 sec" "uint32 nanosec";
    header_fields = "std_msgs/Header": "builtin_interfaces/Time stamp" "string frame_id";
    clock_fields = "rosgraph_msgs/Clock": "builtin_interfaces/Time clock";
    point_fields = "geometry_msgs/Point": "float64 x" "float64 y" "float64 z";
    vector3_fields = "geometry_msgs/Vector3": "float64 x" "float64 y" "float64 z";
    quaternion_fields = "geometry_msgs/Quaternion": "float64 x 0" "float64 y 0" "float64 z 0" "float64 w 1";
    pose_fields = "geometry_msgs/Pose": "Point position" "Quaternion orientation";
    pose_with_covariance_fields = "geometry_msgs/PoseWithCovariance": "Pose pose" "float64[36] covariance";
    pose_stamped_fields = "geometry_msgs/PoseStamped": "std_msgs/Header header" "Pose pose";
    pose_with_covariance_stamped_fields = "geometry_msgs/PoseWithCovarianceStamped":
        "std_msgs/Header header" "PoseWithCovariance pose";
    twist_fields = "geometry_msgs/Twist": "Vector3 linear" "Vector3 angular";
    twist_with_covariance_fields = "geometry_msgs/TwistWithCovariance": "Twist twist" "float64[36] covariance";
    transform_fields = "geometry_msgs/Transform": "Vector3 translation" "Quaternion rotation";
    transform_stamped_fields = "geometry_msgs/TransformStamped":
        "std_msgs/Header header" "string child_frame_id" "Transform transform";
    tf_message_fields = "tf2_msgs/TFMessage": "geometry_msgs/TransformStamped[] transforms";
    image_fields = "sensor_msgs/Image":
        "std_msgs/Header header" "uint32 height" "uint32 width" "string encoding" "uint8 is_bigendian" "uint32 step"
        "uint8[] data";
    compressed_image_fields = "sensor_msgs/CompressedImage": "std_msgs/Header header" "string format" "uint8[] data";
    region_of_interest_fields = "sensor_msgs/RegionOfInterest":
        "uint32 x_offset" "uint32 y_offset" "uint32 height" "uint32 width" "bool do_rectify";
    camera_info_fields = "sensor_msgs/CameraInfo":
        "std_msgs/Header header" "uint32 height" "uint32 width" "string distortion_model" "float64[] d" "float64[9] k"
        "float64[9] r" "float64[12] p" "uint32 binning_x" "uint32 binning_y" "RegionOfInterest roi";
    imu_fields = "sensor_msgs/Imu":
        "std_msgs/Header header" "geometry_msgs/Quaternion orientation" "float64[9] orientation_covariance"
        "geometry_msgs/Vector3 angular_velocity" "float64[9] angular_velocity_covariance"
        "geometry_msgs/Vector3 linear_acceleration" "float64[9] linear_acceleration_covariance";
    odometry_fields = "nav_msgs/Odometry":
        "std_msgs/Header header" "string child_frame_id" "geometry_msgs/PoseWithCovariance pose"
        "geometry_msgs/TwistWithCovariance twist";
    path_fields = "nav_msgs/Path": "std_msgs/Header header" "geometry_msgs/PoseStamped[] poses";
    key_value_fields = "diagnostic_msgs/KeyValue": "string key" "string value";
    diagnostic_status_fields = "diagnostic_msgs/DiagnosticStatus":
        "byte OK=0" "byte WARN=1" "byte ERROR=2" "byte STALE=3" "byte level" "string name" "string message"
        "string hardware_id" "KeyValue[] values";
    diagnostic_array_fields = "diagnostic_msgs/DiagnosticArray": "std_msgs/Header header" "DiagnosticStatus[] status";
    empty_fields = "std_srvs/Empty": "uint8 structure_needs_at_least_one_member";
    trigger_response_fields = "std_srvs/Trigger_Response": "bool success" "string message";
    lifecycle_state_fields = "lifecycle_msgs/State": "uint8 id" "string label";
    transition_fields = "lifecycle_msgs/Transition": "uint8 id" "string label";
    transition_description_fields = "lifecycle_msgs/TransitionDescription":
        "Transition transition" "State start_state" "State goal_state";
    transition_event_fields = "lifecycle_msgs/TransitionEvent":
        "uint64 timestamp" "Transition transition" "State start_state" "State goal_state";
    change_state_fields = "lifecycle_msgs/ChangeState_Request": "Transition transition";
    success_fields = "lifecycle_msgs/ChangeState_Response": "bool success";
    get_state_fields = "lifecycle_msgs/GetState_Response": "State current_state";
    get_available_states_fields = "lifecycle_msgs/GetAvailableStates_Response": "State[] available_states";
    get_available_transitions_fields = "lifecycle_msgs/GetAvailableTransitions_Response":
        "TransitionDescription[] available_transitions";
    parameter_value_fields = "rcl_interfaces/ParameterValue":
        "uint8 type" "bool bool_value" "int64 integer_value" "float64 double_value" "string string_value"
        "byte[] byte_array_value" "bool[] bool_array_value" "int64[] integer_array_value"
        "float64[] double_array_value" "string[] string_array_value";
    parameter_fields = "rcl_interfaces/Parameter": "string name" "ParameterValue value";
    parameter_event_fields = "rcl_interfaces/ParameterEvent":
        "builtin_interfaces/Time stamp" "string node" "Parameter[] new_parameters" "Parameter[] changed_parameters"
        "Parameter[] deleted_parameters";
    floating_point_range_fields = "rcl_interfaces/FloatingPointRange":
        "float64 from_value" "float64 to_value" "float64 step";
    integer_range_fields = "rcl_interfaces/IntegerRange": "int64 from_value" "int64 to_value" "uint64 step";
    parameter_descriptor_fields = "rcl_interfaces/ParameterDescriptor":
        "string name" "uint8 type" "string description" "string additional_constraints" "bool read_only"
        "bool dynamic_typing" "FloatingPointRange[<=1] floating_point_range" "IntegerRange[<=1] integer_range";
    set_parameters_result_fields = "rcl_interfaces/SetParametersResult": "bool successful" "string reason";
    list_parameters_result_fields = "rcl_interfaces/ListParametersResult": "string[] names" "string[] prefixes";
    names_fields = "rcl_interfaces/GetParameters_Request": "string[] names";
    get_parameters_fields = "rcl_interfaces/GetParameters_Response": "ParameterValue[] values";
    get_parameter_types_fields = "rcl_interfaces/GetParameterTypes_Response": "uint8[] types";
    describe_parameters_fields = "rcl_interfaces/DescribeParameters_Response": "ParameterDescriptor[] descriptors";
    list_parameters_request_fields = "rcl_interfaces/ListParameters_Request": "string[] prefixes" "uint64 depth";
    list_parameters_response_fields = "rcl_interfaces/ListParameters_Response": "ListParametersResult result";
    set_parameters_fields = "rcl_interfaces/SetParameters_Request": "Parameter[] parameters";
    set_parameters_response_fields = "rcl_interfaces/SetParameters_Response": "SetParametersResult[] results";
    set_parameters_atomically_response_fields = "rcl_interfaces/SetParametersAtomically_Response":
        "SetParametersResult result";
}
