//! What is said beside nominated pods, and what a panic leaves.

use super::*;
use crate::cluster::NodeSet;
use crate::framework::{Diagnosis, Filter};
use crate::plugins::testing::plain::PlainTerm;

/// What the pod is told in a cluster of one node with pods on it and pods that are nominated to it.
#[track_caller]
fn check_text(placed: &[PlainPod], nominated: &[PlainPod], pod: PlainPod, expected: &str) {
    let mut story = Story::new(default_profile("berth"));
    story.server.put_node(node("a"));
    for (number, pod) in nominated.iter().enumerate() {
        story.server.put_pod(gated(pod.clone()), "");
        story.nominate(number + 1, "a");
    }
    for pod in placed {
        story.server.put_pod(pod.clone(), "a");
    }
    story.server.put_pod(pod, "");
    let effects = story.decide();
    let texts: Vec<&str> = (patches(&effects).iter())
        .map(|patch| patch.message())
        .collect();
    assert_eq!(texts, [expected]);
}

#[test]
fn the_first_pass_that_fails_is_told() {
    let nobody = "preemption: 0/1 nodes are available: \
                  1 No preemption victims found for incoming pod.";
    let ports = "1 node(s) didn't have free ports for the requested pod ports";
    let cases = [
        // It fits without the nominated pod.
        (vec![], cpu(3000), cpu(2000), "1 Insufficient cpu"),
        // It fits in neither case, and for another reason.
        (vec![cpu(3000)], on_port(cpu(1)), on_port(cpu(2000)), ports),
        // It fails only without the nominated pod's doing.
        (
            vec![cpu(3000)],
            cpu(1),
            on_port(cpu(2000)),
            "1 Insufficient cpu",
        ),
        (vec![on_port(cpu(1))], cpu(3000), on_port(cpu(2000)), ports),
    ];
    for (placed, nominated, pod, reason) in cases {
        let expected = format!("0/1 nodes are available: {reason}. {nobody}");
        check_text(&placed, &[nominated], pod, &expected);
    }
}

#[test]
fn a_node_that_is_ruled_out_and_nominated_is_told_of_by_itself() {
    let field = (
        "metadata.name".to_owned(),
        "In".to_owned(),
        vec!["b".to_owned()],
    );
    let term = PlainTerm {
        expressions: Vec::new(),
        fields: vec![field],
    };
    let pod = PlainPod {
        required: Some(vec![term]),
        ..cpu(5000)
    };
    let mut story = Story::of_two_nodes();
    story.server.put_node(node("c"));
    story.server.put_pod(pod, "");
    story.nominate(1, "a");
    let effects = story.decide();
    assert_eq!(
        patches(&effects)[0].message(),
        "0/3 nodes are available: 1 Insufficient cpu, \
         1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
}

#[test]
fn preemption_counts_nominated_pods_as_well() {
    let victim = ranking(1, cpu(1000));
    let pod = ranking(5, cpu(2000));
    check_text(
        std::slice::from_ref(&victim),
        &[ranking(5, cpu(3000))],
        pod.clone(),
        "0/1 nodes are available: 1 Insufficient cpu. \
         preemption: 0/1 nodes are available: 1 Insufficient cpu.",
    );
    // With the victim gone there is room for both.
    check_text(
        &[victim],
        &[ranking(5, cpu(2000))],
        pod,
        "0/1 nodes are available: 1 Insufficient cpu. \
         preemption: found a potential placement for pod on node a, preempting 1 victims",
    );
}

/// Panics when pods are on the node.
struct FearsCompany;

impl Plugin for FearsCompany {
    fn name(&self) -> &'static str {
        "FearsCompany"
    }

    fn filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl Filter for FearsCompany {
    fn filter(&self, _: &PodShape, cluster: &Cluster, _: &mut NodeSet, _: &mut Diagnosis) {
        assert_eq!(cluster.placed_counts(), (0, 0), "as ordered");
    }
}

#[test]
fn a_panic_beside_nominated_pods_leaves_nobody_assumed() {
    let mut plugins = defaults();
    plugins.push((Arc::new(FearsCompany), 0));
    let mut story = Story::new(Profile::new("berth", plugins));
    story.server.put_node(node("a"));
    story.server.put_pod(gated(cpu(1000)), "");
    story.nominate(1, "a");
    story.server.put_pod(cpu(1000), "");
    assert!(story.decide().is_empty());
    assert_eq!(story.engine.cluster.placed_counts(), (0, 0));
    assert_eq!(story.counted(), ["a"]);
    story.nominate(1, "");
    assert_eq!(binds(&story.decide()), [("pod-2", "a")]);
}
