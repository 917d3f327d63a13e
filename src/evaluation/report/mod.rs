//! A report that a person opens: one HTML file with tables, pictures and what they mean, and the same as files.
//!
//! Data in: an [`Evaluation`](super::Evaluation) with its results, or finished runs that are compared. Data out:
//! `report.html`, which holds all it shows and asks the network for nothing, and beside it every picture as SVG and
//! every table and curve as CSV. The parts:
//!
//! - [`Report`], [`Section`], [`Table`] and [`Figure`] are the content, whoever makes it.
//! - [`evaluated`] makes the sections of an evaluation; [`compared`] those of several [`Run`]s.
//! - [`worst_frames`], [`saliency`], [`embedding`] and [`points`] make those that need pixels or a network; their makers are
//!   elsewhere and hand over images and plain numbers.
//! - [`live`] draws what a node said over time, also where no truth is known.

mod claim_pictures;
mod cloud;
mod compare;
mod csv;
mod embedding;
mod error_pictures;
mod evaluated;
mod frames;
mod gallery;
mod heat;
mod latency;
mod live;
mod page;
mod place_pictures;
mod point_pictures;
mod points;
mod run;
mod states;
mod tables;

use std::path::Path;

use crate::{Error, Result};

pub use cloud::CloudPoint;
pub use compare::compared;
pub(in crate::evaluation) use csv::quoted;
pub use embedding::{Embedded, FrameSet, embedding};
pub use evaluated::evaluated;
pub use frames::{order_by_error, worst};
pub use gallery::{Exhibit, Gallery, SaliencyExhibit, saliency, worst_frames};
pub use heat::Heat;
pub use live::{Said, SaidPose, SaidState, live};
pub use place_pictures::fused;
pub use points::{Beliefs, Unanswered, points};
pub use run::Run;

/// The content of a report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The heading of the page.
    pub title: String,
    /// What there is to say first, a sentence each.
    pub lead: Vec<String>,
    /// The rest, in order.
    pub sections: Vec<Section>,
}

/// A part of a report under its heading.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What stands under it.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Table),
    /// A picture.
    Figure(Figure),
    /// Photographs in rows.
    Gallery(Gallery),
}

/// Rows under a head; the first cell of a row names it.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Name of its CSV file, without the ending.
    pub name: String,
    /// What it shows and how to read it.
    pub caption: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// The rows, as wide as the head.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neither.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// To be looked over: not the thing itself.
    Aside,
}

/// A drawn picture with its numbers.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Name of its files, without the ending.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The text of an SVG file.
    pub svg: String,
    /// The numbers that are drawn, as CSV (RFC 4180).
    pub csv: String,
}

impl Report {
    /// Writes `report.html` and, beside it, the SVG and CSV files of its pictures and tables into `folder`, which is
    /// created if need be.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io("write", &path))
        };
        for block in self.sections.iter().flat_map(|section| &section.blocks) {
            match block {
                Block::Figure(figure) => {
                    write(&format!("{}.svg", figure.name), &figure.svg)?;
                    write(&format!("{}.csv", figure.name), &figure.csv)?;
                }
                Block::Table(table) => write(&format!("{}.csv", table.name), &csv::of_table(table))?,
                Block::Gallery(gallery) => write(&format!("{}.csv", gallery.name), &gallery.csv)?,
                Block::Text(_) => {}
            }
        }
        write("report.html", &page::html(self))
    }
}

impl Section {
    /// A section without anything in it.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// The same with one piece more.
    pub fn with(mut self, block: impl Into<Block>) -> Self {
        self.blocks.push(block.into());
        self
    }
}

impl Cell {
    /// A cell that is neither good nor bad.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl From<String> for Block {
    fn from(text: String) -> Self {
        Block::Text(text)
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Block::Table(table)
    }
}

impl From<Figure> for Block {
    fn from(figure: Figure) -> Self {
        Block::Figure(figure)
    }
}

impl From<Gallery> for Block {
    fn from(gallery: Gallery) -> Self {
        Block::Gallery(gallery)
    }
}
