//! One kind's watch of Berth's, fed from the server in memory in kube's place.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::watcher::Event;

use super::world::World;
use crate::api::Watched;
use crate::model::Time;
use crate::runtime::http::ReadyFlag;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::watch::{Ended, Progress, Source, Unsynced, Watch};
use crate::simulator::{self, Body, Frame, Kind, Object, Request, Verb, WatchOptions};
use crate::telemetry::metrics::Metrics;

/// Small, so that lists have several pages.
const PAGE: usize = 4;
/// Lines of a watch that are taken at once.
const LINES: usize = 3;
/// As `WATCH_SECONDS`.
const LASTS: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(250);

/// The states of kube's watcher.
enum State {
    /// There is no stream.
    Fresh,
    Empty,
    Paging(Option<String>),
    Initial(simulator::Watch),
    Listed(u64),
    Watching(simulator::Watch),
}

pub(super) struct Stream<K> {
    kind: &'static Kind,
    watch: Watch<K>,
    state: State,
    streaming: bool,
    /// Everything up to this version was told.
    version: u64,
    pause_until: Time,
}

impl<K: Source> Stream<K> {
    pub(super) fn new(
        kind: &'static Kind,
        mailbox: &Arc<Mailbox>,
        unsynced: &Arc<Unsynced>,
        metrics: &Metrics,
        counts: bool,
    ) -> Self {
        let (mailbox, unsynced) = (Arc::clone(mailbox), Arc::clone(unsynced));
        let metrics = metrics.watch(K::KIND);
        let progress = Progress::new(unsynced, ReadyFlag::default(), counts);
        Self {
            kind,
            watch: Watch::new(mailbox, progress, metrics),
            state: State::Fresh,
            streaming: false,
            version: 0,
            pause_until: Time::ZERO,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// This replica leads now.
    pub(super) fn lead(&mut self) {
        self.end(Ended::Relist);
        self.watch.lead();
    }

    fn end(&mut self, ended: Ended) {
        self.watch.end_stream(ended);
        self.state = State::Fresh;
    }

    fn tell(&mut self, event: Event<Watched<K>>) {
        if let Some(ended) = self.watch.take(event) {
            self.end(ended);
        }
    }

    fn object(&self, object: &Object) -> Watched<K> {
        Watched::from_json(&object.text(self.kind))
    }

    /// The next request, or what has come in meanwhile.
    pub(super) fn poll(&mut self, world: &mut World) {
        if world.now < self.pause_until {
            return;
        }
        match std::mem::replace(&mut self.state, State::Empty) {
            State::Fresh => self.streaming = self.watch.begin_stream(),
            State::Empty if self.streaming => self.stream_list(world),
            State::Empty => {
                self.state = State::Paging(None);
                self.tell(Event::Init);
            }
            State::Paging(token) => self.page(world, token),
            State::Listed(version) => self.resume(world, version),
            State::Initial(watch) => self.lines(world, watch, true),
            State::Watching(watch) => self.lines(world, watch, false),
        }
    }

    fn options(&self) -> WatchOptions {
        WatchOptions {
            fields: K::FIELDS.to_owned(),
            bookmarks: true,
            timeout: Some(LASTS),
            ..WatchOptions::default()
        }
    }

    fn stream_list(&mut self, world: &mut World) {
        let options = WatchOptions {
            version: "0".to_owned(),
            version_match: "NotOlderThan".to_owned(),
            send_initial_events: Some(true),
            ..self.options()
        };
        let begun = world.faulty(|server, now| server.watch(self.kind, "", &options, now));
        self.state = State::Initial(begun.unwrap());
        world.note(format!("a list of {} is streamed", self.kind.plural));
        self.tell(Event::Init);
    }

    fn page(&mut self, world: &mut World, token: Option<String>) {
        let mut request = Request::new(Verb::List, self.kind, "", "");
        request.list.fields = K::FIELDS.to_owned();
        request.list.limit = PAGE;
        request.list.continue_token = token.unwrap_or_default();
        let answer = world.faulty(|server, now| server.call(&request, now));
        let list = match answer.reply().map(|reply| reply.body) {
            Ok(Body::List(list)) => list,
            Ok(_) => unreachable!("a list was asked for"),
            Err(status) => {
                world.note(format!("no list of {}: {}", self.kind.plural, status.code));
                self.pause(world);
                if status.code == 410 {
                    self.end(Ended::Broken);
                }
                return;
            }
        };
        world.note(format!(
            "{} {} are listed at {}, more: {}",
            list.items.len(),
            self.kind.plural,
            list.version,
            list.continue_token.is_some()
        ));
        for object in &list.items {
            self.tell(Event::InitApply(self.object(object)));
        }
        if list.continue_token.is_some() {
            self.state = State::Paging(list.continue_token);
        } else {
            self.version = list.version;
            self.state = State::Listed(list.version);
            self.tell(Event::InitDone);
        }
    }

    fn pause(&mut self, world: &World) {
        self.pause_until = world.now + PAUSE;
    }

    fn resume(&mut self, world: &mut World, version: u64) {
        let options = WatchOptions {
            version: version.to_string(),
            ..self.options()
        };
        match world.faulty(|server, now| server.watch(self.kind, "", &options, now)) {
            Ok(watch) => self.state = State::Watching(watch),
            Err(_) => self.end(Ended::Broken),
        }
    }

    fn lines(&mut self, world: &mut World, mut watch: simulator::Watch, mut initial: bool) {
        let frames = world.faulty(|server, now| server.poll(&mut watch, now, LINES));
        for frame in frames {
            match frame {
                Frame::Event(_, object) if initial => {
                    self.tell(Event::InitApply(self.object(&object)));
                }
                Frame::Event(word, object) => {
                    let known = self.object(&object);
                    let name = known.identity().name.clone();
                    world.note(format!("seen: {word} {name} at {}", object.version()));
                    self.version = object.version();
                    self.tell(match word {
                        "DELETED" => Event::Delete(known),
                        _ => Event::Apply(known),
                    });
                }
                Frame::Bookmark {
                    version,
                    initial: done,
                } => {
                    self.version = version;
                    if done {
                        world.note(format!("{} listed at {version}", self.kind.plural));
                        initial = false;
                        self.tell(Event::InitDone);
                    }
                }
                Frame::Error(status) => {
                    world.note(format!("watch of {}: {}", self.kind.plural, status.code));
                    self.pause(world);
                    self.state = State::Empty;
                    return;
                }
            }
        }
        self.state = match (initial, watch.ended()) {
            (true, true) => State::Empty,
            (true, false) => State::Initial(watch),
            (false, true) => State::Listed(self.version),
            (false, false) => State::Watching(watch),
        };
    }
}
