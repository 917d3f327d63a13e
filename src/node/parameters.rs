//! The parameters of the running node, as ROS 2 asks for them and changes them: by dotted name, typed, described.
//!
//! [`Config`] stays the only home of names, defaults and checks: a change is applied to a copy of the configuration,
//! and the copy must pass the checks that the parameter file had to pass at start.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use serde_yaml::{Mapping, Value};

use crate::Result;
use crate::config::{Config, Range, descriptions, insert_parameter, is_read_only, leaves, range_of};
use crate::msg::rcl_interfaces::{
    FloatingPointRange, IntegerRange, ListParametersResult, Parameter, ParameterDescriptor, ParameterValue,
    parameter_type,
};

/// The configuration of the node, by dotted names.
#[derive(Debug)]
pub(super) struct Parameters {
    config: Config,
    leaves: Vec<(String, Value)>,
    descriptions: HashMap<String, String>,
    /// The folder that holds the model of the start: another model must lie in it.
    models: Option<PathBuf>,
}

impl Parameters {
    /// The parameters of a configuration.
    pub fn new(config: Config) -> Result<Self> {
        let models = std::fs::canonicalize(&config.model).ok().and_then(|model| model.parent().map(Path::to_path_buf));
        Ok(Self { leaves: leaves("", &config)?, config, descriptions: descriptions(), models })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Every parameter.
    pub fn all(&self) -> Vec<Parameter> {
        self.leaves.iter().map(|(name, value)| Parameter { name: name.clone(), value: to_message(value) }).collect()
    }

    /// The values of parameters; an unknown one is not set.
    pub fn get(&self, names: &[String]) -> Vec<ParameterValue> {
        names.iter().map(|name| self.find(name).map(to_message).unwrap_or_default()).collect()
    }

    /// What parameters mean; of an unknown one, its name alone.
    pub fn describe(&self, names: &[String]) -> Vec<ParameterDescriptor> {
        names.iter().map(|name| self.descriptor(name)).collect()
    }

    /// The names below prefixes (all without), at most `depth` levels below them (0: all).
    pub fn list(&self, prefixes: &[String], depth: u64) -> ListParametersResult {
        let is_near = |rest: &str| depth == 0 || (rest.matches('.').count() as u64) < depth;
        let is_listed = |name: &str| {
            prefixes.is_empty() && is_near(name)
                || prefixes.iter().any(|prefix| {
                    name == prefix
                        || name
                            .strip_prefix(prefix.as_str())
                            .and_then(|rest| rest.strip_prefix('.'))
                            .is_some_and(is_near)
                })
        };
        let names: Vec<String> =
            self.leaves.iter().map(|(name, _)| name.clone()).filter(|name| is_listed(name)).collect();
        let sections = names.iter().filter_map(|name| name.rsplit_once('.')).map(|(section, _)| section.to_owned());
        let mut prefixes: Vec<String> = sections.collect();
        prefixes.dedup();
        ListParametersResult { names, prefixes }
    }

    /// The configuration after a change of parameters.
    ///
    /// # Errors
    /// In words for the one who asked: an unknown name, a parameter that is read at start only, a value of the wrong type or
    /// out of range, a model that lies elsewhere.
    pub fn changed(&self, changes: &[Parameter]) -> Result<Config, String> {
        let mut mapping = Mapping::new();
        for (name, value) in &self.leaves {
            insert_parameter(&mut mapping, name, value.clone());
        }
        for change in changes {
            let name = change.name.as_str();
            if self.find(name).is_none() {
                return Err(format!("{name:?} is no parameter of this node; ros2 param list names them"));
            }
            if is_read_only(name) {
                return Err(format!("{name} is read at start only; give it in the parameter file or with -p"));
            }
            let value = from_message(&change.value).ok_or_else(|| format!("{name} cannot be unset"))?;
            insert_parameter(&mut mapping, name, value);
        }
        let config = Config::from_parameters(mapping).map_err(|error| error.to_string())?;
        if config.model != self.config.model {
            self.check_model(&config.model)?;
        }
        Ok(config)
    }

    /// Lives by another configuration from now on; the parameters that it changes.
    pub fn adopt(&mut self, config: Config) -> Result<Vec<Parameter>> {
        let before = std::mem::replace(&mut self.leaves, leaves("", &config)?);
        self.config = config;
        let changed = self.leaves.iter().zip(&before).filter(|(new, old)| new != old);
        Ok(changed.map(|((name, value), _)| Parameter { name: name.clone(), value: to_message(value) }).collect())
    }

    /// Nobody in the network may have the node read whatever files it can.
    fn check_model(&self, model: &Path) -> Result<(), String> {
        let Some(models) = &self.models else {
            return Err("model can be changed only if the node was started with one; it must lie beside it".into());
        };
        let refused = || format!("model: expected a folder in {}, found {}", models.display(), model.display());
        // Before the file system is asked anything: that answers for files of others, too.
        let climbs = model.components().any(|part| part == Component::ParentDir);
        let is_below = |path: &Path| path.strip_prefix(models).is_ok_and(|rest| rest.components().count() > 0);
        let absolute = std::path::absolute(model).map_err(|_| refused())?;
        let beside_start = self.config.model.parent().is_some_and(|folder| model.strip_prefix(folder).is_ok());
        if climbs || !(is_below(&absolute) || beside_start) {
            return Err(refused());
        }
        let real = std::fs::canonicalize(model).map_err(|error| format!("{}: {error}", refused()))?;
        if is_below(&real) { Ok(()) } else { Err(refused()) }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.leaves.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn descriptor(&self, name: &str) -> ParameterDescriptor {
        let Some(value) = self.find(name) else {
            return ParameterDescriptor { name: name.to_owned(), ..ParameterDescriptor::default() };
        };
        let range = range_of(name);
        let numbers = |range| match range {
            Range::Closed(from, to) | Range::Above(from, to) => {
                Some(FloatingPointRange { from_value: from, to_value: to, step: 0.0 })
            }
            Range::Count(..) => None,
        };
        let counts = |range| match range {
            Range::Count(from, to) => Some(IntegerRange { from_value: from, to_value: to, step: 1 }),
            Range::Closed(..) | Range::Above(..) => None,
        };
        ParameterDescriptor {
            name: name.to_owned(),
            kind: to_message(value).kind,
            description: self.descriptions.get(name).cloned().unwrap_or_default(),
            additional_constraints: range.map(Range::describe).unwrap_or_default(),
            read_only: is_read_only(name),
            dynamic_typing: false,
            floating_point_range: range.and_then(numbers).into_iter().collect(),
            integer_range: range.and_then(counts).into_iter().collect(),
        }
    }
}

fn to_message(value: &Value) -> ParameterValue {
    use parameter_type::{BOOL, DOUBLE, DOUBLE_ARRAY, INTEGER, STRING};
    let empty = ParameterValue::default();
    match value {
        Value::Bool(flag) => ParameterValue { kind: BOOL, bool_value: *flag, ..empty },
        Value::Number(number) if !number.is_f64() => {
            ParameterValue { kind: INTEGER, integer_value: number.as_i64().unwrap_or(i64::MAX), ..empty }
        }
        Value::Number(number) => {
            ParameterValue { kind: DOUBLE, double_value: number.as_f64().unwrap_or(f64::NAN), ..empty }
        }
        Value::String(text) => ParameterValue { kind: STRING, string_value: text.clone(), ..empty },
        Value::Sequence(numbers) => {
            let numbers = numbers.iter().filter_map(Value::as_f64).collect();
            ParameterValue { kind: DOUBLE_ARRAY, double_array_value: numbers, ..empty }
        }
        Value::Null | Value::Mapping(_) | Value::Tagged(_) => empty,
    }
}

fn from_message(value: &ParameterValue) -> Option<Value> {
    Some(match value.kind {
        parameter_type::BOOL => value.bool_value.into(),
        parameter_type::INTEGER => value.integer_value.into(),
        parameter_type::DOUBLE => value.double_value.into(),
        parameter_type::STRING => value.string_value.as_str().into(),
        parameter_type::BYTE_ARRAY => value.byte_array_value.iter().map(|byte| u64::from(*byte)).collect(),
        parameter_type::BOOL_ARRAY => value.bool_array_value.iter().copied().collect(),
        parameter_type::INTEGER_ARRAY => value.integer_array_value.iter().copied().collect(),
        parameter_type::DOUBLE_ARRAY => value.double_array_value.iter().copied().collect(),
        parameter_type::STRING_ARRAY => value.string_array_value.iter().map(String::as_str).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters::new(Config::default()).unwrap()
    }

    fn set(name: &str, value: impl Into<Value>) -> Vec<Parameter> {
        vec![Parameter { name: name.into(), value: to_message(&value.into()) }]
    }

    #[test]
    fn a_change_passes_the_checks_of_the_parameter_file() {
        let mut known = parameters();
        let config = known.changed(&set("estimator.lag", 2.5)).unwrap();
        assert_eq!(config.estimator.lag, 2.5);
        let changed = known.adopt(config).unwrap();
        assert_eq!(changed, set("estimator.lag", 2.5));
        assert_eq!(known.get(&["estimator.lag".into(), "lag".into()])[0].double_value, 2.5);
        assert_eq!(known.get(&["lag".into()])[0].kind, parameter_type::NOT_SET);
        // A whole number is a number, as in YAML.
        assert_eq!(known.changed(&set("estimator.lag", 2)).unwrap().estimator.lag, 2.0);
        for (change, words) in [
            (set("estimator.lag", -1.0), "estimator.lag: expected a number above 0"),
            (set("estimator.lag", "long"), "expected f64"),
            (set("estimator.keyframes", 2.5), "expected usize"),
            (set("estimator.consensus_window", 1), "consensus_fixes"),
            (set("estimator", 1.0), "is no parameter"),
            (set("speed", 1.0), "is no parameter"),
            (set("use_imu", false), "is read at start only"),
            (set("base_from_camera", Value::Sequence(vec![1.0.into()])), "found 1 numbers"),
            (set("model", "/etc"), "started with one"),
            (vec![Parameter { name: "model".into(), value: ParameterValue::default() }], "cannot be unset"),
        ] {
            let refusal = known.changed(&change).unwrap_err();
            assert!(refusal.contains(words), "{change:?}: {refusal}");
        }
    }

    #[test]
    fn names_are_listed_as_rclcpp_lists_them() {
        let known = parameters();
        let all = known.list(&[], 0);
        assert_eq!(all.names.len(), known.all().len());
        assert_eq!(all.prefixes, ["initial_pose", "estimator"]);
        assert!(known.list(&[], 1).names.iter().all(|name| !name.contains('.')));
        assert_eq!(known.list(&["initial_pose".into()], 0).names.len(), 4);
        assert_eq!(known.list(&["model".into()], 0).names, ["model"]);
        assert!(known.list(&["initial".into()], 0).names.is_empty());
    }

    #[test]
    fn descriptors_say_what_a_parameter_means_and_may_be() {
        let described = parameters().describe(&["tf_publish_rate".into(), "estimator.keyframes".into(), "x".into()]);
        assert!(described[0].description.contains("repeated"), "{}", described[0].description);
        assert_eq!(described[0].floating_point_range[0].to_value, 1000.0);
        assert!(!described[0].read_only && described[0].additional_constraints.contains("above 0"));
        assert_eq!((described[1].integer_range[0].from_value, described[1].kind), (2, parameter_type::INTEGER));
        assert_eq!(described[2].kind, parameter_type::NOT_SET);
    }

    #[test]
    fn another_model_lies_beside_the_first_one() {
        let work = tempfile::tempdir().unwrap();
        for folder in ["models/a", "models/b", "elsewhere"] {
            std::fs::create_dir_all(work.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(work.path().join("elsewhere"), work.path().join("models/link")).unwrap();
        let config = Config { model: work.path().join("models/a"), ..Config::default() };
        let known = Parameters::new(config).unwrap();
        let path = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
        assert!(known.changed(&set("model", path("models/b"))).is_ok());
        for elsewhere in ["elsewhere", "models", "models/../elsewhere", "models/link", "models/none"] {
            let refusal = known.changed(&set("model", path(elsewhere))).unwrap_err();
            assert!(refusal.contains("expected a folder in"), "{elsewhere}: {refusal}");
        }
    }
}
