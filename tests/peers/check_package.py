"""Reads package.xml and the launch files as ROS's tools do and prints what they say as JSON.

usage: check_package.py CHECKOUT

Launch files are compiled and read as syntax: no ROS is needed. Where launch and launch_ros can be imported, each is loaded as
well, and its arguments are those that `ros2 launch --show-args` prints.
"""

import ast
import importlib.util
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def read_package(path: pathlib.Path) -> dict:
    root = ElementTree.parse(path).getroot()
    tags = ("name", "version", "license", "maintainer", "description")
    dependencies = [(element.tag, element.text) for element in root if element.tag.endswith("depend")]
    return {
        "format": root.get("format"),
        **{tag: root.findtext(tag, "").strip() for tag in tags},
        "build_type": root.findtext("export/build_type"),
        "depends": [name for tag, name in dependencies if tag == "depend"],
        "exec_depends": [name for tag, name in dependencies if tag == "exec_depend"],
    }


def read_launch_file(path: pathlib.Path) -> dict:
    """The table ARGUMENTS of a launch file: name, default where it is a literal, description."""
    tree = ast.parse(path.read_text(), filename=str(path))
    compile(tree, str(path), "exec")
    tables = {target.id: node.value for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [call for call in calls if getattr(call.func, "id", "") == "DeclareLaunchArgument"]
    arguments = []
    for row in tables["ARGUMENTS"].elts:
        name, default, description = row.elts
        value = default.value if isinstance(default, ast.Constant) else None
        arguments.append({"name": name.value, "default": value, "description": ast.literal_eval(description)})
    parameters = [key.value for key in tables["PARAMETERS"].keys] if "PARAMETERS" in tables else []
    return {
        "arguments": arguments,
        "parameters": parameters,
        "declarations": len(calls),
        "described_declarations": sum(any(word.arg == "description" for word in call.keywords) for call in calls),
    }


def load_launch_file(path: pathlib.Path) -> list | None:
    """The arguments that launch itself finds; None without launch."""
    if not all(importlib.util.find_spec(name) for name in ("launch", "launch_ros")):
        return None
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(path))
    return [{"name": argument.name, "description": argument.description} for argument in description.get_launch_arguments()]


def main() -> None:
    checkout = pathlib.Path(sys.argv[1])
    launch_files = {}
    for path in sorted((checkout / "launch").glob("*.launch.py")):
        launch_files[path.name] = {**read_launch_file(path), "loaded": load_launch_file(path)}
    print(json.dumps({"package": read_package(checkout / "package.xml"), "launch_files": launch_files}))


sys.dont_write_bytecode = True
main()
