//! The objects of a kind with their history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::kinds::Kind;
use super::{value, views};

/// The namespace and the name.
pub(super) type Key = (String, String);

/// One version of an object; it never changes.
#[derive(Debug)]
pub struct Object {
    value: Value,
    version: u64,
    /// All who watch it are sent the same text, so that it is written once.
    text: OnceLock<String>,
}

impl Object {
    pub(super) fn new(mut value: Value, version: u64) -> Self {
        value::object(&mut value, "metadata")
            .insert("resourceVersion".to_owned(), json!(version.to_string()));
        Self {
            value,
            version,
            text: OnceLock::new(),
        }
    }

    /// The object as it is kept.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its resource version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The JSON text of the object as a kind shows it.
    #[must_use]
    pub fn text(&self, kind: &Kind) -> std::borrow::Cow<'_, str> {
        if kind.is_view() {
            return views::shown(kind, &self.value).to_string().into();
        }
        let text = self.text.get_or_init(|| self.value.to_string());
        text.as_str().into()
    }

    pub(super) fn name(&self) -> &str {
        value::text(&self.value, &["metadata", "name"])
    }

    pub(super) fn namespace(&self) -> &str {
        value::text(&self.value, &["metadata", "namespace"])
    }

    pub(super) fn uid(&self) -> &str {
        value::text(&self.value, &["metadata", "uid"])
    }

    pub(super) fn key(&self) -> Key {
        (self.namespace().to_owned(), self.name().to_owned())
    }
}

/// A change.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// What was there before.
    pub(super) before: Option<Arc<Object>>,
    /// What came of it; of a deletion, the last state with the version of the deletion.
    pub(super) after: Arc<Object>,
    pub(super) deleted: bool,
}

/// The objects of one kind.
#[derive(Debug, Default)]
pub(super) struct Table {
    objects: BTreeMap<Key, Arc<Object>>,
    /// The changes that are still remembered, by version.
    log: VecDeque<Event>,
    /// The newest version that is forgotten.
    compacted: u64,
}

impl Table {
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    pub(super) fn objects(&self) -> &BTreeMap<Key, Arc<Object>> {
        &self.objects
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Puts a new version in place; `window` is how many changes are remembered.
    pub(super) fn put(&mut self, object: &Arc<Object>, window: usize) {
        let before = self.objects.insert(object.key(), Arc::clone(object));
        self.record(
            Event {
                before,
                after: Arc::clone(object),
                deleted: false,
            },
            window,
        );
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, key: &Key, version: u64, window: usize) {
        if let Some(before) = self.objects.remove(key) {
            let after = Arc::new(Object::new(before.value.clone(), version));
            self.record(
                Event {
                    before: Some(before),
                    after,
                    deleted: true,
                },
                window,
            );
        }
    }

    fn record(&mut self, event: Event, window: usize) {
        self.log.push_back(event);
        while self.log.len() > window {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(event) = self.log.pop_front() {
            self.compacted = event.after.version;
        }
    }

    /// Forgets all changes up to a version.
    pub(super) fn compact(&mut self, version: u64) {
        while self
            .log
            .front()
            .is_some_and(|event| event.after.version <= version)
        {
            self.forget_first();
        }
        self.compacted = self.compacted.max(version);
    }

    /// The changes after a version.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = &Event> {
        let first = self
            .log
            .partition_point(|event| event.after.version <= version);
        self.log.range(first..)
    }

    /// The objects as they were, unless that is forgotten.
    pub(super) fn state_at(&self, version: u64) -> Option<BTreeMap<Key, Arc<Object>>> {
        if version < self.compacted {
            return None;
        }
        let mut objects = self.objects.clone();
        for event in self.log.iter().rev() {
            if event.after.version <= version {
                break;
            }
            match &event.before {
                Some(before) => objects.insert(before.key(), Arc::clone(before)),
                None => objects.remove(&event.after.key()),
            };
        }
        Some(objects)
    }
}
