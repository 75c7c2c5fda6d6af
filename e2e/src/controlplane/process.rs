//! Child processes that never outlive this process.
//!
//! Each child runs under a small shell, its guard. The guard holds the reading end of a pipe whose only writer is this
//! process: lines on it are names of signals for the child, and its end means that we are gone, however that came about
//! (a return from `main` that dropped nothing, a panic, SIGKILL), upon which the guard kills the child. This needs
//! neither `unsafe` code between fork and exec nor anything that only Linux has.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Starts "$@", reports its pid, passes on signals, and kills it when the pipe on standard input ends.
///
/// The shell's own errors go nowhere because some shells announce every killed job; the child keeps the log on 4.
const GUARD: &str = r#"
exec 3<&0 4>&2 </dev/null 2>/dev/null
"$@" >&4 2>&4 3<&- 4>&- &
pid=$!
exec 4>&-
echo "$pid"
(
  while read -r signal <&3; do kill "-$signal" "$pid"; done
  kill -KILL "$pid"
) >&- &
watcher=$!
exec 3<&-
wait "$pid"
status=$?
kill -KILL "$watcher"
exit "$status"
"#;

/// Removes the directory "$1" when the pipe on standard input ends. Children that are being killed at the same moment
/// may still write to it, hence the repetition.
const DIRECTORY_GUARD: &str = r#"
exec 2>/dev/null
while read -r _; do :; done
n=0
while [ "$n" -lt 100 ]; do
  rm -rf "$1" && [ ! -e "$1" ] && exit 0
  n=$((n + 1))
  sleep 0.1
done
exit 1
"#;

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(5);

/// A child process, killed when this value is dropped and when this process ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    guard: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `args`; what it writes to standard output and standard error is appended to `log`.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self> {
        if !program.is_file() {
            bail!("cannot start {name}: there is no {}", program.display());
        }
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            // A Ctrl-C in the terminal is for us alone; the children are then ended in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start a shell for {name}"))?;
        let mut line = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .with_context(|| format!("cannot read the pid of {name}"))?;
        }
        let pid = line
            .trim()
            .parse()
            .with_context(|| format!("the guard of {name} reported no pid but {line:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            guard,
            pid,
            log: log.to_owned(),
        })
    }

    /// The pid of the process itself (not of its guard).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The pid of the shell that guards the process.
    pub fn guard_pid(&self) -> u32 {
        self.guard.id()
    }

    /// What the process was called when it was started.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends the process a signal, named as for kill(1): `TERM`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        let Some(pipe) = self.guard.stdin.as_mut() else {
            bail!("{} was killed before", self.name);
        };
        pipe.write_all(format!("{signal}\n").as_bytes())
            .with_context(|| format!("cannot send SIG{signal} to {}", self.name))
    }

    /// The exit code if the process has ended: its own, or 128 and the number of the signal that ended it.
    pub fn try_wait(&mut self) -> Result<Option<i32>> {
        let status = self
            .guard
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(status.map(|status| status.code().unwrap_or(-1)))
    }

    /// Waits for the process to end and returns its exit code.
    pub async fn wait(&mut self, limit: Duration) -> Result<i32> {
        let start = Instant::now();
        loop {
            if let Some(code) = self.try_wait()? {
                return Ok(code);
            }
            if start.elapsed() > limit {
                bail!(
                    "{} still runs after {limit:?}; the end of its output:\n{}",
                    self.name,
                    self.tail(40)
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends SIGTERM, waits for the end and returns the exit code.
    pub async fn terminate(&mut self, limit: Duration) -> Result<i32> {
        if let Some(code) = self.try_wait()? {
            return Ok(code);
        }
        self.signal("TERM")?;
        self.wait(limit).await
    }

    /// Kills the process and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.guard.stdin.take());
        wait_blocking(&mut self.guard);
    }

    /// The file with everything that the process writes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that the process has written so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines that the process has written.
    pub fn tail(&self, lines: usize) -> String {
        let output = self.output();
        let all: Vec<&str> = output.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a guard whose pipe was closed, which is a matter of milliseconds.
fn wait_blocking(guard: &mut Child) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(15) {
        match guard.try_wait() {
            Ok(None) => std::thread::sleep(POLL),
            Ok(Some(_)) | Err(_) => return,
        }
    }
}

/// A private temporary directory that goes away with this value and with this process.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    guard: Child,
}

impl TempDir {
    /// Makes an empty directory that only the current user can read.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let parent = std::env::temp_dir();
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("berth-e2e-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("cannot make a directory in {}", parent.display())
                    });
                }
            }
        };
        let guard = Command::new("/bin/sh")
            .args(["-c", DIRECTORY_GUARD, "guard"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start a shell")?;
        Ok(Self { path, guard })
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        wait_blocking(&mut self.guard);
    }
}
