//! What was found: printed, kept from run to run, and written into the document.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::comparison::Rounds;
use crate::machine;
use crate::rows::{Extent, RowName};

/// What stands between these in the document is written anew.
const BEGIN: &str = "<!-- measured by ./bench -->";
const END: &str = "<!-- end of what ./bench measured -->";

/// What a row found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    lines: Vec<Line>,
    notes: Vec<String>,
}

/// One comparison, or one number that stands alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    what: String,
    ours: String,
    floor: String,
    ratio: String,
    reach: String,
    holds: Option<bool>,
}

/// What is aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

impl Reach {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

impl Measured {
    /// Two sides that took turns; the reach, if there is one, is that of the ratio.
    pub(crate) fn compare(
        &mut self,
        what: impl Into<String>,
        unit: &str,
        (ours, floor): (&Rounds, &Rounds),
        reach: Option<Reach>,
    ) {
        let ratio = ours.by(floor);
        self.lines.push(Line {
            what: what.into(),
            ours: format!("{ours} {unit}"),
            floor: format!("{floor} {unit}"),
            ratio: ratio.to_string(),
            reach: reach.map(|reach| reach.to_string()).unwrap_or_default(),
            holds: reach.map(|reach| reach.holds(ratio.median())),
        });
    }

    /// A number that stands alone; the reach is its own.
    pub(crate) fn alone(
        &mut self,
        what: impl Into<String>,
        unit: &str,
        rounds: &Rounds,
        reach: Option<Reach>,
    ) {
        self.lines.push(Line {
            what: what.into(),
            ours: format!("{rounds} {unit}"),
            floor: String::new(),
            ratio: String::new(),
            reach: reach.map(|reach| format!("{reach} {unit}")).unwrap_or_default(),
            holds: reach.map(|reach| reach.holds(rounds.median())),
        });
    }

    /// What is measured beside, on the floor's side.
    pub(crate) fn beside(&mut self, what: impl Into<String>, unit: &str, rounds: &Rounds) {
        self.lines.push(Line {
            what: what.into(),
            ours: String::new(),
            floor: format!("{rounds} {unit}"),
            ratio: String::new(),
            reach: String::new(),
            holds: None,
        });
    }

    /// A sentence about it.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// A table in Markdown, and the notes below it.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | Trunkline | floor | ratio | reach | |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for line in &self.lines {
            let holds = match line.holds {
                Some(true) => "holds",
                Some(false) => "**not reached**",
                None => "",
            };
            let Line {
                what,
                ours,
                floor,
                ratio,
                reach,
                ..
            } = line;
            writeln!(f, "| {what} | {ours} | {floor} | {ratio} | {reach} | {holds} |")?;
        }
        for note in &self.notes {
            write!(f, "\n{note}\n")?;
        }
        Ok(())
    }
}

/// A row with what it was measured of.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    measured: Measured,
    at: DateTime<Utc>,
    commit: String,
    command: String,
    machine: String,
}

/// The rows that were measured, in this run or an earlier one.
pub(crate) struct Results {
    folder: PathBuf,
    extent: Extent,
    built: String,
    rows: BTreeMap<RowName, Kept>,
}

impl Results {
    /// With what earlier runs have left in the folder.
    pub(crate) fn open(folder: &Path, extent: Extent, built: String) -> Self {
        fs::create_dir_all(folder).unwrap();
        let kept = RowName::ALL.into_iter().filter_map(|name| {
            let text = fs::read(file(folder, name)).ok()?;
            Some((name, serde_json::from_slice(&text).unwrap()))
        });
        Self {
            rows: kept.collect(),
            folder: folder.to_owned(),
            extent,
            built,
        }
    }

    /// Keeps a row for this run and, unless it was a quick one, for later ones.
    pub(crate) fn keep(&mut self, name: RowName, measured: Measured) {
        let kept = Kept {
            measured,
            at: Utc::now(),
            commit: machine::commit(),
            command: format!("./bench {}", name.argument()),
            machine: format!("{}, {}", self.built, machine::describe()),
        };
        if !self.extent.quick {
            let json = serde_json::to_vec_pretty(&kept).unwrap();
            fs::write(file(&self.folder, name), json).unwrap();
        }
        self.rows.insert(name, kept);
    }

    /// Writes all rows into the document, between its marks.
    pub(crate) fn write(&self, document: &Path) {
        let old = fs::read_to_string(document).unwrap();
        let (before, rest) = old
            .split_once(BEGIN)
            .expect("the document has no mark to write behind");
        let (_, after) = rest
            .split_once(END)
            .expect("the document has no mark to write before");
        let mut text = String::new();
        for (name, kept) in &self.rows {
            let Kept {
                measured,
                at,
                commit,
                command,
                machine,
            } = kept;
            let part = format!(
                "\n## {}\n\n{measured}\n`{command}`, commit {commit}, {}, {machine}.\n",
                name.title(),
                at.format("%Y-%m-%d %H:%M UTC")
            );
            text.push_str(&part);
        }
        fs::write(document, format!("{before}{BEGIN}\n{text}\n{END}{after}")).unwrap();
    }
}

fn file(folder: &Path, name: RowName) -> PathBuf {
    folder.join(format!("{}.json", name.argument()))
}
