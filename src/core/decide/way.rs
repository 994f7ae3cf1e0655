//! By which way a host's certificate can be ordered, as far as its Ingress is concerned.
//!
//! ingress-shim reads an Ingress as a whole: an issuer annotation on it orders for every TLS entry, the user's too, and
//! other annotations of the user's go into every Certificate. So an annotation of ours goes onto the Ingress only where
//! nothing but our own Certificates comes of it, each with just its host for a name. Elsewhere a companion orders; and
//! where that would fail alike, the host is held.

use super::inject;
use crate::core::{
    finding::Finding,
    ingress::Ingress,
    names,
    policy::{Issuance, IssuerRef, Profile},
    reason::Reason,
    record::{Present, UserTls},
    settings::UserIssuer,
    shim::{
        self, Version,
        certificate::Wishes,
        wishes::{self, Fault},
    },
};

/// How a host may be ordered.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// By an issuer annotation on the Ingress.
    Inline,
    /// By a companion; the Ingress gets a TLS entry without an annotation.
    Companion,
    /// Not at all, until a person has changed this.
    Refused(Box<Finding>),
}

/// What stands on an Ingress beside certgate's own parts.
pub struct Surroundings<'a> {
    ingress: &'a Ingress<'a>,
    profile: Profile,
    /// The user names an issuer on it.
    issuer: bool,
    /// ingress-shim acts on it, whatever certgate does.
    acted_on: bool,
    /// An annotation of ours would order for entries of the user's, or have the Ingress refused.
    apart: bool,
    /// Why ingress-shim refuses the TLS entries.
    refused: Option<String>,
    /// What the user's annotations ask of each Certificate; `None`: nothing.
    wishes: Option<Result<Wishes, Fault>>,
    /// Hosts of entries of ours that would get another host for a common name.
    misnamed: bool,
}

/// The most overrides of how a challenge is answered that cert-manager takes (`acmeorders/util.go`).
const MAX_OVERRIDES: usize = 1;
/// What it says of more.
const OVERRIDES: &str = "may not specify more than one of: name, class, ingressClassName override annotations";

/// The annotations that ask something of each Certificate of the Ingress, or of how its challenges are answered.
fn is_wish(key: &str) -> bool {
    let about_issuer = [names::CLUSTER_ISSUER, names::ISSUER, names::ISSUER_KIND, names::ISSUER_GROUP];
    (key.starts_with("cert-manager.io/") && !about_issuer.contains(&key)) || key.starts_with("acme.cert-manager.io/")
}

// === impl Surroundings ===

impl<'a> Surroundings<'a> {
    /// Looks at an Ingress.
    pub fn of(
        ingress: &'a Ingress<'a>,
        present: &Present,
        user_tls: &UserTls<'_>,
        user_issuer: &UserIssuer,
        profile: Profile,
    ) -> Self {
        let ours = &present.record.annotations;
        let theirs = |key: &str| ingress.annotation(key).filter(|_| !ours.contains_key(key));
        let read = ingress.metadata.annotations.as_ref().map(|all| all.read.as_slice()).unwrap_or_default();
        let asks = read.iter().any(|(key, _)| is_wish(key) && !ours.contains_key(key.as_ref()));
        let wishes = asks.then(|| wish(theirs));
        let issuer = matches!(user_issuer, UserIssuer::One(_));
        let refused = if user_tls.any { shim::secret_named_twice(ingress.tls()) } else { None };
        let stray = !issuer && [names::ISSUER_KIND, names::ISSUER_GROUP].iter().any(|key| theirs(key).is_some());
        // The gateway sees no Secret without its label, and the template is the user's.
        let unseen = profile == Profile::RainbondV5
            && theirs(names::SECRET_TEMPLATE).is_some()
            && wishes.as_ref().is_some_and(|wishes| {
                let label = |wishes: &Wishes| wishes.secret_template.labels.get(names::RAINBOND_CREATOR).cloned();
                wishes.as_ref().ok().and_then(label).as_deref() != Some(names::RAINBOND)
            });
        let misnamed = wishes.as_ref().and_then(|wishes| wishes.as_ref().ok()).is_some_and(|wishes| {
            let name = &wishes.common_name;
            !name.is_empty() && present.record.tls.keys().any(|host| host != name)
        });
        Self {
            ingress,
            profile,
            issuer,
            acted_on: issuer || (theirs(names::TLS_ACME).is_some_and(shim::go::bool)),
            apart: user_tls.certified || refused.is_some() || stray || unseen,
            refused,
            wishes,
            misnamed,
        }
    }

    /// Whether ingress-shim acts on the Ingress, whatever certgate does.
    pub fn acted_on(&self) -> bool {
        self.acted_on
    }

    /// By which way `host` is ordered from `issuer`, where policy wants it by `natural`. `validates`: the issuer validates
    /// names, and so certifies none but those that were checked.
    pub fn way(&self, present: &Present, host: &str, natural: Issuance, issuer: &IssuerRef, validates: bool) -> Way {
        let way = self.by_reading(host, natural, validates);
        if way != Way::Inline || self.issuer || inject::has_room(self.ingress, present, issuer, self.profile) {
            return way;
        }
        match self.profile {
            // Its gateway needs annotations, whoever orders.
            Profile::RainbondV5 => Way::Refused(Box::new(Finding::new(Reason::AnnotationsFull, host))),
            Profile::Apisix | Profile::Standard => Way::Companion,
        }
    }

    /// By which way ingress-shim's reading allows.
    fn by_reading(&self, host: &str, natural: Issuance, validates: bool) -> Way {
        let finding = |reason| Finding::new(reason, host);
        let refused = |finding| Way::Refused(Box::new(finding));
        if let (true, Some(words)) = (self.issuer, &self.refused) {
            return refused(finding(Reason::IngressRefused).note(words));
        }
        if let Some(fault) = self.kind_fault() {
            return refused(told(host, &fault));
        }
        let usual = if self.apart && !self.issuer { Issuance::Companion } else { natural };
        let way = |issuance| match issuance {
            Issuance::Inline => Way::Inline,
            Issuance::Companion => Way::Companion,
        };
        let wishes = match &self.wishes {
            None => return way(usual),
            Some(Err(fault)) => return refused(told(host, fault)),
            Some(Ok(wishes)) => wishes,
        };
        let misnamed = !wishes.common_name.is_empty() && wishes.common_name != host;
        if validates && misnamed {
            return refused(finding(Reason::CommonNameConflict).observed([&wishes.common_name]));
        }
        let extra = [
            (names::ALT_NAMES, !wishes.alt_names.is_empty()),
            (names::IP_SANS, !wishes.ip_sans.is_empty()),
            (names::EMAIL_SANS, !wishes.email_addresses.is_empty()),
        ];
        let extra = extra.into_iter().find(|(_, there)| *there).map(|(key, _)| key);
        if let (true, true, Some(key)) = (self.issuer, validates, extra) {
            let value = self.ingress.annotation(key).unwrap_or_default();
            return refused(finding(Reason::ExtraNames).observed([key, value]));
        }
        // Names would go into the Certificates of all hosts, whoever certifies those.
        let spreads = extra.is_some() || misnamed || self.misnamed;
        let chosen = if spreads && !self.issuer { Issuance::Companion } else { usual };
        self.in_place(host, chosen, natural).unwrap_or_else(|| way(chosen))
    }

    /// Challenges that are to be answered by the Ingress itself need the issuer on that Ingress.
    fn in_place(&self, host: &str, chosen: Issuance, natural: Issuance) -> Option<Way> {
        let key = names::HTTP01_EDIT_IN_PLACE;
        let asked = self.ingress.annotation(key) == Some("true");
        (asked && chosen == Issuance::Companion && natural == Issuance::Inline)
            .then(|| Way::Refused(Box::new(Finding::new(Reason::AnnotationRefused, host).observed([key, "true"]))))
    }

    /// A kind of issuer that cert-manager's own group does not have; its webhook refuses such Certificates.
    fn kind_fault(&self) -> Option<Fault> {
        let kind = self.ingress.annotation(names::ISSUER_KIND).filter(|_| self.issuer)?;
        let group = self.ingress.annotation(names::ISSUER_GROUP).unwrap_or_default();
        let builtin = group.is_empty() || group == "cert-manager.io";
        (builtin && !matches!(kind, "" | "Issuer" | "ClusterIssuer")).then(|| Fault {
            annotation: names::ISSUER_KIND,
            value: kind.to_owned(),
            words: "must be one of Issuer or ClusterIssuer (did you forget to set spec.issuerRef.group?)".to_owned(),
            instead: "Issuer / ClusterIssuer".to_owned(),
        })
    }
}

/// All that the user's annotations ask for, or which of them cert-manager refuses.
fn wish<'a>(theirs: impl Fn(&str) -> Option<&'a str>) -> Result<Wishes, Fault> {
    let wishes = wishes::read(&theirs, Version::NEWEST)?;
    wishes::admitted(&wishes, &theirs)?;
    let set = |key: &'static str| theirs(key).filter(|value| !value.is_empty()).map(|value| (key, value));
    let in_place = set(names::HTTP01_EDIT_IN_PLACE).filter(|(_, value)| *value == "true");
    let classes = [names::HTTP01_INGRESS_CLASS, names::HTTP01_INGRESS_CLASS_NAME].into_iter().filter_map(set);
    let overrides: Vec<(&'static str, &str)> = in_place.into_iter().chain(classes).collect();
    match overrides.last() {
        Some((key, value)) if overrides.len() > MAX_OVERRIDES => Err(Fault {
            annotation: key,
            value: (*value).to_owned(),
            words: OVERRIDES.to_owned(),
            instead: String::new(),
        }),
        _ => Ok(wishes),
    }
}

fn told(host: &str, fault: &Fault) -> Finding {
    Finding::new(Reason::AnnotationRefused, host)
        .observed([fault.annotation, &fault.value])
        .required(Some(&fault.instead).filter(|instead| !instead.is_empty()))
        .note(&fault.words)
}

#[cfg(test)]
mod tests;
