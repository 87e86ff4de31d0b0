//! What is wrong with a config file, as its operator reads it: file, line, column, path, mend.
//!
//! Texts, not variants: nothing but a person ever branches on them, and each is written once, where
//! its cause is found. They name keys and quote values of the file, never the value of a secret.

use std::fmt;
use std::path::{Path, PathBuf};

/// A position in the file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// `None`: the file as a whole.
    pub place: Option<Place>,
    /// Like `routes[0].rules[2].require`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and how to mend it.
    pub text: String,
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(file: &Path, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            path: String::new(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.text)
    }
}

/// Why a file is not used: every reason at once, in the order of the file, never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// All of `problems`, sorted. An empty list would be an error without a reason, so it gets one.
    pub(super) fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        if problems.is_empty() {
            problems.push(Problem::of_file(
                file,
                "cannot be used, and Vestibule does not know why: please report this as a bug",
            ));
        }
        problems.sort_by_key(|problem| problem.place);
        Self(problems)
    }

    /// Each problem, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Errors {
    /// One line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Something that works but is unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
