//! What is told about wrong files.

use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    let lines = wrong(&[text]);
    assert_eq!(lines, [expected], "{text}");
}

#[test]
fn problems_say_where_and_what() {
    let node_a = node("a", "cpu: 2");
    check("", "a.yaml: it is empty");
    check("# nothing\n---\n", "a.yaml: it is empty");
    check(
        "{apiVersion: v1, kind: Service, metadata: {name: s}}",
        "the input holds neither nodes nor pods; \
         `kubectl get nodes,pods -A -o yaml` writes both",
    );
    check(
        &(node_a.clone() + &node("b", "cpu: 4x")),
        "a.yaml: document 2: status.allocatable[cpu]: \"4x\" is not a quantity: \
         expected a number, then at most one suffix or exponent, such as 500m, 1.5Gi or 2e3",
    );
    check(
        &node("b", "cpu: '-1'"),
        "a.yaml: document 1: status.allocatable[cpu]: \"-1\" is less than nothing",
    );
    check(
        &pod("p", "limits: {memory: ''}", ""),
        "a.yaml: document 1: spec.containers[0].resources.limits[memory]: \
         \"\" is not a quantity: it is empty",
    );
    check(
        &pod("p", "", ", tolerations: {key: a}"),
        "a.yaml: document 1: spec.tolerations: expected a list, not an object",
    );
    check(
        &(pod("p", "", "") + &pod("p", "", "")),
        "a.yaml: document 2: Pod default/p is there already: a.yaml: document 1",
    );
    check(
        &(node_a.clone() + &node_a),
        "a.yaml: document 2: Node a is there already: a.yaml: document 1",
    );
    check(
        &(node_a.clone() + &pod("p", "", ", nodeName: b")),
        "a.yaml: document 2: spec.nodeName: there is no node \"b\" in the input; add it",
    );
    check(
        &pod("p", "", ", priorityClassName: high"),
        "a.yaml: document 1: spec.priorityClassName: \
         no PriorityClass with name high in the input; add it",
    );
    let service = "{apiVersion: v1, kind: Service, metadata: {name: s}}\n---\n";
    check(
        &(node_a.clone() + service + service),
        "a.yaml: document 3: Service default/s is there already: a.yaml: document 2",
    );
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}\n---\n";
    check(
        &(node_a.clone() + namespace + namespace),
        "a.yaml: document 3: Namespace ns is there already: a.yaml: document 2",
    );
    check(
        &(node_a.clone() + "{apiVersion: apps/v1, kind: ReplicaSet, spec: {}}"),
        "a.yaml: document 2: metadata.name: it is missing",
    );
    check(
        &pod("P_1", "", ""),
        "a.yaml: document 1: metadata.name: \"P_1\" is not a name: \
         at most 253 lower case letters, digits, '-' and '.'",
    );
    check(
        "{apiVersion: v1, kind: Pod, metadata: {generateName: p-}}",
        "a.yaml: document 1: metadata.name: it is missing",
    );
    check("kind: Pod", "a.yaml: document 1: apiVersion is missing");
    check("apiVersion: v1", "a.yaml: document 1: kind is missing");
    check(
        "- a\n- b",
        "a.yaml: document 1: expected an object with apiVersion and kind",
    );
    check(
        "[1, 2]",
        "a.yaml: document 1: expected an object with apiVersion and kind",
    );
}

#[test]
fn syntax_is_found_by_line() {
    check(
        &(node("a", "cpu: 2") + "kind: [\n"),
        "a.yaml: document 2: it is not YAML: unclosed bracket '[' at line 6",
    );
    check(
        "{\"kind\": \"Pod\"\n \"apiVersion\": \"v1\"}",
        "a.yaml: document 1: it is not JSON: expected `,` or `}` at line 2 column 2",
    );
    check(
        "{\"kind\": \"Pod\"}\n{\"kind\": [",
        "a.yaml: document 2: it is not JSON: EOF while parsing a list at line 2 column 10",
    );
}

#[test]
fn items_of_lists_have_a_place() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
         "spec": {"containers": [{"ports": [{"hostPort": "x"}]}]}},
        7]}"#;
    let expected = [
        "a.yaml: document 1: items[1].spec.containers[0].ports[0].hostPort: \
         expected an integer of 32 bits, not \"x\"",
        "a.yaml: document 1: items[2]: expected an object with apiVersion and kind",
        "2 problems in the input; nothing was simulated",
    ];
    assert_eq!(wrong(&[list]), expected);
    check(
        r#"{"apiVersion": "v1", "kind": "PodList", "items": {}}"#,
        "a.yaml: document 1: items: expected a list, not an object",
    );
    check(
        "{apiVersion: v1, kind: PodList, items: {a: b}}",
        "a.yaml: document 1: items: expected a list",
    );
    let nested = "{apiVersion: v1, kind: List, items: [".repeat(6) + &"]}".repeat(6);
    check(
        &nested,
        "a.yaml: document 1: items[0].items[0].items[0].items[0]: too many lists within lists",
    );
}

#[test]
fn ten_are_listed() {
    let text: String = (0..25)
        .map(|place| node(&format!("N{place}"), "cpu: 2"))
        .collect();
    let lines = wrong(&[&text]);
    assert_eq!(lines.len(), 11);
    assert_eq!(
        lines[10],
        "25 problems in the input, of which the first 10 are listed; nothing was simulated"
    );
}

#[test]
fn what_is_printed_cannot_steer_a_terminal() {
    let lines = wrong(&["{apiVersion: v1, kind: Pod, metadata: {name: \"\\e[31m\"}}"]);
    assert!(!lines[0].contains('\x1b'), "{lines:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let directory = std::env::temp_dir().join(format!("berth-simulate-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let binary = directory.join("binary");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    let binary = binary.display().to_string();
    let missing = directory.join("missing").display().to_string();
    let mut problems = Problems::default();
    let files = [binary.clone(), missing.clone(), missing.clone()];
    assert!(read(&files, &mut problems).is_empty());
    fs::remove_dir_all(&directory).unwrap();
    let expected = [
        format!("{binary}: it is not UTF-8 text; save it as UTF-8"),
        format!("{missing}: cannot be read: No such file or directory (os error 2)"),
        format!("{missing}: it is named twice; name each file once"),
    ];
    assert_eq!(problems.into_lines().0, expected);
}
