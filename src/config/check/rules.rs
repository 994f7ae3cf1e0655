//! The rules: each must be able to fit something and to say something.

use super::{Faults, issuer_ref, names};
use crate::core::policy::{Match, Profile, Rule};

/// More rules than this belong into labels and annotations: each is tried for each host of each write.
const MAX_RULES: usize = 500;

pub(super) fn rules(faults: &mut Faults, rules: &[Rule]) {
    if rules.len() > MAX_RULES {
        faults.add(format!("{} are too many; keep at most {MAX_RULES}, and use labels for the rest", rules.len()));
        return;
    }
    for (i, rule) in rules.iter().enumerate() {
        faults.within(i, |faults| {
            one(faults, rule);
            if let Some(earlier) = rules.iter().take(i).position(|earlier| shadows(earlier, rule)) {
                faults.add(format!("never speaks: rules[{earlier}] has the same match and settings; merge the two"));
            }
        });
    }
}

fn one(faults: &mut Faults, rule: &Rule) {
    let settings = [
        rule.auto_issue.is_some(),
        rule.issuer.is_some(),
        rule.profile.is_some(),
        rule.issuance.is_some(),
        rule.http.is_some(),
    ];
    if settings.iter().all(|given| !given) {
        faults.add("says nothing; add autoIssue, issuer, profile, issuance or http".to_owned());
    }
    faults.within("match", |faults| subject(faults, &rule.r#match));
    if let Some(issuer) = &rule.issuer {
        faults.within("issuer", |faults| issuer_ref(faults, issuer));
    }
    if rule.http.is_some()
        && let Some(profile) = rule.profile.filter(|profile| *profile != Profile::RainbondV5)
    {
        faults.add_to("http", format!("has no meaning for profile {}; it is for rainbond-v5", profile.as_str()));
    }
}

fn subject(faults: &mut Faults, subject: &Match) {
    faults.each("hosts", &subject.hosts, |faults, glob| {
        if let Err(fault) = names::host_glob(glob) {
            faults.add(fault);
        }
    });
    faults.each("namespaces", &subject.namespaces, |faults, glob| {
        if let Err(fault) = names::namespace_glob(glob) {
            faults.add(fault);
        }
    });
    for (field, labels) in [("labels", &subject.labels), ("namespaceLabels", &subject.namespace_labels)] {
        faults.within(field, |faults| {
            for (key, value) in labels {
                if !names::is_label_key(key) {
                    faults.add_to(key, format!("`{key}` is no label's key; write one like team or example.com/team"));
                }
                if !names::is_label_value(value) {
                    faults.add_to(key, format!("`{value}` is no label's value; labels are compared as they are"));
                }
            }
        });
    }
    if subject.class.as_ref().is_some_and(|class| class.trim().is_empty()) {
        faults.add_to("class", "is empty; name an Ingress class, or leave it out".to_owned());
    }
}

/// Whether `later` can never speak: for each setting the first matching rule that has it speaks.
fn shadows(earlier: &Rule, later: &Rule) -> bool {
    earlier.r#match == later.r#match
        && (earlier.auto_issue.is_some() || later.auto_issue.is_none())
        && (earlier.issuer.is_some() || later.issuer.is_none())
        && (earlier.profile.is_some() || later.profile.is_none())
        && (earlier.issuance.is_some() || later.issuance.is_none())
        && (earlier.http.is_some() || later.http.is_none())
}
