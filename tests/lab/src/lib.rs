//! Starts real Kubernetes, cert-manager, ACME and DNS as plain processes, for certgate's end-to-end tests and demo.
//!
//! A lab needs no containers, no cluster and no network: etcd, kube-apiserver, kube-controller-manager, cert-manager and
//! Pebble are built once with Go from pinned modules and run on one loopback address. What is then still missing, the lab
//! does itself: DNS that tests script, an ingress gateway, Services that answer, and a kubelet's part for Helm charts.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use certgate_lab::{Lab, LabOptions};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let lab = Lab::start(LabOptions::default()).await?;
//! let host = lab.host("shop"); // shop.lab1.test, resolving to the lab
//! lab.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await?;
//! // … an Ingress with the annotation cert-manager.io/cluster-issuer: pebble-fast …
//! let page = lab.wait_for("HTTPS", Duration::from_secs(30), async || Ok(Some(lab.https_get(&host).await?))).await?;
//! assert_eq!((page.status, lab.pebble().orders()?), (200, 1));
//! lab.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # How the parts fit
//!
//! ```text
//!  test ─► Lab ─┬─ etcd ◄─ kube-apiserver ◄─┬─ kube-controller-manager   processes; the API server calls webhooks at
//!               │                           ├─ cert-manager ─► Pebble    the cluster IPs of their Services
//!               │                           └─ a chart's replicas        processes on addresses of their own
//!               ├─ DnsServer :53   ◄─ cert-manager, Pebble, certgate     in this process, on threads of the lab's own
//!               ├─ gateway :80 :443 ◄─ Pebble, the test                  the same; or Traefik, or APISIX's controller
//!               └─ service IPs      ◄─ kube-apiserver, gateways          the same
//! ```
//!
//! - Lab *n* owns 127.50.n.0/24 and, for Services, 127.51.n.0/24, so that labs run side by side ([`address`]). Ports are
//!   fixed: 53, 80, 443, 2379, 6443, 14000. The three low ones need root or a lower
//!   `net.ipv4.ip_unprivileged_port_start`.
//! - A process that binds a Service's cluster IP *is* that Service: there is no kube-proxy, and no endpoints are needed.
//! - Pods of HTTP-01 solvers never run. Whoever answers for their Service reads the answer from the Pod's arguments.
//! - Children die with the lab, even when it is killed ([`process`]).
//! - Nothing below the lab's domain resolves until the test says so ([`dns`]).
//!
//! # Modules
//!
//! | module | what it has |
//! |---|---|
//! | [`dns`] | the scripted DNS server; stands alone, for unit tests too |
//! | [`parts`] | building and caching the programs |
//! | [`address`], [`pki`], [`process`] | addresses, keys, child processes |
//! | `site`, `lab` | one lab: its files, its start, what tests do with it |
//! | `control_plane`, `cert_manager`, `pebble`, `traefik` | how each program is started |
//! | `acme_front` | limits before Pebble, which has none |
//! | `api_link` | a way to the API server that can go silent |
//! | `apisix` | apisix-ingress-controller with the lab in APISIX's place |
//! | `view`, `gateway`, `service_ips` | what the lab sees of the cluster, and who answers |
//! | `chart` | Helm charts, their containers run as processes |
//! | `access`, `objects`, `fetch` | clients and kubeconfig files, manifests of any kind, HTTP |
//!
//! # Environment
//!
//! `CERTGATE_LAB_CACHE` is where built programs go. `CERTGATE_LAB_VERBOSE` makes labs tell how far they are and failed tests
//! show more of the logs. With `KUBEBUILDER_ASSETS` its etcd and kube-apiserver are used.

mod access;
mod acme_front;
pub mod address;
mod api_link;
mod apisix;
mod cert_manager;
pub mod certgate;
mod chart;
mod control_plane;
pub mod csr;
pub mod dns;
mod fetch;
mod gateway;
mod lab;
mod objects;
pub mod orders;
pub mod parts;
mod pebble;
pub mod pki;
pub mod process;
pub mod prometheus;
mod service_ips;
mod site;
pub mod story;
mod traefik;
mod view;
mod wait;

pub use access::Identity;
pub use acme_front::{AcmeFront, AcmeLimits, Limit, Refused, Totals};
pub use api_link::ApiLink;
pub use apisix::{AdminStore, AdminWrite};
pub use cert_manager::CertManager;
pub use chart::{App, Chart};
pub use fetch::{Fetched, LeafCertificate};
pub use gateway::RequestSeen;
pub use lab::{Gateway, KeptLab, Lab, LabOptions, Progress};
pub use pebble::{BLOCKED, Pebble, PebbleOptions};
pub use wait::wait_for;
