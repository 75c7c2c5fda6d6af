//! Gangs: the scenarios that a gang scheduler must survive, each on an engine and an API server that
//! is only a map.

mod histories;
mod invalid;
mod lost;
mod scene;
mod topology;
mod unit;
mod waiting;
