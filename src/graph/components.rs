//! Which variables hang together, and which of them hang on the map: union-find.

use super::Key;
use crate::{Error, Result};

/// The connected parts of a graph's variables. The map counts as a node of its own.
#[derive(Debug)]
pub(super) struct Components {
    /// Another node of the same part, or itself; the last one is the map.
    parent: Vec<u32>,
}

impl Components {
    /// So many variables, each on its own.
    pub fn new(variables: usize) -> Self {
        Self { parent: (0..=variables as u32).collect() }
    }

    /// Connects two variables.
    pub fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[one.min(other) as usize] = one.max(other);
    }

    /// Ties a variable to the map.
    pub fn anchor(&mut self, variable: u32) {
        self.join(variable, self.map());
    }

    /// Refuses a graph with variables that nothing ties to the map.
    ///
    /// # Errors
    /// When there is one; `keys` are the names of the variables.
    pub fn check_anchors(&mut self, keys: &[Key]) -> Result<()> {
        let map = self.root(self.map());
        let loose: Vec<u32> = (0..self.map()).filter(|variable| self.root(*variable) != map).collect();
        let Some(first) = loose.first() else { return Ok(()) };
        Err(Error::message(
            "graph",
            "every variable connected to a prior or to a fixed variable",
            format!("{} without, the first is {}: add a prior or fix one", loose.len(), keys[*first as usize]),
        ))
    }

    fn map(&self) -> u32 {
        self.parent.len() as u32 - 1
    }

    fn root(&mut self, mut node: u32) -> u32 {
        while self.parent[node as usize] != node {
            let above = self.parent[self.parent[node as usize] as usize];
            self.parent[node as usize] = above;
            node = above;
        }
        node
    }
}
