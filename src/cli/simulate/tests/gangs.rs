//! Groups of pods, whichever API describes them.

use super::*;
use crate::cli::simulate::report::{GangLine, Style};

const GPU: &str = "nvidia.com/gpu";

/// A group in YAML's flow form.
fn group(api: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: {api}, kind: PodGroup, metadata: {{name: {name}}}, spec: {spec}}}\n---\n"
    )
}

fn kubernetes(name: &str, min: u32) -> String {
    let policy = format!("{{schedulingPolicy: {{gang: {{minCount: {min}}}}}}}");
    group("scheduling.k8s.io/v1beta1", name, &policy)
}

fn plugins(name: &str, min: u32) -> String {
    let spec = format!("{{minMember: {min}}}");
    group("scheduling.x-k8s.io/v1alpha1", name, &spec)
}

/// Pods that ask for a GPU each, with this metadata and these fields of the spec.
fn pods(name: &str, count: usize, metadata: &str, spec: &str) -> String {
    let pod = |number| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}-{number}{metadata}}}, spec: \
             {{containers: [{{name: main, image: app, resources: {{limits: {{{GPU}: 1}}}}}}]{spec}}}}}\n---\n"
        )
    };
    (0..count).map(pod).collect()
}

fn of_kubernetes(group: &str, count: usize) -> String {
    let spec = format!(", schedulingGroup: {{podGroupName: {group}}}");
    pods(group, count, "", &spec)
}

fn of_plugins(group: &str, count: usize) -> String {
    let labels = format!(", labels: {{scheduling.x-k8s.io/pod-group: {group}}}");
    pods(group, count, &labels, "")
}

/// Nodes with four GPUs each.
fn nodes(count: usize) -> String {
    (0..count)
        .map(|number| {
            node(
                &format!("n{number}"),
                &format!("cpu: 64, memory: 64Gi, {GPU}: 4"),
            )
        })
        .collect()
}

/// Of each gang its name, how many of its pods are bound, and its phase.
fn fares(report: &Report) -> Vec<(&str, usize, &str)> {
    let gangs = report.gangs.iter();
    gangs
        .map(|gang| (gang.name.as_str(), gang.bound, gang.phase))
        .collect()
}

/// What programs read, in every dialect. A change here breaks them.
#[test]
fn every_dialect_is_read() {
    let policy = "{schedulingPolicy: {gang: {minCount: 2}}}";
    let annotated = |keys: &str| format!(", annotations: {{{keys}}}");
    let labelled = |keys: &str| format!(", labels: {{{keys}}}");
    let named = ", schedulingGroup: {podGroupName: g}";
    let of_volcano = annotated("scheduling.k8s.io/group-name: g");
    let of_koordinator = annotated(
        "gang.scheduling.koordinator.sh/name: g, gang.scheduling.koordinator.sh/min-available: '2'",
    );
    let of_labels = labelled(
        "pod-group.scheduling.sigs.k8s.io/name: g, pod-group.scheduling.sigs.k8s.io/min-available: '2'",
    );
    let volcano = group("scheduling.volcano.sh/v1beta1", "g", "{minMember: 2}");
    let cases = [
        (
            group("scheduling.k8s.io/v1beta1", "g", policy),
            pods("g", 3, "", named),
        ),
        (
            group("scheduling.k8s.io/v1alpha3", "g", policy),
            pods("g", 3, "", named),
        ),
        (
            group("scheduling.k8s.io/v1alpha2", "g", policy),
            pods("g", 3, "", named),
        ),
        (plugins("g", 2), of_plugins("g", 3)),
        (volcano, pods("g", 3, &of_volcano, "")),
        (String::new(), pods("g", 3, &of_koordinator, "")),
        (String::new(), pods("g", 3, &of_labels, "")),
    ];
    let mut dialects = Vec::new();
    for (group, pods) in cases {
        let report = report(&[&(group.clone() + &pods + &nodes(1))]);
        dialects.push(report.gangs[0].dialect);
        let expected = GangLine {
            namespace: "default".to_owned(),
            name: "g".to_owned(),
            dialect: report.gangs[0].dialect,
            min: Some(2),
            pods: 3,
            bound: 3,
            phase: "Scheduled",
            message: String::new(),
        };
        assert_eq!(report.gangs, [expected], "{group}{pods}");
        assert!(
            report.pods.iter().all(|pod| pod.node.is_some()),
            "{report:?}"
        );
    }
    let expected = [
        "scheduling.k8s.io",
        "scheduling.k8s.io",
        "scheduling.k8s.io",
        "scheduling.x-k8s.io",
        "scheduling.volcano.sh",
        "gang.scheduling.koordinator.sh",
        "pod-group.scheduling.sigs.k8s.io",
    ];
    assert_eq!(dialects, expected);
}

#[test]
fn a_gang_is_placed_whole_or_not_at_all() {
    let text = [
        nodes(2),
        kubernetes("one", 6),
        kubernetes("other", 6),
        of_kubernetes("one", 6),
        of_kubernetes("other", 6),
        pods("single", 1, "", ""),
    ];
    let report = report(&[&text.concat()]);
    assert_eq!(
        fares(&report),
        [("one", 6, "Scheduled"), ("other", 0, "Unschedulable")]
    );
    let bound = report.pods.iter().filter(|pod| pod.node.is_some()).count();
    assert_eq!(bound, 7, "the single pod takes what is left");
    assert!(
        report.pods.iter().all(|pod| !pod.message.is_empty()),
        "{report:?}"
    );
}

#[test]
fn the_table_has_a_section_for_gangs() {
    let text = [
        nodes(1),
        plugins("whole", 2),
        plugins("large", 6),
        plugins("early", 3),
        of_plugins("whole", 2),
        of_plugins("large", 6),
        of_plugins("early", 1),
        of_plugins("lost", 1),
    ];
    let report = report(&[&text.concat()]);
    let expected = "\
NAMESPACE   GANG    DIALECT               MIN   PODS   BOUND   PHASE           MESSAGE
default     whole   scheduling.x-k8s.io   2     2      2       Scheduled
default     large   scheduling.x-k8s.io   6     6      0       Unschedulable   minCount (6) cannot be satisfied: 2 scheduled, 3 remaining, pod group preemption: No preemption victims found for incoming preemptor. gang default/large: 2 of 6 members fit; gang needs 6 nvidia.com/gpu; the cluster has 4: cannot ever fit
default     early   scheduling.x-k8s.io   3     1      0       Incomplete      waiting for minCount pods from a gang to appear in scheduling queue: gang default/early has 1 of 3 pods
default     lost    scheduling.x-k8s.io   -     1      0       Incomplete      PodGroup default/lost not found

1 of 4 gangs placed
";
    let plain = report.table(Style::Plain);
    assert!(plain.contains(expected), "{plain}");
    let coloured = report.table(Style::Colours);
    assert!(coloured.contains("\x1b[31mdefault     lost"), "{coloured}");
    let told: Vec<_> = (report.pods.iter())
        .filter(|pod| pod.reason == "WaitingForPodGroup")
        .map(|pod| (&*pod.name, &*pod.message))
        .collect();
    let waiting = "waiting for minCount pods from a gang to appear in scheduling queue: gang default/early has 1 of 3 pods";
    assert_eq!(
        told,
        [
            ("early-0", waiting),
            ("lost-0", "PodGroup default/lost not found")
        ]
    );
}

/// The same gang as a dump of a cluster has it: some pods run, and the status tells that it ran.
#[test]
fn a_dump_is_gone_on_from() {
    let status = "status: {phase: Running, running: 2}";
    let ran = format!(
        "{{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {{name: g, uid: u, \
         resourceVersion: '5'}}, spec: {{minMember: 3}}, {status}}}\n---\n"
    );
    let labels = ", labels: {scheduling.x-k8s.io/pod-group: g}";
    let bound = pods("bound", 2, labels, ", nodeName: n0");
    let replacement = pods("new", 1, labels, "");
    let all = [nodes(1), ran, bound.clone(), replacement.clone()].concat();
    assert_eq!(fares(&report(&[&all])), [("g", 3, "Scheduled")]);
    let halves = [nodes(1), plugins("g", 3), bound].concat();
    assert_eq!(fares(&report(&[&halves])), [("g", 2, "Degraded")]);
}

#[test]
fn members_of_gangs_have_no_scores() {
    let text = [
        nodes(3),
        pods("single", 1, "", ""),
        plugins("g", 2),
        of_plugins("g", 2),
    ];
    let report = report(&[&text.concat()]);
    let scored: Vec<_> = (report.pods.iter())
        .map(|pod| (&*pod.name, !pod.scores.is_empty()))
        .collect();
    assert_eq!(scored, [("single-0", true), ("g-0", false), ("g-1", false)]);
}

#[test]
fn a_member_of_another_scheduler_spoils_the_gang() {
    let labels = ", labels: {scheduling.x-k8s.io/pod-group: g}";
    let text = [
        nodes(1),
        plugins("g", 2),
        pods("mine", 2, labels, ", schedulerName: mine"),
        pods("other", 1, labels, ""),
    ]
    .concat();
    let spoilt = "all pods in a single pod group should have the same .spec.schedulerName set, got: \"default-scheduler\" and \"mine\"";
    for names in [&["mine"][..], &[]] {
        let report = simulated_for(names, &[&text]).report;
        assert_eq!(fares(&report), [("g", 0, "Invalid")]);
        for pod in &report.pods {
            assert_eq!((pod.reason, &*pod.message), ("SchedulerError", spoilt));
        }
    }
}

#[test]
fn gated_and_terminating_members_do_not_count() {
    let labels = ", labels: {scheduling.x-k8s.io/pod-group: g}";
    let leaving = format!("{labels}, deletionTimestamp: '2026-01-01T00:00:00Z'");
    let text = [
        nodes(1),
        plugins("g", 3),
        pods("ready", 1, labels, ""),
        pods("gated", 1, labels, ", schedulingGates: [{name: quota}]"),
        pods("leaving", 1, &leaving, ""),
    ];
    let report = report(&[&text.concat()]);
    let expected = [
        ("ready-0", "WaitingForPodGroup"),
        ("gated-0", "SchedulingGated"),
        ("leaving-0", "Unschedulable"),
    ];
    assert_eq!(placements(&report), expected);
    assert_eq!(fares(&report), [("g", 0, "Incomplete")]);
    let story = "has 1 of 3 pods; 1 member is scheduling-gated";
    assert!(report.gangs[0].message.ends_with(story), "{report:?}");
}

/// As admission has it: the group gets the value of its class, and 0 without one.
#[test]
fn a_group_of_kubernetes_has_the_priority_of_its_class() {
    let class = "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, \
                 metadata: {name: high}, value: 10}\n---\n";
    let of_class = "{priorityClassName: high, schedulingPolicy: {gang: {minCount: 2}}}";
    let high = group("scheduling.k8s.io/v1beta1", "g", of_class);
    let spec = ", schedulingGroup: {podGroupName: g}, priorityClassName: high";
    let members = pods("g", 2, "", spec);
    let text = [class, &high, &members, &nodes(1)].concat();
    assert_eq!(fares(&report(&[&text])), [("g", 2, "Scheduled")]);
    let text = [class, &kubernetes("g", 2), &members, &nodes(1)].concat();
    let found = report(&[&text]);
    assert_eq!(fares(&found), [("g", 0, "Invalid")]);
    assert!(
        found.gangs[0].message.ends_with("got 10 and 0"),
        "{found:?}"
    );
    let missing = [high, members, nodes(1)].concat();
    let expected = "a.yaml: document 1: spec.priorityClassName: no PriorityClass with name high in the input; add it";
    assert_eq!(wrong(&[&missing])[0], expected);
}

#[test]
fn wrong_groups_are_told() {
    let cases = [
        (
            kubernetes("g", 2) + &kubernetes("g", 3),
            "a.yaml: document 2: PodGroup.scheduling.k8s.io default/g is there already: a.yaml: document 1",
        ),
        (
            group("scheduling.k8s.io/v1", "g", "{}"),
            "a.yaml: document 1: apiVersion: \"v1\" of PodGroup.scheduling.k8s.io is not known; known are v1beta1, v1alpha3, v1alpha2",
        ),
        (
            group(
                "scheduling.k8s.io/v1beta1",
                "g",
                "{schedulingPolicy: {gang: {}}}",
            ),
            "a.yaml: document 1: spec.schedulingPolicy.gang: missing field `minCount`",
        ),
        (
            group("scheduling.x-k8s.io/v1alpha1", "g", "{minMember: two}"),
            "a.yaml: document 1: spec.minMember: expected an integer of 64 bits, not \"two\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(wrong(&[&text]), [expected]);
    }
    // Neither the same name elsewhere nor a kind of somebody else is wrong.
    let text = [
        kubernetes("g", 2),
        plugins("g", 2),
        group("scheduling.run.ai/v2alpha2", "g", "{}"),
        nodes(1),
    ];
    let Simulated { report, notes } = simulated_for(&[], &[&text.concat()]);
    assert_eq!(
        fares(&report),
        [("g", 0, "Incomplete"), ("g", 0, "Incomplete")]
    );
    assert_eq!(notes, ["objects of other kinds are skipped: 1 PodGroup"]);
}

/// Each example of the manual has a group of four and one of its pods.
#[test]
fn the_examples_of_the_manual_are_understood() {
    const MANUAL: &str = include_str!("../../../../docs/gangs.md");
    let examples = MANUAL.split("```yaml\n").skip(1);
    let examples = examples.map(|rest| rest.split_once("```").unwrap().0);
    let mut dialects = Vec::new();
    for example in examples {
        let report = report(&[example, &nodes(1)]);
        assert_eq!(fares(&report), [("llama", 0, "Incomplete")], "{example}");
        let story = "gang default/llama has 1 of 4 pods";
        assert!(report.gangs[0].message.contains(story), "{report:?}");
        dialects.push(report.gangs[0].dialect);
    }
    let expected = [
        "scheduling.k8s.io",
        "scheduling.x-k8s.io",
        "scheduling.volcano.sh",
        "gang.scheduling.koordinator.sh",
    ];
    assert_eq!(dialects, expected);
}
