//! A model of Rainbond 5's gateway explains every row of what the real one was
//! seen to do, and shows what clients get at each step of certgate's work.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::collections::BTreeSet;

#[cfg(test)]
#[path = "rainbond_v5/cluster.rs"]
mod cluster;
#[cfg(test)]
#[path = "rainbond_v5/companions.rs"]
mod companions;
#[cfg(test)]
#[path = "rainbond_v5/fixtures.rs"]
mod fixtures;
#[cfg(test)]
#[path = "rainbond_v5/gateway.rs"]
mod gateway;
#[cfg(test)]
#[path = "rainbond_v5/scenarios.rs"]
mod scenarios;
#[cfg(test)]
#[path = "rainbond_v5/stories.rs"]
mod stories;
#[cfg(test)]
#[path = "rainbond_v5/table.rs"]
mod table;
#[cfg(test)]
#[path = "rainbond_v5/traps.rs"]
mod traps;

use gateway::Order;
use scenarios::{Run, SCENARIOS};

const ORDERS: [Order; 2] = [Order::Forwards, Order::Backwards];

#[test]
fn every_row_about_hosts_is_explained() {
    let [rows, _] = table::rows();
    assert!(rows.len() >= 34, "the table was found");
    let mut troubles = Vec::new();
    for row in &rows {
        let Some((_, scenario)) = SCENARIOS.iter().find(|(case, _)| *case == row.case) else {
            troubles.push(format!("no scenario plays {:?}", row.case));
            continue;
        };
        for order in ORDERS {
            let mut run = Run::new(order);
            scenario(&mut run);
            let (modelled, seen) = (run.cell(), table::ordered(&row.seen));
            if modelled != seen {
                troubles.push(format!("{} ({order:?})\n  model {modelled}\n   seen {seen}", row.case));
            }
        }
    }
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
    let cases: BTreeSet<&str> = rows.iter().map(|row| row.case.as_str()).collect();
    let played: BTreeSet<&str> = SCENARIOS.iter().map(|(case, _)| *case).collect();
    assert_eq!(played, cases, "each scenario is a row");
}

#[test]
fn every_row_about_companions_is_explained() {
    let [_, rows] = table::rows();
    assert!(rows.len() >= 3, "the table was found");
    for row in &rows {
        for order in ORDERS {
            companions::check(row, order).unwrap_or_else(|trouble| panic!("{} ({order:?})\n{trouble}", row.case));
        }
    }
}
