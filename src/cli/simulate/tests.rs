#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod admission;
mod golden;
mod mutations;
mod peers;
mod problems;
mod scores;

use super::*;

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
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    match simulate(&inputs(texts), Problems::default(), &names, &mut |_, _| {}) {
        Ok(simulated) => simulated,
        Err(stop) => panic!("{stop:?}"),
    }
}

fn report(texts: &[&str]) -> Report {
    simulated_for(&[], texts).report
}

/// The lines that tell what is wrong with the texts.
fn wrong(texts: &[&str]) -> Vec<String> {
    match simulate(&inputs(texts), Problems::default(), &[], &mut |_, _| {}) {
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
