//! What the command line asks for.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::contender::Contender;
use super::fleet::Pace;
use super::kinds::{POD_KINDS, PODS_PER_NODE, PodKind};
use super::preemption::{Mix, Preemption};
use super::quantiles::count;

/// The schedulers that are measured unless others are named.
const USUAL: [Contender; 3] = [Contender::Null, Contender::KubeScheduler, Contender::Berth];

/// The form of the result on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For machines: every round, and the summaries of the tables.
    Json,
}

/// The arguments of a load run.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// The schedulers to measure; they take turns in each round. [default: null,kube-scheduler,berth]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub schedulers: Vec<Contender>,
    /// How many nodes there are; repeat it to measure several sizes one after another. [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub nodes: Vec<u32>,
    /// How many pods a round creates at once. [default: 2000]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub pods: Option<u32>,
    /// The kind of pods; repeat it to measure several kinds.
    #[arg(long, value_name = "KIND", value_parser = PodKind::find, default_value = "basic", long_help = kind_help())]
    pub kind: Vec<&'static PodKind>,
    /// How often each scheduler has its turn. [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// How many connections create pods.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub clients: u32,
    /// Open loop: create so many pods per second on a schedule, whatever becomes of them.
    #[arg(long, value_name = "R", conflicts_with_all = ["pods", "memory"], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: Option<u32>,
    /// Open loop: for so long.
    #[arg(long, value_name = "S", default_value_t = 20, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Pods per second that evict others, in the second half of an open loop of kind preemption-ordinary.
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub preempt_rate: u32,
    /// Also read p50 and p99 of a scheduling attempt from the scheduler's own metrics.
    #[arg(long)]
    pub latency: bool,
    /// One round of berth with 5,000 nodes and 10,000 pods, unless other arguments change that: its peak memory.
    #[arg(long)]
    pub memory: bool,
    /// How many binds the null scheduler has in flight.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub null_in_flight: u32,
    /// Pods that the null scheduler binds before anything is measured, so that the API server is warm.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub warm_up: u32,
    /// Before each round, wait up to so many seconds for other programs to leave the machine alone, and repeat a round
    /// that they disturbed nevertheless, at most twice; the least disturbed one counts.
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub quiet: u32,
    /// A round fails when no pod is bound for so many seconds.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub stall: u32,
    /// Go on with the next round when one fails; the exit code still tells.
    #[arg(long)]
    pub keep_going: bool,
    /// A further argument for `berth run`; may be repeated.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub berth_arg: Vec<String>,
    /// The form of the result.
    #[arg(short, long, value_enum, value_name = "FORM", default_value = "table")]
    pub output: Output,
}

/// What is to be measured, with all defaults filled in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The schedulers, in the order of their turns.
    pub schedulers: Vec<Contender>,
    /// Numbers of nodes.
    pub nodes: Vec<usize>,
    /// Pods per round.
    pub pods: usize,
    /// Names of the kinds of pods.
    #[serde(serialize_with = "names")]
    pub kinds: Vec<&'static PodKind>,
    /// Turns of each scheduler.
    pub rounds: u32,
    /// Connections that create pods.
    pub clients: usize,
    /// Pods per second of an open loop.
    pub rate: Option<u32>,
    /// The length of an open loop.
    pub seconds: u32,
    /// Pods per second that evict others beside ordinary ones.
    pub preempt_rate: u32,
    /// Whether the schedulers' own metrics are read.
    pub latency: bool,
    /// Binds in flight of the null scheduler.
    pub null_in_flight: u32,
    /// Pods bound before anything is measured.
    pub warm_up: usize,
    /// Seconds to wait at most for a quiet machine before each round.
    pub quiet: u32,
    /// Seconds without a bind after which a round fails.
    pub stall: u32,
    /// Whether a failed round is survived.
    pub keep_going: bool,
    /// Further arguments for Berth.
    pub berth_args: Vec<String>,
}

impl Plan {
    /// Fills in the defaults and refuses what cannot work.
    pub fn new(args: LoadArgs) -> Result<Self> {
        let preset = |usual: u32, memory: u32| if args.memory { memory } else { usual };
        let or = |given: &[Contender], usual: &[Contender]| {
            if given.is_empty() { usual } else { given }.to_vec()
        };
        let usual: &[Contender] = if args.memory {
            &[Contender::Berth]
        } else {
            &USUAL
        };
        let mut nodes: Vec<usize> = args.nodes.iter().map(|nodes| to_usize(*nodes)).collect();
        if nodes.is_empty() {
            nodes.push(to_usize(preset(1_000, 5_000)));
        }
        let pods = match args.rate {
            Some(rate) => to_usize(rate) * to_usize(args.seconds),
            None => to_usize(args.pods.unwrap_or(preset(2_000, 10_000))),
        };
        for nodes in &nodes {
            let room = nodes * PODS_PER_NODE;
            if pods > room {
                bail!("{pods} pods do not fit on {nodes} nodes, which have room for {room}");
            }
        }
        for kind in &args.kind {
            if let Some(gangs) = kind.gangs
                && (pods % gangs.size != 0 || pods == 0)
            {
                let (name, size) = (kind.name, gangs.size);
                bail!("{pods} pods of kind {name} are not whole gangs of {size}: see --pods");
            }
        }
        let plan = Self {
            schedulers: or(&args.schedulers, usual),
            nodes,
            pods,
            kinds: args.kind,
            rounds: args.rounds.unwrap_or(preset(3, 1)),
            clients: to_usize(args.clients),
            rate: args.rate,
            seconds: args.seconds,
            preempt_rate: args.preempt_rate,
            latency: args.latency,
            null_in_flight: args.null_in_flight,
            warm_up: to_usize(args.warm_up),
            quiet: args.quiet,
            stall: args.stall,
            keep_going: args.keep_going,
            berth_args: args.berth_arg,
        };
        plan.check_preemption()?;
        Ok(plan)
    }

    fn check_preemption(&self) -> Result<()> {
        for kind in &self.kinds {
            let Some(preemption) = kind.preemption else {
                continue;
            };
            let name = kind.name;
            let (ordinary, preemptors) = match (preemption, self.mix()) {
                (Preemption::Alone, _) => (0, self.pods),
                (Preemption::Beside, Some(mix)) => {
                    let preemptors = mix.preemptors();
                    (mix.pods() - preemptors, preemptors)
                }
                (Preemption::Beside, None) => bail!("kind {name} is an open loop: see --rate"),
            };
            for nodes in &self.nodes {
                preemption.check(*nodes, ordinary, preemptors)?;
            }
        }
        Ok(())
    }

    /// Whether some pods belong to gangs, for which the control plane needs PodGroups and nodes have GPUs.
    pub fn has_gangs(&self) -> bool {
        self.kinds.iter().any(|kind| kind.gangs.is_some())
    }

    /// Whether pods have to go for others, for which the control plane needs priority classes.
    pub fn has_preemption(&self) -> bool {
        self.kinds.iter().any(|kind| kind.preemption.is_some())
    }

    /// Ordinary pods and those that evict others, in an open loop.
    fn mix(&self) -> Option<Mix> {
        Some(Mix {
            rate: to_usize(self.rate?),
            preempting: to_usize(self.preempt_rate),
            seconds: to_usize(self.seconds),
        })
    }

    /// How many pods of a kind a round creates.
    pub fn pods(&self, kind: &PodKind) -> usize {
        match self.pace(kind) {
            Pace::Mixed(mix) => mix.pods(),
            Pace::AtOnce | Pace::PerSecond(_) => self.pods,
        }
    }

    /// The pace at which pods of a kind are created.
    pub fn pace(&self, kind: &PodKind) -> Pace {
        match (self.mix(), kind.preemption) {
            (None, _) => Pace::AtOnce,
            (Some(mix), Some(Preemption::Beside)) => Pace::Mixed(mix),
            (Some(mix), _) => Pace::PerSecond(count(mix.rate)),
        }
    }

    /// How long to wait for a quiet machine before a round.
    pub fn quiet(&self) -> Duration {
        Duration::from_secs(u64::from(self.quiet))
    }

    /// How long a round may go on without a bind.
    pub fn stall(&self) -> Duration {
        Duration::from_secs(u64::from(self.stall))
    }

    /// How long a round may take altogether. No scheduler worth measuring binds fewer than ten pods per second.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(60) + Duration::from_secs_f64(count(self.pods) / 10.0)
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn names<S: serde::Serializer>(kinds: &[&PodKind], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(kinds.iter().map(|kind| kind.name))
}

fn kind_help() -> String {
    let kinds: Vec<String> = POD_KINDS
        .iter()
        .map(|kind| format!("- {}: {}", kind.name, kind.about))
        .collect();
    format!(
        "The kind of pods; repeat it to measure several kinds.\n\n{}",
        kinds.join("\n")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: LoadArgs,
    }

    fn plan(line: &str) -> Result<Plan> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        Plan::new(Cli::try_parse_from(words)?.args)
    }

    #[test]
    fn defaults() {
        let plan = plan("").unwrap();
        assert_eq!(plan.schedulers, USUAL);
        assert_eq!(
            (plan.nodes, plan.pods, plan.rounds),
            (vec![1_000], 2_000, 3)
        );
    }

    #[test]
    fn memory_is_a_preset_that_arguments_change() {
        let memory = plan("--memory").unwrap();
        assert_eq!(memory.schedulers, [Contender::Berth]);
        assert_eq!(
            (memory.nodes, memory.pods, memory.rounds),
            (vec![5_000], 10_000, 1)
        );
        let small = plan("--memory --nodes 100 --pods 300 --schedulers null,berth").unwrap();
        assert_eq!(small.schedulers, [Contender::Null, Contender::Berth]);
        assert_eq!((small.nodes, small.pods), (vec![100], 300));
    }

    #[test]
    fn an_open_loop_has_as_many_pods_as_fall_due() {
        let plan = plan("--rate 50 --seconds 4").unwrap();
        assert_eq!(plan.pods, 200);
        let pace = |kind| plan.pace(PodKind::find(kind).unwrap());
        assert!(matches!(pace("basic"), Pace::PerSecond(rate) if rate == 50.0));
        assert!(matches!(pace("preemption-ordinary"), Pace::Mixed(mix) if mix.pods() == 240));
    }

    #[test]
    fn more_pods_than_room_are_refused() {
        let error = plan("--nodes 10 --pods 1101").unwrap_err();
        assert!(error.to_string().contains("room for 1100"), "{error}");
        assert!(plan("--kind nonsense").is_err());
    }

    #[test]
    fn preemption_needs_room_a_rate_and_somebody_who_evicts() {
        let check = |line: &str, expected: &str| {
            let error = plan(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        };
        assert!(plan("--kind preemption").unwrap().has_preemption());
        check("--kind preemption --pods 2001", "2000 victims");
        check("--kind preemption-ordinary", "--rate");
        check("--kind preemption-ordinary --rate 50 --nodes 10", "victims");
        assert!(plan("--kind preemption-ordinary --rate 50").is_ok());
    }

    #[test]
    fn gangs_are_whole() {
        assert!(plan("--kind gang").unwrap().has_gangs());
        assert!(!plan("--kind basic").unwrap().has_gangs());
        let error = plan("--kind gang --pods 50").unwrap_err();
        assert!(error.to_string().contains("gangs of 16"), "{error}");
    }
}
