//! Events that repeat: the second is written as a series, later ones are counted here and written
//! now and then. Source: client-go `tools/events/event_broadcaster.go`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A series that is still going on is written this often.
const REFRESH: Duration = Duration::from_secs(30 * 60);
/// A series is over when nothing came for so long.
const FINISHED: Duration = Duration::from_secs(6 * 60);

/// A count to be written to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flush {
    pub(super) namespace: Box<str>,
    pub(super) name: String,
    pub(super) count: u32,
    pub(super) last: jiff::Timestamp,
}

/// What is to be done about an occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Write an event.
    New,
    /// Write the series into the event.
    Patch(Flush),
    /// Nothing now.
    Counted,
}

#[derive(Debug)]
struct Entry {
    /// Empty until the event is written.
    name: String,
    namespace: Box<str>,
    count: u32,
    written_count: u32,
    seen: Instant,
    written: Instant,
    last: jiff::Timestamp,
}

impl Entry {
    fn flush(&mut self, now: Instant) -> Flush {
        self.written_count = self.count;
        self.written = now;
        Flush {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            count: self.count,
            last: self.last,
        }
    }
}

/// What tells series apart: the pod, and its resource version, which `regarding` carries. A refusal
/// after the status was patched is therefore an event of its own, with its own note.
pub(super) type SeriesKey = (Box<str>, u64);

/// The failures of the last minutes.
#[derive(Debug, Default)]
pub(super) struct SeriesCache {
    entries: HashMap<SeriesKey, Entry>,
}

impl SeriesCache {
    /// Another failure of this pod.
    pub(super) fn observe(
        &mut self,
        key: &SeriesKey,
        now: Instant,
        last: jiff::Timestamp,
    ) -> Known {
        match self.entries.get_mut(key) {
            Some(entry) if now.duration_since(entry.seen) < FINISHED => {
                entry.count += 1;
                entry.seen = now;
                entry.last = last;
                if entry.count == 2 && !entry.name.is_empty() {
                    Known::Patch(entry.flush(now))
                } else {
                    Known::Counted
                }
            }
            _ => {
                let entry = Entry {
                    name: String::new(),
                    namespace: Box::default(),
                    count: 1,
                    written_count: 1,
                    seen: now,
                    written: now,
                    last,
                };
                self.entries.insert(key.clone(), entry);
                Known::New
            }
        }
    }

    /// The event of this pod was written under this name.
    pub(super) fn written(&mut self, key: &SeriesKey, namespace: &str, name: String) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.name = name;
            entry.namespace = namespace.into();
        }
    }

    /// The event could not be written.
    pub(super) fn forget(&mut self, key: &SeriesKey) {
        self.entries.remove(key);
    }

    /// Series that are over or due, and forgets the former.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<Flush> {
        let mut flushes = Vec::new();
        self.entries.retain(|_, entry| {
            let over = now.duration_since(entry.seen) >= FINISHED;
            let due = entry.count > 1 && now.duration_since(entry.written) >= REFRESH;
            if due || (over && entry.count > entry.written_count) {
                flushes.push(entry.flush(now));
            }
            !over
        });
        flushes
    }
}
