//! Progress on standard error: one changing line on a terminal, otherwise a line per step.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A changing line changes this often.
const PERIOD: Duration = Duration::from_millis(200);

/// Where progress is told.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    step: String,
    drawn: Option<Instant>,
}

impl Progress {
    /// Tells progress on standard error.
    pub fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            step: String::new(),
            drawn: None,
        }
    }

    /// A new step begins.
    pub fn step(&mut self, step: impl Into<String>) {
        self.step = step.into();
        self.drawn = None;
        if self.terminal {
            self.draw("");
        } else {
            eprintln!("{}", self.step);
        }
    }

    /// So much of the step is done.
    pub fn done(&mut self, done: usize, of: usize) {
        if self.terminal && self.drawn.is_none_or(|drawn| drawn.elapsed() > PERIOD) {
            self.drawn = Some(Instant::now());
            self.draw(&format!(" {done}/{of}"));
        }
    }

    /// Something is worth a line that stays.
    pub fn say(&mut self, line: &str) {
        self.clear();
        eprintln!("{line}");
    }

    /// Removes the changing line.
    pub fn clear(&mut self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    fn draw(&self, detail: &str) {
        eprint!("\r\x1b[K{}{detail}", self.step);
        // Progress that cannot be written is no reason to stop.
        let _ = std::io::stderr().flush();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
