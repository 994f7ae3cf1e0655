//! The record of what the real gateway did, read from its Markdown tables.

use std::{fs, path::Path};

/// One row: a case, and what was seen.
pub(crate) struct Row {
    /// What the case is.
    pub(crate) case: String,
    /// What nginx served, stage by stage.
    pub(crate) seen: String,
}

/// The rows of both tables: Ingresses with hosts, and companions.
pub(crate) fn rows() -> [Vec<Row>; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rainbond-v5-gateway.md");
    let text = fs::read_to_string(path).unwrap();
    let (hosts, companions) = text.split_once("\n## Companion Ingress").unwrap();
    [rows_of(hosts), rows_of(companions)]
}

fn rows_of(text: &str) -> Vec<Row> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = lines.map(|line| line.split_once(" | ").unwrap());
    // The first line is the head; the ruler below it has no spaces.
    cells.skip(1).map(|(case, seen)| Row { case: case.to_owned(), seen: seen.to_owned() }).collect()
}

/// A cell with servers and locations in alphabetical order. The gateway lists
/// Ingresses in the order of a Go map, so the order that was seen says nothing.
pub(crate) fn ordered(cell: &str) -> String {
    let stages = cell.split(" ⇒ ").map(|stage| {
        let (servers, unsynced) = match stage.strip_suffix(NO_SYNC) {
            Some(servers) => (servers, NO_SYNC),
            None => (stage, ""),
        };
        let mut servers: Vec<String> = servers.split("; ").map(ordered_locations).collect();
        servers.sort();
        format!("{}{unsynced}", servers.join("; "))
    });
    stages.collect::<Vec<_>>().join(" ⇒ ")
}

fn ordered_locations(server: &str) -> String {
    let Some((head, locations)) = server.split_once(": ") else { return server.to_owned() };
    let mut locations: Vec<&str> = locations.split(", ").collect();
    locations.sort_unstable();
    format!("{head}: {}", locations.join(", "))
}

/// How the table marks a stage whose change the gateway did not notice.
pub(crate) const NO_SYNC: &str = " (no sync)";
