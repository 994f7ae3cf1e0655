//! What a tenant's thousands of hosts cost the others.
//!
//! `cargo bench --bench neighbours` prints the tables and writes the sections "Neighbours: …" of docs/benchmarks.md. Arguments
//! choose parts: `planning` (how plans grow with the hosts of one Ingress), `dead` (what dead hosts add to another tenant's
//! first check) and `crowd` (what another tenant waits beside an Ingress of many hosts); the last two on a real API server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on ends"
)]

#[path = "../../tests/support/cluster.rs"]
#[allow(dead_code, reason = "each measurement uses its part of it")]
mod cluster;
mod planning;
#[path = "../serving/report.rs"]
#[allow(dead_code, reason = "not every part of it is used")]
mod report;
mod tenants;

use anyhow::{Result, bail};
use report::Section;

const PLANNING: Section = Section {
    title: "Neighbours: plans for the hosts of one Ingress",
    command: "cargo bench --bench neighbours -- planning",
    about: "The world and its planners alone, without an API server: an Ingress of so many flagged hosts is seen, each host \
            gets its plan, a verdict comes for each and has its plan and those it touches made again, the whole Ingress and \
            VerifiedHosts are planned. `longest` is the longest that any one step held the world.",
};
const DEAD: Section = Section {
    title: "Neighbours: dead hosts beside another tenant's",
    command: "cargo bench --bench neighbours -- dead",
    about: "On the real API server and DNS, certgate as its chart installs it. One tenant's hosts lie in domains of their own, \
            none of whose name servers answers; meanwhile another tenant's good hosts come one by one. From the creation \
            of the Ingress to the verdict in the Domain's status.",
};
const CROWD: Section = Section {
    title: "Neighbours: many hosts in one Ingress beside another tenant's",
    command: "cargo bench --bench neighbours -- crowd",
    about: "On the real API server and DNS, certgate as its chart installs it. One tenant writes one Ingress of so many hosts; \
            while certgate is at work on them another tenant's good hosts come one by one. From the creation of the Ingress \
            to the Domain, and to the verdict in its status.",
};

fn main() -> Result<()> {
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(other) = parts.iter().find(|part| !["planning", "dead", "crowd"].contains(&part.as_str())) {
        bail!("{other}: unknown; give planning, dead, crowd");
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("planning") {
        PLANNING.put(&planning::measure())?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if wanted("dead") {
        DEAD.put(&runtime.block_on(tenants::dead())?)?;
    }
    if wanted("crowd") {
        CROWD.put(&runtime.block_on(tenants::crowd())?)?;
    }
    Ok(())
}
