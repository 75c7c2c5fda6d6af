//! What the program says about wrong input: all of stderr, letter by letter. Nothing is on stdout, and the exit code
//! is 2.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// What each configuration file begins with.
const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n";

/// A directory of this test alone.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("berth-wrong-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), content).unwrap();
    }

    /// Runs the program here. No kubeconfig can be found, so that whatever is not refused fails otherwise.
    fn berth(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(arguments)
            .current_dir(&self.0)
            .env_clear()
            .env("HOME", &self.0)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], expected: &str) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.berth(arguments);
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(said, format!("error: {expected}\n"), "{arguments:?}");
        assert_eq!(status.code(), Some(2), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&stdout), "", "{arguments:?}");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is in the way of nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_to_simulate() {
    let directory = Directory::new();
    let no_quantity = "is not a quantity: expected a number, then at most one suffix or exponent, such as 500m, 1.5Gi or 2e3";
    for (name, content, expected) in [
        ("empty.yaml", String::new(), "it is empty".to_owned()),
        (
            "syntax.yaml",
            format!("{NODE}---\n{POD}spec: [\n"),
            "document 2: it is not YAML: unclosed bracket '[' at line 8".to_owned(),
        ),
        (
            "twice.yaml",
            format!("{POD}kind: Pod\n"),
            "document 1: it is not YAML: duplicate mapping key: kind not allowed here at line 4"
                .to_owned(),
        ),
        (
            "cut.json",
            "{\"apiVersion\": \"v1\",\n".to_owned(),
            "document 1: it is not JSON: EOF while parsing an object at line 2 column 0".to_owned(),
        ),
        (
            "kind.yaml",
            "apiVersion: v1\nmetadata: {name: x}\n".to_owned(),
            "document 1: kind is missing".to_owned(),
        ),
        (
            "name.yaml",
            POD.replace("name: p", "name: P"),
            "document 1: metadata.name: \"P\" is not a name: at most 253 lower case letters, \
             digits, '-' and '.'"
                .to_owned(),
        ),
        (
            "node-quantity.yaml",
            format!("{POD}---\n{NODE}status: {{allocatable: {{cpu: 4x}}}}\n"),
            format!("document 2: status.allocatable[cpu]: \"4x\" {no_quantity}"),
        ),
        (
            "pod-quantity.json",
            r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p"}, "spec": {"containers": [
                {"resources": {"requests": {"memory": "1GB"}}}]}}]}"#
                .to_owned(),
            format!(
                "document 1: items[0].spec.containers[0].resources.requests[memory]: \"1GB\" {no_quantity}"
            ),
        ),
        (
            "negative.yaml",
            format!("{NODE}status: {{allocatable: {{cpu: -1}}}}\n"),
            "document 1: status.allocatable[cpu]: \"-1\" is less than nothing".to_owned(),
        ),
        (
            "list.yaml",
            format!("{POD}spec: {{containers: {{name: main}}}}\n"),
            "document 1: spec.containers: expected a list, not an object".to_owned(),
        ),
        (
            "object.yaml",
            format!("{POD}spec: web\n"),
            "document 1: spec: expected an object, not \"web\"".to_owned(),
        ),
        (
            "number.yaml",
            format!("{POD}spec: {{priority: high}}\n"),
            "document 1: spec.priority: expected an integer of 32 bits, not \"high\"".to_owned(),
        ),
        (
            "large.yaml",
            format!("{POD}spec: {{priority: 5000000000}}\n"),
            "document 1: spec.priority: expected an integer of 32 bits, not 5000000000".to_owned(),
        ),
        (
            "boolean.yaml",
            format!("{NODE}spec: {{unschedulable: 1}}\n"),
            "document 1: spec.unschedulable: expected true or false, not 1".to_owned(),
        ),
        (
            "text.yaml",
            format!("{POD}spec: {{schedulerName: [a]}}\n"),
            "document 1: spec.schedulerName: expected a text, not a list".to_owned(),
        ),
        (
            "quotes.yaml",
            NODE.replace("name: a", "name: on"),
            "document 1: metadata.name: expected a text, not true; put it in quotes".to_owned(),
        ),
        (
            "node.yaml",
            format!("{POD}spec: {{nodeName: gone}}\n"),
            "document 1: spec.nodeName: there is no node \"gone\" in the input; add it".to_owned(),
        ),
        (
            "class.yaml",
            format!("{POD}spec: {{priorityClassName: high}}\n"),
            "document 1: spec.priorityClassName: no PriorityClass with name high in the input; \
             add it"
                .to_owned(),
        ),
    ] {
        directory.write(name, content);
        directory.check(&["simulate", name], &format!("{name}: {expected}"));
    }
    directory.write("binary", [0xff, 0xfe]);
    let not_text = "it is not UTF-8 text; save it as UTF-8";
    directory.check(&["simulate", "binary"], &format!("binary: {not_text}"));
    let missing = "cannot be read: No such file or directory (os error 2)";
    directory.check(&["simulate", "gone"], &format!("gone: {missing}"));
    let Output { status, stderr, .. } = directory.berth(&["simulate", "gone", "empty.yaml"]);
    let several = format!(
        "gone: {missing}\nempty.yaml: it is empty\nerror: 2 problems in the input; nothing was \
         simulated\n"
    );
    assert_eq!(String::from_utf8_lossy(&stderr), several);
    assert_eq!(status.code(), Some(2));
}

/// Everything that reads a configuration says the same about it, and starts nothing.
#[test]
fn configuration_files() {
    let directory = Directory::new();
    directory.write("objects.yaml", NODE);
    let check = |name: &str, expected: &str| {
        let expected = format!("{name}: {expected}");
        for arguments in [
            &["check-config", name][..],
            &["run", "--config", name],
            &["simulate", "--config", name, "objects.yaml"],
        ] {
            directory.check(arguments, &expected);
        }
    };
    for (name, body, expected) in [
        (
            "syntax.yaml",
            "profiles: [\n",
            "it is not YAML: unclosed bracket '[' at line 3, column 11",
        ),
        (
            "twice.yaml",
            "parallelism: 1\nparallelism: 2\n",
            "it is not YAML: duplicate mapping key: parallelism not allowed here at line 4, column 1",
        ),
        (
            "documents.yaml",
            "---\nkind: Pod\n",
            "it has several documents; a configuration is a single one",
        ),
        (
            "field.yaml",
            "profiles: [{plugins: {score: {enable: []}}}]\n",
            "profiles[0].plugins.score.enable: unknown field \"enable\"",
        ),
        (
            "plugin.yaml",
            "profiles: [{plugins: {score: {enabled: [{name: Foo}]}}}]\n",
            "profiles[0].plugins.score.enabled[0].name: plugin \"Foo\" does not exist",
        ),
        (
            "arguments-of.yaml",
            "profiles: [{pluginConfig: [{name: Foo, args: {}}]}]\n",
            "profiles[0].pluginConfig[0].name: plugin \"Foo\" does not exist",
        ),
        (
            "arguments.yaml",
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Foo}}}]}]\n",
            "profiles[0].pluginConfig[0].args.scoringStrategy.type: Unsupported value: \"Foo\": \
             supported values: \"LeastAllocated\", \"MostAllocated\", \"RequestedToCapacityRatio\"",
        ),
        (
            "arguments-field.yaml",
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {foo: 1}}]}]\n",
            "profiles[0].pluginConfig[0].args.foo: unknown field \"foo\"",
        ),
        (
            "weight.yaml",
            "profiles: [{plugins: {score: {enabled: [{name: ImageLocality, weight: -1}]}}}]\n",
            "profiles[0].plugins.score.enabled[0].weight: Invalid value: -1: must not be negative",
        ),
        (
            "value.yaml",
            "percentageOfNodesToScore: 101\n",
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
        ),
        (
            "type.yaml",
            "podInitialBackoffSeconds: fast\n",
            "podInitialBackoffSeconds: must be an integer, not \"fast\"",
        ),
        (
            "duration.yaml",
            "leaderElection: {leaseDuration: soon}\n",
            "leaderElection.leaseDuration: must be a duration such as 15s or 1m30s, not \"soon\"",
        ),
        (
            "extenders.yaml",
            "extenders: [{urlPrefix: 'http://x'}]\n",
            "extenders: extenders are not supported; remove them, and do with plugins what they do",
        ),
        (
            "several.yaml",
            "parallelism: 0\nfoo: 1\n",
            "2 errors:\n  parallelism: Invalid value: 0: should be an integer value greater than \
             zero\n  foo: unknown field \"foo\"",
        ),
    ] {
        directory.write(name, format!("{HEAD}{body}"));
        check(name, expected);
    }
    directory.write("pod.yaml", POD);
    check(
        "pod.yaml",
        "3 errors:\n  apiVersion: Unsupported value: \"v1\": supported values: \
         \"kubescheduler.config.k8s.io/v1\"\n  kind: Unsupported value: \"Pod\": supported \
         values: \"KubeSchedulerConfiguration\"\n  metadata: unknown field \"metadata\"",
    );
    directory.write("empty.yaml", "");
    check(
        "empty.yaml",
        "2 errors:\n  apiVersion: Required value: must be kubescheduler.config.k8s.io/v1\n  \
         kind: Required value: must be KubeSchedulerConfiguration",
    );
    directory.write("cut.json", "{\"apiVersion\": ");
    check(
        "cut.json",
        "it is not YAML: unclosed bracket '{' at line 1, column 1",
    );
    directory.write("binary", [0xff, 0xfe]);
    check("binary", "it is not UTF-8 text; save it as UTF-8");
    let missing = "cannot be read: No such file or directory (os error 2)";
    check("gone.yaml", missing);
    check(".", "cannot be read: Is a directory (os error 21)");
    directory.write(
        "good.yaml",
        format!("{HEAD}profiles: [{{schedulerName: a}}]\n"),
    );
    let others = [
        "simulate",
        "--config",
        "good.yaml",
        "--scheduler-name",
        "b",
        "objects.yaml",
    ];
    directory.check(
        &others,
        "--scheduler-name b: no profile of --config is named so; it has a",
    );
}

#[test]
fn clusters_that_cannot_be_used() {
    let directory = Directory::new();
    directory.write("broken", "clusters: [");
    for (arguments, expected) in [
        (
            &["run"][..],
            "no cluster is named: there is no --kubeconfig, $KUBECONFIG or ~/.kube/config, and \
             this is no pod with a service account",
        ),
        (
            &["run", "--kubeconfig", "gone"],
            "cannot use --kubeconfig gone: No such file or directory",
        ),
        (
            &["run", "--kubeconfig", "broken"],
            "cannot use --kubeconfig broken: it is not understood: line 1",
        ),
    ] {
        begins(&directory, arguments, expected);
    }
}

#[test]
fn flags() {
    let directory = Directory::new();
    for (arguments, expected) in [
        (
            &["demo", "--nodes", "3"][..],
            "invalid value '3' for '--nodes <N>': 3 is not in 12..=5000",
        ),
        (
            &["demo", "--pods", "many"],
            "invalid value 'many' for '--pods <N>': ",
        ),
        (
            &["demo", "--over", "16"],
            "invalid value '16' for '--over <SECONDS>': 16 is not in 0..=15",
        ),
        (&["demo", "--speed"], "unexpected argument '--speed' found"),
        (&["demo", "fast"], "unexpected argument 'fast' found"),
        (
            &["run", "--leader-elect-retry-period=fast"],
            "invalid value 'fast' for '--leader-elect-retry-period <DURATION>': write it as 15s",
        ),
        (
            &["run", "--leader-elect-lease-duration=1s"],
            "--leader-elect-lease-duration: Invalid value: \"10s\": must be greater than `RenewDeadline`",
        ),
        (
            &["run", "--config", "a", "--scheduler-name", "b"],
            "the argument '--config <FILE>' cannot be used with '--scheduler-name <NAME>'",
        ),
        (
            &["simulate"],
            "the following required arguments were not provided: <FILE>...",
        ),
        (
            &["check-config"],
            "the following required arguments were not provided: <FILE>",
        ),
        (&["sail"], "unrecognized subcommand 'sail'"),
    ] {
        begins(&directory, arguments, expected);
    }
}

/// What is said begins so; line breaks are blanks.
#[track_caller]
fn begins(directory: &Directory, arguments: &[&str], expected: &str) {
    let Output {
        status,
        stdout,
        stderr,
    } = directory.berth(arguments);
    let said = String::from_utf8_lossy(&stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.starts_with(&format!("error: {expected}")), "{said}");
    assert_eq!(status.code(), Some(2), "{arguments:?}");
    assert_eq!(stdout, b"", "{arguments:?}");
}
