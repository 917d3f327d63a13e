//! Topic names: namespace, private names and remapping, by the rules of ROS 2
//! (<https://design.ros2.org/articles/topic_and_service_names.html>).

use crate::{Error, Result};

/// The name of the node and how it renames topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Namespace of the node, absolute: `/` or `/robot1`.
    pub namespace: String,
    /// Name of the node, without slashes.
    pub node: String,
    remappings: Vec<(String, String)>,
}

impl Default for Names {
    fn default() -> Self {
        Self { namespace: "/".into(), node: "vloc".into(), remappings: Vec::new() }
    }
}

impl Names {
    /// Adds a rule `from:=to`. `__ns` and `__node` (or `__name`) rename the node itself. A prefix `node:` limits a
    /// rule to the node of that name, as in ROS.
    ///
    /// # Errors
    /// [`Error::Config`] when the rule has no `:=` or a name in it is not valid.
    pub fn remap(&mut self, rule: &str) -> Result<()> {
        let bad = |found: &str| Error::config("remap", "a rule of the form from:=to", format!("{found:?}"));
        let (from, to) = rule.split_once(":=").ok_or_else(|| bad(rule))?;
        let from = match from.split_once(':') {
            Some((node, _)) if node != self.node => return Ok(()),
            Some((_, from)) => from,
            None => from,
        };
        match from {
            "__ns" => {
                check(to.trim_start_matches('/'), to).or_else(|error| if to == "/" { Ok(()) } else { Err(error) })?;
                self.namespace = format!("/{}", to.trim_start_matches('/'));
            }
            "__node" | "__name" => {
                check(to, to)?;
                if to.contains('/') {
                    return Err(bad(rule));
                }
                self.node = to.to_owned();
            }
            _ => {
                self.absolute(from)?;
                self.absolute(to)?;
                self.remappings.push((from.to_owned(), to.to_owned()));
            }
        }
        Ok(())
    }

    /// The absolute name of a topic after namespace and remapping; the first rule that fits wins.
    ///
    /// # Errors
    /// [`Error::Config`] when the name is not valid.
    pub fn resolve(&self, topic: &str) -> Result<String> {
        let absolute = self.absolute(topic)?;
        for (from, to) in &self.remappings {
            if self.absolute(from)? == absolute {
                return self.absolute(to);
            }
        }
        Ok(absolute)
    }

    /// The node's own absolute name: `/robot1/vloc`.
    pub fn absolute_node_name(&self) -> String {
        format!("{}/{}", self.namespace.trim_end_matches('/'), self.node)
    }

    fn absolute(&self, topic: &str) -> Result<String> {
        let namespace = self.namespace.trim_end_matches('/');
        let absolute = match topic.strip_prefix("~/") {
            Some(private) => format!("{namespace}/{}/{private}", self.node),
            None if topic.starts_with('/') => topic.to_owned(),
            None => format!("{namespace}/{topic}"),
        };
        check(&absolute[1..], topic)?;
        Ok(absolute)
    }
}

/// Checks tokens separated by slashes: letters, digits and single underscores, not starting with a digit.
fn check(path: &str, shown: &str) -> Result<()> {
    let token_is_valid = |token: &str| {
        !token.is_empty()
            && !token.starts_with(|first: char| first.is_ascii_digit())
            && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !token.contains("__")
    };
    if path.split('/').all(token_is_valid) {
        return Ok(());
    }
    let expected = "a ROS name: letters, digits and single underscores between slashes, no digit first";
    Err(Error::config("topic name", expected, format!("{shown:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_as_in_ros() {
        let mut names = Names::default();
        assert_eq!(names.resolve("image").unwrap(), "/image");
        for rule in ["__ns:=/robot1", "__node:=eyes", "image:=/camera/image_raw", "eyes:pose:=vloc/pose", "other:tf:=x"]
        {
            names.remap(rule).unwrap();
        }
        assert_eq!(names.resolve("image").unwrap(), "/camera/image_raw");
        assert_eq!(names.resolve("camera_info").unwrap(), "/robot1/camera_info");
        assert_eq!(names.resolve("pose").unwrap(), "/robot1/vloc/pose");
        assert_eq!(names.resolve("/tf").unwrap(), "/tf");
        assert_eq!(names.resolve("~/state").unwrap(), "/robot1/eyes/state");
    }

    #[test]
    fn wrong_names_and_rules_say_what_is_wrong() {
        let mut names = Names::default();
        assert!(names.remap("image=raw").unwrap_err().to_string().contains("from:=to"));
        for wrong in ["image:=/1camera", "image:=/a//b", "image:=a b", "image:=", "__node:=a/b", "__ns:=/"] {
            let result = names.remap(wrong);
            assert_eq!(result.is_err(), wrong != "__ns:=/", "{wrong}: {result:?}");
        }
        assert_eq!(names.namespace, "/");
    }
}
