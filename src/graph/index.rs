//! A graph's keys resolved to places among the values, and the checks that need the whole graph.

use super::components::Components;
use super::{FactorGraph, Key, Values};
use crate::{Error, Result};

/// Marks a slot whose variable is held.
pub(super) const HELD: u32 = u32::MAX;

/// Which slots every factor names, and which of them are unknowns. Two graphs with equal indices have the same linear
/// structure, whatever their keys are.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Index {
    /// The block of unknowns of each slot, or [`HELD`].
    pub block_of_slot: Vec<u32>,
    /// Degrees of freedom of each slot.
    pub dim_of_slot: Vec<u8>,
    /// Degrees of freedom of each block.
    pub dim_of_block: Vec<u8>,
    /// The slot of each block.
    pub slot_of_block: Vec<u32>,
    /// Where each factor's slots begin, and the number of slots at the end.
    start: Vec<u32>,
    slots: Vec<u32>,
    /// Whether each factor ties its variables to the map.
    absolute: Vec<bool>,
}

impl Index {
    /// Resolves the keys of a graph.
    ///
    /// # Errors
    /// When a factor or a held key names an unknown variable, or a factor names one twice.
    pub fn new(graph: &FactorGraph, values: &Values) -> Result<Self> {
        let mut index = Self { start: vec![0], ..Self::default() };
        for variable in values.variables() {
            index.dim_of_slot.push(variable.dim() as u8);
        }
        index.block_of_slot = vec![0; values.len()];
        for key in graph.fixed() {
            index.block_of_slot[values.slot(*key)?] = HELD;
        }
        for (slot, block) in index.block_of_slot.iter_mut().enumerate().filter(|(_, block)| **block != HELD) {
            *block = index.slot_of_block.len() as u32;
            index.dim_of_block.push(index.dim_of_slot[slot]);
            index.slot_of_block.push(slot as u32);
        }
        for factor in graph.factors() {
            let keys = factor.keys();
            if keys.len() > usize::from(u16::MAX) {
                return Err(Error::message("factor", "at most 65535 keys", keys.len().to_string()));
            }
            for (position, key) in keys.iter().enumerate() {
                index.slots.push(values.slot(*key)? as u32);
                if keys[..position].contains(key) {
                    return Err(Error::message("factor", "different keys", format!("{key} twice in {factor:?}")));
                }
            }
            index.start.push(index.slots.len() as u32);
            index.absolute.push(factor.is_absolute());
        }
        Ok(index)
    }

    /// How many factors there are.
    pub fn factor_count(&self) -> usize {
        self.absolute.len()
    }

    /// The slots of a factor's keys.
    pub fn slots(&self, factor: usize) -> &[u32] {
        &self.slots[self.start[factor] as usize..self.start[factor + 1] as usize]
    }

    /// Pairs of blocks that share a factor, the greater first, sorted, each once.
    pub fn pairs(&self) -> Vec<(u32, u32)> {
        let mut pairs = Vec::with_capacity(self.slots.len());
        for factor in 0..self.factor_count() {
            let blocks = || self.slots(factor).iter().map(|slot| self.block_of_slot[*slot as usize]);
            for (position, one) in blocks().enumerate().filter(|(_, block)| *block != HELD) {
                let others = blocks().take(position).filter(|block| *block != HELD);
                pairs.extend(others.map(|other| (one.max(other), one.min(other))));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Refuses a graph with variables that nothing ties to the map.
    ///
    /// # Errors
    /// When variables are connected neither to a held one nor to a factor that is absolute.
    pub fn check_anchors(&self, keys: &[Key]) -> Result<()> {
        let mut components = Components::new(self.block_of_slot.len());
        for factor in 0..self.factor_count() {
            let slots = self.slots(factor);
            slots.windows(2).for_each(|pair| components.join(pair[0], pair[1]));
            if let (true, Some(first)) = (self.absolute[factor], slots.first()) {
                components.anchor(*first);
            }
        }
        let held = self.block_of_slot.iter().enumerate().filter(|(_, block)| **block == HELD);
        held.for_each(|(slot, _)| components.anchor(slot as u32));
        components.check_anchors(keys)
    }
}
