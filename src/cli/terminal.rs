//! What the terminal is able to show.

use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};

/// Text is not squeezed into fewer columns than this.
const NARROWEST: usize = 20;

/// Whether it is a terminal whose user has not asked for plain text (<https://no-color.org>).
pub(super) fn colours(output: &impl IsTerminal) -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unable = env::var_os("TERM").is_some_and(|value| value == "dumb");
    output.is_terminal() && !unwanted && !unable
}

/// How wide it is, if it is a terminal.
pub(super) fn columns(output: &impl AsFd) -> Option<usize> {
    terminal_size_of(output).map(|(Width(columns), _)| columns.into())
}

/// The text broken between words, for lines that begin at column `indent`; as it is without
/// columns.
pub(super) fn wrap(text: &str, indent: usize, columns: Option<usize>) -> String {
    let Some(columns) = columns else {
        return text.to_owned();
    };
    let room = columns.saturating_sub(indent).max(NARROWEST);
    let mut wrapped = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += length;
    }
    wrapped
}
