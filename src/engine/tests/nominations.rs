//! Who is nominated, for how long, for whom it counts, and what is said.

mod said;

use super::server::{Server, ServerPod};
use super::*;
use crate::cluster::NodeId;
use crate::framework::{Permit, PermitAnswer, Plugin, PostFilter, PreFilter, PreFilterAnswer};
use crate::model::{PodRef, PodShape};
use crate::plugins::defaults;
use crate::plugins::testing::plain::{Amounts, PlainNode, PlainPod};

fn node(name: &str) -> PlainNode {
    PlainNode {
        name: name.to_owned(),
        pods: 110,
        allocatable: Amounts::from([("cpu".to_owned(), 4000)]),
        ..PlainNode::default()
    }
}

/// A pod that asks for so much cpu, in thousandths.
fn cpu(amount: i64) -> PlainPod {
    PlainPod::asking("", &[("cpu", amount)])
}

fn ranking(priority: i32, pod: PlainPod) -> PlainPod {
    PlainPod { priority, ..pod }
}

fn never_preempting(pod: PlainPod) -> PlainPod {
    PlainPod {
        never_preempts: true,
        ..pod
    }
}

/// A pod that waits and is never tried.
fn gated(pod: PlainPod) -> PlainPod {
    PlainPod {
        gates: vec!["later".to_owned()],
        ..pod
    }
}

fn on_port(pod: PlainPod) -> PlainPod {
    let mut pod = pod;
    pod.containers[0].ports = vec![(String::new(), "TCP".to_owned(), 80)];
    pod
}

/// An engine and its server, both empty.
struct Story {
    engine: Engine,
    server: Server,
    now: u64,
}

impl Story {
    fn new(profile: Profile) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut engine = counted_engine_of(profile, 0, &metrics);
        engine.apply(Change::Synced, Time::ZERO);
        Self {
            engine,
            server: Server::default(),
            now: 0,
        }
    }

    /// A cluster of the nodes `a` and `b`.
    fn of_two_nodes() -> Self {
        let mut story = Self::new(default_profile("berth"));
        story.server.put_node(node("a"));
        story.server.put_node(node("b"));
        story
    }

    fn see(&mut self) {
        let server = &mut self.server;
        while let Some(news) = server.next_node_news().or_else(|| server.next_pod_news()) {
            self.engine.apply(news, Time::from_secs(self.now));
        }
        self.engine.audit();
    }

    /// The pod of this number, counted from 1 in the order of creation, becomes another one.
    fn edit(&mut self, number: usize, change: impl FnOnce(&mut ServerPod)) {
        self.server.edit(number - 1, change);
        self.see();
    }

    fn nominate(&mut self, number: usize, node: &str) {
        self.edit(number, |pod| node.clone_into(&mut pod.nominated));
    }

    /// Lets a minute pass, in which backoffs end, and decides.
    fn decide(&mut self) -> Vec<Effect> {
        self.see();
        self.now += 60;
        let effects = self.engine.run(Time::from_secs(self.now), 20);
        self.engine.audit();
        self.server.take(&effects);
        effects
    }

    /// What was sent reaches the server, which answers.
    fn settle(&mut self, lost: bool) {
        while !self.server.in_lanes.is_empty() {
            self.server.carry(0, lost);
        }
        while let Some((id, outcome)) = self.server.next_answer(0) {
            (self.engine).complete(id, outcome, Time::from_secs(self.now));
        }
        self.see();
    }

    fn counted(&self) -> Vec<&str> {
        self.engine
            .nominator
            .nodes()
            .map(|(node, _)| node)
            .collect()
    }
}

/// Names of pods, each with the node it is bound to.
fn binds(effects: &[Effect]) -> Vec<(&str, &str)> {
    (effects.iter())
        .filter_map(|effect| match &effect.action {
            Action::Bind { node } => Some((&*effect.pod()?.name, &**node)),
            _ => None,
        })
        .collect()
}

fn patches(effects: &[Effect]) -> Vec<&StatusPatch> {
    (effects.iter())
        .filter_map(|effect| match &effect.action {
            Action::PatchStatus(patch) => Some(patch),
            _ => None,
        })
        .collect()
}

// === Kept or cleared ===

/// Refuses every pod: at PreFilter, or at Permit.
#[derive(Clone, Copy, PartialEq)]
enum Refuses {
    PreFilter,
    Permit,
}

impl Plugin for Refuses {
    fn name(&self) -> &'static str {
        "Refuses"
    }

    fn pre_filter(&self) -> Option<&dyn PreFilter> {
        (*self == Self::PreFilter).then_some(self)
    }

    fn permit(&self) -> Option<&dyn Permit> {
        (*self == Self::Permit).then_some(self)
    }
}

impl PreFilter for Refuses {
    fn pre_filter(&self, _: &PodShape, _: &Cluster) -> PreFilterAnswer {
        PreFilterAnswer::Reject("no".to_owned())
    }
}

impl Permit for Refuses {
    fn permit(&self, _: &PodRef, _: &PodShape, _: NodeId, _: &Cluster) -> PermitAnswer {
        PermitAnswer::Reject("no".to_owned())
    }
}

/// What a failed attempt does to the nomination of a pod to the node `a`.
#[track_caller]
fn check_failure(profile: Profile, nodes: &[&str], placed: &[PlainPod], pod: PlainPod, kept: bool) {
    let mut story = Story::new(profile);
    story.server.put_pod(pod, "");
    story.nominate(1, "a");
    nodes
        .iter()
        .for_each(|name| story.server.put_node(node(name)));
    for pod in placed {
        story.server.put_pod(pod.clone(), "a");
    }
    let effects = story.decide();
    let [patch] = patches(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        patch.nomination == Nomination::Clear,
        !kept,
        "{}",
        patch.message()
    );
    assert_eq!(story.counted().is_empty(), !kept, "{}", patch.message());
    story.settle(false);
    assert_eq!(story.server.pods["pod-1"].nominated.is_empty(), !kept);
    assert_eq!(story.counted().is_empty(), !kept);
}

fn with(refuses: Refuses) -> Profile {
    let mut plugins = defaults();
    plugins.push((Arc::new(refuses), 0));
    Profile::new("berth", plugins)
}

fn after(post_filter: PostFilter) -> Profile {
    let mut profile = default_profile("berth");
    profile.post_filter = post_filter;
    profile
}

#[test]
fn a_nomination_is_kept_or_cleared_as_upstream() {
    let plain = || default_profile("berth");
    let full = [ranking(9, cpu(3000))];
    let victim = [ranking(1, cpu(3000))];
    let asking = ranking(5, cpu(2000));
    let refused = |profile, placed: &[PlainPod], pod: &PlainPod, kept| {
        check_failure(profile, &["a"], placed, pod.clone(), kept);
    };
    check_failure(plain(), &[], &[], asking.clone(), false);
    refused(plain(), &full, &asking, false);
    refused(plain(), &victim, &asking, true);
    refused(plain(), &victim, &never_preempting(asking.clone()), true);
    refused(after(PostFilter::Other), &full, &asking, true);
    refused(after(PostFilter::Nothing), &victim, &asking, false);
    refused(with(Refuses::PreFilter), &[], &asking, true);
    refused(with(Refuses::Permit), &[], &asking, false);
    // Nominated to a node that is not there.
    check_failure(plain(), &["b"], &[], cpu(5000), false);
}

#[test]
fn a_pod_that_is_not_nominated_has_nothing_to_clear() {
    let mut story = Story::of_two_nodes();
    story.server.put_pod(cpu(5000), "");
    let effects = story.decide();
    assert_eq!(patches(&effects)[0].nomination, Nomination::Keep);
}

#[test]
fn clearing_that_failed_is_tried_again() {
    let mut story = Story::of_two_nodes();
    story.server.put_pod(cpu(5000), "");
    story.nominate(1, "a");
    for (lost, cleared, smaller) in [(true, false, 4900), (false, true, 4800)] {
        assert_eq!(patches(&story.decide())[0].nomination, Nomination::Clear);
        story.settle(lost);
        assert_eq!(story.server.pods["pod-1"].nominated.is_empty(), cleared);
        assert!(story.counted().is_empty());
        story.edit(1, |pod| {
            (pod.pod.containers[0].requests).insert("cpu".to_owned(), smaller);
        });
    }
    assert!(patches(&story.decide()).is_empty(), "all is said");
}

#[test]
fn a_pod_counts_where_it_is_assumed_and_not_where_it_was_nominated() {
    for (lost, counted) in [(false, 0), (true, 0)] {
        let mut story = Story::of_two_nodes();
        story.server.put_pod(cpu(3000), "");
        story.nominate(1, "a");
        assert_eq!(binds(&story.decide()), [("pod-1", "a")]);
        assert_eq!(story.counted().len(), 0);
        // Neither does news of it while it is being bound.
        story.edit(1, |pod| pod.pod.tolerations.push(Default::default()));
        assert_eq!(story.counted().len(), 0);
        story.settle(lost);
        assert_eq!(story.counted().len(), counted);
        let effects = story.engine.run(Time::from_secs(story.now), 0);
        let cleared = patches(&effects)
            .iter()
            .any(|patch| patch.nomination == Nomination::Clear);
        assert_eq!(
            cleared, lost,
            "the attempt failed, and so ends the nomination"
        );
    }
}

// === For whom it counts ===

/// Whether a pod of this priority with room for itself on the only node gets it beside the first
/// pod, to which `before` happens after it was nominated.
#[track_caller]
fn check_counts(nominated: PlainPod, before: impl FnOnce(&mut Story), priority: i32, gets: bool) {
    let mut story = Story::new(default_profile("berth"));
    story.server.put_node(node("a"));
    story.server.put_pod(nominated, "");
    story.nominate(1, "a");
    before(&mut story);
    story.server.put_pod(ranking(priority, cpu(2000)), "");
    let effects = story.decide();
    let got = binds(&effects).contains(&("pod-2", "a"));
    assert_eq!(got, gets, "{effects:?}");
}

#[test]
fn those_of_equal_or_higher_priority_that_wait_count() {
    let waits = || gated(ranking(5, cpu(3000)));
    let nothing = |_: &mut Story| {};
    check_counts(waits(), nothing, 4, false);
    check_counts(waits(), nothing, 5, false);
    check_counts(waits(), nothing, 6, true);
    // Enough room for both.
    check_counts(gated(ranking(5, cpu(1000))), nothing, 4, true);
    // Tried in vain just before.
    let tried = never_preempting(ranking(5, cpu(5000)));
    check_counts(tried.clone(), nothing, 4, false);
    let earlier = |story: &mut Story| drop(story.decide());
    check_counts(tried, earlier, 4, false);

    let nominated = |node: &'static str| move |story: &mut Story| story.nominate(1, node);
    check_counts(waits(), nominated("b"), 4, true);
    check_counts(waits(), nominated(""), 4, true);
    let smaller = |story: &mut Story| {
        story.edit(1, |pod| {
            pod.pod = gated(ranking(5, PlainPod::asking("pod-1", &[])))
        });
    };
    check_counts(waits(), smaller, 4, true);
    // On its way out it still counts, until it is gone or its turn comes.
    let leaving = |story: &mut Story| story.edit(1, |pod| pod.terminating = true);
    check_counts(waits(), leaving, 4, false);
    check_counts(ranking(5, cpu(3000)), leaving, 4, true);
    let bound = |story: &mut Story| story.edit(1, |pod| pod.node = "elsewhere".to_owned());
    check_counts(waits(), bound, 4, true);
    let garbled = |story: &mut Story| {
        let news = story.server.garbled(0).unwrap();
        story.engine.apply(news, Time::ZERO);
        let again = story.server.next_pod_news().unwrap();
        drop(again);
    };
    check_counts(waits(), garbled, 4, true);
    // The node goes and comes back, and the nomination is still there.
    let replaced = |story: &mut Story| {
        story.server.drop_node(0);
        story.see();
        story.server.put_node(node("a"));
    };
    check_counts(waits(), replaced, 4, false);
}

#[test]
fn pods_of_other_schedulers_do_not_count() {
    let mut story = Story::of_two_nodes();
    story.server.drop_node(1);
    let mut other = ranking(5, cpu(3000)).api("", 1);
    other.metadata.uid = "other".into();
    other.spec.scheduler_name = "somebody-else".into();
    other.status.nominated_node_name = "a".into();
    story.engine.apply(Change::Pod(Box::new(other)), Time::ZERO);
    story.server.put_pod(cpu(2000), "");
    assert_eq!(binds(&story.decide()), [("pod-1", "a")]);
}

#[test]
fn the_own_nomination_yields_to_others() {
    // Both cannot have it: the first to be tried loses its nomination and the other gets the node.
    let mut story = Story::of_two_nodes();
    story.server.drop_node(1);
    for number in [1, 2] {
        story.server.put_pod(cpu(3000), "");
        story.nominate(number, "a");
    }
    assert_eq!(binds(&story.decide()), [("pod-2", "a")]);
    // A higher one does not care, and takes its node although the other has more room.
    let mut story = Story::of_two_nodes();
    story.server.put_pod(cpu(1000), "a");
    story.server.put_pod(gated(ranking(1, cpu(2000))), "");
    story.nominate(2, "a");
    story.server.put_pod(ranking(2, cpu(2000)), "");
    story.nominate(3, "a");
    assert_eq!(binds(&story.decide()), [("pod-3", "a")]);
}

#[test]
fn another_node_is_taken_instead() {
    let mut story = Story::of_two_nodes();
    story.server.put_pod(gated(cpu(3000)), "");
    story.nominate(1, "b");
    story.server.put_pod(cpu(1000), "a");
    for _ in 0..2 {
        story.server.put_pod(cpu(1500), "");
    }
    let effects = story.decide();
    assert_eq!(binds(&effects), [("pod-3", "a"), ("pod-4", "a")]);
}

// === Who is woken ===

/// Whether a pod of this priority that was refused is tried again when `end` happens to the first
/// pod, which was nominated to the only node.
#[track_caller]
fn check_wakes(priority: i32, end: impl FnOnce(&mut Story), woken: bool) {
    let mut story = Story::new(default_profile("berth"));
    story.server.put_node(node("a"));
    story.server.put_pod(gated(ranking(5, cpu(3000))), "");
    story.nominate(1, "a");
    // There is no room for pods of whatever priority, so that they all wait.
    story.server.put_pod(ranking(9, cpu(1000)), "a");
    story.server.put_pod(ranking(priority, cpu(3500)), "");
    assert_eq!(binds(&story.decide()), []);
    story.settle(false);
    end(&mut story);
    assert_eq!(!story.decide().is_empty(), woken);
}

#[test]
fn the_end_of_a_nomination_wakes_those_that_had_to_yield() {
    let elsewhere = |story: &mut Story| story.nominate(1, "b");
    let nowhere = |story: &mut Story| story.nominate(1, "");
    let gone = |story: &mut Story| story.server.delete(0);
    for priority in [4, 5] {
        check_wakes(priority, elsewhere, true);
        check_wakes(priority, nowhere, true);
        check_wakes(priority, gone, true);
    }
    for end in [elsewhere, nowhere] {
        check_wakes(6, end, false);
    }
    check_wakes(6, gone, false);
    // Still nominated.
    let edited = |story: &mut Story| story.edit(1, |pod| pod.pod.gates.push("x".to_owned()));
    check_wakes(4, edited, false);
    // Gone without having been nominated.
    let later = |story: &mut Story| {
        story.nominate(1, "");
        story.decide();
        story.server.delete(0);
    };
    check_wakes(4, later, false);
}
