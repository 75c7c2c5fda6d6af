//! Gangs: the scenarios that a gang scheduler must survive, each on an engine and an API server that
//! is only a map.

mod head;
mod histories;
mod invalid;
mod lost;
mod preempting;
mod ranks;
mod rivals;
pub(super) mod scene;
mod topology;
mod unit;
mod waiting;
mod waves;
