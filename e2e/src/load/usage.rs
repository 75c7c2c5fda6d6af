//! CPU time and memory of processes, as /proc tells them.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::quantiles::count;

/// The unit of CPU times in /proc; it is 100 per second on Linux whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// The CPU time of a process since its start, in seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything, so fields are counted from its end. The first of them is the state.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// The most memory that a process has had resident, in bytes.
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map(|kilobytes| kilobytes * 1024)
        .with_context(|| format!("process {pid} has no VmHWM"))
}

/// The CPU time of the whole machine spent on anything since its start, in seconds.
pub fn machine_seconds() -> Result<f64> {
    let stat = read("/proc/stat")?;
    let fields = stat.lines().next().unwrap_or_default().split_whitespace();
    // user nice system idle iowait irq softirq steal; what follows is counted in user already.
    let busy: f64 = fields
        .skip(1)
        .take(8)
        .enumerate()
        .filter(|(index, _)| *index != 3 && *index != 4)
        .filter_map(|(_, field)| field.parse::<f64>().ok())
        .sum();
    Ok(busy / TICKS_PER_SECOND)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(path)).with_context(|| format!("cannot read {path}"))
}

/// Who spent CPU time, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuSeconds {
    /// The scheduler under load.
    pub scheduler: f64,
    /// kube-apiserver.
    pub apiserver: f64,
    /// etcd.
    pub etcd: f64,
    /// This program.
    pub load: f64,
    /// Everything else on the machine, which disturbs the measurement.
    pub elsewhere: f64,
}

/// The processes whose CPU time is told apart.
#[derive(Debug, Clone, Copy)]
pub struct Pids {
    /// The scheduler under load.
    pub scheduler: u32,
    /// kube-apiserver.
    pub apiserver: u32,
    /// etcd.
    pub etcd: u32,
}

/// CPU times at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading(CpuSeconds);

impl Reading {
    /// Reads them now.
    pub fn take(pids: Pids) -> Result<Self> {
        let machine = machine_seconds()?;
        let mut cpu = CpuSeconds {
            scheduler: cpu_seconds(pids.scheduler)?,
            apiserver: cpu_seconds(pids.apiserver)?,
            etcd: cpu_seconds(pids.etcd)?,
            load: cpu_seconds(std::process::id())?,
            elsewhere: 0.0,
        };
        cpu.elsewhere = machine - cpu.scheduler - cpu.apiserver - cpu.etcd - cpu.load;
        Ok(Self(cpu))
    }

    /// What was spent since an earlier reading.
    pub fn since(self, earlier: Self) -> CpuSeconds {
        CpuSeconds {
            scheduler: self.0.scheduler - earlier.0.scheduler,
            apiserver: self.0.apiserver - earlier.0.apiserver,
            etcd: self.0.etcd - earlier.0.etcd,
            load: self.0.load - earlier.0.load,
            elsewhere: (self.0.elsewhere - earlier.0.elsewhere).max(0.0),
        }
    }
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    count(usize::try_from(bytes / 1024).unwrap_or(usize::MAX)) / 1024.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_this_process() {
        let pid = std::process::id();
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
        assert!(peak_memory(pid).unwrap() > 1024 * 1024);
        assert!(machine_seconds().unwrap() > 0.0);
    }
}
