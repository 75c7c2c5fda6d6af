//! The state machine itself: tables, versions, time, and who answers which request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::admission;
use super::faults::{Fault, FaultRates, Faults, Random};
use super::kinds::{KINDS, Kind, find};
use super::request::{Answer, Body, Part, Reply, Request, Verb};
use super::status::Status;
use super::store::{Key, Object, Table};
use crate::model::Time;

/// How it is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the wall clock shows at [`Time::ZERO`].
    pub epoch: Timestamp,
    /// How many changes of each kind are remembered.
    pub window: usize,
    /// How often a watch is told how far it is.
    pub bookmark_every: Duration,
    /// Whether lists may be streamed by watches.
    pub streaming_lists: bool,
    /// What uids, generated names and faults are drawn from.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            epoch: Timestamp::UNIX_EPOCH,
            window: 16 * 1024,
            bookmark_every: Duration::from_secs(60),
            streaming_lists: true,
            seed: 0,
        }
    }
}

/// An API server.
#[derive(Debug)]
pub struct ApiServer {
    config: Config,
    tables: Vec<Table>,
    /// The optional kinds that are there.
    installed: Vec<&'static Kind>,
    version: u64,
    now: Time,
    random: Random,
    faults: Faults,
    /// The pods that end by themselves, by when.
    ending: BTreeMap<Time, Vec<Key>>,
}

impl ApiServer {
    /// A server with the namespaces and priority classes that every cluster has.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut server = Self {
            tables: KINDS.iter().map(|_| Table::default()).collect(),
            installed: Vec::new(),
            version: 0,
            now: Time::ZERO,
            random: Random(config.seed),
            faults: Faults::new(!config.seed),
            ending: BTreeMap::new(),
            config,
        };
        for name in admission::NAMESPACES {
            server.install("", "namespaces", json!({ "metadata": { "name": name } }));
        }
        for (name, value) in admission::PRIORITY_CLASSES {
            let class = json!({ "metadata": { "name": name }, "value": value });
            server.install("scheduling.k8s.io", "priorityclasses", class);
        }
        server
    }

    fn install(&mut self, group: &str, plural: &str, object: Value) {
        if let Some(kind) = find(group, "v1", plural) {
            let request = Request::new(Verb::Create, kind, "", "").with_body(object);
            // What is built in is valid.
            let _ = self.handle(&request, 0);
        }
    }

    /// Does what is asked, at a time that is not before that of the last request.
    pub fn call(&mut self, request: &Request, now: Time) -> Answer {
        self.advance(now);
        let fault = self.faults.draw(request);
        if let Some(refusal) = fault.and_then(Fault::refusal) {
            return Answer::Reply(Err(refusal));
        }
        let stale = match fault {
            Some(Fault::Stale(versions)) => versions,
            _ => 0,
        };
        let reply = self.handle(request, stale);
        match fault {
            Some(Fault::LostReply) => Answer::Lost,
            Some(Fault::Timeout) => Answer::Reply(Err(Fault::timeout())),
            _ => Answer::Reply(reply),
        }
    }

    fn handle(&mut self, request: &Request, stale: u64) -> Result<Reply, Status> {
        if !self.serves(request.kind) {
            return Err(Status::no_such_resource());
        }
        let object = |object| {
            Ok(Reply {
                code: 200,
                body: Body::Object(object),
            })
        };
        match (request.verb, request.part) {
            (Verb::Create, Part::Binding) => self.bind(request),
            (Verb::Create, Part::Whole) => Ok(Reply {
                code: 201,
                body: Body::Object(self.create(request)?),
            }),
            (Verb::Get, Part::Whole | Part::Status) => {
                object(Arc::clone(self.existing(request.kind, &self.key(request))?))
            }
            (Verb::List, Part::Whole) => {
                let (kind, namespace) = (request.kind, &request.namespace);
                let list = self.list(kind, namespace, &request.list, stale)?;
                Ok(Reply {
                    code: 200,
                    body: Body::List(list),
                })
            }
            (Verb::Update, Part::Whole | Part::Status) => object(self.update(request)?),
            (Verb::Patch(patch), Part::Whole | Part::Status) => object(self.patch(request, patch)?),
            (Verb::Delete, Part::Whole) => self.delete(request),
            (Verb::DeleteCollection, Part::Whole) => self.delete_collection(request),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Lets time pass: pods whose grace is over are gone.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(entry) = self.ending.first_entry() {
            if *entry.key() > self.now {
                break;
            }
            for key in entry.remove() {
                self.end_pod(&key);
            }
        }
    }

    /// When something will happen by itself.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.ending.keys().next().copied()
    }

    /// The newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The newest version of what a kind shows.
    #[must_use]
    pub fn version_of(&self, kind: &Kind) -> u64 {
        let changed = self.table(kind).since(0).last();
        changed.map_or(0, |event| event.after.version())
    }

    /// How many objects of a kind there are.
    #[must_use]
    pub fn count(&self, kind: &Kind) -> usize {
        self.table(kind).objects().len()
    }

    /// Forgets all changes of a kind up to a version.
    pub fn compact(&mut self, kind: &Kind, version: u64) {
        let version = version.min(self.version);
        if let Some(table) = self.tables.get_mut(kind.table()) {
            table.compact(version);
        }
    }

    /// How often what goes wrong from now on.
    pub fn set_fault_rates(&mut self, rates: FaultRates) {
        self.faults.set_rates(rates);
    }

    /// Whether a kind is there.
    #[must_use]
    pub fn serves(&self, kind: &Kind) -> bool {
        !kind.optional || self.installed.contains(&kind)
    }

    /// The kinds that are there.
    pub(super) fn served(&self) -> Vec<&'static Kind> {
        KINDS.iter().filter(|kind| self.serves(kind)).collect()
    }

    /// From now on an optional kind is there, or not any more: its objects go with it, and watches
    /// of it end.
    pub fn serve(&mut self, kind: &'static Kind, served: bool) {
        if self.serves(kind) == served || !kind.optional {
            return;
        }
        if served {
            self.installed.push(kind);
            return;
        }
        let keys: Vec<_> = self.table(kind).objects().keys().cloned().collect();
        for key in keys {
            self.remove(kind, &key);
        }
        self.installed.retain(|installed| *installed != kind);
    }

    /// Lets the next request of this kind meet a fault; several are met one after the other.
    pub fn plan_fault(&mut self, verb: Verb, kind: &Kind, fault: Fault) {
        // The kind of the table outlives the borrowed one.
        if let Some(kind) = KINDS.iter().find(|one| *one == kind) {
            self.faults.plan(verb, kind.plural, fault);
        }
    }

    /// Ends the next so many watches that have something to tell.
    pub fn cut_watches(&mut self, watches: u32) {
        self.faults.cut_watches(watches);
    }

    // === what the other files use ===

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    #[expect(clippy::indexing_slicing, reason = "there is a table for each kind")]
    pub(super) fn table(&self, kind: &Kind) -> &Table {
        &self.tables[kind.table()]
    }

    pub(super) fn key(&self, request: &Request) -> Key {
        (request.namespace.clone(), request.name.clone())
    }

    pub(super) fn existing(&self, kind: &Kind, key: &Key) -> Result<&Arc<Object>, Status> {
        let found = self.table(kind).get(key);
        found.ok_or_else(|| Status::not_found(kind, &key.1))
    }

    /// Puts an object in place, with the next version.
    pub(super) fn put(&mut self, kind: &Kind, value: Value) -> Arc<Object> {
        self.version += 1;
        let object = Arc::new(Object::new(value, self.version));
        if let Some(table) = self.tables.get_mut(kind.table()) {
            table.put(&object, self.config.window);
        }
        object
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, kind: &Kind, key: &Key) {
        self.version += 1;
        if let Some(table) = self.tables.get_mut(kind.table()) {
            table.remove(key, self.version, self.config.window);
        }
    }

    pub(super) fn end_later(&mut self, at: Time, key: Key) {
        self.ending.entry(at).or_default().push(key);
    }

    /// The wall clock at a time, in whole seconds as Kubernetes writes it.
    pub(super) fn timestamp(&self, at: Time) -> String {
        let passed = SignedDuration::try_from(at.since(Time::ZERO)).unwrap_or(SignedDuration::MAX);
        let then = (self.config.epoch.checked_add(passed)).unwrap_or(Timestamp::MAX);
        then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    pub(super) fn uid(&mut self) -> String {
        let (high, low) = (self.random.next(), self.random.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }

    /// Five letters and digits without those that make words.
    pub(super) fn name_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut drawn = self.random.next();
        (0..5)
            .filter_map(|_| {
                let count = LETTERS.len() as u64;
                let index = usize::try_from(drawn % count).ok()?;
                drawn /= count;
                LETTERS.get(index).map(|letter| char::from(*letter))
            })
            .collect()
    }
}
