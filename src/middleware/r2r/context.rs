//! The node in rcl's eyes. rcl refuses command lines and parameter files by its own rules; r2r panics then.

use std::any::Any;
use std::panic;

use ::r2r::{Context, Node};

use crate::middleware::Names;
use crate::{Error, Result};

/// A node of the process's one context.
pub(super) fn node(names: &Names) -> Result<Node> {
    let node = Node::create(context()?, Names::default().node.as_str(), "");
    let node = node.map_err(|error| Error::middleware("creating the node in rcl", error))?;
    let named =
        node.fully_qualified_name().map_err(|error| Error::middleware("asking rcl for the node's name", error))?;
    let expected = names.absolute_node_name();
    if named != expected {
        let found = format!("{named}, which rcl makes of the command line; names are given after --ros-args");
        return Err(Error::config("node name", expected, found));
    }
    Ok(node)
}

fn context() -> Result<Context> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let created = panic::catch_unwind(Context::create);
    panic::set_hook(hook);
    match created {
        Ok(context) => context.map_err(|error| Error::middleware("starting rcl", error)),
        Err(panic) => Err(Error::middleware("starting rcl with these arguments", text_of(panic.as_ref()))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
