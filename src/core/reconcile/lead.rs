//! Which Ingress leads a host: one per host and namespace carries the issuer
//! annotation, so that one host makes one order.

use super::{Claim, Owner, Want};
use crate::core::{policy::Issuance, reason::Reason};

/// The Ingress that leads. The one whose Certificate stands stays, then the
/// present one, then the oldest: each change of lead means a Certificate made anew.
///
/// Nobody leads a host that another Ingress already serves with the user's own
/// certificate (Rainbond's "HTTP and HTTPS" makes two rules): a gateway would show now one, now the other.
pub fn choose<'c, 'a>(claims: &'c [Claim<'a>], current: Option<&str>, owner: Owner<'_>) -> Option<&'c Claim<'a>> {
    if claims.iter().any(|claim| claim.want == Want::No(Reason::UserTls)) {
        return None;
    }
    let wanting = || claims.iter().filter(|claim| claim.terms().is_some());
    let by_companion = wanting().find(|claim| claim.terms().is_some_and(|t| t.issuance == Issuance::Companion));
    if by_companion.is_some() {
        // Whoever is named here does not order by itself, and keeps all others from it.
        return by_companion;
    }
    let owning = match owner {
        Owner::Ingress { uid, .. } => wanting().find(|claim| claim.uid == uid),
        _ => None,
    };
    owning.or_else(|| wanting().find(|claim| Some(claim.name) == current)).or_else(|| wanting().next())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::*;
    use crate::core::{policy::Profile, reconcile::Terms};

    fn claim(name: &'static str, issuance: Option<Issuance>) -> Claim<'static> {
        let want = issuance.map_or(Want::No(Reason::NotFlagged), |issuance| {
            Want::Yes(Terms { issuer: None, profile: Profile::Standard, issuance })
        });
        Claim {
            name,
            uid: name,
            created: Timestamp::UNIX_EPOCH,
            want,
            serves: false,
            refers: false,
            annotated: false,
            check_now: None,
        }
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
    #[case::the_user_has_tls_elsewhere(&[claim("a", Some(Issuance::Inline)), Claim { want: Want::No(Reason::UserTls), ..claim("b", None) }], Some("a"), Owner::Nobody, None)]
    fn leads(
        #[case] claims: &[Claim<'_>],
        #[case] current: Option<&str>,
        #[case] owner: Owner<'_>,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(choose(claims, current, owner).map(|claim| claim.name), expected);
    }
}
