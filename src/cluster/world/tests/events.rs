//! How much is told.

use super::*;

#[test]
fn events_are_bounded_by_changes_not_by_checks() {
    const HOSTS: usize = 4;
    let mut cluster = Cluster::new(POLICY);
    let names: Vec<String> = (0..HOSTS).map(|n| format!("h{n}.example.com")).collect();
    for (n, name) in names.iter().enumerate() {
        cluster.put("Ingress", ingress(&format!("i{n}"), name));
    }
    cluster.settle();
    cluster.pass(3600);
    assert!(cluster.checks.len() > 20 * HOSTS, "{}", cluster.checks.len());
    assert_eq!(cluster.told.len(), 2 * HOSTS, "one on each Ingress and one on each Domain");
    // Each change is told once more, whatever the number of checks until the next.
    for reason in [Reason::WrongTarget, Reason::DomainNotFound] {
        for name in &names {
            cluster.dns.insert(name.clone(), reason);
        }
        cluster.pass(3600);
    }
    assert_eq!(cluster.told.len(), 3 * 2 * HOSTS);
}
