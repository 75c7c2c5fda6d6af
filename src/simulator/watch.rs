//! Watches: what changed since a version, bookmarks, and lists that are streamed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::faults::Fault;
use super::kinds::Kind;
use super::list::parse_version;
use super::request::Verb;
use super::selector::Selector;
use super::status::{Field, Status};
use super::store::{Event, Object};
use crate::model::Time;

/// How long a watch lasts that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// What is asked of a watch, as its query has it; empty for what is not asked.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// The label selector.
    pub labels: String,
    /// The field selector.
    pub fields: String,
    /// The resource version.
    pub version: String,
    /// `NotOlderThan`, with `send_initial_events`.
    pub version_match: String,
    /// Whether the objects that are there are sent first, and then a bookmark.
    pub send_initial_events: Option<bool>,
    /// Whether bookmarks are wanted.
    pub bookmarks: bool,
    /// When the watch ends.
    pub timeout: Option<Duration>,
}

/// One line of a watch.
#[derive(Clone, Debug)]
pub enum Frame {
    /// An object with ADDED, MODIFIED or DELETED.
    Event(&'static str, Arc<Object>),
    /// Everything up to a version was told.
    Bookmark {
        /// The version.
        version: u64,
        /// Whether this is the end of the initial events.
        initial: bool,
    },
    /// The end.
    Error(Status),
}

impl Frame {
    /// The JSON text.
    #[must_use]
    pub fn text(&self, kind: &Kind) -> String {
        let (word, object) = match self {
            Self::Event(word, object) => (*word, object.text(kind)),
            Self::Bookmark { version, initial } => {
                let mut metadata = json!({ "resourceVersion": version.to_string() });
                if *initial {
                    metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
                }
                let object = json!({
                    "kind": kind.kind,
                    "apiVersion": kind.api_version(),
                    "metadata": metadata,
                });
                ("BOOKMARK", object.to_string().into())
            }
            Self::Error(status) => ("ERROR", status.body().to_string().into()),
        };
        format!("{{\"type\":\"{word}\",\"object\":{object}}}\n")
    }
}

/// A watch under way.
#[derive(Debug)]
pub struct Watch {
    kind: &'static Kind,
    namespace: String,
    selector: Selector,
    /// What is to be sent before the changes.
    first: VecDeque<Frame>,
    /// Everything up to this version was told.
    version: u64,
    bookmarks: bool,
    next_bookmark: Time,
    held_until: Time,
    ends: Time,
    ended: bool,
}

impl Watch {
    /// Whether there is nothing more to come.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// When it is to be asked again even if nothing has changed.
    #[must_use]
    pub fn wake_at(&self, now: Time) -> Time {
        let mut at = self.ends;
        if self.bookmarks {
            at = at.min(self.next_bookmark);
        }
        if self.held_until > now {
            at = at.min(self.held_until);
        }
        at
    }

    fn matches(&self, object: &Value) -> bool {
        (self.namespace.is_empty()
            || super::value::text(object, &["metadata", "namespace"]) == self.namespace)
            && self.selector.matches(object)
    }

    /// What a change is to somebody who sees only matching objects.
    fn seen(&self, event: &Event) -> Option<Frame> {
        let before = event
            .before
            .as_ref()
            .filter(|object| self.matches(object.value()));
        let after = !event.deleted && self.matches(event.after.value());
        Some(match (before, after) {
            (None, false) => return None,
            (None, true) => Frame::Event("ADDED", Arc::clone(&event.after)),
            (Some(_), true) => Frame::Event("MODIFIED", Arc::clone(&event.after)),
            (Some(_), false) if event.deleted => Frame::Event("DELETED", Arc::clone(&event.after)),
            // It still exists; what was seen last of it is told, with the version of its going.
            (Some(before), false) => {
                let gone = Object::new(before.value().clone(), event.after.version());
                Frame::Event("DELETED", Arc::new(gone))
            }
        })
    }
}

impl ApiServer {
    /// Begins a watch of a namespace, or of all.
    ///
    /// # Errors
    ///
    /// When what is asked does not go together, or a fault wants it.
    pub fn watch(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        options: &WatchOptions,
        now: Time,
    ) -> Result<Watch, Status> {
        self.advance(now);
        if !self.serves(kind) {
            return Err(Status::no_such_resource());
        }
        self.check_watch(options)?;
        let selector = Selector::parse(kind, &options.labels, &options.fields)?;
        let asked = parse_version(&options.version)
            .map_err(|why| Status::unknown(format!("resourceVersion: {why}")))?;
        let mut watch = Watch {
            kind,
            namespace: namespace.to_owned(),
            selector,
            first: VecDeque::new(),
            version: asked,
            bookmarks: options.bookmarks,
            next_bookmark: now + self.config().bookmark_every,
            held_until: Time::ZERO,
            ends: now + options.timeout.unwrap_or(DEFAULT_TIMEOUT),
            ended: false,
        };
        let initial = options.send_initial_events;
        if initial == Some(true) || (initial.is_none() && asked == 0) {
            let stale = if options.version == "0" {
                self.faults().staleness()
            } else {
                0
            };
            let compacted = self.table(kind).compacted();
            let version = self.version().saturating_sub(stale).max(compacted);
            let objects = self.table(kind).state_at(version).unwrap_or_default();
            for object in objects.into_values() {
                if watch.matches(object.value()) {
                    watch.first.push_back(Frame::Event("ADDED", object));
                }
            }
            watch.version = version;
            if initial == Some(true) && options.bookmarks {
                watch.first.push_back(Frame::Bookmark {
                    version,
                    initial: true,
                });
            }
        } else if asked == 0 {
            watch.version = self.version();
        } else if asked < self.table(kind).compacted() {
            let status = self.too_old(kind, asked);
            if self.faults().take(Verb::List, kind.plural) == Some(Fault::GoneAsStatus) {
                return Err(status);
            }
            watch.first.push_back(Frame::Error(status));
        }
        Ok(watch)
    }

    /// The next lines of a watch, some of them if there are many.
    pub fn poll(&mut self, watch: &mut Watch, now: Time, limit: usize) -> Vec<Frame> {
        self.advance(now);
        let mut frames = Vec::new();
        if watch.ended || now < watch.held_until {
            return frames;
        }
        while frames.len() < limit
            && let Some(frame) = watch.first.pop_front()
        {
            watch.ended |= matches!(frame, Frame::Error(_));
            frames.push(frame);
        }
        if watch.ended || !watch.first.is_empty() {
            return frames;
        }
        let table = self.table(watch.kind);
        if watch.version < table.compacted() {
            // It was too slow for what is remembered.
            frames.push(Frame::Error(self.too_old(watch.kind, watch.version)));
            watch.ended = true;
            return frames;
        }
        let mut caught_up = true;
        let mut version = watch.version;
        let served = self.serves(watch.kind);
        let mut changes = Vec::new();
        for event in table.since(watch.version) {
            if frames.len() + changes.len() >= limit {
                caught_up = false;
                break;
            }
            version = event.after.version();
            changes.extend(watch.seen(event));
        }
        if !changes.is_empty() {
            if self.faults().cuts_watch() {
                watch.ended = true;
                return frames;
            }
            if let Some(delay) = self.faults().delay() {
                watch.held_until = now + delay;
                return frames;
            }
        }
        frames.extend(changes);
        watch.version = version;
        if caught_up {
            watch.version = watch.version.max(self.version());
            if watch.bookmarks && now >= watch.next_bookmark {
                watch.next_bookmark = now + self.config().bookmark_every;
                frames.push(Frame::Bookmark {
                    version: watch.version,
                    initial: false,
                });
            }
        }
        watch.ended = caught_up && (now >= watch.ends || !served);
        frames
    }

    fn too_old(&self, kind: &Kind, asked: u64) -> Status {
        let oldest = self.table(kind).compacted();
        Status::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    fn check_watch(&self, options: &WatchOptions) -> Result<(), Status> {
        let wrong = match (&*options.version_match, options.send_initial_events) {
            ("", None) => return Ok(()),
            (_, None) => Field::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
            ("NotOlderThan", Some(_)) if self.config().streaming_lists => return Ok(()),
            ("NotOlderThan", Some(_)) => Field::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is \
                 enabled",
            ),
            (_, Some(_)) => Field::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
        };
        Err(Status::invalid_options(&wrong))
    }
}
