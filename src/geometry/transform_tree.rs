//! The tree of coordinate frames that `/tf` and `/tf_static` describe, with a bounded history of each moving edge.
//!
//! Data in: edges `parent_from_child` with the stamp they are true for. Data out: `target_from_source` at a stamp,
//! each moving edge interpolated there. Nothing is extrapolated and nothing is guessed: a frame that is unknown, two
//! frames without a common ancestor, and a stamp outside of an edge's history are each their own error. A stamp that
//! jumps back by more than the history (a looping bag, a restarted simulation) clears every moving edge: what came
//! before belongs to another run. Names follow tf2: a leading `/` is dropped, a frame has one parent at a time.
//!
//! Anybody may send transforms, so frames, their names and the poses of each are limited: see the constants of
//! [`TransformTree`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Se3, TransformError};
use crate::Stamp;

/// What became of an inserted transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It is part of the tree.
    Added,
    /// Its stamp jumped back by more than the history: every moving edge was cleared, then it was added.
    ClearedAndAdded,
}

#[derive(Clone, Debug)]
enum Motion {
    Fixed(Se3),
    /// In time order, never empty.
    Moving(VecDeque<(Stamp, Se3)>),
}

#[derive(Clone, Debug)]
struct Edge {
    parent: String,
    motion: Motion,
}

/// Frames and the transforms between them. See the module's text.
#[derive(Clone, Debug)]
pub struct TransformTree {
    history: Duration,
    /// By child frame.
    edges: HashMap<String, Edge>,
}

impl Default for TransformTree {
    /// Ten seconds of history, as tf2 keeps.
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl TransformTree {
    /// Most frames with a parent. Humanoids have some two hundred; a new frame beyond it is refused.
    pub const MAX_FRAMES: usize = 1024;
    /// Most poses that are kept of a moving frame: ten seconds at 400 Hz. Beyond it the oldest are forgotten.
    pub const MAX_POSES: usize = 4096;
    /// Longest name of a frame, bytes.
    pub const MAX_NAME: usize = 256;

    /// An empty tree that keeps `history` of each moving edge.
    pub fn new(history: Duration) -> Self {
        Self { history, edges: HashMap::new() }
    }

    /// Keeps this much of each moving edge from now on.
    pub fn set_history(&mut self, history: Duration) {
        self.history = history;
    }

    /// Adds `parent_from_child`, true at `stamp`, or always when `is_static`.
    ///
    /// A late transform is sorted in; one with a known stamp replaces it; a new parent replaces the old one.
    ///
    /// # Errors
    /// [`TransformError::Refused`] for an empty or overlong name, a transform that is not plausible
    /// ([`Se3::is_plausible`]), an edge that would close a circle, or a frame too many.
    pub fn insert(
        &mut self,
        parent: &str,
        child: &str,
        stamp: Stamp,
        parent_from_child: Se3,
        is_static: bool,
    ) -> Result<Insertion, TransformError> {
        let (parent, child) = (bare(parent), bare(child));
        self.check(parent, child, parent_from_child)?;
        if is_static {
            self.edges.insert(child.into(), Edge { parent: parent.into(), motion: Motion::Fixed(parent_from_child) });
            return Ok(Insertion::Added);
        }
        let jumped_back = self.newest(child).is_some_and(|newest| stamp < newest - self.history);
        if jumped_back {
            self.clear();
        }
        match self.edges.get_mut(child) {
            Some(Edge { parent: known, motion: Motion::Moving(poses) }) if known == parent => {
                sort_in(poses, stamp, parent_from_child, self.history);
            }
            _ => {
                let motion = Motion::Moving(VecDeque::from([(stamp, parent_from_child)]));
                self.edges.insert(child.into(), Edge { parent: parent.into(), motion });
            }
        }
        Ok(if jumped_back { Insertion::ClearedAndAdded } else { Insertion::Added })
    }

    /// `target_from_source` at `stamp`: a point in `source` becomes the same point in `target`.
    ///
    /// # Errors
    /// Every kind of [`TransformError`] but `Refused`.
    pub fn lookup(&self, target: &str, source: &str, stamp: Stamp) -> Result<Se3, TransformError> {
        let (target_path, source_path) = self.paths(target, source)?;
        let root_from = |path: &[&str]| {
            path.iter()
                .try_fold(Se3::identity(), |frame_from_start, frame| Ok(self.edge_at(frame, stamp)? * frame_from_start))
        };
        Ok(root_from(&target_path)?.inverse() * root_from(&source_path)?)
    }

    /// The newest stamp at which `target_from_source` can be looked up; `None` when every edge between is static.
    ///
    /// # Errors
    /// [`TransformError::UnknownFrame`] and [`TransformError::NotConnected`].
    pub fn newest_common(&self, target: &str, source: &str) -> Result<Option<Stamp>, TransformError> {
        let (target_path, source_path) = self.paths(target, source)?;
        Ok(target_path.iter().chain(&source_path).filter_map(|frame| self.newest(frame)).min())
    }

    /// How many frames have a parent.
    pub fn frame_count(&self) -> usize {
        self.edges.len()
    }

    /// The parent of a frame; `None` for a root and for an unknown frame.
    pub fn parent(&self, frame: &str) -> Option<&str> {
        self.edges.get(bare(frame)).map(|edge| edge.parent.as_str())
    }

    /// Forgets every moving edge; static ones stay. For a clock that jumped.
    pub fn clear(&mut self) {
        self.edges.retain(|_, edge| matches!(edge.motion, Motion::Fixed(_)));
    }

    fn check(&self, parent: &str, child: &str, transform: Se3) -> Result<(), TransformError> {
        let refuse = |expected, found: String| {
            Err(TransformError::Refused { parent: shortened(parent), child: shortened(child), expected, found })
        };
        if parent.is_empty() || child.is_empty() {
            return refuse("two frame names", "an empty one".into());
        }
        let longest = parent.len().max(child.len());
        if longest > Self::MAX_NAME {
            return refuse("names of at most 256 bytes", format!("{longest} bytes"));
        }
        if !transform.is_plausible() {
            return refuse("finite numbers and at most 1e9 m", format!("{transform:?}"));
        }
        if self.edges.len() >= Self::MAX_FRAMES && !self.edges.contains_key(child) {
            return refuse("at most 1024 frames", "one more".into());
        }
        let ancestors = self.ancestors(parent);
        if ancestors.contains(&child) {
            return refuse("a tree", format!("the circle {child} <- {}", ancestors.join(" <- ")));
        }
        Ok(())
    }

    /// `frame`, its parent, and so on to the root. Finite, as no edge closes a circle.
    fn ancestors<'a>(&'a self, frame: &'a str) -> Vec<&'a str> {
        std::iter::successors(Some(frame), |frame| self.parent(frame)).collect()
    }

    /// The frames whose edges lead from `target` and from `source` up to their nearest common ancestor.
    fn paths<'a>(&'a self, target: &'a str, source: &'a str) -> Result<(Vec<&'a str>, Vec<&'a str>), TransformError> {
        let (target, source) = (bare(target), bare(source));
        for frame in [target, source] {
            if !self.knows(frame) {
                return Err(TransformError::UnknownFrame { frame: shortened(frame), known: self.known() });
            }
        }
        let (mut up, mut down) = (self.ancestors(target), self.ancestors(source));
        let (target_root, source_root) = (up[up.len() - 1], down[down.len() - 1]);
        if target_root != source_root {
            return Err(TransformError::NotConnected {
                target: target.into(),
                source_frame: source.into(),
                target_root: target_root.into(),
                source_root: source_root.into(),
            });
        }
        while let (Some(a), Some(b)) = (up.last(), down.last()) {
            if a != b {
                break;
            }
            up.pop();
            down.pop();
        }
        Ok((up, down))
    }

    /// `parent_from_child` of the edge above `child`, at `stamp`.
    fn edge_at(&self, child: &str, stamp: Stamp) -> Result<Se3, TransformError> {
        let edge = &self.edges[child];
        let poses = match &edge.motion {
            Motion::Fixed(pose) => return Ok(*pose),
            Motion::Moving(poses) => poses,
        };
        let (parent, child) = (edge.parent.clone(), child.to_owned());
        let after = poses.partition_point(|(at, _)| *at < stamp);
        match (after.checked_sub(1).map(|before| poses[before]), poses.get(after)) {
            (_, Some((at, pose))) if *at == stamp => Ok(*pose),
            (Some((earlier, from)), Some((later, to))) => {
                let ratio = stamp.nanos_since(earlier) as f64 / later.nanos_since(earlier) as f64;
                Ok(from.interpolate(*to, ratio))
            }
            (Some((newest, _)), None) => Err(TransformError::ExtrapolationIntoFuture { parent, child, stamp, newest }),
            (None, _) => Err(TransformError::ExtrapolationIntoPast { parent, child, stamp, oldest: poses[0].0 }),
        }
    }

    fn newest(&self, child: &str) -> Option<Stamp> {
        match &self.edges.get(child)?.motion {
            Motion::Fixed(_) => None,
            Motion::Moving(poses) => poses.back().map(|(stamp, _)| *stamp),
        }
    }

    fn knows(&self, frame: &str) -> bool {
        self.edges.contains_key(frame) || self.edges.values().any(|edge| edge.parent == frame)
    }

    fn known(&self) -> String {
        let names = self.edges.iter().flat_map(|(child, edge)| [child.as_str(), edge.parent.as_str()]);
        let sorted: std::collections::BTreeSet<&str> = names.collect();
        let mut listed: Vec<&str> = sorted.iter().copied().take(LISTED_FRAMES).collect();
        let more = format!("{} more", sorted.len() - listed.len());
        if sorted.len() > LISTED_FRAMES {
            listed.push(&more);
        }
        if listed.is_empty() { "none".into() } else { listed.join(", ") }
    }
}

/// So many frames an error lists.
const LISTED_FRAMES: usize = 50;
/// So many characters of a name an error shows.
const SHOWN_NAME: usize = 64;

/// A name that somebody sent, for an error.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(SHOWN_NAME) {
        None => name.into(),
        Some((end, _)) => format!("{}...", &name[..end]),
    }
}

fn bare(frame: &str) -> &str {
    frame.strip_prefix('/').unwrap_or(frame)
}

fn sort_in(poses: &mut VecDeque<(Stamp, Se3)>, stamp: Stamp, pose: Se3, history: Duration) {
    let after = poses.partition_point(|(at, _)| *at < stamp);
    match poses.get_mut(after) {
        Some((at, known)) if *at == stamp => *known = pose,
        _ => poses.insert(after, (stamp, pose)),
    }
    let oldest = poses[poses.len() - 1].0 - history;
    while poses[0].0 < oldest || poses.len() > TransformTree::MAX_POSES {
        poses.pop_front();
    }
}
