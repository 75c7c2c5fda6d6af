//! Gangs on a real API server: whole or not at all. The numbers are those of the checklist in docs/gangs.md.
//!
//! Each scenario uses the dialect in which what it is about is asked most often. Those that kube-scheduler passes as
//! well are in Kubernetes' own.

mod contention;
mod dialects;
mod examples;
mod life;
mod placement;
mod preemption;
mod quorum;
mod scene;
