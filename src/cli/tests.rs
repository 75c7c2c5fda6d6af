#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use super::kubeconfig::Source;
use super::*;

mod configuration;

/// What becomes of arguments before anything is started: `Ok`, or the exit code and the message.
fn outcome(arguments: &[&str]) -> Result<Command, (u8, String)> {
    let arguments = ["berth"].iter().chain(arguments);
    let command = parse(arguments)
        .map_err(|error| (u8::try_from(error.exit_code()).unwrap(), error.to_string()))?;
    if let Command::Run(arguments) = &command {
        arguments
            .settings()
            .map_err(Failure::Input)
            .map_err(|failure| (failure.exit_code(), failure.line()))?;
    }
    Ok(command)
}

/// The arguments are accepted, and these words are in what was understood.
#[track_caller]
fn accepts(arguments: &[&str], expected: &[&str]) {
    let command = match outcome(arguments) {
        Ok(command) => format!("{command:?}"),
        Err(error) => panic!("{arguments:?}: {error:?}"),
    };
    for expected in expected {
        assert!(
            command.contains(expected),
            "{arguments:?}: no {expected} in {command}"
        );
    }
}

/// The arguments are rejected with this exit code, and these words are in the message.
#[track_caller]
fn rejects(arguments: &[&str], code: u8, expected: &[&str]) {
    match outcome(arguments) {
        Ok(command) => panic!("{arguments:?}: {command:?}"),
        Err((found, text)) => {
            assert_eq!(found, code, "{arguments:?}: {text}");
            for expected in expected {
                assert!(
                    text.contains(expected),
                    "{arguments:?}: no {expected} in {text}"
                );
            }
        }
    }
}

#[test]
fn run_has_defaults_and_flags() {
    accepts(
        &["run"],
        &[
            "kubeconfig: None",
            r#"scheduler_name: ["berth"]"#,
            "http_address: 127.0.0.1:10251",
            "leader_elect: None",
            "log_format: Text",
        ],
    );
    accepts(
        &[
            "run",
            "--kubeconfig",
            "/etc/k",
            "--http-address=[::]:80",
            "--log-format",
            "json",
        ],
        &[
            r#"kubeconfig: Some("/etc/k")"#,
            "http_address: [::]:80",
            "log_format: Json",
        ],
    );
    let names = [
        "run",
        "--scheduler-name",
        "a.b-c.9",
        "--scheduler-name=default-scheduler",
    ];
    accepts(
        &names,
        &[r#"scheduler_name: ["a.b-c.9", "default-scheduler"]"#],
    );
    for (arguments, expected) in [
        (&["--leader-elect"][..], "leader_elect: Some(true)"),
        (&["--leader-elect=false"], "leader_elect: Some(false)"),
        (&["--leader-elect=false", "--leader-elect"], "Some(true)"),
        (&["--leader-elect-retry-period=500ms"], "Some(500ms)"),
        (&["--leader-elect-resource-name=x"], r#"Some("x")"#),
        // Nothing is asked of an election that does not take place.
        (
            &["--leader-elect=false", "--leader-elect-lease-duration=1s"],
            "Some(1s)",
        ),
    ] {
        accepts(&[&["run"], arguments].concat(), &[expected]);
    }
}

#[test]
fn wrong_input_is_named_and_ends_with_2() {
    for (argument, expected) in [
        ("--leader-elect-lease-duration=10s", "must be greater than"),
        (
            "--leader-elect-renew-deadline=2400ms",
            "--leader-elect-renew-deadline",
        ),
        ("--leader-elect-retry-period=0", "must be greater than zero"),
        ("--leader-elect-retry-period=fast", "write it as"),
        ("--leader-elect-lease-duration=-15s", "write it as"),
        ("--leader-elect-resource-name=A/b", "lower case letters"),
        ("--leader-elect-resource-namespace=", "may not be empty"),
    ] {
        rejects(&["run", argument], 2, &["--leader-elect-", expected]);
    }
    rejects(
        &["run", "--leader-elect=maybe"],
        2,
        &["maybe", "--leader-elect"],
    );
    let twice = [
        "run",
        "--scheduler-name=a",
        "--scheduler-name=b",
        "--scheduler-name=a",
    ];
    rejects(&twice, 2, &["--scheduler-name a is given twice"]);
    rejects(
        &["run", "--scheduler-name="],
        2,
        &["--scheduler-name", "may not be empty"],
    );
    let long = "a".repeat(254);
    for name in [
        "Berth",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a_b",
        "a b",
        "ä",
        long.as_str(),
    ] {
        let flag = format!("--scheduler-name={name}");
        rejects(
            &["run", &flag],
            2,
            &["--scheduler-name", "at most 253 lower case letters"],
        );
    }
    for address in ["10251", "localhost:10251", ":10251", "1.2.3.4:99999"] {
        rejects(
            &["run", "--http-address", address],
            2,
            &["--http-address", address, "0.0.0.0:10251"],
        );
    }
    rejects(&["run", "--log-format", "xml"], 2, &["xml", "text", "json"]);
    rejects(&["version", "-o", "yaml"], 2, &["yaml", "text", "json"]);
    rejects(&["run", "--qps=50"], 2, &["--qps"]);
    rejects(&["run", "pod"], 2, &["pod"]);
    rejects(&["walk"], 2, &["walk"]);
    rejects(&["simulate"], 2, &["FILE"]);
    rejects(&["simulate", "-o", "yaml", "a"], 2, &["table", "json"]);
    rejects(
        &["simulate", "--scheduler-name=", "a"],
        2,
        &["may not be empty"],
    );
    rejects(&["completions", "tcsh"], 2, &["bash", "elvish"]);
}

#[test]
fn help_has_examples_and_exit_codes() {
    rejects(&[], 2, &["Usage: berth", "Exit codes:"]);
    for flag in ["-h", "--help"] {
        let expected = [
            "Usage: berth",
            "Examples:",
            "berth run --kubeconfig",
            "Exit codes:",
        ];
        rejects(&[flag], 0, &expected);
    }
    rejects(
        &["run", "--help"],
        0,
        &["--http-address", "0.0.0.0:10251", "$KUBECONFIG"],
    );
    for command in [
        "demo",
        "run",
        "simulate",
        "check-config",
        "completions",
        "version",
    ] {
        let example = format!("Examples:\n  berth {command}");
        let example = match command {
            "completions" => "Examples:\n  source <(berth completions bash)",
            _ => &example,
        };
        rejects(&[command, "--help"], 0, &[example]);
    }
    rejects(
        &["--version"],
        0,
        &[concat!("berth ", env!("CARGO_PKG_VERSION"))],
    );
}

#[test]
fn versions() {
    for (arguments, expected) in [
        (
            &["version"][..],
            concat!("berth ", env!("CARGO_PKG_VERSION"), " (Kubernetes 1.37, "),
        ),
        (
            &["version", "-o", "json"],
            r#"{"kubernetes":"1.37","platform":""#,
        ),
    ] {
        match outcome(arguments) {
            Ok(Command::Version(arguments)) => {
                let text = version::text(&arguments);
                assert!(text.starts_with(expected), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn simulate_has_defaults_and_flags() {
    accepts(
        &["simulate", "a", "-"],
        &[
            r#"files: ["a", "-"]"#,
            "output: Table",
            "scheduler_name: []",
        ],
    );
    accepts(
        &["simulate", "-o=json", "--scheduler-name=b", "a"],
        &["output: Json", r#"scheduler_name: ["b"]"#],
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        match outcome(&["completions", shell]) {
            Ok(Command::Completions(arguments)) => {
                let script = String::from_utf8(completions::script(&arguments)).unwrap();
                for word in ["simulate", "scheduler-name"] {
                    assert!(script.contains(word), "{shell}: no {word}");
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_cluster_is_found_in_kubectls_order() {
    let path = |path: &str| Some(PathBuf::from(path));
    let choose = |flag, variable: &str, home| {
        Source::choose(
            flag,
            Some(variable.into()).filter(|_| variable != "unset"),
            home,
        )
    };
    let variable = Source::Variable("v1:v2".into());
    for (found, expected) in [
        (
            choose(path("f"), "v1:v2", path("h")),
            Source::Flag("f".into()),
        ),
        (choose(None, "v1:v2", path("h")), variable),
        (choose(None, "", path("h")), Source::Home("h".into())),
        (choose(None, ":", path("h")), Source::Home("h".into())),
        (choose(None, "unset", path("h")), Source::Home("h".into())),
        (choose(None, "unset", None), Source::Cluster),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_bad_kubeconfig_is_named_in_one_line() {
    let directory = std::env::temp_dir().join(format!("berth-cli-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let good = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                users: [{name: u, user: {}}]\n\
                contexts: [{name: x, context: {cluster: c, user: u}}]\n";
    let with = |current: &str| format!("{good}current-context: {current}\n");
    for (name, content, expected) in [
        ("good", Some(with("x")), None),
        ("missing", None, Some(["No such file", "name a file"])),
        (
            "not-yaml",
            Some("{[\n\n}".to_owned()),
            Some(["it is not understood: line 1", "kubectl config view"]),
        ),
        (
            "empty",
            Some(String::new()),
            Some(["no current-context", "kubectl config use-context"]),
        ),
        (
            "unset",
            Some(good.to_owned()),
            Some(["no current-context", "use-context"]),
        ),
        (
            "unknown",
            Some(with("y")),
            Some(["no context named \"y\"", "use-context"]),
        ),
        (
            "no-cluster",
            Some(with("x").replace("cluster: c,", "cluster: d,")),
            Some(["no cluster named \"d\"", "kubectl config set-cluster"]),
        ),
        (
            "no-url",
            Some(with("x").replace("https://127.0.0.1:1", "::")),
            Some(["cluster url", "kubectl config view"]),
        ),
    ] {
        let path = directory.join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let loaded = runtime.block_on(kubeconfig::load(&Source::Flag(path.clone())));
        let line = loaded
            .map_err(|error| Failure::Input(error).line())
            .map(drop);
        match expected {
            None => assert_eq!(line, Ok(())),
            Some(expected) => {
                let line = line.unwrap_err();
                let begin = format!("cannot use --kubeconfig {}: ", path.display());
                assert!(line.starts_with(&begin) && !line.contains('\n'), "{line}");
                assert!(!line.contains("hidden"), "{line}");
                assert!(
                    expected.iter().all(|text| line.contains(text)),
                    "{name}: {line}"
                );
            }
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn failures_have_one_line_and_a_code() {
    let chain = || anyhow::anyhow!("why\n  | excerpt\n").context("what");
    let input = Failure::Input(chain());
    assert_eq!(
        (input.exit_code(), input.line().as_str()),
        (2, "what: why | excerpt")
    );
    assert_eq!(Failure::Running(chain()).exit_code(), 1);
}
