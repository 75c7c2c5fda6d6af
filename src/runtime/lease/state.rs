//! Who holds the lease and what to do about it: no IO, no clock, no dice. The shell around it does
//! what a [`Step`] says and tells what came of it.
//!
//! Source: client-go `tools/leaderelection/leaderelection.go`. Stricter than it in three points,
//! all in favour of safety: a leader gives up one renew deadline after it *sent* its last
//! successful renewal, at once when it sees another holder, and a standby counts the lease's
//! duration from when an answer came and not from when it was asked for.

use std::time::Duration;

use jiff::Timestamp;

use super::record::Record;

/// How much longer than the retry period a standby may wait, as a factor of it.
const JITTER: f64 = 1.2;

/// The time on both clocks: since some beginning, for all that is decided, and by the calendar, for
/// what people read in the lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) elapsed: Duration,
    pub(super) calendar: Timestamp,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Get the lease.
    Read,
    /// Create the lease, which is not there.
    Create(Record),
    /// Update the lease as it was last read or written.
    Update(Record),
    /// Nothing, until [`Elector::rest_until`].
    Rest,
    /// This replica led and may not go on.
    Lost(Loss),
}

/// How a lease is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was not renewed in time; another may take it soon.
    NotRenewed,
    /// It has this holder, or none.
    Taken(String),
}

impl std::fmt::Display for Loss {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotRenewed => formatter.write_str("it could not be renewed in time"),
            Self::Taken(holder) if holder.is_empty() => formatter.write_str("somebody released it"),
            Self::Taken(holder) => write!(formatter, "{holder} has taken it"),
        }
    }
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) lease_duration: Duration,
    pub(super) renew_deadline: Duration,
    pub(super) retry_period: Duration,
}

/// The lease as it was last seen, and since when it is so.
#[derive(Clone, Debug)]
struct Observed {
    record: Record,
    since: Duration,
}

impl Observed {
    fn expires(&self) -> Duration {
        self.since.saturating_add(self.record.duration)
    }
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Elector {
    identity: String,
    timing: Timing,
    observed: Option<Observed>,
    /// When the write was sent that made or kept us the leader.
    leading: Option<Duration>,
    /// Whether the lease was read in the current try.
    looked: bool,
}

impl Elector {
    pub(super) fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            observed: None,
            leading: None,
            looked: false,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn leads(&self) -> bool {
        self.leading.is_some()
    }

    /// Who holds the lease, as far as is known; empty for nobody.
    pub(super) fn holder(&self) -> Option<&str> {
        self.observed.as_ref().map(|seen| &*seen.record.holder)
    }

    /// Until when a leader may act.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let renewed = self.leading?;
        Some(renewed.saturating_add(self.timing.renew_deadline))
    }

    /// Begins a try.
    pub(super) fn begin(&mut self, now: Now) -> Step {
        self.looked = false;
        if self.is_over(now) {
            return Step::Lost(Loss::NotRenewed);
        }
        match &self.observed {
            // The lease is most likely as we have written it, which saves reading it.
            Some(seen) if seen.record.holder == self.identity && now.elapsed < seen.expires() => {
                Step::Update(self.renewal(&seen.record, now))
            }
            _ => Step::Read,
        }
    }

    /// The lease was read; None if there is none.
    pub(super) fn read(&mut self, found: Option<Record>, now: Now) -> Step {
        self.looked = true;
        if self.is_over(now) {
            return Step::Lost(Loss::NotRenewed);
        }
        let Some(record) = found else {
            return Step::Create(self.acquisition(0, now));
        };
        let known = (self.observed.take()).filter(|seen| seen.record == record);
        let seen = known.unwrap_or(Observed {
            record,
            since: now.elapsed,
        });
        let held = !seen.record.holder.is_empty() && now.elapsed < seen.expires();
        let step = if seen.record.holder == self.identity {
            Step::Update(self.renewal(&seen.record, now))
        } else if self.leads() {
            Step::Lost(Loss::Taken(seen.record.holder.clone()))
        } else if held {
            Step::Rest
        } else {
            let transitions = seen.record.transitions.saturating_add(1);
            Step::Update(self.acquisition(transitions, now))
        };
        self.observed = Some(seen);
        step
    }

    /// A record of ours was written; `sent` is when. True when this makes us the leader.
    pub(super) fn wrote(&mut self, record: Record, sent: Duration, now: Now) -> bool {
        self.observed = Some(Observed {
            record,
            since: now.elapsed,
        });
        self.leading.replace(sent).is_none()
    }

    /// The lease could not be read.
    pub(super) fn read_failed(&self, now: Now) -> Step {
        if self.is_over(now) {
            Step::Lost(Loss::NotRenewed)
        } else {
            Step::Rest
        }
    }

    /// A write was refused, or nobody knows what became of it.
    pub(super) fn write_failed(&mut self, now: Now) -> Step {
        if self.is_over(now) {
            Step::Lost(Loss::NotRenewed)
        } else if self.leads() && !self.looked {
            // Something else has changed the lease, or our own write was done after all.
            Step::Read
        } else {
            Step::Rest
        }
    }

    /// When to begin the next try; `chance`, from 0 to 1, keeps candidates apart.
    pub(super) fn rest_until(&self, now: Duration, chance: f64) -> Duration {
        let retry = self.timing.retry_period;
        if let Some(deadline) = self.deadline() {
            return now.saturating_add(retry).min(deadline);
        }
        let jittered = now.saturating_add(retry.mul_f64(1.0 + JITTER * chance));
        match &self.observed {
            // Nothing is gained by looking at it only after it has expired.
            Some(seen) if !seen.record.holder.is_empty() && now < seen.expires() => {
                jittered.min(seen.expires())
            }
            _ => jittered,
        }
    }

    /// What to write over this record to give up the lease; None if it is not ours.
    pub(super) fn release(&self, record: &Record, now: Now) -> Option<Record> {
        (record.holder == self.identity).then(|| Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            acquired: Some(now.calendar),
            renewed: Some(now.calendar),
            transitions: record.transitions,
        })
    }

    fn is_over(&self, now: Now) -> bool {
        self.deadline()
            .is_some_and(|deadline| now.elapsed >= deadline)
    }

    fn acquisition(&self, transitions: i64, now: Now) -> Record {
        Record {
            holder: self.identity.clone(),
            duration: self.timing.lease_duration,
            acquired: Some(now.calendar),
            renewed: Some(now.calendar),
            transitions,
        }
    }

    fn renewal(&self, held: &Record, now: Now) -> Record {
        Record {
            acquired: held.acquired.or(Some(now.calendar)),
            ..self.acquisition(held.transitions, now)
        }
    }
}

#[cfg(test)]
mod tests;
