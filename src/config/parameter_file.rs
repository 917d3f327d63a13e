//! Parameter files: plain YAML, or the form that ROS 2 reads, with a section for each node.

use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::{leaves, read_text};
use crate::{Error, Result};

/// The key below which ROS 2 looks for the parameters of a node.
const PARAMETERS: &str = "ros__parameters";

/// Reads the parameters of the node of an absolute name (such as `/robot1/vloc`) from a file: a plain mapping, or the
/// sections over `ros__parameters` whose names fit (`/**`, `vloc`, `/robot1/vloc`, `/robot1/*`, or nested by
/// namespace), later ones winning. A file for other nodes alone holds none, which the log says.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] when it is no YAML mapping.
pub fn read_parameters(path: &Path, node: &str) -> Result<Mapping> {
    let text = read_text(path)?;
    let expected = "a YAML mapping of parameters, plain or below <node name>/ros__parameters";
    let value: Value = serde_yaml::from_str(&text).map_err(|e| Error::format(path, expected, e.to_string()))?;
    let Value::Mapping(mapping) = value else {
        return Err(Error::format(path, expected, format!("{value:?}")));
    };
    let mut sections = Vec::new();
    collect("", &mapping, &mut sections);
    let mut parameters = Mapping::new();
    if sections.is_empty() {
        merge_parameters(&mut parameters, &mapping)?;
        return Ok(parameters);
    }
    let mut fits = false;
    for (name, section) in &sections {
        let Value::Mapping(section) = section else {
            return Err(Error::format(path, expected, format!("{name}: {PARAMETERS}: {section:?}")));
        };
        if name_fits(name, node) {
            fits = true;
            merge_parameters(&mut parameters, section)?;
        }
    }
    if !fits {
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
        tracing::warn!("{} has no parameters for {node}, only for {}", path.display(), names.join(", "));
    }
    Ok(parameters)
}

/// Takes the parameters of `from` over into `into`, name by name; both may write `section.name` for a name in a section.
///
/// # Errors
/// [`Error::Config`] when a value cannot be written as YAML.
pub fn merge_parameters(into: &mut Mapping, from: &Mapping) -> Result<()> {
    for (name, value) in leaves("", from)? {
        insert_parameter(into, &name, value);
    }
    Ok(())
}

/// Puts `section.name` into the mapping `section`, as ROS does.
pub fn insert_parameter(parameters: &mut Mapping, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(parameters.insert(name.into(), value)),
        Some((section, rest)) => {
            let inner = parameters.entry(section.into()).or_insert_with(|| Value::Mapping(Mapping::new()));
            match inner {
                Value::Mapping(inner) => insert_parameter(inner, rest, value),
                other => *other = value,
            }
        }
    }
}

/// The sections of a file with the names of their nodes, in order.
fn collect(prefix: &str, mapping: &Mapping, sections: &mut Vec<(String, Value)>) {
    for (key, value) in mapping {
        let (Some(key), Value::Mapping(inner)) = (key.as_str(), value) else { continue };
        let name = format!("{prefix}/{}", key.trim_matches('/'));
        match inner.get(PARAMETERS) {
            Some(section) => sections.push((name, section.clone())),
            None => collect(&name, inner, sections),
        }
    }
}

/// Whether a section's name means the node: `*` stands for one part of a name, `**` for any number of them.
fn name_fits(pattern: &str, node: &str) -> bool {
    let parts = |name: &str| name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    fits(&parts(pattern), &parts(node))
}

fn fits(pattern: &[String], name: &[String]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((any, rest)) if any == "**" => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        Some((part, rest)) => name.first().is_some_and(|first| part == "*" || part == first) && fits(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str, node: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        serde_yaml::to_string(&read_parameters(file.path(), node).unwrap()).unwrap().replace('\n', ";")
    }

    #[test]
    fn a_section_is_read_by_the_node_that_it_names() {
        let nav2 = "\
            planner_server:\n  ros__parameters: {x: 1}\n\
            /**:\n  ros__parameters: {a: 1, b: {c: 2, d: 3}}\n\
            vloc:\n  ros__parameters: {b: {c: 4}}\n\
            robot1:\n  vloc:\n    ros__parameters: {a: 5}\n";
        assert_eq!(parameters(nav2, "/vloc"), "a: 1;b:;  c: 4;  d: 3;");
        assert_eq!(parameters(nav2, "/robot1/vloc"), "a: 5;b:;  c: 2;  d: 3;");
        assert_eq!(parameters("/robot1/*:\n  ros__parameters: {a: 1}", "/robot1/vloc"), "a: 1;");
        assert_eq!(parameters("planner_server:\n  ros__parameters: {x: 1}", "/vloc"), "{};");
        assert_eq!(parameters("a: 1\nb: {c: 2}", "/vloc"), "a: 1;b:;  c: 2;");
        assert_eq!(parameters("a: 1\nb.c: 2", "/vloc"), "a: 1;b:;  c: 2;");
    }
}
