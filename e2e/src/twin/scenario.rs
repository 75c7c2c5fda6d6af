//! Scenarios: a cluster, a pod, and what happens afterwards, step by step.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Answer, Change, Question, Side, Twins};
use crate::objects::{NodeBuilder, PodBuilder};

/// How often a scenario about more than nodes and pods is played before a difference counts: a namespace or a service
/// may reach one scheduler a moment later than the pod that depends on it.
const ATTEMPTS: u32 = 2;

/// What kube-scheduler does with the pod in a step. It is written down so that a scenario cannot come to test something
/// else than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is bound.
    Bound,
    /// It is bound to this node, which alone is the best.
    Best(&'static str),
    /// It is refused, with another message than in the step before.
    Refused,
    /// It is refused and nominated to this node, where so many pods have to leave, of which it evicts these.
    Preempts(&'static str, usize, &'static [&'static str]),
    /// It evicts these pods, which are gone at once, and is bound to this node.
    Displaces(&'static str, &'static [&'static str]),
    /// It is held by its gates.
    Gated,
    /// It stays as it was.
    Same,
}

/// Changes of the cluster, and what follows.
#[derive(Debug, Clone, Default)]
struct Step {
    changes: Vec<Change>,
    outcome: Option<Outcome>,
    /// Pods that lose their nomination.
    freed: Vec<&'static str>,
}

/// A scenario. It is written in the order in which it happens.
#[derive(Debug, Clone)]
pub struct Scenario {
    name: &'static str,
    profile: &'static str,
    pod: PodBuilder,
    /// The first one makes the cluster, and ends with the pod.
    steps: Vec<Step>,
}

impl Scenario {
    /// A scenario about this pod, in an empty cluster.
    pub fn new(name: &'static str, pod: PodBuilder) -> Self {
        Self {
            name,
            profile: "",
            pod,
            steps: vec![Step::default()],
        }
    }

    /// What it is about.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Lets another profile than the default one place the pod.
    pub fn profile(mut self, profile: &'static str) -> Self {
        self.profile = profile;
        self
    }

    /// Changes the cluster; before the first outcome that is before the pod is made.
    pub fn then(mut self, change: Change) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.outcome.is_none() => step.changes.push(change),
            _ => self.steps.push(Step {
                changes: vec![change],
                ..Step::default()
            }),
        }
        self
    }

    /// Adds nodes.
    pub fn nodes(self, nodes: impl IntoIterator<Item = NodeBuilder>) -> Self {
        nodes
            .into_iter()
            .fold(self, |scenario, node| scenario.then(Change::node(node)))
    }

    /// Adds pods that are on a node already.
    pub fn running(self, pods: impl IntoIterator<Item = PodBuilder>) -> Self {
        pods.into_iter()
            .fold(self, |scenario, pod| scenario.then(Change::pod(pod)))
    }

    /// Lets a pod of the namespace `default` have begun to run at this hour of a day long past.
    pub fn started(self, pod: &str, hour: u8) -> Self {
        let start = format!("2026-01-01T{hour:02}:00:00Z");
        let status = json!({"phase": "Running", "startTime": start});
        self.then(Change::patch_pod(pod, json!({"status": status})))
    }

    /// Adds an object to the collection of this path.
    pub fn object(self, path: &str, object: Value) -> Self {
        self.then(Change::Create(path.to_owned(), object))
    }

    /// Changes the pod itself.
    pub fn own(self, patch: Value) -> Self {
        self.then(Change::Own(patch))
    }

    /// The pod is bound.
    pub fn bound(self) -> Self {
        self.outcome(Outcome::Bound)
    }

    /// The pod is bound to this node, which alone is the best.
    pub fn best(self, node: &'static str) -> Self {
        self.outcome(Outcome::Best(node))
    }

    /// The pod is refused, with another message than before.
    pub fn refused(self) -> Self {
        self.outcome(Outcome::Refused)
    }

    /// The pod is held by its gates.
    pub fn gated(self) -> Self {
        self.outcome(Outcome::Gated)
    }

    /// The pod is refused and nominated to this node, where it evicts these pods of the namespace `default`.
    pub fn preempts(self, node: &'static str, victims: &'static [&'static str]) -> Self {
        self.outcome(Outcome::Preempts(node, victims.len(), victims))
    }

    /// The same, where `number` pods have to go and only these do not leave already.
    pub fn preempts_of(
        self,
        node: &'static str,
        number: usize,
        victims: &'static [&'static str],
    ) -> Self {
        self.outcome(Outcome::Preempts(node, number, victims))
    }

    /// The pod evicts these pods of the namespace `default`, which are gone at once, and is bound to this node.
    pub fn displaces(self, node: &'static str, victims: &'static [&'static str]) -> Self {
        self.outcome(Outcome::Displaces(node, victims))
    }

    /// With the outcome that was said last, a pod of the namespace `default` loses its nomination.
    pub fn freeing(mut self, pod: &'static str) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.freed.push(pod);
        }
        self
    }

    /// Whether the cluster is the same for the second one when the first one has had its turn.
    fn leaves_no_trace(&self) -> bool {
        let [step] = self.steps.as_slice() else {
            return false;
        };
        let preempts = matches!(
            step.outcome,
            Some(Outcome::Preempts(..) | Outcome::Displaces(..))
        );
        !preempts && !step.changes.iter().any(Change::is_told)
    }

    /// Nothing becomes of it.
    pub fn same(self) -> Self {
        self.outcome(Outcome::Same)
    }

    fn outcome(mut self, outcome: Outcome) -> Self {
        match self.steps.last_mut() {
            Some(step) if step.outcome.is_none() => step.outcome = Some(outcome),
            _ => self.steps.push(Step {
                outcome: Some(outcome),
                ..Step::default()
            }),
        }
        self
    }
}

/// What was seen after a step.
#[derive(Debug)]
struct Seen {
    answer: Answer,
    events: BTreeSet<String>,
    /// The nodes that were equally good, if the side tells.
    best: BTreeSet<String>,
    /// The node to which the pod is nominated.
    nominated: Option<String>,
    /// What has become of the other pods.
    fates: BTreeMap<String, String>,
}

impl Twins {
    /// Plays a scenario with both; the answer is how they differ, if they do.
    pub async fn play(&mut self, scenario: &Scenario) -> Result<Option<String>> {
        let mut changes = scenario.steps.iter().flat_map(|step| &step.changes);
        let attempts = if changes.any(Change::is_aside) {
            ATTEMPTS
        } else {
            1
        };
        let mut difference = None;
        for _ in 0..attempts {
            difference = self.play_once(scenario).await?;
            if difference.is_none() {
                break;
            }
        }
        Ok(difference)
    }

    async fn play_once(&mut self, scenario: &Scenario) -> Result<Option<String>> {
        let theirs = match self.turn(scenario, Side::Kube).await {
            Ok(theirs) => theirs,
            Err(error) => {
                self.clear().await?;
                return Ok(Some(format!("kube-scheduler does not do it: {error:#}")));
            }
        };
        if !scenario.leaves_no_trace() {
            self.clear().await?;
        }
        let ours = self.turn(scenario, Side::Berth).await;
        self.clear().await?;
        let ours = match ours {
            Ok(ours) => ours,
            Err(error) => {
                return Ok(Some(format!("{error:#}; kube-scheduler: {theirs:#?}")));
            }
        };
        for (number, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
            if let Some(difference) = difference(theirs, ours) {
                return Ok(Some(format!("step {number}: {difference}")));
            }
        }
        Ok(None)
    }

    /// Plays a scenario with one of them. The cluster stays as it is in the end, without the pod.
    async fn turn(&mut self, scenario: &Scenario, side: Side) -> Result<Vec<Seen>> {
        // The cluster is still there when it is the other one's turn.
        let reused = scenario.leaves_no_trace() && side == Side::Berth;
        let scheduler = side.scheduler_name(scenario.profile);
        let mut steps = scenario.steps.iter();
        let first = steps.next().context("a scenario without a step")?;
        if !reused {
            for change in &first.changes {
                self.apply(&change.told(&scheduler)).await?;
            }
        }
        self.catch_up().await?;
        let question = self.ask(&scenario.pod, side, scenario.profile).await?;
        let mut seen = vec![self.see(&question, first, None).await?];
        let mut victims = first.victims();
        self.check_preempted(&question, &victims).await?;
        for (number, step) in steps.enumerate() {
            for change in &step.changes {
                self.apply_to(&change.told(&scheduler), &question.path)
                    .await?;
            }
            let before = seen.last().map(|seen| &seen.answer);
            let found = self.see(&question, step, before).await;
            seen.push(found.with_context(|| format!("step {}", number + 1))?);
            victims.extend(step.victims());
            self.check_preempted(&question, &victims).await?;
        }
        self.withdraw(question).await?;
        Ok(seen)
    }

    /// Waits for the outcome of a step.
    async fn see(
        &mut self,
        question: &Question,
        step: &Step,
        before: Option<&Answer>,
    ) -> Result<Seen> {
        let outcome = step.outcome.context("a step without an outcome")?;
        let is_bound = |answer: &Answer| matches!(answer, Answer::Bound(_));
        let (answer, reason) = match outcome {
            Outcome::Bound | Outcome::Best(_) => {
                (self.wait(question, is_bound).await?, Some("Scheduled"))
            }
            Outcome::Refused => {
                let is_new = |answer: &Answer| {
                    !is_bound(answer) && !answer.is_gate() && Some(answer) != before
                };
                let answer = self.wait(question, is_new).await?;
                (answer, Some("FailedScheduling"))
            }
            Outcome::Preempts(node, number, victims) => {
                let text = placement(node, number);
                let is_it = |answer: &Answer| answer.to_string().ends_with(&text);
                let answer = self.wait(question, is_it).await?;
                self.wait_nominated(question, node).await?;
                self.wait_victims(question, victims, &step.freed).await?;
                (answer, Some("FailedScheduling"))
            }
            Outcome::Displaces(_, victims) => {
                let answer = self.wait(question, is_bound).await?;
                self.wait_victims(question, victims, &step.freed).await?;
                (answer, Some("Scheduled"))
            }
            Outcome::Gated => (self.wait(question, Answer::is_gate).await?, None),
            Outcome::Same => {
                self.settle(question.side).await?;
                let answer = self.wait(question, |_| true).await?;
                if before.is_some_and(|before| *before != answer) {
                    bail!("the pod should have stayed as it was, but is {answer}");
                }
                (answer, None)
            }
        };
        let events = self.events(question, reason, &answer).await?;
        if let Outcome::Displaces(node, victims) = outcome {
            let text = placement(node, victims.len());
            if !events.iter().any(|event| event.ends_with(&text)) {
                bail!("no event ends with {text:?}: {events:#?}");
            }
        }
        let mut best = BTreeSet::new();
        if let Answer::Bound(node) = &answer
            && question.side == Side::Kube
        {
            best = self.best(question, node)?;
            if let Outcome::Best(expected) | Outcome::Displaces(expected, _) = outcome
                && best != BTreeSet::from([expected.to_owned()])
            {
                bail!("{expected} should be best, but {best:?} are");
            }
        }
        Ok(Seen {
            answer,
            events,
            best,
            nominated: self.nominated(question).await?,
            fates: self.fates(question).await?,
        })
    }

    /// Fails unless these pods were evicted, and no others.
    async fn check_preempted(&self, question: &Question, victims: &BTreeSet<&str>) -> Result<()> {
        let found = self.preempted(question).await?;
        if !found.iter().map(String::as_str).eq(victims.iter().copied()) {
            bail!("evicted are {found:?} and not {victims:?}");
        }
        Ok(())
    }
}

impl Step {
    /// Those that are evicted in this step.
    fn victims(&self) -> BTreeSet<&'static str> {
        match self.outcome {
            Some(Outcome::Preempts(_, _, victims) | Outcome::Displaces(_, victims)) => {
                victims.iter().copied().collect()
            }
            _ => BTreeSet::new(),
        }
    }
}

/// How the text of an attempt ends that makes room.
fn placement(node: &str, victims: usize) -> String {
    format!(
        "preemption: found a potential placement for pod on node {node}, preempting {victims} victims"
    )
}

/// How what Berth did differs from what kube-scheduler did.
fn difference(theirs: &Seen, ours: &Seen) -> Option<String> {
    if let (Answer::Bound(_), Answer::Bound(node)) = (&theirs.answer, &ours.answer) {
        if !theirs.best.contains(node) {
            return Some(format!(
                "bound to {node}, which is none of {:?}",
                theirs.best
            ));
        }
    } else if theirs.answer != ours.answer {
        return Some(format!("{}\n  instead of {}", ours.answer, theirs.answer));
    }
    if theirs.events != ours.events {
        return Some(format!(
            "events {:#?}\n  instead of {:#?}",
            ours.events, theirs.events
        ));
    }
    if theirs.nominated != ours.nominated {
        return Some(format!(
            "nominated to {:?} instead of {:?}",
            ours.nominated, theirs.nominated
        ));
    }
    (theirs.fates != ours.fates).then(|| {
        format!(
            "other pods {:#?}\n  instead of {:#?}",
            ours.fates, theirs.fates
        )
    })
}
