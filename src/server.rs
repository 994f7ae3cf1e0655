//! The servers: TLS for the API server, plain HTTP for probes and metrics.
//!
//! The webhook's listener is hyper on tokio-rustls without a framework: it
//! serves one method on a handful of fixed paths, and what a framework's layers
//! cost a request is as much as the decision itself.
//!
//! [`listener`] accepts and drains, [`seats`] says who goes when there are too many and [`house`] has them go,
//! [`connection`] keeps time on one connection, [`http`] turns a request into a call of the [`http::Application`],
//! [`certificate`] holds the certificate in use and [`source`] brings new ones,
//! [`readiness`] says what is missing and [`admin`] tells it.

pub mod admin;
pub mod certificate;
pub mod client_auth;
pub mod connection;
pub mod descriptors;
pub mod house;
pub mod http;
pub mod listener;
pub mod readiness;
pub mod seats;
pub mod shutdown;
pub mod source;
