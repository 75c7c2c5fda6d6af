//! Load on a real API server: how fast a scheduler gets pods bound, compared with a null scheduler and with
//! kube-scheduler in the same run.
//!
//! Schedulers take turns (A, B, C, A, B, C), each a new process for its own new pods, so that a disturbance of the
//! machine meets all of them. What is measured comes from a watch of this program, never from a scheduler.

pub mod connection;
pub mod contender;
pub mod fleet;
pub mod gangs;
pub mod histogram;
pub mod kinds;
pub mod null;
pub mod observer;
pub mod options;
pub mod preemption;
pub mod quantiles;
pub mod report;
pub mod round;
pub mod usage;
pub mod watch;

use anyhow::{Result, bail};

use self::connection::Server;
use self::contender::Contender;
use self::fleet::Fleet;
use self::kinds::PodKind;
use self::options::Plan;
use self::report::{Round, Section};
use self::round::Stage;
use crate::progress::Progress;
use crate::{ControlPlane, Options};

/// The namespace of the pods.
pub const NAMESPACE: &str = "load";

/// A round is disturbed when other programs use more cores than this.
const DISTURBED: f64 = 0.2;

/// A disturbed round is repeated this often at most.
const MAX_REPEATS: usize = 2;

/// The path of the load's pods, with what follows.
pub fn pods_path(rest: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods{rest}")
}

/// Measures what the plan says, and adds to `sections` what is known so far, for the case that it fails.
pub async fn run(plan: &Plan, progress: &mut Progress, sections: &mut Vec<Section>) -> Result<()> {
    let mut failed = 0;
    for nodes in &plan.nodes {
        // Each size begins on a control plane without a past.
        progress.step("starting etcd and kube-apiserver");
        let mut options = Options {
            load: true,
            ..Options::default()
        };
        if plan.has_gangs() {
            options = options.with_pod_groups();
        }
        let control_plane = ControlPlane::start(options).await?;
        failed += run_on(&control_plane, *nodes, plan, progress, sections).await?;
        control_plane.stop().await?;
    }
    progress.clear();
    if failed > 0 {
        bail!("failed rounds: {failed}");
    }
    Ok(())
}

/// Measures all kinds of pods with one number of nodes; returns how many rounds failed.
async fn run_on(
    control_plane: &ControlPlane,
    nodes: usize,
    plan: &Plan,
    progress: &mut Progress,
    sections: &mut Vec<Section>,
) -> Result<usize> {
    let server = Server::new(&control_plane.config())?;
    let mut fleet = Fleet::open(&server, plan.clients).await?;
    fleet.create_namespace().await?;
    if plan.has_preemption() {
        fleet.prepare_preemption().await?;
    }
    fleet
        .create_nodes(nodes, plan.has_gangs(), progress)
        .await?;
    let mut stage = Stage {
        control_plane,
        server,
        fleet,
        nodes,
        plan,
        progress,
        started: 0,
    };
    if plan.warm_up > 0 {
        stage.progress.step("warming up");
        let basic = PodKind::find("basic").map_err(anyhow::Error::msg)?;
        stage.round(Contender::Null, basic, plan.warm_up).await?;
    }
    let mut failed = 0;
    for kind in &plan.kinds {
        sections.push(Section {
            nodes,
            kind,
            rounds: Vec::new(),
        });
        for round in 1..=plan.rounds {
            for scheduler in &plan.schedulers {
                let name = scheduler.name();
                stage.progress.step(format!(
                    "{nodes} nodes, {}, round {round} of {}: {name}",
                    kind.name, plan.rounds
                ));
                let pods = plan.pods(kind);
                let mut result = stage.round(*scheduler, kind, pods).await;
                let mut repeated = 0;
                while let Ok(measured) = &mut result
                    && plan.quiet > 0
                    && repeated < MAX_REPEATS
                    && measured.elsewhere_cores() > DISTURBED
                {
                    repeated += 1;
                    match stage.round(*scheduler, kind, pods).await {
                        Ok(again) if again.elsewhere_cores() < measured.elsewhere_cores() => {
                            *measured = again;
                        }
                        Ok(_) => {}
                        Err(error) => result = Err(error),
                    }
                }
                let (measured, failure) = match result {
                    Ok(measured) => (Some(measured), None),
                    Err(error) => (None, Some(format!("{error:#}"))),
                };
                let round = Round {
                    scheduler: *scheduler,
                    round,
                    repeated,
                    measured,
                    failure,
                };
                let failure = round.failure.clone();
                stage.progress.say(&report::line(&round));
                if let Some(section) = sections.last_mut() {
                    section.rounds.push(round);
                }
                if let Some(failure) = failure {
                    failed += 1;
                    if !plan.keep_going {
                        bail!("{failure}");
                    }
                }
            }
        }
    }
    Ok(failed)
}
