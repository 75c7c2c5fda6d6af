//! What is said of gangs: kube-scheduler's sentences first, then the gang's story. Source of the
//! former: `pkg/scheduler/schedule_one_podgroup.go`, `plugins/gangscheduling`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cluster::{Cluster, NodeId, NodeSet};
use crate::engine::{ConditionReason, Engine};
use crate::gang::{Gang, Refusal, Refused, Waits};
use crate::model::{PodShape, Requests};
use crate::queue::PodKey;

/// What the members of a refused gang are told, each, and the group.
pub(super) struct Texts {
    pub(super) members: Vec<(PodKey, ConditionReason, String)>,
    /// What the group is told: the refusal, and the gang's story.
    pub(super) group: String,
    /// The same for its status.
    pub(super) status: String,
    /// Whether it can never fit the nodes as they are.
    pub(super) hopeless: bool,
}

/// Why a gang is not tried yet.
pub(super) fn waits(gang: &Gang, waits: &Waits) -> String {
    match waits {
        Waits::Object => format!("PodGroup {} not found", gang.reference),
        Waits::Pods {
            exist,
            min,
            gated,
            missing_roles,
        } => {
            let mut text = format!(
                "waiting for minCount pods from a gang to appear in scheduling queue: gang {} has {exist} of {min} pods",
                gang.reference
            );
            if *gated > 0 {
                let (noun, verb) = if *gated == 1 {
                    ("member", "is")
                } else {
                    ("members", "are")
                };
                let _ = write!(text, "; {gated} {noun} {verb} scheduling-gated");
            }
            for (place, role) in missing_roles.iter().enumerate() {
                let before = if place == 0 { "; missing role " } else { ", " };
                let _ = write!(text, "{before}{role}");
            }
            text
        }
    }
}

fn unavailable(refusal: &Refusal) -> String {
    if let Some(error) = &refusal.error {
        return error.clone();
    }
    let mut text = format!("0/{} nodes are available:", refusal.nodes);
    if let Some(reasons) = &refusal.reasons {
        let _ = write!(text, " {reasons}.");
    }
    text
}

fn reason(refusal: &Refusal) -> ConditionReason {
    match refusal.error {
        Some(_) => ConditionReason::SchedulerError,
        None => ConditionReason::Unschedulable,
    }
}

impl Engine {
    /// What members are told that the gang can do without.
    pub(super) fn words_for_extras(
        &self,
        members: &[PodKey],
        refused: &[Refusal],
    ) -> Vec<(PodKey, ConditionReason, String)> {
        (refused.iter())
            .filter_map(|refusal| {
                let key = *members.get(refusal.candidate)?;
                Some((key, reason(refusal), unavailable(refusal)))
            })
            .collect()
    }

    /// What the members of a refused gang are told.
    pub(super) fn words_for_refusal(
        &self,
        gang: &Gang,
        members: &[PodKey],
        refused: &Refused,
        preemption: &str,
    ) -> Texts {
        let min = gang.min().unwrap_or(1);
        let scheduled = gang.counts().live() + refused.fitted.len();
        let remaining = refused.not_reached.len();
        let short = format!(
            "minCount ({min}) cannot be satisfied: {scheduled} scheduled, {remaining} remaining"
        );
        let (story, hopeless) = self.story(gang, members, refused);
        let key = |place: &usize| members.get(*place).copied();
        let mut texts = Vec::with_capacity(members.len());
        for fitted in refused.fitted.iter().filter_map(key) {
            let text = format!("pod group is unschedulable, {short}{preemption}");
            texts.push((fitted, ConditionReason::Unschedulable, text));
        }
        let mut first = None;
        for refusal in &refused.refused {
            let mut text = unavailable(refusal);
            if refusal.error.is_none() {
                let _ = write!(text, " {story}");
            }
            first.get_or_insert_with(|| text.clone());
            texts.extend(key(&refusal.candidate).map(|key| (key, reason(refusal), text)));
        }
        for left in refused.not_reached.iter().filter_map(key) {
            texts.push((left, ConditionReason::Unschedulable, short.clone()));
        }
        Texts {
            members: texts,
            group: first.unwrap_or_else(|| format!("{short}. {story}")),
            // One of these sentences ends by itself.
            status: format!("{short}{}. {story}", preemption.trim_end_matches('.')),
            hopeless,
        }
    }

    /// `gang train/llama: 14 of 16 members fit; best domain rack=r11 lacks 2 nvidia.com/gpu`.
    ///
    /// Also whether it can never fit the nodes as they are.
    fn story(&self, gang: &Gang, members: &[PodKey], refused: &Refused) -> (String, bool) {
        let mut story = format!(
            "gang {}: {} of {} members fit",
            gang.reference,
            refused.fitted.len(),
            members.len()
        );
        let need = gang.need();
        let missing = need.pods.saturating_sub(refused.fitted.len());
        let lacks = (refused.refused.first())
            .and_then(|refusal| self.lacking(*members.get(refusal.candidate)?, missing));
        let never = self.never(need.pods, members);
        if let Some((key, value)) = &refused.domain {
            let _ = write!(story, "; best domain {key}={value}");
            match &lacks {
                Some(lacks) => write!(story, " lacks {lacks}"),
                None => write!(story, " has room for {}", refused.fitted.len()),
            }
            .unwrap_or_default();
        } else if let Some(key) = gang.topology().required {
            let _ = match gang.counts().live() {
                0 => write!(story, "; no node in question has the label {key}"),
                _ => write!(story, "; its bound members are not in one domain of {key}"),
            };
        } else if let (Some(lacks), None) = (&lacks, &never) {
            let _ = write!(story, "; the cluster lacks {lacks}");
        }
        if let Some((unlabelled, device)) = self.unlabelled(gang, members) {
            let key = gang.topology().required.unwrap_or_default();
            let (nodes, lack) = if unlabelled == 1 {
                ("node", "lacks")
            } else {
                ("nodes", "lack")
            };
            let _ = write!(
                story,
                "; {unlabelled} {nodes} with {device} {lack} the label {key}"
            );
        }
        if refused.fits_elsewhere {
            story.push_str("; without the constraint it fits now");
        }
        if let Some(never) = &never {
            let _ = write!(story, "; {never}");
        }
        let hopeless = never.is_some() || self.waits_in_vain(need.pods, members, refused);
        (story, hopeless)
    }

    /// How many nodes have the device that the gang asks for and are in no domain of the label that
    /// it must be in one of.
    fn unlabelled(&self, gang: &Gang, members: &[PodKey]) -> Option<(usize, &str)> {
        let key = gang.topology().required?;
        let mut shapes = members.iter().filter_map(|member| self.shape_of(*member));
        let (device, _) = shapes.find_map(|shape| shape.wanted.asked_scalars().next())?;
        let mut labelled = NodeSet::new();
        self.cluster.labels().with_key(&key, &mut labelled);
        let offered = column(&self.cluster, device);
        let lacks = |node: &NodeId| {
            let offers = offered.get(node.index()).is_some_and(|amount| *amount > 0);
            offers && !labelled.contains(*node)
        };
        let unlabelled = self.cluster.nodes().iter().filter(lacks).count();
        (unlabelled > 0).then_some((unlabelled, device))
    }

    /// How much of the first device that it asks for a member that does not fit lacks, times those that
    /// are missing.
    fn lacking(&self, key: PodKey, missing: usize) -> Option<String> {
        let shape = self.shape_of(key)?;
        let missing = i64::try_from(missing).unwrap_or(i64::MAX);
        let (name, amount) = shape.wanted.asked_scalars().next()?;
        Some(format!("{} {name}", amount.saturating_mul(missing)))
    }

    /// Why the gang can never fit this cluster, whoever goes: `need` of these members must be placed.
    fn never(&self, need: usize, members: &[PodKey]) -> Option<String> {
        let shapes: Vec<_> = (members.iter())
            .filter_map(|key| self.shape_of(*key))
            .collect();
        let mut asked: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (name, amount) in shapes.iter().flat_map(|shape| amounts(&shape.wanted)) {
            asked.entry(name).or_default().push(amount);
        }
        let largest: BTreeMap<&str, i64> = (asked.keys())
            .map(|name| (*name, largest(&self.cluster, name)))
            .collect();
        let mut lost = shapes.iter().filter_map(|&shape| {
            let mut asked = amounts(&shape.wanted);
            asked.find(|(name, amount)| *amount > largest.get(name).copied().unwrap_or(0))
        });
        let first = lost.next();
        if let Some((name, amount)) = first.filter(|_| shapes.len() < need + 1 + lost.count()) {
            let largest = shown(name, largest.get(name).copied().unwrap_or(0));
            let amount = shown(name, amount);
            return Some(format!("no node has {amount} {name} (largest {largest})"));
        }
        let short = asked.into_iter().rev().find_map(|(name, mut amounts)| {
            // At the least those are placed that ask for the least, first of all those for nothing.
            amounts.sort_unstable();
            let nothing = shapes.len() - amounts.len();
            let least = amounts.into_iter().take(need.saturating_sub(nothing));
            let needed: i128 = least.map(i128::from).sum();
            let all = total(&self.cluster, name);
            (needed > all).then_some((name, needed, all))
        });
        let (name, needed, all) = short?;
        let clamp = |amount: i128| i64::try_from(amount).unwrap_or(i64::MAX);
        Some(format!(
            "gang needs {} {name}; the cluster has {}: cannot ever fit",
            shown(name, clamp(needed)),
            shown(name, clamp(all))
        ))
    }

    /// Whether so many members are refused for what no pod that ends can change, such as the labels
    /// of nodes, that the gang cannot be placed. What a domain lacks another one may have.
    fn waits_in_vain(&self, need: usize, members: &[PodKey], refused: &Refused) -> bool {
        let in_vain = |refusal: &&Refusal| {
            let pod = (members.get(refusal.candidate)).and_then(|key| self.pods.get(key));
            pod.is_some_and(|pod| {
                let profile = &self.profiles[pod.profile].profile;
                let helped = |plugin| {
                    let events = profile.plugin(plugin).events();
                    events.contains(crate::framework::EventKind::AssignedPodDelete)
                };
                !refusal.rejectors.is_empty() && !refusal.rejectors.iter().any(helped)
            })
        };
        let lost = refused.refused.iter().filter(in_vain).count();
        refused.domain.is_none() && members.len() < need + lost
    }

    fn shape_of(&self, key: PodKey) -> Option<&PodShape> {
        let (_, shape) = self.classes.get(self.pods.get(&key)?.class)?;
        Some(shape)
    }
}

/// What is asked for, devices first.
fn amounts(wanted: &Requests) -> impl Iterator<Item = (&str, i64)> {
    let rest = [("cpu", wanted.cpu), ("memory", wanted.memory)];
    let rest = rest.into_iter().filter(|(_, amount)| *amount > 0);
    wanted.asked_scalars().chain(rest)
}

/// cpu in thousandths as the API writes it.
fn shown(name: &str, amount: i64) -> String {
    if name != "cpu" {
        return amount.to_string();
    }
    if amount % 1000 == 0 {
        return (amount / 1000).to_string();
    }
    format!("{amount}m")
}

fn column<'a>(cluster: &'a Cluster, name: &str) -> &'a [i64] {
    let resources = cluster.resources();
    resources
        .id(name)
        .map_or(&[], |id| resources.allocatable(id))
}

fn largest(cluster: &Cluster, name: &str) -> i64 {
    column(cluster, name).iter().copied().max().unwrap_or(0)
}

fn total(cluster: &Cluster, name: &str) -> i128 {
    column(cluster, name)
        .iter()
        .map(|amount| i128::from(*amount))
        .sum()
}
