//! The engine's thread: mail in, effects out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::http::Health;
use super::lanes::Lanes;
use super::lease::Fence;
use super::mailbox::Mailbox;
use crate::engine::Engine;
use crate::model::Time;

/// Decisions between two looks into the mailbox, so that fresh news is never far away.
const BATCH: usize = 64;
/// The heartbeat goes on when nothing happens.
const IDLE: Duration = Duration::from_secs(1);
/// How long binds in flight are waited for when stopping.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the engine until it is told to stop and its binds are answered; false when it did not wait
/// for all of them. Nothing is decided while the fence is closed.
pub(super) fn drive(
    mut engine: Engine,
    mailbox: &Mailbox,
    lanes: &Lanes,
    fence: &Fence,
    health: &Arc<Health>,
) -> bool {
    let start = Instant::now();
    let now = || Time::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let mut patience = Duration::ZERO;
    let mut stop_at: Option<Instant> = None;
    loop {
        let mail = mailbox.take(patience);
        health.beat();
        let time = now();
        for (_, change) in mail.changes {
            engine.apply(change, time);
        }
        for (id, outcome) in mail.outcomes {
            engine.complete(id, outcome, time);
        }
        for verdict in &mail.verdicts {
            engine.permit(verdict, time);
        }
        let leads = fence.is_open();
        let budget = if mail.stopping || !leads {
            0
        } else {
            lanes.bind_capacity().min(BATCH)
        };
        for effect in engine.run(time, budget) {
            lanes.dispatch(effect);
        }
        if mail.stopping {
            let limit = *stop_at.get_or_insert_with(|| Instant::now() + DRAIN);
            let drained = engine.binds_in_flight() == 0;
            if drained || Instant::now() >= limit {
                return drained;
            }
            patience = Duration::from_millis(50);
            continue;
        }
        patience = if !engine.has_work() {
            let due = engine.next_deadline().map_or(IDLE, |due| due.since(now()));
            due.clamp(Duration::from_millis(1), IDLE)
        } else if leads && lanes.bind_capacity() > 0 {
            Duration::ZERO
        } else {
            // The next outcome makes room, or Synced tells that this replica leads.
            IDLE
        };
    }
}
