//! `berth demo` as a process: what it says where there is no terminal, and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{self, Child, ChildStderr, ChildStdout, Command, Stdio};

/// A demonstration, killed when this value is dropped, and a directory for its files.
struct Demo {
    process: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    directory: PathBuf,
}

impl Demo {
    fn start(test: &str, arguments: &[&str]) -> Self {
        let directory = env::temp_dir().join(format!("berth-demo-{test}-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["demo", "--nodes", "12"])
            .args(arguments)
            .env("TMPDIR", &directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdout: BufReader::new(process.stdout.take().unwrap()),
            stderr: BufReader::new(process.stderr.take().unwrap()),
            process,
            directory,
        }
    }

    /// Reads stdout until a line begins so.
    fn wait_for(&mut self, begin: &str) -> String {
        let mut line = String::new();
        while !line.starts_with(begin) {
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "no {begin}");
        }
        line
    }

    /// Sends the process a signal.
    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// The exit code and what else was written. No file may be left.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let code = self.process.wait().unwrap().code();
        let left = fs::read_dir(&self.directory).unwrap().count();
        assert_eq!(left, 0, "files are left in {}", self.directory.display());
        (code, stdout, stderr)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn without_a_terminal_it_is_plain_text() {
    let (code, stdout, stderr) = Demo::start("plain", &["--pods", "20", "--over", "0"]).end();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.starts_with("KIND             PODS  PLACED  PENDING\n"),
        "{stdout}"
    );
    assert!(stdout.contains("\n20 pods placed in "), "{stdout}");
    let why = "1: 0/20 nodes are available: 1 node(s) were unschedulable, 11 Insufficient nvidia.com/gpu, 8 node(s) had untolerated taint(s).";
    assert!(stdout.contains(why), "{stdout}");
    assert!(
        stdout.contains("\nGANG             PODS   BOUND\n"),
        "{stdout}"
    );
    for line in [
        "\ntrain-huge          8       0  0/4 nodes are available: 4 Insufficient nvidia.com/gpu. gang default/train-huge: 0 of 8 members fit; ",
        "no node has 16 nvidia.com/gpu (largest 8)\n",
        "s, when train-1 had ended",
        "s, when train-2 had ended",
        " s later for train-urgent\n",
        " had been evicted for it\n",
        "\n6 gangs: 5 whole, 0 in part, 1 waiting; ",
    ] {
        assert!(stdout.contains(line), "{line} in {stdout}");
    }
    assert!(
        stderr.starts_with("a cluster on http://127.0.0.1:"),
        "{stderr}"
    );
    for text in [stdout, stderr] {
        assert!(!text.contains(['\r', '\x1b']), "{text:?}");
    }
}

#[test]
fn without_gangs_there_are_no_racks() {
    let (code, stdout, stderr) =
        Demo::start("none", &["--pods", "20", "--over", "0", "--gangs", "0"]).end();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let why = "1: 0/12 nodes are available: 1 node(s) were unschedulable, 11 Insufficient nvidia.com/gpu.";
    assert!(stdout.contains(why), "{stdout}");
    assert!(!stdout.to_lowercase().contains("gang"), "{stdout}");
    assert!(stderr.ends_with(": 12 nodes in 3 zones\n\n"), "{stderr}");
}

#[test]
fn a_signal_in_the_middle_is_no_success() {
    for signal in ["INT", "TERM"] {
        let mut demo = Demo::start(signal, &["--pods", "1000", "--over", "15", "--serve"]);
        let mut line = String::new();
        demo.stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with("a cluster on "), "{line}");
        assert_eq!(
            fs::read_dir(&demo.directory).unwrap().count(),
            1,
            "no kubeconfig"
        );
        demo.signal(signal);
        let (code, stdout, stderr) = demo.end();
        assert_eq!(code, Some(1), "{stdout}{stderr}");
        assert_eq!(
            (&*stdout, &*stderr),
            ("", "error: stopped before all pods were placed\n")
        );
    }
}

#[test]
fn a_cluster_that_is_served_stays_until_a_signal() {
    for signal in ["INT", "TERM"] {
        let test = format!("serve-{signal}");
        let mut demo = Demo::start(&test, &["--pods", "5", "--over", "0", "--serve"]);
        let line = demo.wait_for("  export KUBECONFIG=");
        let path = line.trim().strip_prefix("export KUBECONFIG=").unwrap();
        assert!(fs::read_to_string(path).unwrap().contains("127.0.0.1"));
        demo.wait_for("  curl ");
        demo.signal(signal);
        let (code, stdout, stderr) = demo.end();
        assert_eq!((code, &*stdout), (Some(0), ""), "{stderr}");
    }
}
