//! What holds between the hosts of one Ingress: an Ingress names one issuer, and ingress-shim orders from it for every TLS
//! entry.

use std::borrow::Cow;

use super::{Subject, Wanted, Why, issuer_annotations};
use crate::core::{
    decision::HostDecision,
    knowledge::Knowledge,
    policy::IssuerRef,
    reason::{Action, Reason},
    settings::UserIssuer,
};

impl<'a, K: Knowledge> Subject<'a, K> {
    /// The rules that hold between the hosts of one Ingress: one issuer, no
    /// Secret twice, TLS entries for a foreign certificate only where ingress-shim leaves them alone,
    /// companion-issued ones only once their Secret is there.
    pub(super) fn settle_issuers(&self, hosts: &mut [HostDecision<'a>], wanted: &mut Vec<Wanted<'a>>) {
        let chosen: Option<Cow<'a, IssuerRef>> = match &self.user_issuer {
            UserIssuer::One(issuer) => Some(Cow::Owned(issuer.clone())),
            _ => self.recorded_issuer(wanted).or_else(|| wanted.iter().find_map(|want| want.orders.clone())),
        };
        let acted_on = chosen.is_some() || self.surroundings.acted_on();
        wanted.retain(|want| {
            let domain = want.domain;
            let bound = domain.is_some_and(|d| d.bind.as_ref().is_some_and(|bind| bind.secret_name == want.secret));
            let other_issuer = want.orders.is_some() && want.orders.as_deref() != chosen.as_deref();
            let twin_certificate = bound
                && acted_on
                && domain.is_some_and(|d| d.bind.as_ref().is_some_and(|bind| bind.certificate != bind.secret_name));
            let trouble = if self.user_tls.names_secret(&want.secret) {
                Some(Why::Noted(Reason::SecretNameTaken, want.secret.clone()))
            } else if other_issuer || twin_certificate {
                Some(Why::Plain(Reason::IssuerConflict))
            } else if let (Some(finding), true, false) = (&want.refused, acted_on, self.present.serves(&want.host)) {
                Some(Why::Told(finding.clone()))
            } else if want.companion && !domain.is_some_and(|d| d.issued) && !self.present.serves(&want.host) {
                Some(Why::Plain(Reason::AwaitingCertificate))
            } else {
                None
            };
            if let Some(why) = trouble {
                if let Some(decision) = hosts.get_mut(want.decision) {
                    decision.action = Action::Hold;
                    decision.why = why;
                }
                return false;
            }
            true
        });
        self.keep_from_ordering(hosts, wanted);
    }

    /// ingress-shim orders for every TLS entry of an Ingress that names an issuer. So one with an entry that nothing
    /// vouches for names none by our doing.
    fn keep_from_ordering(&self, hosts: &mut [HostDecision<'a>], wanted: &mut Vec<Wanted<'a>>) {
        if self.present.unproven.is_empty() || matches!(self.user_issuer, UserIssuer::One(_)) {
            return;
        }
        wanted.retain_mut(|want| {
            if want.orders.take().is_none() || self.present.serves(&want.host) {
                return true;
            }
            if let Some(decision) = hosts.get_mut(want.decision) {
                decision.action = Action::Hold;
                decision.why = Why::Plain(Reason::IssuerConflict);
            }
            false
        });
    }

    /// The issuer that our own annotation already names, if a host still wants it.
    fn recorded_issuer(&self, wanted: &[Wanted<'a>]) -> Option<Cow<'a, IssuerRef>> {
        let recorded = &self.present.record.annotations;
        let is_recorded = |issuer: &IssuerRef| {
            issuer_annotations(issuer).iter().all(|(key, value)| recorded.get(*key).is_some_and(|have| have == value))
        };
        if recorded.is_empty() {
            return None;
        }
        wanted.iter().filter_map(|want| want.orders.as_ref()).find(|issuer| is_recorded(issuer)).cloned()
    }
}
