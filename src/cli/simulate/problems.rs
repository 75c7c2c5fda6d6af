//! What is wrong with the input: as many lines as somebody reads, and how many there are.

use std::fmt;
use std::sync::Arc;

/// So many problems are listed; who has more mends these first.
const LISTED: usize = 10;
/// A line is cut off here: some libraries repeat the input.
const LINE_CHARS: usize = 400;

/// The problems, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    lines: Vec<String>,
    count: usize,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file.
    pub(super) file: Arc<str>,
    /// The document in the file, from 1 on.
    pub(super) document: usize,
    /// Where in the document; empty for all of it.
    pub(super) path: String,
}

// === impl Problems ===

impl Problems {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn add(&mut self, line: String) {
        self.count += 1;
        if self.lines.len() < LISTED {
            let words: Vec<&str> = line.split_whitespace().collect();
            let mut line = words.join(" ");
            if let Some((end, _)) = line.char_indices().nth(LINE_CHARS) {
                line.truncate(end);
                line.push('…');
            }
            // What is printed on a terminal must not be able to steer it.
            self.lines.push(line.replace(char::is_control, "\u{fffd}"));
        }
    }

    /// Something at `place`, or at `path` inside of it, is wrong.
    pub(super) fn at(&mut self, place: &Place, path: &str, reason: impl fmt::Display) {
        let place = place.join(path);
        self.add(format!("{place}: {reason}"));
    }

    /// Adds the problems of another list behind these.
    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count.saturating_sub(other.lines.len());
        other.lines.into_iter().for_each(|line| self.add(line));
    }

    /// The lines, and a summary when there are several.
    pub(super) fn into_lines(self) -> (Vec<String>, String) {
        let summary = match self.count {
            0 | 1 => String::new(),
            count if count > self.lines.len() => format!(
                "{count} problems in the input, of which the first {LISTED} are listed; nothing was simulated"
            ),
            count => format!("{count} problems in the input; nothing was simulated"),
        };
        (self.lines, summary)
    }
}

// === impl Place ===

impl Place {
    /// The place of something inside this one.
    pub(super) fn join(&self, path: &str) -> Self {
        let dot = if self.path.is_empty() || path.is_empty() {
            ""
        } else {
            "."
        };
        Self {
            path: format!("{}{dot}{path}", self.path),
            ..self.clone()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: document {}", self.file, self.document)?;
        if !self.path.is_empty() {
            write!(formatter, ": {}", self.path)?;
        }
        Ok(())
    }
}
