//! What parameters mean, for those who ask the node: the comments of `config/vloc.yaml`, which is the one place where
//! they are explained.

use std::collections::HashMap;

/// The shipped parameter file.
const EXPLAINED: &str = include_str!("../../config/vloc.yaml");

/// Parameters that are read at start only: they decide which sockets are opened, name files, or say in which map poses are.
const READ_ONLY: [&str; 12] = [
    "scene",
    "autostart",
    "device",
    "image_transport",
    "image_reliability",
    "camera_info_file",
    "odometry_source",
    "use_imu",
    "use_alignment",
    "saved_pose_filepath",
    "initialize_at_saved_pose",
    "use_sim_time",
];

/// Whether a parameter can be set at start only.
pub fn is_read_only(name: &str) -> bool {
    READ_ONLY.contains(&name)
}

/// The explanation of each parameter, by dotted name. A comment explains the lines below it, up to the next comment or
/// blank line.
pub fn descriptions() -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut sections: Vec<(usize, &str)> = Vec::new();
    let (mut comment, mut was_comment) = (String::new(), false);
    for line in EXPLAINED.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(words) = text.strip_prefix('#') {
            if !was_comment {
                comment.clear();
            }
            comment = format!("{comment} {}", words.trim()).trim().to_owned();
            was_comment = true;
            continue;
        }
        was_comment = false;
        let Some((key, value)) = text.split_once(':') else {
            comment.clear();
            continue;
        };
        sections.retain(|(depth, _)| *depth < indent);
        // The node's name and ros__parameters are no part of a parameter's name.
        if value.trim().is_empty() {
            if !matches!(key, "/**" | "ros__parameters") {
                sections.push((indent, key));
            }
            continue;
        }
        let names: Vec<&str> = sections.iter().map(|(_, name)| *name).chain([key]).collect();
        found.insert(names.join("."), comment.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, leaves};

    #[test]
    fn every_parameter_is_explained() {
        let descriptions = descriptions();
        let names: Vec<String> = leaves("", &Config::default()).unwrap().into_iter().map(|(name, _)| name).collect();
        for name in &names {
            assert!(descriptions.get(name).is_some_and(|text| text.len() > 10), "{name}: {:?}", descriptions.get(name));
        }
        assert_eq!(descriptions.len(), names.len());
        assert!(descriptions["tf_publish_rate"].contains("Hz"));
        assert!(descriptions["estimator.consensus_window"].starts_with("Fixes that must agree"));
        assert!(READ_ONLY.iter().all(|name| names.iter().any(|known| known == name)));
    }
}
