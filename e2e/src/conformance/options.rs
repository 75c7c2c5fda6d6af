//! What the command line asks for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::SchedulerKind;

/// Which tests run, and against what.
#[derive(Debug, Args)]
pub struct Plan {
    /// The scheduler that all pods are left to.
    #[arg(long, value_enum, default_value_t = Contender::Berth)]
    pub scheduler: Contender,
    /// Groups of tests; separated by commas, or repeated.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [Group::Predicates, Group::Priorities, Group::MultiAz],
    )]
    pub groups: Vec<Group>,
    /// Only tests whose name contains this text, in capital or small letters.
    #[arg(long, value_name = "TEXT")]
    pub focus: Option<String>,
    /// Show the names of the selected tests and run none.
    #[arg(long)]
    pub list: bool,
    /// Keep what each test and each program has written in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub logs: Option<PathBuf>,
}

impl Plan {
    /// Whether a test of this name is to run.
    pub fn selects(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let focus = self.focus.as_deref().unwrap_or_default().to_lowercase();
        let grouped = self
            .groups
            .iter()
            .flat_map(|group| group.titles())
            .any(|title| name.starts_with(&title.to_lowercase()));
        grouped && name.contains(&focus)
    }

    /// Whether the API server and the scheduler need PodGroups.
    pub fn needs_pod_groups(&self) -> bool {
        self.groups.contains(&Group::Gangs)
    }
}

/// A scheduler that the tests can be run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Ours.
    Berth,
    /// Kubernetes' own, which shows what is possible with nodes that do not exist.
    KubeScheduler,
}

impl Contender {
    /// Its kind, for the launcher.
    pub fn kind(self) -> SchedulerKind {
        match self {
            Self::Berth => SchedulerKind::Berth,
            Self::KubeScheduler => SchedulerKind::KubeScheduler,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Berth => "berth",
            Self::KubeScheduler => "kube-scheduler",
        }
    }
}

/// Some of Kubernetes' scheduling tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Where pods may go: SchedulerPredicates.
    Predicates,
    /// Where pods had better go: SchedulerPriorities.
    Priorities,
    /// Pods of one service over zones: Multi-AZ Clusters.
    MultiAz,
    /// SchedulerPreemption.
    Preemption,
    /// GangScheduling and WorkloadAwarePreemption.
    Gangs,
}

impl Group {
    /// With what the names of its tests begin.
    fn titles(self) -> &'static [&'static str] {
        match self {
            Self::Predicates => &["SchedulerPredicates "],
            Self::Priorities => &["SchedulerPriorities "],
            Self::MultiAz => &["Multi-AZ Clusters "],
            Self::Preemption => &["SchedulerPreemption "],
            Self::Gangs => &["GangScheduling ", "WorkloadAwarePreemption "],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_selected_by_group_and_focus() {
        const NAME: &str = "Multi-AZ Clusters should spread the pods of a service across zones";
        let check = |groups: &[Group], focus: Option<&str>, expected: bool| {
            let plan = Plan {
                scheduler: Contender::Berth,
                groups: groups.to_vec(),
                focus: focus.map(str::to_owned),
                list: false,
                logs: None,
            };
            assert_eq!(plan.selects(NAME), expected, "{groups:?}, {focus:?}");
        };
        check(&[Group::MultiAz], None, true);
        check(&[Group::Gangs, Group::MultiAz], None, true);
        check(&[Group::Predicates], None, false);
        check(&[Group::MultiAz], Some("Service"), true);
        check(&[Group::MultiAz], Some("controller"), false);
        check(&[Group::Predicates], Some("service"), false);
    }
}
