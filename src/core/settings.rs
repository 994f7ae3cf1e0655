//! What applies to an Ingress and each of its hosts: flag, issuer, profile,
//! issuance. The order in which annotations, Domain, labels and rules speak is here and nowhere else.

use super::{
    ingress::Ingress,
    knowledge::{DomainFacts, Knowledge},
    names,
    policy::{AutoIssue, Issuance, IssuerKind, IssuerRef, PlainHttp, Policy, Profile, Rule, Subject, is_default_group},
    reason::Reason,
};

/// An Ingress with what is needed to look up what applies to it.
pub struct Scope<'a, K> {
    /// The Ingress.
    pub ingress: &'a Ingress<'a>,
    /// What else is known.
    pub knowledge: &'a K,
    /// What the administrator wants.
    pub policy: &'a Policy,
}

/// Whether a host is flagged, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It is.
    On,
    /// It is not: nothing speaks, something says no, or something is unreadable.
    Off(Reason),
}

/// The issuer that cert-manager would use by the user's own annotations.
#[derive(Clone, Debug, PartialEq)]
pub enum UserIssuer {
    /// They name none.
    None,
    /// They name one.
    One(IssuerRef),
    /// cert-manager refuses them.
    Refused {
        /// Why.
        reason: Reason,
        /// The annotation to change, where it is just one.
        annotation: &'static str,
    },
}

/// Reads a flag. People write "yes" and "on" too.
pub fn parse_flag(text: &str) -> Option<bool> {
    let text = text.trim();
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "yes", "on", "1"]) {
        Some(true)
    } else if is(&["false", "no", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// Whether a host is flagged, on an Ingress or a Certificate. First that speaks wins: the object's own `word`,
/// Domain, namespace label, first matching rule that says so, policy default.
pub fn flag<'a, L, N>(
    word: Option<&str>,
    domain: Option<&DomainFacts>,
    subject: &Subject<'a, L, N>,
    policy: &Policy,
) -> Flag
where
    L: Fn(&str) -> Option<&'a str>,
    N: Fn(&str) -> Option<&'a str>,
{
    let read = |text: &str| match parse_flag(text) {
        Some(true) => Flag::On,
        Some(false) => Flag::Off(Reason::SwitchedOff),
        None => Flag::Off(Reason::FlagUnreadable),
    };
    let said = |on: bool| if on { Flag::On } else { Flag::Off(Reason::SwitchedOff) };
    if let Some(text) = word {
        return read(text);
    }
    if let Some(on) = domain.and_then(|domain| domain.auto_issue) {
        return said(on);
    }
    if let Some(text) = (subject.namespace_label)(names::AUTO_ISSUE) {
        return read(text);
    }
    let fitting = policy.rules.iter().filter(|rule| rule.r#match.fits(subject));
    if let Some(on) = fitting.filter_map(|rule| rule.auto_issue).next() {
        return said(on);
    }
    match policy.auto_issue {
        AutoIssue::All => Flag::On,
        AutoIssue::Annotated => Flag::Off(Reason::NotFlagged),
    }
}

// === impl Scope ===

impl<'a, K: Knowledge> Scope<'a, K> {
    fn namespace(&self) -> &'a str {
        &self.ingress.metadata.namespace
    }

    /// The rules that fit, in order. `host: None` asks about the Ingress as a whole.
    fn rules(&self, host: Option<&'a str>) -> impl Iterator<Item = &'a Rule> {
        let subject = Subject {
            host,
            namespace: self.namespace(),
            namespace_label: |key: &str| self.knowledge.namespace_label(self.namespace(), key),
            label: |key: &str| self.ingress.label(key),
            class: self.ingress.class(),
        };
        self.policy.rules.iter().filter(move |rule| rule.r#match.fits(&subject))
    }

    /// The kind of gateway: by policy, else by class and Rainbond's labels.
    pub fn profile(&self) -> Profile {
        self.rules(None).find_map(|rule| rule.profile).unwrap_or_else(|| natural_profile(self.ingress))
    }

    /// Why the Ingress as a whole is none of certgate's business.
    pub fn exempt(&self) -> Option<Reason> {
        let ingress = self.ingress;
        let namespace = self.namespace();
        if ingress.metadata.deletion_timestamp.is_some() {
            Some(Reason::BeingDeleted)
        } else if self.policy.excludes(namespace) {
            Some(Reason::NamespaceExcluded)
        } else if ingress.label(names::SOLVER_LABEL).is_some() {
            Some(Reason::SolverIngress)
        } else if ingress.is_certgates() {
            Some(Reason::CompanionIngress)
        } else if ingress.annotation(names::L4_ENABLE).is_some_and(|value| parse_flag(value) == Some(true)) {
            Some(Reason::TcpIngress)
        } else if ingress.label(names::RAINBOND_BELONG_TO) == Some(names::RAINBOND_OPERATOR) {
            Some(Reason::PlatformIngress)
        } else {
            None
        }
    }

    /// Whether a host is flagged.
    pub fn flag(&self, host: &'a str, domain: Option<&DomainFacts>) -> Flag {
        let subject = Subject {
            host: Some(host),
            namespace: self.namespace(),
            namespace_label: |key: &str| self.knowledge.namespace_label(self.namespace(), key),
            label: |key: &str| self.ingress.label(key),
            class: self.ingress.class(),
        };
        flag(self.ingress.annotation(names::AUTO_ISSUE), domain, &subject, self.policy)
    }

    /// The issuer for a host where the user's annotations name none: Domain,
    /// first matching rule, policy.
    pub fn issuer<'b>(&self, host: &'a str, domain: Option<&'b DomainFacts>) -> Option<&'b IssuerRef>
    where
        'a: 'b,
    {
        domain
            .and_then(|domain| domain.issuer.as_ref())
            .or_else(|| self.rules(Some(host)).find_map(|rule| rule.issuer.as_ref()))
            .or(self.policy.issuer.as_ref())
    }

    /// How a host's certificate is ordered and bound. What a Domain asks of its certificate cannot stand on an Ingress, as
    /// it would go for the other hosts too.
    pub fn issuance(&self, host: &'a str, domain: Option<&DomainFacts>, profile: Profile) -> Issuance {
        if domain.is_some_and(|domain| domain.settings.is_some()) {
            return Issuance::Companion;
        }
        self.rules(Some(host)).find_map(|rule| rule.issuance).unwrap_or_else(|| profile.default_issuance())
    }

    /// What becomes of plain HTTP.
    pub fn plain_http(&self, host: &'a str) -> PlainHttp {
        self.rules(Some(host)).find_map(|rule| rule.http).unwrap_or(PlainHttp::Redirect)
    }
}

/// The profile by class and labels alone.
fn natural_profile(ingress: &Ingress<'_>) -> Profile {
    match ingress.class() {
        Some("apisix") => Profile::Apisix,
        None if ingress.label(names::RAINBOND_CREATOR) == Some(names::RAINBOND)
            && ingress.label(names::RAINBOND_SERVICE_ID).is_some() =>
        {
            Profile::RainbondV5
        }
        _ => Profile::Standard,
    }
}

/// What the user's own annotations name. `added`: keys that are ours.
pub fn user_issuer(ingress: &Ingress<'_>, added: impl Fn(&str) -> bool) -> UserIssuer {
    let theirs = |key: &str| ingress.annotation(key).filter(|_| !added(key));
    let named = |kind, name: &str, group: Option<&str>| {
        UserIssuer::One(IssuerRef {
            kind,
            name: name.to_owned(),
            group: group.filter(|group| !is_default_group(group)).map(str::to_owned),
        })
    };
    let kind = theirs(names::ISSUER_KIND);
    let group = theirs(names::ISSUER_GROUP);
    let refused = |reason, annotation| UserIssuer::Refused { reason, annotation };
    match (theirs(names::CLUSTER_ISSUER), theirs(names::ISSUER)) {
        (None, None) => UserIssuer::None,
        (Some(_), Some(_)) => refused(Reason::UserIssuerConflict, ""),
        (Some(_), None) if kind.is_some() => refused(Reason::UserIssuerConflict, names::ISSUER_KIND),
        (Some(_), None) if group.is_some() => refused(Reason::UserIssuerConflict, names::ISSUER_GROUP),
        (Some(""), None) => refused(Reason::IssuerAnnotationEmpty, names::CLUSTER_ISSUER),
        (None, Some("")) => refused(Reason::IssuerAnnotationEmpty, names::ISSUER),
        (Some(name), None) => named(IssuerKind::ClusterIssuer, name, None),
        (None, Some(name)) => {
            let kind = match kind {
                None | Some("" | "Issuer") => IssuerKind::Issuer,
                Some("ClusterIssuer") => IssuerKind::ClusterIssuer,
                Some(other) => IssuerKind::Other(other.to_owned()),
            };
            named(kind, name, group)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_people_write_them() {
        for (text, expected) in [
            ("true", Some(true)),
            (" True ", Some(true)),
            ("on", Some(true)),
            ("false", Some(false)),
            ("No", Some(false)),
            ("", None),
            ("ture", None),
        ] {
            assert_eq!(parse_flag(text), expected, "{text:?}");
        }
    }
}
