//! Which Ingress leads a host: one per host and namespace carries the issuer
//! annotation, so that one host makes one order.

use super::{Claim, Owner};
use crate::core::{
    policy::{Issuance, Profile},
    reason::Reason,
};

/// The Ingress that leads. The one whose Certificate stands stays, then the
/// present one: each change of lead means a Certificate made anew. Where one is chosen anew it is the oldest, on
/// Rainbond 5 the oldest of the path `/`: its redirect covers all other paths of the host.
///
/// Nobody leads a host that another Ingress already serves with the user's own
/// certificate (Rainbond's "HTTP and HTTPS" makes two rules): a gateway would show now one, now the other.
pub fn choose<'c, 'a>(claims: &'c [Claim<'a>], current: Option<&str>, owner: Owner<'_>) -> Option<&'c Claim<'a>> {
    if claims.iter().any(|claim| claim.want.refusal().is_some_and(Reason::is_user_tls)) {
        return None;
    }
    // One that cert-manager refuses leads only where there is no other.
    let orderable = |claim: &Claim<'_>| claim.terms().is_some_and(|terms| terms.refused.is_none());
    let any_orderable = claims.iter().any(orderable);
    let wanting =
        move || claims.iter().filter(move |claim| claim.terms().is_some() && (!any_orderable || orderable(claim)));
    let by_companion = wanting().find(|claim| claim.terms().is_some_and(|t| t.issuance == Issuance::Companion));
    if by_companion.is_some() {
        // Whoever is named here does not order by itself, and keeps all others from it.
        return by_companion;
    }
    let owning = match owner {
        Owner::Ingress { uid, .. } => wanting().find(|claim| claim.uid == uid),
        _ => None,
    };
    let covers_all =
        |claim: &&Claim<'_>| claim.root && claim.terms().is_some_and(|terms| terms.profile == Profile::RainbondV5);
    owning
        .or_else(|| wanting().find(|claim| Some(claim.name) == current))
        .or_else(|| wanting().find(covers_all))
        .or_else(|| wanting().next())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::*;
    use crate::core::reconcile::Want;
    use crate::core::{finding::Finding, reconcile::Terms};

    fn no(reason: Reason) -> Want {
        Want::No(Finding::new(reason, "www.example.com"))
    }

    fn claim(name: &'static str, issuance: Option<Issuance>) -> Claim<'static> {
        let want = issuance
            .map_or(no(Reason::NotFlagged), |issuance| Want::Yes(Terms::new(None, Profile::Standard, issuance)));
        Claim {
            name,
            uid: name,
            created: Timestamp::UNIX_EPOCH,
            want,
            bears: None,
            refers: false,
            annotated: false,
            root: false,
            check_now: None,
        }
    }

    /// A claim of Rainbond 5's, for the path `/` or another.
    fn rainbond(name: &'static str, root: bool) -> Claim<'static> {
        let terms = Terms::new(None, Profile::RainbondV5, Issuance::Inline);
        Claim { want: Want::Yes(terms), root, ..claim(name, None) }
    }

    #[rstest]
    #[case::nobody_wants(&[claim("a", None)], None, Owner::Nobody, None)]
    #[case::the_oldest(&[claim("a", Some(Issuance::Inline)), claim("b", Some(Issuance::Inline))], None, Owner::Nobody, Some("a"))]
    #[case::the_present_one_stays(&[claim("a", Some(Issuance::Inline)), claim("b", Some(Issuance::Inline))], Some("b"), Owner::Nobody, Some("b"))]
    #[case::the_present_one_no_longer_wants(&[claim("a", Some(Issuance::Inline)), claim("b", None)], Some("b"), Owner::Nobody, Some("a"))]
    #[case::the_present_one_is_gone(&[claim("a", Some(Issuance::Inline))], Some("gone"), Owner::Nobody, Some("a"))]
    #[case::the_owner_of_the_certificate(&[claim("a", Some(Issuance::Inline)), claim("b", Some(Issuance::Inline))], Some("a"), Owner::Ingress { uid: "b", exists: true }, Some("b"))]
    #[case::an_owner_that_wants_no_more(&[claim("a", Some(Issuance::Inline)), claim("b", None)], Some("a"), Owner::Ingress { uid: "b", exists: true }, Some("a"))]
    #[case::a_companion_orders_for_all(&[claim("a", Some(Issuance::Inline)), claim("b", Some(Issuance::Companion))], Some("a"), Owner::Nobody, Some("b"))]
    #[case::the_user_has_tls_elsewhere(&[claim("a", Some(Issuance::Inline)), Claim { want: no(Reason::UserTls), ..claim("b", None) }], Some("a"), Owner::Nobody, None)]
    #[case::the_root_of_rainbonds(&[rainbond("a", false), rainbond("b", true), rainbond("c", true)], None, Owner::Nobody, Some("b"))]
    #[case::no_hand_over_to_a_root(&[rainbond("a", false), rainbond("b", true)], Some("a"), Owner::Nobody, Some("a"))]
    #[case::nor_from_an_owner(&[rainbond("a", false), rainbond("b", true)], None, Owner::Ingress { uid: "a", exists: true }, Some("a"))]
    #[case::elsewhere_a_path_is_nothing(&[claim("a", Some(Issuance::Inline)), Claim { root: true, ..claim("b", Some(Issuance::Inline)) }], None, Owner::Nobody, Some("a"))]
    fn leads(
        #[case] claims: &[Claim<'_>],
        #[case] current: Option<&str>,
        #[case] owner: Owner<'_>,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(choose(claims, current, owner).map(|claim| claim.name), expected);
    }
}
