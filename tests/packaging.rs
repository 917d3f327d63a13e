//! The ROS 2 package as its tools see it: package.xml, CMake, launch files, configuration and layouts fit each other, the
//! crate and the node. No ROS is needed; where `launch` can be imported the launch files are loaded as well.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use serde_yaml::Value as Yaml;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Yaml {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What `tests/peers/check_package.py` reads out of package.xml and the launch files.
fn package() -> Value {
    let script = checkout().join("tests/peers/check_package.py");
    let output =
        Command::new("python3").arg(script).arg(checkout()).output().expect("python3 (scripts/setup.sh installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The arguments of each command `name(...)` in CMakeLists.txt, comments left out.
fn cmake_commands(name: &str) -> Vec<Vec<String>> {
    let text = read("CMakeLists.txt");
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let code = code.join("\n");
    let opening = format!("{name}(");
    let calls = code.split(opening.as_str()).skip(1);
    let words =
        |call: &str| call.split(')').next().unwrap().split_whitespace().map(|word| word.replace('"', "")).collect();
    calls.map(words).collect()
}

#[test]
fn package_xml_is_format_3_and_agrees_with_the_crate() {
    let package = &package()["package"];
    let manifest = read("Cargo.toml");
    let of_crate = |key: &str| {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    assert_eq!(package["format"], "3");
    assert_eq!(package["build_type"], "ament_cmake");
    for key in ["name", "version", "license"] {
        assert_eq!(package[key], of_crate(key).as_str(), "{key}");
    }
    assert_ne!(package["maintainer"], "");
    assert_ne!(package["description"], "");
    for needed in ["launch", "launch_ros", "ros2launch"] {
        assert!(strings(&package["exec_depends"]).contains(needed), "{needed}");
    }
}

#[test]
fn cmake_asks_for_the_message_packages_of_package_xml() {
    let depends = strings(&package()["package"]["depends"]);
    let set = cmake_commands("set")
        .into_iter()
        .filter(|words| words[0] == "message_packages")
        .map(|words| words[1..].to_vec());
    let appended = cmake_commands("list").into_iter().filter(|words| words[..2] == ["APPEND", "message_packages"]);
    let in_cmake: BTreeSet<String> = set.chain(appended.map(|words| words[2..].to_vec())).flatten().collect();
    let is_interface =
        |name: &&String| name.ends_with("_msgs") || name.ends_with("_interfaces") || name.ends_with("_srvs");
    let in_xml: BTreeSet<String> = depends.iter().filter(is_interface).cloned().collect();
    assert_eq!(in_cmake, in_xml);
}

#[test]
fn everything_that_cmake_installs_exists() {
    let installs = cmake_commands("install");
    let mut installed = Vec::new();
    for words in &installs {
        let named: Vec<&String> = words[1..].iter().take_while(|word| *word != "DESTINATION").collect();
        match words[0].as_str() {
            "DIRECTORY" => {
                installed.extend(named.iter().map(|name| ((*name).clone(), Path::is_dir as fn(&Path) -> bool)))
            }
            "FILES" => installed.extend(named.iter().map(|name| ((*name).clone(), Path::is_file as fn(&Path) -> bool))),
            "PROGRAMS" => assert_eq!(named, ["${built_programs}"]),
            other => panic!("install({other} ...) is not looked at by this test"),
        }
    }
    assert!(installed.len() >= 3, "{installs:?}");
    for (name, is_there) in installed {
        assert!(is_there(&checkout().join(&name)), "{name}");
    }
    let programs = cmake_commands("set").into_iter().find(|words| words[0] == "programs").unwrap();
    let manifest = read("Cargo.toml");
    for program in &programs[1..] {
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{program}\"")), "{program}");
    }
}

#[test]
fn every_launch_argument_is_described() {
    let report = package();
    let files = report["launch_files"].as_object().unwrap();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["localization.launch.py", "nav2.launch.py", "replay.launch.py"]);
    for (name, file) in files {
        assert_eq!(file["declarations"], file["described_declarations"], "{name}: a declaration without description");
        let loaded = file["loaded"].as_array().into_iter().flatten();
        let arguments: Vec<&Value> = file["arguments"].as_array().unwrap().iter().chain(loaded).collect();
        assert!(arguments.len() >= 8, "{name}");
        for argument in arguments {
            let description = argument["description"].as_str().unwrap();
            assert!(
                description.len() > 20 && description.ends_with('.'),
                "{name}: {}: {description:?}",
                argument["name"]
            );
        }
    }
}

#[test]
fn a_launch_argument_that_is_not_given_leaves_its_parameter_to_the_file() {
    let localization = &package()["launch_files"]["localization.launch.py"];
    let shipped = &yaml("config/vloc.yaml")["/**"]["ros__parameters"];
    let arguments = localization["arguments"].as_array().unwrap();
    let parameters = strings(&localization["parameters"]);
    assert!(parameters.len() >= 10);
    for parameter in parameters {
        let argument = arguments.iter().find(|argument| argument["name"] == parameter.as_str()).unwrap();
        assert_eq!(argument["default"], "", "{parameter}: a default would win over params_file");
        let value = shipped.get(&parameter).unwrap_or_else(|| panic!("config/vloc.yaml has no {parameter}"));
        if parameter != "model" {
            let value = serde_yaml::to_string(value).unwrap();
            let said = format!("(as shipped: {})", value.trim());
            assert!(argument["description"].as_str().unwrap().contains(&said), "{parameter}: {said}");
        }
    }
}

#[test]
fn launch_files_name_what_is_shipped() {
    assert!(read("launch/localization.launch.py").contains(r#"SHARE / "models" / "synthetic-room""#));
    for path in ["models/synthetic-room/model.yaml", "config/vloc.yaml", "config/vloc.rviz", "config/nav2.yaml"] {
        assert!(checkout().join(path).is_file(), "{path}");
    }
}

#[test]
fn every_configuration_file_parses() {
    let mut folders = vec![checkout().join("config")];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() >= 10);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "rviz") => {
                drop(serde_yaml::from_str::<Yaml>(&text).unwrap_or_else(|e| panic!("{path:?}: {e}")))
            }
            Some("json") => drop(serde_json::from_str::<Value>(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"))),
            _ => panic!("{path:?}: neither YAML nor JSON"),
        }
    }
}

#[test]
fn nav2_is_told_to_do_without_a_bond_and_without_amcl() {
    let nav2 = yaml("config/nav2.yaml");
    let manager = &nav2["/**/lifecycle_manager_localization"]["ros__parameters"];
    assert_eq!(manager["bond_timeout"], Yaml::from(0.0));
    assert_eq!(manager["node_names"], serde_yaml::from_str::<Yaml>("[map_server, vloc]").unwrap());
    assert_eq!(nav2["/**/map_server"]["ros__parameters"]["frame_id"], Yaml::from("map"));
    let nodes: Vec<&str> = nav2.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
    assert!(nodes.iter().all(|node| !node.contains("amcl")), "{nodes:?}");
}

/// Topics that the node or its launch files have, as the layouts name them.
const TOPICS: [&str; 11] = [
    "/pose",
    "/absolute_pose",
    "/path",
    "/odometry",
    "/image",
    "/image/compressed",
    "/camera_info",
    "/map",
    "/diagnostics",
    "/initialpose",
    "/goal_pose",
];

#[test]
fn rviz_shows_camera_path_pose_odometry_frames_and_map() {
    let rviz = yaml("config/vloc.rviz");
    let manager = &rviz["Visualization Manager"];
    let displays = manager["Displays"].as_sequence().unwrap();
    let classes: BTreeSet<&str> = displays.iter().map(|display| display["Class"].as_str().unwrap()).collect();
    for class in ["Image", "Path", "PoseWithCovariance", "Odometry", "TF", "Map"] {
        assert!(classes.contains(format!("rviz_default_plugins/{class}").as_str()), "{class}");
    }
    for shown in displays.iter().chain(manager["Tools"].as_sequence().unwrap()) {
        if let Some(topic) = shown["Topic"]["Value"].as_str() {
            assert!(TOPICS.contains(&topic), "{topic}");
        }
    }
    let pose = displays.iter().find(|display| display["Topic"]["Value"] == "/pose").unwrap();
    assert_eq!(pose["Topic"]["Durability Policy"], Yaml::from("Transient Local"), "a late RViz gets the last pose");
}

#[test]
fn the_foxglove_layout_places_each_of_its_panels_once() {
    let layout: Value = serde_json::from_str(&read("config/foxglove.json")).unwrap();
    let mut placed = Vec::new();
    let mut open = vec![&layout["layout"]];
    while let Some(node) = open.pop() {
        match node {
            Value::String(panel) => placed.push(panel.clone()),
            split => open.extend([&split["first"], &split["second"]]),
        }
    }
    placed.sort();
    let panels: Vec<String> = layout["configById"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(placed, panels);
    let kinds: BTreeSet<&str> = panels.iter().map(|panel| panel.split('!').next().unwrap()).collect();
    for kind in ["3D", "Image", "Plot", "StateTransitions", "DiagnosticStatusPanel"] {
        assert!(kinds.contains(kind), "{kind}");
    }
    for topic in layout["configById"]["3D!map"]["topics"].as_object().unwrap().keys() {
        assert!(TOPICS.contains(&topic.as_str()), "{topic}");
    }
}
