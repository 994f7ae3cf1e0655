//! The controller's side of the cluster: watches feed an in-memory world, a
//! queue says whose turn it is, workers plan with [`crate::core::reconcile`] and write.
//! Apart from it, [`index`] is all that the webhook knows of the cluster, and
//! [`hosts`] all that the status page does.

pub mod apply;
pub mod console;
pub mod controller;
pub mod events;
pub mod gateway;
pub mod health;
pub mod hosts;
pub mod index;
pub mod lease;
pub mod metrics;
pub mod preflight;
pub mod queue;
#[cfg(test)]
mod scripted;
pub mod stage;
pub mod watch;
pub mod worker;
pub mod world;
