//! Logs: to stderr, as text for people or as JSON for collectors.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

#[cfg(test)]
mod tests;

/// What is logged unless `RUST_LOG` says otherwise.
///
/// The client library repeats the whole body of a reply it cannot decode at level warn, which for a
/// list of pods is many megabytes, and reports each failed request at error; whoever sent the
/// request counts and logs that. Its TLS warnings are kept. The others are noise at info.
const DEFAULT_FILTER: &str = "info,\
    kube_client=warn,kube_client::client=error,kube_client::client::builder=off,\
    kube_client::client::tls=warn,kube_runtime=error,\
    hyper=warn,hyper_util=warn,rustls=warn,tower=warn";

/// The environment variable that changes what is logged.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// `RUST_LOG` is not a list of directives.
    #[error(
        "{FILTER_VARIABLE}={value:?} is not understood: {reason}; \
         write for example {FILTER_VARIABLE}=info or {FILTER_VARIABLE}=berth=debug"
    )]
    Filter {
        /// What it holds.
        value: OsString,
        /// What is wrong with it.
        reason: String,
    },
    /// The process logs already.
    #[error("logging is set up already")]
    AlreadySet(#[source] TryInitError),
}

/// Sets up logging for the process: `RUST_LOG` is honoured, and adds to the defaults, so that
/// `RUST_LOG=debug` does not also turn on the noise of libraries (name them, as in
/// `RUST_LOG=debug,kube_client=debug`, to have it).
///
/// # Errors
///
/// When `RUST_LOG` cannot be read, or when logging is set up already.
pub fn init(format: LogFormat) -> Result<(), LoggingError> {
    let filter = filter(std::env::var_os(FILTER_VARIABLE))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(coloured());
    match format {
        LogFormat::Text => finish(logs.finish()),
        LogFormat::Json => finish(logs.json().flatten_event(true).finish()),
    }
}

fn finish(logs: impl Into<::tracing::Dispatch>) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    logs.try_init().map_err(LoggingError::AlreadySet)
}

/// Whether stderr is a terminal whose user has not asked for plain text (<https://no-color.org>).
fn coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unable = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stderr().is_terminal() && !unwanted && !unable
}

/// The default filter with the user's directives behind it, which thereby win.
fn filter(variable: Option<OsString>) -> Result<EnvFilter, LoggingError> {
    let value = variable.unwrap_or_default();
    let read = |value: &OsString| {
        let directives = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned())?;
        EnvFilter::builder()
            .parse(format!("{DEFAULT_FILTER},{directives}"))
            .map_err(|error| error.to_string())
    };
    read(&value).map_err(|reason| LoggingError::Filter { value, reason })
}
