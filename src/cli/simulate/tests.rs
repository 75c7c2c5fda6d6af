#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod admission;
mod configuration;
mod gangs;
mod golden;
mod mutations;
mod peers;
mod preemptions;
mod problems;
mod scores;
mod volumes;

use std::path::Path;

use super::*;
use crate::cli::settings::Settings;
use crate::config::Config;

/// The texts, called a.yaml, b.yaml and so on.
fn inputs(texts: &[&str]) -> Vec<Input> {
    let names = ('a'..='z').map(|letter| format!("{letter}.yaml"));
    (names.zip(texts))
        .map(|(name, text)| Input {
            name,
            text: (*text).to_owned(),
        })
        .collect()
}

fn simulated_for(names: &[&str], texts: &[&str]) -> Simulated {
    simulated_by(schedulers(None, names).unwrap(), texts)
}

/// The schedulers with these names, of the text of a configuration file.
fn schedulers(config: Option<&str>, names: &[&str]) -> Result<Schedulers, anyhow::Error> {
    let settings = config.map(|body| {
        let file = Path::new("c.yaml");
        let text = format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n{body}"
        );
        Settings::of(Some(file), Config::parse(file, &text).unwrap()).unwrap()
    });
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Schedulers::of(settings, &names)
}

fn simulated_by(schedulers: Schedulers, texts: &[&str]) -> Simulated {
    let problems = Problems::default();
    match simulate(&inputs(texts), problems, schedulers, &mut |_, _| {}) {
        Ok(simulated) => simulated,
        Err(stop) => panic!("{stop:?}"),
    }
}

fn report(texts: &[&str]) -> Report {
    simulated_for(&[], texts).report
}

/// The lines that tell what is wrong with the texts.
fn wrong(texts: &[&str]) -> Vec<String> {
    let schedulers = Schedulers::default();
    match simulate(
        &inputs(texts),
        Problems::default(),
        schedulers,
        &mut |_, _| {},
    ) {
        Err(Stop::Problems(problems)) => {
            let (mut lines, summary) = problems.into_lines();
            lines.extend(Some(summary).filter(|summary| !summary.is_empty()));
            lines
        }
        other => panic!("{other:?}"),
    }
}

/// Each pod's name and its node, or - and the reason, in the order of the report.
fn placements(report: &Report) -> Vec<(&str, &str)> {
    (report.pods.iter())
        .map(|pod| (pod.name.as_str(), pod.node.as_deref().unwrap_or(pod.reason)))
        .collect()
}

/// A node with these resources in YAML's flow form.
fn node(name: &str, allocatable: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n\
         status: {{allocatable: {{pods: 110, {allocatable}}}}}\n---\n"
    )
}

/// A pod of one container with these fields of the spec and resources in YAML's flow form.
fn pod(name: &str, resources: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
         spec: {{containers: [{{name: main, image: app, resources: {{{resources}}}}}]{spec}}}\n---\n"
    )
}
