//! A scheduler for checking ours: straight loops over plain values, written from kube-scheduler's
//! rules with arithmetic of its own, and never fast.

use std::collections::{BTreeMap, BTreeSet};

use super::peers::affinity::NaiveInterPodAffinity;
use super::peers::spread::NaivePodTopologySpread;
use super::peers::{Filtering, Labels, Scoring, Workload, proper};
use super::plain::{Amounts, PlainNode, PlainPod, PlainRequirement, PlainTerm, PlainToleration};

const MIB: i64 = 1024 * 1024;

/// The nodes, the placed pods by uid with the name of their node, the labels of namespaces, who
/// spreads pods by default, and what kube-scheduler's cache remembers of images.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<String, PlainNode>,
    pub(crate) placed: BTreeMap<String, (String, PlainPod)>,
    pub(crate) namespaces: BTreeMap<String, Labels>,
    pub(crate) workloads: Vec<Workload>,
    images: BTreeMap<String, (i64, BTreeSet<String>)>,
}

/// What becomes of one node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Outside what a PreFilter narrowed to.
    Outside,
    /// The first failing plugin, its reasons, and whether removing pods could not help.
    No(&'static str, BTreeSet<String>, bool),
    /// Fits.
    Yes,
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// A PreFilter refused, with this text.
    Refused(&'static str, String),
    /// Node by node.
    Nodes(BTreeMap<String, Verdict>),
}

impl World {
    pub(crate) fn upsert(&mut self, node: PlainNode) {
        self.remove_images(&node.name);
        for (names, size) in &node.images {
            for name in names {
                let known = self.images.entry(name.clone());
                let known = known.or_insert_with(|| (*size, BTreeSet::new()));
                known.1.insert(node.name.clone());
            }
        }
        self.nodes.insert(node.name.clone(), node);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.remove_images(name);
        self.nodes.remove(name);
    }

    fn remove_images(&mut self, node: &str) {
        for known in self.images.values_mut() {
            known.1.remove(node);
        }
        self.images.retain(|_, (_, nodes)| !nodes.is_empty());
    }

    pub(crate) fn pods_on(&self, node: &str) -> impl Iterator<Item = &PlainPod> {
        (self.placed.values())
            .filter(move |(place, _)| place == node)
            .map(|(_, pod)| pod)
    }

    pub(crate) fn requested(&self, node: &str, resource: &str) -> i64 {
        self.pods_on(node)
            .map(|pod| amount(&requests(pod), resource))
            .sum()
    }

    pub(crate) fn nonzero(&self, node: &str, resource: &str) -> i64 {
        self.pods_on(node)
            .map(|pod| amount(&nonzero_requests(pod), resource))
            .sum()
    }

    /// Filters every node.
    pub(crate) fn filter(&self, pod: &PlainPod) -> Answer {
        let confined = confined(pod);
        if confined.as_ref().is_some_and(BTreeSet::is_empty) {
            return Answer::Refused("NodeAffinity", "pod affinity terms conflict".to_owned());
        }
        let verdict = |node: &PlainNode| {
            if confined
                .as_ref()
                .is_some_and(|names| !names.contains(&node.name))
            {
                return Verdict::Outside;
            }
            self.filter_node(pod, node)
        };
        let peers = match self.filter_by_peers(pod) {
            Ok(peers) => peers,
            Err(refused) => return refused,
        };
        let verdict = |node: &PlainNode| match verdict(node) {
            Verdict::Yes => (peers.get(&node.name).cloned()).unwrap_or(Verdict::Yes),
            other => other,
        };
        Answer::Nodes(
            (self.nodes.iter())
                .map(|(name, node)| (name.clone(), verdict(node)))
                .collect(),
        )
    }

    /// The nodes that the plugins that look at other pods reject, or their refusal.
    fn filter_by_peers(&self, pod: &PlainPod) -> Result<BTreeMap<String, Verdict>, Answer> {
        let mut verdicts = BTreeMap::new();
        let spread = NaivePodTopologySpread { defaults: None };
        let affinity = NaiveInterPodAffinity {
            hard_pod_affinity_weight: 1,
            ignore_preferred_terms_of_existing_pods: false,
        };
        for (plugin, filtering) in [
            ("PodTopologySpread", spread.filter(self, pod)),
            ("InterPodAffinity", affinity.filter(self, pod)),
        ] {
            match filtering {
                Filtering::Skip => {}
                Filtering::Refused(_, text) => return Err(Answer::Refused(plugin, text)),
                Filtering::Rejects(nodes) => {
                    for (name, (code, reason)) in nodes {
                        let reasons = BTreeSet::from([reason.to_owned()]);
                        let unresolvable = code == "UnschedulableAndUnresolvable";
                        let verdict = Verdict::No(plugin, reasons, unresolvable);
                        verdicts.entry(name).or_insert(verdict);
                    }
                }
            }
        }
        Ok(verdicts)
    }

    fn filter_node(&self, pod: &PlainPod, node: &PlainNode) -> Verdict {
        let no = |plugin, reason: &str, unresolvable| {
            Verdict::No(plugin, BTreeSet::from([reason.to_owned()]), unresolvable)
        };
        if node.unschedulable {
            let cordon = ("node.kubernetes.io/unschedulable", "", "NoSchedule");
            if !tolerated(&pod.tolerations, cordon) {
                return no("NodeUnschedulable", "node(s) were unschedulable", true);
            }
        }
        for (key, value, effect) in &node.taints {
            let forbids = effect == "NoSchedule" || effect == "NoExecute";
            if forbids && !tolerated(&pod.tolerations, (key, value, effect)) {
                return no("TaintToleration", "node(s) had untolerated taint(s)", true);
            }
        }
        if !selected(pod, node) {
            let reason = "node(s) didn't match Pod's node affinity/selector";
            return no("NodeAffinity", reason, true);
        }
        for taken in self.pods_on(&node.name).flat_map(host_ports) {
            if host_ports(pod).iter().any(|port| conflict(port, &taken)) {
                let reason = "node(s) didn't have free ports for the requested pod ports";
                return no("NodePorts", reason, false);
            }
        }
        self.fit(pod, node)
    }

    fn fit(&self, pod: &PlainPod, node: &PlainNode) -> Verdict {
        let mut reasons = BTreeSet::new();
        let mut unresolvable = false;
        if self.pods_on(&node.name).count() as i64 + 1 > node.pods {
            reasons.insert("Too many pods".to_owned());
        }
        for (resource, asked) in requests(pod) {
            let counted = matches!(&*resource, "cpu" | "memory" | "ephemeral-storage")
                || resource.contains('/')
                || resource.starts_with("hugepages-");
            let all = amount(&node.allocatable, &resource);
            let free = all - self.requested(&node.name, &resource);
            if counted && asked > 0 && asked > free {
                reasons.insert(format!("Insufficient {resource}"));
                unresolvable |= asked > all;
            }
        }
        if reasons.is_empty() {
            Verdict::Yes
        } else {
            Verdict::No("NodeResourcesFit", reasons, unresolvable)
        }
    }

    /// Weighted scores by node and plugin, normalised over `feasible`. Plugins that say nothing
    /// about the pod are left out.
    pub(crate) fn scores(
        &self,
        pod: &PlainPod,
        feasible: &[String],
    ) -> BTreeMap<String, BTreeMap<&'static str, i64>> {
        let mut scores: BTreeMap<String, BTreeMap<&'static str, i64>> = (feasible.iter())
            .map(|name| (name.clone(), BTreeMap::new()))
            .collect();
        let mut add = |plugin: &'static str, weight: i64, column: Vec<i64>| {
            for (name, score) in feasible.iter().zip(column) {
                assert!((0..=100).contains(&score), "{plugin} gives {score}");
                scores.get_mut(name).unwrap().insert(plugin, weight * score);
            }
        };
        let nodes: Vec<&PlainNode> = feasible.iter().map(|name| &self.nodes[name]).collect();
        let column = |score: &dyn Fn(&PlainNode) -> i64| -> Vec<i64> {
            nodes.iter().map(|node| score(node)).collect()
        };

        let taints = column(&|node| intolerable(pod, node));
        add("TaintToleration", 3, normalized(taints, true));
        let preferred: Vec<_> = (pod.preferred.iter())
            .filter(|(weight, term)| {
                *weight != 0 && !(term.expressions.is_empty() && term.fields.is_empty())
            })
            .collect();
        if !preferred.is_empty() {
            let raw = column(&|node| {
                (preferred.iter())
                    .filter(|(_, term)| term_matches(term, node))
                    .map(|(weight, _)| i64::from(*weight))
                    .sum()
            });
            add("NodeAffinity", 2, normalized(raw, false));
        }
        add(
            "NodeResourcesFit",
            1,
            column(&|node| self.least_allocated(pod, node)),
        );
        let wanted = requests(pod);
        if amount(&wanted, "cpu") != 0 || amount(&wanted, "memory") != 0 {
            let score = column(&|node| self.balance(&wanted, node));
            add("NodeResourcesBalancedAllocation", 1, score);
        }
        add(
            "ImageLocality",
            1,
            column(&|node| self.image_locality(pod, node)),
        );
        if feasible.is_empty() {
            return scores;
        }
        let spread = NaivePodTopologySpread { defaults: None };
        let affinity = NaiveInterPodAffinity {
            hard_pod_affinity_weight: 1,
            ignore_preferred_terms_of_existing_pods: false,
        };
        for (plugin, scoring) in [
            ("PodTopologySpread", spread.score(self, pod, feasible)),
            ("InterPodAffinity", affinity.score(self, pod, feasible)),
        ] {
            match scoring {
                Scoring::Skip => {}
                Scoring::Error(text) => panic!("{plugin}: {text}"),
                Scoring::Scores(by_node) => {
                    add(
                        plugin,
                        2,
                        feasible.iter().map(|name| by_node[name].1).collect(),
                    );
                }
            }
        }
        scores
    }

    fn least_allocated(&self, pod: &PlainPod, node: &PlainNode) -> i64 {
        let mut scores = Vec::new();
        // Pod-level resources of the pod to place are not looked at here.
        let mut bare = pod.clone();
        bare.pod_level = None;
        let asked = total(&bare, &defaults());
        for resource in ["cpu", "memory"] {
            let all = amount(&node.allocatable, resource);
            if all == 0 {
                continue;
            }
            let used = self.nonzero(&node.name, resource) + amount(&asked, resource);
            scores.push(if used > all {
                0
            } else {
                (all - used) * 100 / all
            });
        }
        if scores.is_empty() {
            0
        } else {
            scores.iter().sum::<i64>() / scores.len() as i64
        }
    }

    fn balance(&self, wanted: &Amounts, node: &PlainNode) -> i64 {
        let score = |with_pod: bool| {
            let mut fractions = Vec::new();
            for resource in ["cpu", "memory"] {
                let all = amount(&node.allocatable, resource);
                if all != 0 {
                    let mut used = self.requested(&node.name, resource);
                    if with_pod {
                        used += amount(wanted, resource);
                    }
                    fractions.push((used as f64 / all as f64).min(1.0));
                }
            }
            let deviation = match fractions.as_slice() {
                [a, b] => ((a - b) / 2.0).abs(),
                _ => 0.0,
            };
            ((1.0 - deviation) * 100.0) as i64
        };
        50 + (50 + score(true) - score(false)) / 2
    }

    fn image_locality(&self, pod: &PlainPod, node: &PlainNode) -> i64 {
        let mut sum = 0;
        let mut containers = 0;
        for container in pod.init.iter().chain(&pod.containers) {
            containers += 1;
            let mut name = container.image.clone();
            let tagged = match (name.rfind(':'), name.rfind('/')) {
                (Some(colon), Some(slash)) => colon > slash,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if !tagged {
                name.push_str(":latest");
            }
            if let Some((size, nodes)) = self.images.get(&name)
                && nodes.contains(&node.name)
            {
                let spread = nodes.len() as f64 / self.nodes.len() as f64;
                sum += (*size as f64 * spread) as i64;
            }
        }
        let most = 1000 * MIB * containers;
        let sum = sum.clamp(23 * MIB, most);
        100 * (sum - 23 * MIB) / (most - 23 * MIB)
    }
}

fn amount(amounts: &Amounts, resource: &str) -> i64 {
    amounts.get(resource).copied().unwrap_or(0)
}

fn defaults() -> Amounts {
    Amounts::from([
        ("cpu".to_owned(), 100),
        ("memory".to_owned(), 200 * 1024 * 1024),
    ])
}

/// What the pod must find free, and holds once it is placed.
pub(crate) fn requests(pod: &PlainPod) -> Amounts {
    total(pod, &Amounts::new())
}

/// What scoring takes a placed pod to hold.
fn nonzero_requests(pod: &PlainPod) -> Amounts {
    let pod_level = pod.pod_level.as_ref().is_some_and(|amounts| {
        amounts
            .keys()
            .any(|name| matches!(&**name, "cpu" | "memory") || name.starts_with("hugepages-"))
    });
    let mut missing = defaults();
    if pod_level {
        let stated = requests(pod);
        missing.retain(|name, _| !stated.contains_key(name));
    }
    total(pod, &missing)
}

fn total(pod: &PlainPod, defaults: &Amounts) -> Amounts {
    let asks = |container: &Amounts| {
        let mut asks = container.clone();
        for (name, &default) in defaults {
            asks.entry(name.clone()).or_insert(default);
        }
        asks
    };
    let mut names = BTreeSet::new();
    for container in pod.init.iter().chain(&pod.containers) {
        names.extend(asks(&container.requests).into_keys());
    }
    let mut sums = Amounts::new();
    for name in names {
        let of = |amounts: &Amounts| amount(&asks(amounts), &name);
        let mut together: i64 = pod.containers.iter().map(|one| of(&one.requests)).sum();
        let mut peak = 0;
        let mut sidecars = 0;
        for init in &pod.init {
            peak = peak.max(sidecars + of(&init.requests));
            if init.sidecar {
                sidecars += of(&init.requests);
            }
        }
        together += sidecars;
        sums.insert(name, together.max(peak));
    }
    for (name, &level) in pod.pod_level.iter().flatten() {
        if matches!(&**name, "cpu" | "memory") || name.starts_with("hugepages-") {
            sums.insert(name.clone(), level);
        }
    }
    for (name, &more) in &pod.overhead {
        *sums.entry(name.clone()).or_insert(0) += more;
    }
    sums
}

/// Whether the node is one that the pod's node selector and required affinity mean.
pub(super) fn selected(pod: &PlainPod, node: &PlainNode) -> bool {
    let labels = (pod.node_selector.iter()).all(|(key, value)| node.labels.get(key) == Some(value));
    let required = |terms: &Vec<PlainTerm>| terms.iter().any(|term| term_matches(term, node));
    labels && pod.required.as_ref().is_none_or(required)
}

pub(super) fn tolerated(
    tolerations: &[PlainToleration],
    (key, value, effect): (&str, &str, &str),
) -> bool {
    tolerations.iter().any(|one| {
        let effect = one.effect.is_empty() || one.effect == effect;
        let key = one.key.is_empty() || one.key == key;
        let value = match &*one.operator {
            "" | "Equal" => one.value == value,
            "Exists" => true,
            _ => false,
        };
        effect && key && value
    })
}

/// How many PreferNoSchedule taints of the node the pod does not tolerate.
fn intolerable(pod: &PlainPod, node: &PlainNode) -> i64 {
    let tolerations: Vec<_> = (pod.tolerations.iter())
        .filter(|one| one.effect.is_empty() || one.effect == "PreferNoSchedule")
        .cloned()
        .collect();
    let mut count = 0;
    for (key, value, effect) in &node.taints {
        if effect == "PreferNoSchedule" && !tolerated(&tolerations, (key, value, effect)) {
            count += 1;
        }
    }
    count
}

fn normalized(scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let largest = scores.iter().copied().max().unwrap_or(0);
    let score = |raw: i64| match (largest, reverse) {
        (0, false) => 0,
        (0, true) => 100,
        (_, false) => 100 * raw / largest,
        (_, true) => 100 - 100 * raw / largest,
    };
    scores.into_iter().map(score).collect()
}

type Port = (String, String, i32);

fn host_ports(pod: &PlainPod) -> Vec<Port> {
    let sidecars = pod.init.iter().filter(|container| container.sidecar);
    (pod.containers.iter().chain(sidecars))
        .flat_map(|container| container.ports.clone())
        .filter(|(_, _, port)| *port > 0)
        .map(|(ip, protocol, port)| {
            let or = |text: String, default: &str| {
                if text.is_empty() {
                    default.to_owned()
                } else {
                    text
                }
            };
            (or(ip, "0.0.0.0"), or(protocol, "TCP"), port)
        })
        .collect()
}

fn conflict(one: &Port, other: &Port) -> bool {
    let everywhere = one.0 == "0.0.0.0" || other.0 == "0.0.0.0";
    (one.0 == other.0 || everywhere) && one.1 == other.1 && one.2 == other.2
}

/// None when a requirement cannot be read, which makes its term match nothing.
/// Whether the requirement holds; None when it cannot be read, whatever the node.
pub(crate) fn requirement_holds(
    (key, operator, values): &PlainRequirement,
    node: &PlainNode,
) -> Option<bool> {
    if values
        .iter()
        .any(|value| !value.is_empty() && !proper(value))
    {
        return None;
    }
    let label = node.labels.get(key);
    match &**operator {
        "In" if !values.is_empty() => Some(label.is_some_and(|held| values.contains(held))),
        "NotIn" if !values.is_empty() => Some(!label.is_some_and(|held| values.contains(held))),
        "Exists" if values.is_empty() => Some(label.is_some()),
        "DoesNotExist" if values.is_empty() => Some(label.is_none()),
        "Gt" | "Lt" if values.len() == 1 => {
            let bound: i64 = values[0].parse().ok()?;
            let held: Option<i64> = label.and_then(|held| held.parse().ok());
            Some(held.is_some_and(|held| match &**operator {
                "Gt" => held > bound,
                _ => held < bound,
            }))
        }
        _ => None,
    }
}

fn field_holds((key, operator, values): &PlainRequirement, node: &PlainNode) -> Option<bool> {
    assert_eq!(key, "metadata.name");
    match (&**operator, values.as_slice()) {
        ("In", [name]) => Some(*name == node.name),
        ("NotIn", [name]) => Some(*name != node.name),
        _ => None,
    }
}

fn term_matches(term: &PlainTerm, node: &PlainNode) -> bool {
    if term.expressions.is_empty() && term.fields.is_empty() {
        return false;
    }
    let mut all = true;
    for expression in &term.expressions {
        match requirement_holds(expression, node) {
            None => return false,
            Some(holds) => all &= holds,
        }
    }
    for field in &term.fields {
        match field_holds(field, node) {
            None => return false,
            Some(holds) => all &= holds,
        }
    }
    all
}

/// The node names that every term insists on; None when some term leaves it open.
fn confined(pod: &PlainPod) -> Option<BTreeSet<String>> {
    let terms = pod.required.as_ref()?;
    if terms.is_empty() {
        return None;
    }
    let mut union = BTreeSet::new();
    for term in terms {
        let mut of_term: Option<BTreeSet<String>> = None;
        for (_, operator, values) in &term.fields {
            if operator == "In" {
                let names: BTreeSet<String> = values.iter().cloned().collect();
                of_term = Some(match of_term {
                    None => names,
                    Some(held) => held.intersection(&names).cloned().collect(),
                });
            }
        }
        union.extend(of_term?);
    }
    Some(union)
}
