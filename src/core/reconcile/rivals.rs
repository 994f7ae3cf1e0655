//! Whose a host is that several namespaces claim: one holds it, and the others are told that it is taken.

use std::sync::Arc;

use jiff::Timestamp;

pub mod zone;

/// Something that wants a certificate for a host: an Ingress, a route of Rainbond 6, or a Certificate of its switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its namespace holds the host already, as written down where no tenant writes.
    pub holds: bool,
    /// A certificate was let through for its namespace.
    pub in_use: bool,
    /// Since when its namespace claims the host, without a break.
    pub since: Timestamp,
}

/// How a claimant stands among others; the lesser goes first: who holds the name before who would like to, what is in use
/// before what is not, then the older, then by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It does not hold the name already.
    pub waits: bool,
    /// No certificate was let through for it.
    pub unused: bool,
    /// Since when it claims the name.
    pub since: Timestamp,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

// === impl Claimant ===

impl Claimant<'_> {
    /// How it stands among others.
    pub fn rank(&self) -> Rank {
        let Self { namespace, name, holds, in_use, since } = *self;
        Rank { waits: !holds, unused: !in_use, since, namespace: namespace.into(), name: name.into() }
    }
}

/// The claimant that holds the host, of all in all namespaces.
pub fn holder<'a>(claimants: impl IntoIterator<Item = Claimant<'a>>) -> Option<Claimant<'a>> {
    claimants.into_iter().min_by_key(Claimant::rank)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn claimant(namespace: &'static str, name: &'static str, since: i64, in_use: bool) -> Claimant<'static> {
        Claimant { namespace, name, holds: false, in_use, since: Timestamp::from_second(since).unwrap() }
    }

    /// One that holds the host.
    fn holding(namespace: &'static str, since: i64) -> Claimant<'static> {
        Claimant { holds: true, ..claimant(namespace, "web", since, false) }
    }

    #[rstest]
    #[case::nobody(&[], None)]
    #[case::alone(&[claimant("a", "web", 9, false)], Some("a/web"))]
    #[case::the_first(&[claimant("a", "web", 9, false), claimant("b", "route", 5, false)], Some("b/route"))]
    #[case::in_use_before_the_first(&[claimant("a", "web", 9, true), claimant("b", "route", 5, false)], Some("a/web"))]
    #[case::the_first_of_those_in_use(&[claimant("a", "web", 9, true), claimant("b", "route", 5, true)], Some("b/route"))]
    #[case::who_holds_it_before_the_older(&[claimant("a", "web", 1, false), holding("b", 5)], Some("b/web"))]
    #[case::and_before_what_says_it_is_in_use(&[claimant("a", "web", 1, true), holding("b", 5)], Some("b/web"))]
    #[case::at_once_by_namespace(&[claimant("b", "a", 5, false), claimant("a", "b", 5, false)], Some("a/b"))]
    #[case::at_once_by_name(&[claimant("a", "z", 5, false), claimant("a", "b", 5, false)], Some("a/b"))]
    fn one_holds_the_host(#[case] claimants: &[Claimant<'static>], #[case] expected: Option<&str>) {
        let name = |one: Claimant<'_>| format!("{}/{}", one.namespace, one.name);
        assert_eq!(holder(claimants.iter().copied()).map(name).as_deref(), expected);
        // Whoever asks, and in whatever order the watches have shown them.
        assert_eq!(holder(claimants.iter().rev().copied()).map(name).as_deref(), expected);
    }
}
