//! Plans made from the world as it is.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{IngressId, Namespace, SeenDomain, SeenIngress, World, issuers};
use crate::{
    api::{
        domain::{Domain, DomainStatus},
        partial::certificate::Certificate,
    },
    core::{
        finding::Finding,
        host::Host,
        issuer::{Acme, IssuerFacts},
        names,
        policy::{Issuance, IssuerRef, Profile},
        reason::Reason,
        reconcile::{
            CertificateView, Checks, Claim, DomainView, HostInput, HostPlan, IssuerView, Notes, Owner, SecretView,
            Terms, Unknown, Want,
            checked::Gated,
            claim::{self, Stated},
            companion, host,
            ingress::{self, IngressPlan, Trouble},
            lead, twin,
            verified::{self, Verified, Wanted},
        },
        shim,
        verdict::GatewayTarget,
    },
};

/// What is seen of an Ingress' twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenTwin {
    /// There is none.
    None,
    /// An application's Ingress has its name.
    Foreign,
    /// There is one.
    Ours {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
}

impl World {
    /// The plan for a host.
    pub fn plan_host(&self, namespace: &str, host: &Host, checks: &Checks, notes: &Notes, now: Timestamp) -> HostPlan {
        let Some(ns) = self.namespaces.get(namespace).filter(|_| !self.is_terminating(namespace)) else {
            return HostPlan::default();
        };
        let claims = self.claims(namespace, ns, host);
        let empty = DomainStatus::default();
        let domain = ns.domains.get(host).map(|seen| {
            let meta = &seen.domain.metadata;
            let spec = &seen.domain.spec;
            let untouched = spec.auto_issue.is_none() && spec.issuer_ref.is_none() && spec.certificate.is_none();
            let label = meta.labels.as_ref().and_then(|labels| labels.get(names::MANAGED_BY));
            DomainView {
                generation: meta.generation.unwrap_or_default(),
                managed: untouched && label.is_some_and(|value| value == names::MANAGER),
                deleting: meta.deletion_timestamp.is_some(),
                check_now: meta.annotations.as_ref().and_then(|all| all.get(names::CHECK_NOW)).map(String::as_str),
                status: seen.domain.status.as_ref().unwrap_or(&empty),
            }
        });
        let own = host.secret_name();
        let certificate = ns.certificates.get(&own).map(|certificate| ns.certificate_view(certificate));
        let others: Vec<CertificateView<'_>> = ns
            .certificates_covering(host)
            .filter(|certificate| certificate.metadata.name.as_deref() != Some(own.as_str()))
            .map(|certificate| ns.certificate_view(certificate))
            .collect();
        let owner = certificate.map(|certificate| certificate.owner).unwrap_or_default();
        let current = domain.and_then(|domain| domain.status.lead.as_deref());
        let lead = lead::choose(&claims, current, owner);
        let gated = self.gated(namespace, ns, host);
        let labels = lead.map(|lead| self.certificate_labels(namespace, ns, lead, host)).unwrap_or_default();
        let issuer = match (lead.and_then(|lead| lead.terms()?.issuer.as_ref()), &gated) {
            (Some(issuer), _) => self.issuer(namespace, issuer, host, |key| labels.get(key).map(String::as_str)),
            (None, Some((Gated { issuer: Some(issuer), .. }, certificate))) if lead.is_none() => {
                let labels = certificate.and_then(|certificate| certificate.metadata.labels.as_ref());
                self.issuer(namespace, issuer, host, |key| labels?.get(key).map(String::as_str))
            }
            (None, _) => IssuerView::Missing(String::new()),
        };
        let named = lead.and_then(|lead| lead.terms()?.issuer.as_ref());
        let named = named.or_else(|| gated.as_ref().and_then(|(gated, _)| gated.issuer.as_ref()));
        let server = named.and_then(|issuer| self.server(namespace, issuer));
        let other_issuers = self.other_issuers(namespace, ns, host, named);
        let kept = domain.map_or(&[][..], |domain| domain.status.certified.as_slice());
        let certified = self.known_certified(namespace, ns, host, kept, now);
        let limited = named.is_some_and(|issuer| self.is_limited(namespace, issuer));
        let name = self.namespace_name(namespace);
        host::plan(&HostInput {
            host,
            now,
            claims: &claims,
            domain,
            unknown: ns.unknown(namespace, host),
            taken: self.taken(&name, host, gated.as_ref().map(|(gated, _)| gated)),
            asked_elsewhere: ns.certificates.get(&own).is_some_and(|own| ns.asks_elsewhere(own, &claims)),
            claimed: self.claimant(&name, host).map(|claimant| claimant.since),
            kept_for: SignedDuration::from_hours(24 * i64::from(self.policy.claims.keep_days)),
            certificate,
            others: &others,
            secret: ns.secret_view(&own),
            contested: lead.and_then(|lead| self.contested(namespace, lead.name)),
            issuer,
            server,
            other_issuers,
            certified,
            labels,
            gateway: &self.gateway_of(ns, host),
            companion: ns.companions.get(companion::name(host).as_str()),
            name_taken: ns.ingresses.contains_key(companion::name(host).as_str()),
            gated: gated.map(|(gated, _)| gated),
            switch: self.switch(namespace, ns, host),
            requested: ns.requests.for_host(host).next().is_some(),
            limited,
            checks,
            notes,
        })
    }

    /// The plan for an Ingress; `None`: there is no such Ingress, or nothing may be written.
    pub fn plan_ingress(&self, namespace: &str, name: &str, now: Timestamp) -> Option<(&SeenIngress, IngressPlan)> {
        let seen = self.ingress(namespace, name).filter(|_| !self.is_terminating(namespace))?;
        let mut plan = ingress::plan(&seen.ingress, self, &self.policy, now);
        if self.twin(namespace, name) == SeenTwin::Foreign {
            plan.lacks_twin(name);
        }
        if !plan.patch.is_empty() {
            plan.strays = self.strays(namespace, seen);
        }
        Some((seen, plan))
    }

    /// The Certificates of an Ingress that names an issuer by our doing, for TLS entries that are not ours: certgate itself
    /// never puts the two together, but while its webhook is away a person may.
    fn strays(&self, namespace: &str, seen: &SeenIngress) -> Vec<(String, String)> {
        let ours = &seen.present.record.annotations;
        let by_us = [names::CLUSTER_ISSUER, names::ISSUER].iter().any(|key| ours.contains_key(*key));
        let Some(ns) = self.namespaces.get(namespace).filter(|_| by_us) else { return Vec::new() };
        let made = seen.secrets_of_others().filter_map(|secret| ns.certificates.get(secret));
        let its = |certificate: &&Certificate| {
            certificate.controller().is_some_and(|owner| owner.uid == *seen.ingress.metadata.uid)
        };
        made.filter(its)
            .filter_map(|certificate| Some((certificate.metadata.name.clone()?, certificate.metadata.uid.clone()?)))
            .collect()
    }

    /// The troubles of all Ingresses, where certgate has been at work before (there are Domains).
    pub fn standing_troubles(&self, now: Timestamp) -> Vec<(IngressId, &str, Vec<Trouble>)> {
        let new_here = self.namespaces.values().all(|ns| ns.domains.is_empty());
        let namespaces = self.namespaces.iter().filter(|_| !new_here);
        namespaces
            .flat_map(|(namespace, ns)| ns.ingresses.iter().map(move |(name, seen)| (namespace, name, seen)))
            .map(|(namespace, name, seen)| {
                let plan = ingress::plan(&seen.ingress, self, &self.policy, now);
                ((namespace.clone(), name.clone()), seen.ingress.metadata.uid.as_ref(), plan.trouble)
            })
            .collect()
    }

    /// What the VerifiedHosts of a namespace should say; `None`: nothing may be written.
    pub fn plan_verified(&self, namespace: &str, now: Timestamp) -> Option<Verified> {
        let ns = self.namespaces.get(namespace).filter(|_| !self.is_terminating(namespace))?;
        if ns.is_unknown(namespace) {
            return None;
        }
        let wanted = ns.domains.iter().filter_map(|(host, seen)| {
            let Some(lead) = seen.facts.lead.as_deref() else {
                return kept(seen).map(|terms| Wanted { host, facts: &seen.facts, terms });
            };
            match self.want(ns.ingresses.get(lead)?, host) {
                Want::Yes(terms) => Some(Wanted { host, facts: &seen.facts, terms }),
                Want::No(_) => None,
            }
        });
        let mut verified = verified::collect(wanted, &self.policy, now);
        // What cannot be read may be verified as before.
        for (host, secret) in ns.verified.iter().flat_map(|verified| &verified.hosts) {
            if Host::parse(host).is_ok_and(|host| ns.unknown(namespace, &host) != Unknown::Nothing) {
                verified.hosts.entry(host.clone()).or_insert_with(|| secret.clone());
            }
        }
        Some(verified.remembering(self.past_orders(namespace, ns, now)))
    }

    /// What VerifiedHosts would say of a host whose Domain were this one; `None`: nothing.
    pub fn would_verify(
        &self,
        namespace: &str,
        host: &Host,
        domain: &Domain,
        now: Timestamp,
    ) -> Option<verified::Entry> {
        let ns = self.namespaces.get(namespace)?;
        let facts = domain.facts();
        let lead = ns.ingresses.get(facts.lead.as_deref()?)?;
        let Want::Yes(terms) = self.want(lead, host) else { return None };
        let wanted = std::iter::once(Wanted { host, facts: &facts, terms });
        let verified = verified::collect(wanted, &self.policy, now);
        verified::entry(&verified.hosts, &verified.issuers, host)
    }

    /// Whether certgate looks after a namespace: it is there, is not going, and is not exempted.
    pub fn is_open(&self, namespace: &str) -> bool {
        let meta = self.namespaces.get(namespace).and_then(|ns| ns.meta.as_ref());
        meta.is_some_and(|meta| !meta.terminating) && !self.policy.excludes(namespace)
    }

    /// The Ingresses of a namespace that a host is on, oldest first.
    pub(super) fn claims<'w>(&'w self, namespace: &str, ns: &'w Namespace, host: &Host) -> Vec<Claim<'w>> {
        let named = ns.by_host.get(host).into_iter().flatten().filter_map(|name| ns.ingresses.get(name));
        let mut claims: Vec<Claim<'w>> = named
            .map(|seen| (seen, self.stated(seen, host)))
            .map(|(seen, Stated { want, refers })| Claim {
                name: &seen.ingress.metadata.name,
                uid: &seen.ingress.metadata.uid,
                created: seen.created,
                want,
                bears: seen.present.secret(host.as_str()),
                refers,
                annotated: [names::CLUSTER_ISSUER, names::ISSUER]
                    .iter()
                    .any(|key| seen.ingress.annotation(key).is_some()),
                root: seen.root,
                check_now: seen.ingress.annotation(names::CHECK_NOW),
            })
            .collect();
        claims.sort_unstable_by(|a, b| (a.created, a.name).cmp(&(b.created, b.name)));
        debug_assert!(claims.iter().all(|claim| ns.ingresses.contains_key(claim.name)), "{namespace}");
        claims
    }

    fn want(&self, seen: &SeenIngress, host: &Host) -> Want {
        self.stated(seen, host).want
    }

    /// What an Ingress says of one of its hosts. All of them are read at once, and again only when something changes.
    fn stated(&self, seen: &SeenIngress, host: &Host) -> Stated {
        let none = Stated { want: Want::No(Finding::new(Reason::HostRemoved, host)), refers: false };
        let Ok(index) = seen.hosts.binary_search(host) else { return none };
        let namespace = &*seen.ingress.metadata.namespace;
        let needs_public_name =
            |issuer: &IssuerRef| self.issuer_facts(namespace, issuer).is_none_or(|facts| facts.acme.is_some());
        let survey = || claim::survey(&seen.ingress, &seen.hosts, self, &self.policy, needs_public_name);
        if seen.hosts.len() <= super::FEW_HOSTS {
            return survey().into_iter().nth(index).unwrap_or(none);
        }
        let generation = (self.generation, self.namespaces.get(namespace).map_or(0, |ns| ns.generation));
        let stated = seen.survey.get(index, generation, survey).unwrap_or(none);
        #[cfg(test)]
        assert_eq!(survey().get(index), Some(&stated), "{host}: as if nothing were remembered");
        stated
    }

    pub(super) fn issuer_facts(&self, namespace: &str, issuer: &IssuerRef) -> Option<&IssuerFacts> {
        use crate::core::policy::IssuerKind;
        match issuer.kind {
            IssuerKind::ClusterIssuer => self.cluster_issuers.get(&issuer.name),
            IssuerKind::Issuer => self.namespaces.get(namespace)?.issuers.get(&issuer.name),
            IssuerKind::Other(_) => None,
        }
    }

    /// The labels of a lead's Certificate by which its issuer may choose a solver. ingress-shim copies labels from the Ingress
    /// that orders, which may be a companion.
    fn certificate_labels(
        &self,
        namespace: &str,
        ns: &Namespace,
        lead: &Claim<'_>,
        host: &Host,
    ) -> BTreeMap<String, String> {
        let (Some(terms), Some(seen)) = (lead.terms(), ns.ingresses.get(lead.name)) else { return BTreeMap::new() };
        let acme = terms.issuer.as_ref().and_then(|issuer| self.issuer_facts(namespace, issuer)?.acme.as_ref());
        let by_companion = terms.issuance == Issuance::Companion;
        let own = companion::labels(host, terms.profile == Profile::RainbondV5);
        let label = |key: &str| match own.get(key).filter(|_| by_companion) {
            Some(value) => Some(value.clone()),
            None if by_companion && !companion::may_have_label(key) => None,
            None => seen.ingress.label(key).filter(|_| key != shim::APPLYSET).map(str::to_owned),
        };
        let keys = acme.into_iter().flat_map(Acme::label_keys);
        keys.filter_map(|key| Some((key.to_owned(), label(key)?))).collect()
    }

    /// What an issuer means for a host. ingress-shim copies the Ingress' labels to the Certificate, and solvers may ask
    /// for some: `label` looks them up.
    pub(super) fn issuer<'l>(
        &self,
        namespace: &str,
        issuer: &IssuerRef,
        host: &Host,
        label: impl Fn(&str) -> Option<&'l str>,
    ) -> IssuerView {
        if !issuer.is_builtin() {
            // Not cert-manager's own kind: what it needs only it knows.
            return IssuerView::NoValidation;
        }
        match self.issuer_facts(namespace, issuer) {
            None => IssuerView::Missing(issuer.to_string()),
            Some(facts) => issuers::view(facts, issuer, host, label, &self.policy),
        }
    }

    /// Where a host must lead: what policy says and, if it says so, where its Ingresses are.
    fn gateway_of<'w>(&'w self, ns: &Namespace, host: &Host) -> Cow<'w, GatewayTarget> {
        if !self.policy.gateway.ingress_status {
            return Cow::Borrowed(&self.gateway);
        }
        let mut gateway = self.gateway.clone();
        let named = ns.by_host.get(host).into_iter().flatten().filter_map(|name| ns.ingresses.get(name));
        for address in named.flat_map(|seen| &seen.addresses) {
            if !gateway.addresses.contains(address) {
                gateway.addresses.push(*address);
            }
        }
        gateway.addresses.sort_unstable();
        Cow::Owned(gateway)
    }

    /// The uid of an Ingress or companion of that name.
    pub fn ingress_uid(&self, namespace: &str, name: &str) -> Option<&str> {
        let ns = self.namespaces.get(namespace)?;
        ns.uid_of(name)
    }

    /// What is seen of an Ingress' twin.
    pub fn twin(&self, namespace: &str, ingress: &str) -> SeenTwin {
        let found = || Some((self.namespaces.get(namespace)?, twin::name(ingress)?));
        match found() {
            Some((ns, name)) if ns.ingresses.contains_key(name.as_str()) || ns.unread_uid(&name).is_some() => {
                SeenTwin::Foreign
            }
            Some((ns, name)) => match ns.companions.get(name.as_str()) {
                Some(twin) => SeenTwin::Ours { name, uid: twin.uid.clone() },
                None => SeenTwin::None,
            },
            None => SeenTwin::None,
        }
    }

    /// The namespace's name as the world keeps it.
    pub fn namespace_name(&self, namespace: &str) -> Arc<str> {
        self.namespaces.get_key_value(namespace).map_or_else(|| Arc::from(namespace), |(name, _)| name.clone())
    }

    /// When the hosts' certificates begin, as far as that is known, and end.
    pub fn certificate_ends(&self) -> impl Iterator<Item = (Option<Timestamp>, Timestamp)> {
        self.namespaces.values().flat_map(|ns| ns.domains.values()).filter_map(|seen| seen.facts.certificate)
    }

    /// How many hosts there are by the reason of their Ready condition.
    pub fn hosts_by_reason(&self) -> BTreeMap<Reason, u64> {
        let mut counts = BTreeMap::new();
        for seen in self.namespaces.values().flat_map(|ns| ns.domains.values()) {
            let status = seen.domain.status.as_ref();
            let reason =
                status.and_then(|status| crate::core::reconcile::status::reason_of(status, crate::api::domain::READY));
            *counts.entry(reason.unwrap_or(Reason::Pending)).or_default() += 1;
        }
        counts
    }
}

/// On which terms a host is ordered again should what wanted it come back, which is then injected as it is written; `None`:
/// it is not kept for that.
fn kept(seen: &SeenDomain) -> Option<Terms> {
    seen.domain.status.as_ref().filter(|status| status.kept_until.is_some())?;
    let verdict = seen.facts.verdict.as_ref().and_then(|verdict| verdict.issuer.clone());
    let issuer = seen.facts.released_issuer.clone().or(verdict);
    Some(Terms::new(issuer, Profile::Standard, Issuance::Inline))
}

impl Namespace {
    /// The Certificates that name a host itself.
    pub(super) fn certificates_naming(&self, host: &Host) -> impl Iterator<Item = &Certificate> {
        let named = self.certificates_of.get(host).into_iter().flatten();
        named.filter_map(|name| self.certificates.get(name))
    }

    /// The Certificates that name a host, or the wildcard that covers it.
    fn certificates_covering(&self, host: &Host) -> impl Iterator<Item = &Certificate> {
        let wildcard = host.wildcard().and_then(|wildcard| self.certificates_of.get(&wildcard));
        let by_wildcard = wildcard.into_iter().flatten().filter_map(|name| self.certificates.get(name));
        let named = self.certificates_of.get(host).into_iter().flatten().filter_map(|name| self.certificates.get(name));
        // One that names both counts once.
        let names_it = |one: &Certificate| {
            let name = one.metadata.name.as_ref();
            name.zip(self.certificates_of.get(host)).is_some_and(|(name, named)| named.contains(name))
        };
        named.chain(by_wildcard.filter(move |one| !names_it(one)))
    }

    /// Whether the owner of a Certificate is an Ingress that does not claim the host, and asks for it by a TLS entry.
    fn asks_elsewhere(&self, certificate: &Certificate, claims: &[Claim<'_>]) -> bool {
        let Some(owner) = certificate.controller().filter(|owner| owner.kind == "Ingress") else { return false };
        let secret = certificate.spec.secret_name.as_str();
        let names_it = |seen: &SeenIngress| {
            let mut secrets = seen.ingress.tls().iter().filter_map(|entry| entry.secret_name.as_deref());
            secrets.any(|name| name == secret)
        };
        self.uid_of(&owner.name) == Some(owner.uid.as_str())
            && claims.iter().all(|claim| claim.uid != owner.uid)
            && (self.ingresses.get(owner.name.as_str()).is_some_and(names_it)
                || self.companions.get(owner.name.as_str()).is_some_and(|companion| companion.secret_name == secret))
    }

    fn uid_of(&self, ingress: &str) -> Option<&str> {
        let app = self.ingresses.get(ingress).map(|seen| seen.ingress.metadata.uid.as_ref());
        let companion = || self.companions.get(ingress).map(|companion| companion.uid.as_str());
        // One that cannot be read is there all the same.
        self.unread_uid(ingress).or(app).or_else(companion)
    }

    fn secret_view(&self, name: &str) -> Option<SecretView<'_>> {
        self.secrets.get(name).map(|seen| SecretView {
            version: &seen.version,
            certificate: seen.certificate.as_deref(),
            rainbond: seen.rainbond,
        })
    }

    pub(super) fn certificate_view<'w>(&'w self, certificate: &'w Certificate) -> CertificateView<'w> {
        let owner = match certificate.controller() {
            None => Owner::Nobody,
            Some(owner) if owner.kind == "Ingress" => {
                Owner::Ingress { uid: &owner.uid, exists: self.uid_of(&owner.name) == Some(owner.uid.as_str()) }
            }
            Some(_) => Owner::Other,
        };
        let issuing = certificate.condition("Issuing");
        CertificateView {
            name: certificate.metadata.name.as_deref().unwrap_or_default(),
            uid: certificate.metadata.uid.as_deref().unwrap_or_default(),
            secret_name: &certificate.spec.secret_name,
            dns_names: &certificate.spec.dns_names,
            owner,
            ready: certificate.is("Ready"),
            issuing: certificate.is("Issuing"),
            failure: issuing.filter(|c| c.status == "False" && c.reason == "Failed").map(|c| c.message.as_str()),
            attempt: self.attempts.latest(certificate.metadata.name.as_deref().unwrap_or_default()),
            not_before: certificate.status.not_before.as_ref().map(|time| time.0),
            not_after: certificate.status.not_after.as_ref().map(|time| time.0),
            renewal_time: certificate.status.renewal_time.as_ref().map(|time| time.0),
            secret: self.secret_view(&certificate.spec.secret_name),
        }
    }
}
