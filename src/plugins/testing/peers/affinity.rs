//! InterPodAffinity, naively: every pod is looked at for every node.

use std::collections::BTreeMap;

use super::{Filtering, Matcher, Peers, PodTerm, Scoring, WeightedTerm, together};
use crate::plugins::testing::naive::World;
use crate::plugins::testing::plain::{PlainNode, PlainPod};

/// The plugin with its arguments.
pub(crate) struct NaiveInterPodAffinity {
    pub(crate) hard_pod_affinity_weight: i32,
    pub(crate) ignore_preferred_terms_of_existing_pods: bool,
}

/// A term that could be read, and whose it is.
struct Term<'a> {
    of: &'a Peers,
    term: &'a PodTerm,
    selector: Matcher,
    /// None when the term says nothing of the sort.
    namespaces: Option<Matcher>,
}

/// Which of the two pods is being placed. It matters for namespaces that nobody has created.
#[derive(Clone, Copy)]
enum Side {
    Incoming,
    Existing,
}

impl Term<'_> {
    /// Whether the pod is one that the term speaks of.
    fn means(&self, world: &World, side: Side, pod: &Peers) -> bool {
        let named = if self.term.namespaces.is_empty() && self.namespaces.is_none() {
            pod.namespace == self.of.namespace
        } else {
            self.term.namespaces.contains(&pod.namespace)
        };
        let selected = self.namespaces.as_ref().is_some_and(|selector| {
            match (world.namespaces.get(&pod.namespace), side) {
                (Some(labels), _) => selector.matches(labels),
                // The selector of the incoming pod is turned into names of existing namespaces,
                // unless it is empty; that of an existing pod is held against no labels.
                (None, Side::Incoming) => selector.is_empty(),
                (None, Side::Existing) => selector.matches(&BTreeMap::new()),
            }
        });
        (named || selected) && self.selector.matches(&pod.labels)
    }
}

/// The terms, or why one of them cannot be read.
fn parse<'a>(
    of: &'a Peers,
    terms: impl IntoIterator<Item = &'a PodTerm>,
) -> Result<Vec<Term<'a>>, String> {
    let one = |term: &'a PodTerm| {
        Ok(Term {
            of,
            term,
            selector: Matcher::of(term.label_selector.as_ref())?,
            namespaces: match &term.namespace_selector {
                Some(selector) => Some(Matcher::of(Some(selector))?),
                None => None,
            },
        })
    };
    terms.into_iter().map(one).collect()
}

fn parse_weighted<'a>(
    of: &'a Peers,
    terms: &'a [WeightedTerm],
) -> Result<Vec<(i64, Term<'a>)>, String> {
    let weights = terms.iter().map(|one| i64::from(one.weight));
    let terms = parse(of, terms.iter().map(|one| &one.pod_affinity_term))?;
    Ok(weights.zip(terms).collect())
}

fn parsing_fault(pod: &Peers) -> Option<String> {
    let faults = [
        ("requiredAffinityTerms", parse(pod, &pod.affinity).err()),
        (
            "requiredAntiAffinityTerms",
            parse(pod, &pod.anti_affinity).err(),
        ),
        (
            "preferredAffinityTerms",
            parse_weighted(pod, &pod.preferred_affinity).err(),
        ),
        (
            "preferredAntiAffinityTerms",
            parse_weighted(pod, &pod.preferred_anti_affinity).err(),
        ),
    ];
    let named = |(name, fault): (&str, Option<String>)| Some(format!("{name}: {}", fault?));
    together(faults.into_iter().filter_map(named).collect())
}

/// Whether both nodes have the label, with one value.
fn together_by(key: &str, one: &PlainNode, other: &PlainNode) -> bool {
    let value = one.labels.get(key);
    value.is_some() && value == other.labels.get(key)
}

fn placed(world: &World) -> impl Iterator<Item = (&PlainNode, &Peers)> {
    (world.placed.values()).filter_map(|(node, pod)| Some((world.nodes.get(node)?, &pod.peers)))
}

impl NaiveInterPodAffinity {
    pub(crate) fn filter(&self, world: &World, pod: &PlainPod) -> Filtering {
        let pod = &pod.peers;
        if let Some(fault) = parsing_fault(pod) {
            let text = format!("parsing pod: {fault}");
            return Filtering::Refused("UnschedulableAndUnresolvable", text);
        }
        let affinity = parse(pod, &pod.affinity).unwrap();
        let anti_affinity = parse(pod, &pod.anti_affinity).unwrap();

        // Key and node of what existing pods do not want the pod beside.
        let mut hostile: Vec<(&str, &PlainNode)> = Vec::new();
        // Nodes of pods that all terms mean.
        let mut friends: Vec<&PlainNode> = Vec::new();
        for (node, other) in placed(world) {
            for term in parse(other, &other.anti_affinity).unwrap_or_default() {
                let key = &term.term.topology_key;
                if node.labels.contains_key(key) && term.means(world, Side::Existing, pod) {
                    hostile.push((key, node));
                }
            }
            let all = |term: &Term<'_>| term.means(world, Side::Incoming, other);
            if affinity.iter().all(all) {
                friends.push(node);
            }
        }
        if affinity.is_empty() && anti_affinity.is_empty() && hostile.is_empty() {
            return Filtering::Skip;
        }
        let alone = !(friends.iter()).any(|node| {
            (affinity.iter()).any(|term| node.labels.contains_key(&term.term.topology_key))
        });
        let first = alone && (affinity.iter()).all(|term| term.means(world, Side::Incoming, pod));

        let verdict = |node: &PlainNode| {
            let has_keys =
                (affinity.iter()).all(|term| node.labels.contains_key(&term.term.topology_key));
            let beside = affinity.iter().all(|term| {
                let key = &term.term.topology_key;
                friends.iter().any(|friend| together_by(key, node, friend))
            });
            if !(has_keys && (beside || first)) {
                let reason = "node(s) didn't match pod affinity rules";
                return Some(("UnschedulableAndUnresolvable", reason));
            }
            let repelled = anti_affinity.iter().any(|term| {
                placed(world).any(|(place, other)| {
                    together_by(&term.term.topology_key, node, place)
                        && term.means(world, Side::Incoming, other)
                })
            });
            if repelled {
                let reason = "node(s) didn't match pod anti-affinity rules";
                return Some(("Unschedulable", reason));
            }
            if (hostile.iter()).any(|(key, place)| together_by(key, node, place)) {
                let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
                return Some(("Unschedulable", reason));
            }
            None
        };
        Filtering::Rejects(
            (world.nodes.iter())
                .filter_map(|(name, node)| Some((name.clone(), verdict(node)?)))
                .collect(),
        )
    }

    /// Of a pod that `filter` has not refused.
    pub(crate) fn score(&self, world: &World, pod: &PlainPod, feasible: &[String]) -> Scoring {
        let pod = &pod.peers;
        let affinity = parse_weighted(pod, &pod.preferred_affinity).unwrap();
        let anti_affinity = parse_weighted(pod, &pod.preferred_anti_affinity).unwrap();
        let prefers = !affinity.is_empty() || !anti_affinity.is_empty();
        if self.ignore_preferred_terms_of_existing_pods && !prefers {
            return Scoring::Skip;
        }
        // Key and node of what counts, and how much.
        let mut counts: Vec<(&str, &PlainNode, i64)> = Vec::new();
        for (node, other) in placed(world) {
            let mut count = |term: &Term<'_>, key, means: bool, weight| {
                if means && node.labels.contains_key(&term.term.topology_key) {
                    counts.push((key, node, weight));
                }
            };
            for (sign, terms) in [(1, &affinity), (-1, &anti_affinity)] {
                for (weight, term) in terms {
                    let means = term.means(world, Side::Incoming, other);
                    count(term, &*term.term.topology_key, means, sign * weight);
                }
            }
            let mut theirs = Vec::new();
            if self.hard_pod_affinity_weight > 0 {
                let weight = i64::from(self.hard_pod_affinity_weight);
                let required = parse(other, &other.affinity).unwrap_or_default();
                theirs.extend(required.into_iter().map(|term| (weight, term)));
            }
            theirs.extend(parse_weighted(other, &other.preferred_affinity).unwrap_or_default());
            let against = parse_weighted(other, &other.preferred_anti_affinity);
            let against = against.unwrap_or_default().into_iter();
            theirs.extend(against.map(|(weight, term)| (-weight, term)));
            for (weight, term) in &theirs {
                let means = term.means(world, Side::Existing, pod);
                count(term, &*term.term.topology_key, means, *weight);
            }
        }
        if counts.is_empty() {
            return Scoring::Skip;
        }
        let raw = |name: &String| -> i64 {
            let node = &world.nodes[name];
            (counts.iter())
                .filter(|(key, place, _)| together_by(key, node, place))
                .map(|(_, _, weight)| weight)
                .sum()
        };
        let raw: Vec<i64> = feasible.iter().map(raw).collect();
        let (least, most) = (raw.iter().min().unwrap(), raw.iter().max().unwrap());
        let normalized = |score: i64| match most - least {
            0 => 0,
            range => (100.0 * ((score - least) as f64 / range as f64)) as i64,
        };
        Scoring::Scores(
            (feasible.iter().cloned())
                .zip(raw.iter().map(|&score| (score, normalized(score))))
                .collect(),
        )
    }
}
