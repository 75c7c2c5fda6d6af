//! The evict lane, moved by hand.

use std::sync::Arc;
use std::time::Duration;

use super::berth::Berth;
use super::world::{World, pods};
use crate::engine::{EffectId, Evict};
use crate::model::{PodRef, Time};
use crate::runtime::client::{Fault, Reply};
use crate::runtime::lanes::EvictOrder;
use crate::runtime::lanes::evict::{Next, OpenEviction};
use crate::simulator::{Part, PatchType, Request, Verb};

/// An eviction in the lane.
pub(super) struct Eviction {
    id: EffectId,
    pod: Arc<PodRef>,
    open: OpenEviction,
    next: Next,
    /// When the next request may be sent.
    due: Time,
}

impl Eviction {
    pub(super) fn new(id: EffectId, pod: Arc<PodRef>, evict: Evict, now: Time) -> Self {
        let order = EvictOrder {
            id,
            pod: Arc::clone(&pod),
            evict,
        };
        Self {
            id,
            pod,
            open: OpenEviction::new(order),
            next: Next::Mark(Duration::ZERO),
            due: now,
        }
    }

    /// The next request is sent and answered.
    fn advance(&mut self, world: &mut World, leads: bool) {
        let PodRef {
            namespace, name, ..
        } = &*self.pod;
        let request = |verb| Request::new(verb, pods(), namespace, name);
        let refused = (!leads).then_some(Err(Fault::Fenced));
        let refused = refused.or_else(|| refusal(world));
        self.next = match &self.next {
            Next::Mark(_) => {
                let body = self.open.mark(jiff::Timestamp::UNIX_EPOCH);
                let request = request(Verb::Patch(PatchType::Strategic));
                let request = request.of(Part::Status).with_body(body);
                let answer = refused.unwrap_or_else(|| world.send(&request));
                world.note(format!("mark of {name}: {}", answer.is_ok()));
                self.open.marked(&answer)
            }
            Next::Delete(_) => {
                let mut request = request(Verb::Delete);
                request.delete.uid = Some(self.pod.uid.to_string());
                let answer = refused.unwrap_or_else(|| world.delete(&self.pod, &request));
                self.open.deleted(&answer)
            }
            Next::Read(_) if !leads => self.open.read(&Err(Fault::Fenced)),
            Next::Read(_) => self.open.read(&world.send(&request(Verb::Get))),
            Next::End(_) => unreachable!("an end is the end"),
        };
        if let Next::Mark(pause) | Next::Delete(pause) | Next::Read(pause) = self.next {
            self.due = world.now + pause;
        }
    }
}

/// What is between Berth and the server may answer in its place.
fn refusal(world: &mut World) -> Option<Result<Reply, Fault>> {
    if world.mishap(5) {
        return Some(Err(Fault::Transport("connection refused".to_owned())));
    }
    world.mishap(5).then(|| {
        Ok(Reply {
            status: http::StatusCode::FORBIDDEN,
            retry_after: None,
            body: br#"{"message":"an admission webhook denied it"}"#.to_vec(),
        })
    })
}

impl Berth {
    /// One eviction goes on.
    pub(super) fn evict(&mut self, world: &mut World, index: usize) {
        let eviction = &mut self.evictions[index];
        if world.now < eviction.due {
            return;
        }
        eviction.advance(world, self.leads);
        if let Next::End(outcome) = &eviction.next {
            world.evicted(&eviction.pod, outcome);
            let (id, outcome) = (eviction.id, outcome.clone());
            self.evictions.remove(index);
            self.outcome(id, outcome);
        }
    }
}
