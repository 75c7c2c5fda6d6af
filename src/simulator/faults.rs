//! What can go wrong with a server, from a seed or on demand.

use std::collections::VecDeque;
use std::time::Duration;

use super::request::{Request, Verb};
use super::status::Status;

/// Something that goes wrong with one request or watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is carried out, and its answer is lost.
    LostReply,
    /// 429 with Retry-After; nothing was done.
    TooManyRequests,
    /// 500; nothing was done.
    InternalError,
    /// 504, although the request is carried out.
    Timeout,
    /// A list that may be of any age is this many versions old.
    Stale(u64),
    /// A watch that is asked for too old a version answers with the status 410 instead of an event.
    GoneAsStatus,
}

/// How often what goes wrong, in thousandths of the requests.
#[derive(Clone, Debug, Default)]
pub struct FaultRates {
    /// See [`Fault::LostReply`]; of writes.
    pub lost_reply: u32,
    /// See [`Fault::TooManyRequests`].
    pub too_many_requests: u32,
    /// See [`Fault::InternalError`].
    pub internal_error: u32,
    /// See [`Fault::Timeout`]; of writes.
    pub timeout: u32,
    /// See [`Fault::Stale`]; of lists and watches that begin with version 0.
    pub stale_list: u32,
    /// How many versions old they are.
    pub staleness: u64,
    /// Watches that end, of the times when they have something to tell.
    pub cut_watch: u32,
    /// Watches that tell nothing for a while, of the same times.
    pub delayed_watch: u32,
    /// For how long they tell nothing.
    pub delay: Duration,
}

/// The faults to come.
#[derive(Debug)]
pub(super) struct Faults {
    rates: FaultRates,
    /// What happens to the next requests of a verb.
    planned: VecDeque<(Verb, &'static str, Fault)>,
    cuts: u32,
    random: Random,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rates: FaultRates::default(),
            planned: VecDeque::new(),
            cuts: 0,
            random: Random(seed),
        }
    }

    pub(super) fn set_rates(&mut self, rates: FaultRates) {
        self.rates = rates;
    }

    pub(super) fn plan(&mut self, verb: Verb, plural: &'static str, fault: Fault) {
        self.planned.push_back((verb, plural, fault));
    }

    pub(super) fn cut_watches(&mut self, watches: u32) {
        self.cuts = watches;
    }

    /// What happens to a request.
    pub(super) fn draw(&mut self, request: &Request) -> Option<Fault> {
        let planned = self.take(request.verb, request.kind.plural);
        if planned.is_some() {
            return planned;
        }
        let writes = request.writes();
        let rates = self.rates.clone();
        let may_be_old = request.verb == Verb::List && request.list.version == "0";
        [
            (rates.lost_reply, writes, Fault::LostReply),
            (rates.too_many_requests, true, Fault::TooManyRequests),
            (rates.internal_error, true, Fault::InternalError),
            (rates.timeout, writes, Fault::Timeout),
            (rates.stale_list, may_be_old, Fault::Stale(rates.staleness)),
        ]
        .into_iter()
        .find_map(|(rate, possible, fault)| (possible && self.happens(rate)).then_some(fault))
    }

    /// What was planned for a request of this kind.
    pub(super) fn take(&mut self, verb: Verb, plural: &str) -> Option<Fault> {
        let meant = |(one, kind, _): &(Verb, &str, Fault)| *one == verb && *kind == plural;
        let at = self.planned.iter().position(meant)?;
        self.planned.remove(at).map(|(_, _, fault)| fault)
    }

    /// How old the beginning of a watch is that may be of any age.
    pub(super) fn staleness(&mut self) -> u64 {
        if self.happens(self.rates.stale_list) {
            self.rates.staleness
        } else {
            0
        }
    }

    /// Whether a watch is cut off now.
    pub(super) fn cuts_watch(&mut self) -> bool {
        if self.cuts > 0 {
            self.cuts -= 1;
            return true;
        }
        self.happens(self.rates.cut_watch)
    }

    /// For how long a watch tells nothing.
    pub(super) fn delay(&mut self) -> Option<Duration> {
        self.happens(self.rates.delayed_watch)
            .then_some(self.rates.delay)
    }

    fn happens(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.random.next() % 1000 < u64::from(thousandths)
    }
}

impl Fault {
    /// The refusal, of a fault that refuses.
    pub(super) fn refusal(self) -> Option<Status> {
        match self {
            Self::TooManyRequests => {
                let text = "Too many requests, please try again later.";
                let mut status = Status::new(429, "TooManyRequests", text);
                status.details = Some(serde_json::json!({ "retryAfterSeconds": 1 }));
                status.retry_after = Some(1);
                Some(status)
            }
            Self::InternalError => {
                let text = "Internal error occurred: etcdserver: leader changed";
                Some(Status::new(500, "InternalError", text))
            }
            _ => None,
        }
    }

    /// The answer after the time limit of a request that was carried out.
    pub(super) fn timeout() -> Status {
        let text = "Timeout: request did not complete within the requested timeout - context \
                    deadline exceeded";
        Status::new(504, "Timeout", text)
    }
}

/// The splitmix64 generator: small, and the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
