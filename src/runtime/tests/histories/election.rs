//! Restarts, and who leads.

use std::time::Duration;

use super::History;
use super::berth::Berth;
use crate::model::Time;

/// How long a lease lasts that nobody renews.
const LEASE: Duration = Duration::from_secs(15);

/// Who holds the lease of two replicas.
#[derive(Debug, Default)]
pub(super) struct Election {
    leader: Option<usize>,
    /// When the lease can be taken.
    free_at: Time,
    /// This replica does nothing, and does not know that.
    halted: Option<usize>,
}

impl History {
    pub(super) fn is_halted(&self, berth: usize) -> bool {
        let election = self.election.as_ref();
        election.is_some_and(|election| election.halted == Some(berth))
    }

    /// A replica is killed and comes again, knowing nothing.
    pub(super) fn restart(&mut self) {
        let berth = self.world.dice.index(self.berths.len());
        self.world.note(format!("replica {berth} is killed"));
        // Whoever waits for a lease to expire has waited for what was on its way as well.
        let late = self.election.is_none();
        self.berths[berth].kill(&mut self.world, late);
        self.begin_anew(berth);
        let free_at = self.world.now + LEASE;
        if let Some(election) = &mut self.election {
            if election.leader == Some(berth) {
                election.leader = None;
                election.free_at = free_at;
            }
            if election.halted == Some(berth) {
                election.halted = None;
            }
        }
    }

    pub(super) fn born(&mut self) -> Berth {
        self.world.lives += 1;
        Berth::new(self.world.lives, &self.metrics, self.election.is_some())
    }

    fn begin_anew(&mut self, berth: usize) {
        self.berths[berth] = self.born();
    }

    /// Lets the lease find another holder.
    pub(super) fn elect(&mut self) {
        let Some(mut election) = self.election.take() else {
            return;
        };
        let drained = |leader: usize| self.berths[leader].stopping && self.berths[leader].drained();
        match election.leader {
            Some(leader) if drained(leader) => {
                let text = format!("replica {leader} gives the lease back");
                self.world.note(text);
                election.leader = None;
                election.free_at = self.world.now;
                self.election = Some(election);
                self.begin_anew(leader);
                return;
            }
            Some(leader) if self.berths[leader].stopping => {}
            Some(leader) if self.world.rarely() => {
                self.world.note(format!("replica {leader} stops"));
                self.berths[leader].stopping = true;
            }
            Some(leader) if election.halted.is_none() && self.world.rarely() => {
                self.world.note(format!("replica {leader} is halted"));
                self.berths[leader].halt(&mut self.world);
                // It closes its fence by itself before anybody else can take the lease.
                self.berths[leader].leads = false;
                election.halted = Some(leader);
                election.leader = None;
                election.free_at = self.world.now + LEASE;
            }
            Some(_) => {}
            None if self.world.now >= election.free_at => {
                let able: Vec<usize> = (0..self.berths.len())
                    .filter(|berth| election.halted != Some(*berth))
                    .collect();
                let leader = *self.world.dice.one_of(&able);
                self.world.note(format!("replica {leader} leads"));
                self.berths[leader].lead();
                election.leader = Some(leader);
            }
            None => {}
        }
        if let Some(halted) = election.halted
            && election.leader.is_some()
        {
            if self.world.dice.calm || self.world.dice.chance(1) {
                // It sees that it has lost the lease, and ends.
                self.world.note(format!("replica {halted} ends"));
                election.halted = None;
                self.election = Some(election);
                self.begin_anew(halted);
                return;
            }
            if self.world.dice.chance(20) {
                self.berths[halted].step(&mut self.world);
            }
        }
        self.election = Some(election);
    }
}
