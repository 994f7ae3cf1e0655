//! From what is there to what belongs there: the JSON Patch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Subject, Wanted};
use crate::core::{
    ingress::{Ingress, Labels},
    knowledge::Knowledge,
    names,
    patch::{PatchOp, annotation_path},
    policy::{IssuerKind, IssuerRef, Profile},
    record::{Made, Present, Record},
};

/// What the v5 gateway must find on the Secret to see it.
pub(crate) const RAINBOND_SECRET_TEMPLATE: &str = r#"{"labels":{"creator":"Rainbond"}}"#;

/// The annotations by which ingress-shim learns of an issuer.
pub(crate) fn issuer_annotations(issuer: &IssuerRef) -> Vec<(&'static str, String)> {
    match &issuer.kind {
        IssuerKind::ClusterIssuer if issuer.is_builtin() => vec![(names::CLUSTER_ISSUER, issuer.name.clone())],
        IssuerKind::Issuer if issuer.is_builtin() => vec![(names::ISSUER, issuer.name.clone())],
        kind => {
            let mut annotations =
                vec![(names::ISSUER, issuer.name.clone()), (names::ISSUER_KIND, kind.as_str().to_owned())];
            annotations.extend(issuer.group.clone().map(|group| (names::ISSUER_GROUP, group)));
            annotations
        }
    }
}

/// What of ours belongs on the Ingress.
pub(super) fn belongs<K: Knowledge>(subject: &Subject<'_, K>, wanted: &[Wanted<'_>]) -> Record {
    let mut record = Record::default();
    let ours = &subject.present.record;
    let mut annotate = |key: &str, value: String, keep_only: bool| {
        let theirs = subject.scope.ingress.annotation(key).is_some() && !ours.annotations.contains_key(key);
        let may_add = !keep_only || ours.annotations.contains_key(key);
        if !theirs && may_add {
            record.annotations.insert(key.to_owned(), value);
        }
    };
    for want in wanted {
        if let Some(issuer) = &want.orders {
            for (key, value) in issuer_annotations(issuer) {
                annotate(key, value, want.keep_only);
            }
            if subject.profile == Profile::RainbondV5 {
                annotate(names::SECRET_TEMPLATE, RAINBOND_SECRET_TEMPLATE.to_owned(), want.keep_only);
            }
        }
        if want.redirect {
            annotate(names::FORCE_SSL_REDIRECT, "true".to_owned(), want.keep_only);
        }
    }
    for want in wanted {
        let secret = if want.keep_only { ours.tls.get(want.host.as_ref()) } else { None };
        record.tls.insert(want.host.to_string(), secret.unwrap_or(&want.secret).clone());
    }
    record
}

/// The operations that turn what is there into what belongs there.
pub(super) fn patch(ingress: &Ingress<'_>, present: &Present, belongs: &Record) -> Vec<PatchOp> {
    if belongs.is_empty() && !present.anything() {
        return Vec::new();
    }
    let mut ops = Vec::new();
    let mut made = present.record.made;
    tls_ops(ingress, present, belongs, &mut made, &mut ops);
    let tls_ops_end = ops.len();
    let annotations_absent = ingress.metadata.annotations.is_none();
    made.annotations |= annotations_absent;
    if belongs.is_empty() {
        made = Made { annotations: made.annotations, tls: false };
    }
    let target = Record { made, ..belongs.clone() };
    annotation_ops(ingress, present, &target, &mut ops);
    // Annotations first: a reader of the patch meets the issuer before the entries that need it.
    ops.rotate_left(tls_ops_end);
    ops
}

fn annotation_ops(ingress: &Ingress<'_>, present: &Present, target: &Record, ops: &mut Vec<PatchOp>) {
    let mut want: BTreeMap<&str, String> =
        target.annotations.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    if !target.is_empty() {
        want.insert(names::INJECTED, target.to_annotation());
    }
    let Some(existing) = &ingress.metadata.annotations else {
        if !want.is_empty() {
            ops.push(PatchOp::Add { path: "/metadata/annotations".to_owned(), value: json!(want) });
        }
        return;
    };
    let mut ours: BTreeSet<&str> = present.record.annotations.keys().map(String::as_str).collect();
    if present.written.is_some() {
        ours.insert(names::INJECTED);
    }
    if target.is_empty() && existing.get(names::NUDGE).is_some() {
        ours.insert(names::NUDGE);
    }
    let leaving: Vec<&str> = ours.iter().copied().filter(|key| !want.contains_key(key)).collect();
    if want.is_empty() && target.made.annotations && existing.total == leaving.len() {
        if !leaving.is_empty() {
            ops.push(PatchOp::Remove { path: "/metadata/annotations".to_owned() });
        }
        return;
    }
    ops.extend(leaving.into_iter().map(|key| PatchOp::Remove { path: annotation_path(key) }));
    for (key, value) in want {
        match existing.get(key) {
            Some(current) if current == value => {}
            Some(_) => ops.push(PatchOp::Replace { path: annotation_path(key), value: Value::String(value) }),
            None => ops.push(PatchOp::Add { path: annotation_path(key), value: Value::String(value) }),
        }
    }
}

fn tls_ops(ingress: &Ingress<'_>, present: &Present, belongs: &Record, made: &mut Made, ops: &mut Vec<PatchOp>) {
    // One entry a Secret: hosts that share a bound certificate share the entry.
    let mut want: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, secret) in &belongs.tls {
        want.entry(secret).or_default().push(host);
    }
    let entries = ingress.tls();
    let mut leaving = Vec::new();
    for &index in &present.entries {
        let Some(entry) = entries.get(index) else { continue };
        let secret = entry.secret_name.as_deref().unwrap_or_default();
        let mut hosts: Vec<&str> = entry.hosts.iter().map(|host| host.0.as_ref()).collect();
        hosts.sort_unstable();
        if want.get(secret) == Some(&hosts) {
            want.remove(secret);
        } else {
            leaving.push(index);
        }
    }
    let new: Vec<Value> =
        want.into_iter().map(|(secret, hosts)| json!({"hosts": hosts, "secretName": secret})).collect();
    if ingress.spec.tls.is_none() {
        if !new.is_empty() {
            made.tls = true;
            ops.push(PatchOp::Add { path: "/spec/tls".to_owned(), value: Value::Array(new) });
        }
        return;
    }
    if new.is_empty() && made.tls && leaving.len() == entries.len() {
        if !leaving.is_empty() {
            ops.push(PatchOp::Remove { path: "/spec/tls".to_owned() });
        }
        return;
    }
    ops.extend(leaving.into_iter().rev().map(|index| PatchOp::Remove { path: format!("/spec/tls/{index}") }));
    ops.extend(new.into_iter().map(|value| PatchOp::Add { path: "/spec/tls/-".to_owned(), value }));
}

/// Takes all of ours off an Ingress.
pub fn strip(ingress: &Ingress<'_>) -> Vec<PatchOp> {
    patch(ingress, &Present::on(ingress), &Record::default())
}

/// Makes all of ours on an Ingress the user's: only the record of it goes.
pub fn disown(ingress: &Ingress<'_>) -> Vec<PatchOp> {
    [names::INJECTED, names::NUDGE]
        .into_iter()
        .filter(|key| ingress.annotation(key).is_some())
        .map(|key| PatchOp::Remove { path: annotation_path(key) })
        .collect()
}

/// Gives an object the label without which Rainbond 5's gateway does not see it.
pub(crate) fn gateway_label(labels: &Labels<'_>) -> Vec<PatchOp> {
    if labels.get(names::RAINBOND_CREATOR).is_some() {
        return Vec::new();
    }
    if labels.0.is_empty() {
        let value = json!({ names::RAINBOND_CREATOR: names::RAINBOND });
        return vec![PatchOp::Add { path: "/metadata/labels".to_owned(), value }];
    }
    vec![PatchOp::Add {
        path: format!("/metadata/labels/{}", names::RAINBOND_CREATOR),
        value: Value::String(names::RAINBOND.to_owned()),
    }]
}
