//! From what is there to what belongs there: the JSON Patch.

use std::{borrow::Cow, collections::BTreeMap};

use smallvec::{SmallVec, smallvec};

use super::{Subject, Wanted};
use crate::core::{
    ingress::{Ingress, Labels},
    knowledge::Knowledge,
    names,
    patch::{self, Json, PatchOp, annotation_path},
    policy::{IssuerKind, IssuerRef, Profile},
    record::{self, Made, Present},
    settings::UserIssuer,
};

/// Kubernetes' bound on the size of all annotations of an object, keys and values
/// (apimachinery `validation.TotalAnnotationSizeLimitB`).
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// More than annotations of ours take where no existing certificate is bound.
pub(super) const ANNOTATIONS_GROWTH: usize = 4 * 1024;
/// What a digest in the record takes beside the Secret's name, and more.
const BOUND_FRAME: usize = 32;
/// What a TLS entry takes in JSON beside host and Secret, and more.
pub(super) const ENTRY_FRAME: usize = 40;
/// How large an Ingress may be in JSON, for etcd to take it: its bound on a request is 1.5 MiB (`--max-request-bytes`), and
/// what it is sent is not as long.
pub(super) const MAX_OBJECT: usize = 3 * 512 * 1024;

/// Annotations by key, in order, each once. A map would cost an allocation for the few there are.
type Pairs<'a> = SmallVec<[(&'a str, Cow<'a, str>); 4]>;

/// What of ours belongs on an Ingress.
#[derive(Debug, Default)]
pub(super) struct Belonging<'a> {
    annotations: Pairs<'a>,
    /// Host and Secret, by host, each host once.
    tls: SmallVec<[(&'a str, &'a str); 4]>,
    /// No record is written, as there is no room for one: the names of the Secrets tell what is ours.
    silent: bool,
}

/// What the v5 gateway must find on the Secret to see it.
pub(crate) const RAINBOND_SECRET_TEMPLATE: &str = r#"{"labels":{"creator":"Rainbond"}}"#;

/// The annotations by which ingress-shim learns of an issuer.
pub(crate) fn issuer_annotations(issuer: &IssuerRef) -> SmallVec<[(&'static str, &str); 3]> {
    match &issuer.kind {
        IssuerKind::ClusterIssuer if issuer.is_builtin() => smallvec![(names::CLUSTER_ISSUER, issuer.name.as_str())],
        IssuerKind::Issuer if issuer.is_builtin() => smallvec![(names::ISSUER, issuer.name.as_str())],
        kind => {
            let mut annotations = smallvec![(names::ISSUER, issuer.name.as_str()), (names::ISSUER_KIND, kind.as_str())];
            annotations.extend(issuer.group.as_deref().map(|group| (names::ISSUER_GROUP, group)));
            annotations
        }
    }
}

/// Whether an annotation is one by which ingress-shim learns of an issuer.
fn names_issuer(key: &str) -> bool {
    [names::CLUSTER_ISSUER, names::ISSUER, names::ISSUER_KIND, names::ISSUER_GROUP].contains(&key)
}

/// What of ours belongs on the Ingress.
pub(super) fn belongs<'s, K: Knowledge>(subject: &'s Subject<'_, K>, wanted: &'s [Wanted<'_>]) -> Belonging<'s> {
    let mut belonging = Belonging::default();
    let ours = &subject.present.record;
    let mut annotate = |key: &'s str, value: &'s str, keep_only: bool| {
        let recorded = ours.annotations.contains_key(key);
        let theirs = !recorded && subject.scope.ingress.annotation(key).is_some();
        let may_add = !keep_only || recorded;
        if !theirs && may_add {
            put(&mut belonging.annotations, key, Cow::Borrowed(value));
        }
    };
    for want in wanted {
        if let Some(issuer) = &want.orders {
            for (key, value) in issuer_annotations(issuer) {
                annotate(key, value, want.keep_only);
            }
            if subject.profile == Profile::RainbondV5 {
                annotate(names::SECRET_TEMPLATE, RAINBOND_SECRET_TEMPLATE, want.keep_only);
            }
        }
        if want.redirect {
            annotate(names::FORCE_SSL_REDIRECT, "true", want.keep_only);
        }
    }
    if !subject.present.unproven.is_empty() {
        // What nothing vouches for stays as it is, with all that was added for it but what makes it order.
        for (key, value) in ours.annotations.iter().filter(|(key, _)| !names_issuer(key)) {
            annotate(key, value, true);
        }
    }
    settings(subject, wanted, &mut belonging.annotations);
    belonging.tls.extend(wanted.iter().map(|want| {
        let secret = if want.keep_only { ours.tls.get(want.host.as_ref()) } else { None };
        (want.host.as_ref(), secret.unwrap_or(&want.secret).as_str())
    }));
    belonging.tls.sort_by_key(|(host, _)| *host);
    // Hosts are distinct as written; two that are written differently may still be one, of which the later counts.
    belonging.tls.reverse();
    belonging.tls.dedup_by_key(|(host, _)| *host);
    belonging.tls.reverse();
    belonging
}

/// What policy says of certificates that are ordered by an annotation of ours. Where the user names the issuer, it would go
/// for certificates of the user's too.
fn settings<'s, K: Knowledge>(subject: &'s Subject<'_, K>, wanted: &[Wanted<'_>], annotations: &mut Pairs<'s>) {
    let settings = &subject.scope.policy.certificate;
    if settings.is_empty() || subject.user_issuer != UserIssuer::None {
        return;
    }
    let mut ordering = wanted.iter().filter(|want| want.orders.is_some()).peekable();
    if ordering.peek().is_none() {
        return;
    }
    let keep_only = ordering.all(|want| want.keep_only);
    let ours = &subject.present.record.annotations;
    let theirs = |key: &str| !ours.contains_key(key) && subject.scope.ingress.annotation(key).is_some();
    for (key, value) in settings.annotations(theirs) {
        if !keep_only || ours.contains_key(key) {
            put(annotations, key, Cow::Owned(value));
        }
    }
}

/// Puts a value in its place by key; a later one replaces an earlier one.
fn put<'a>(pairs: &mut Pairs<'a>, key: &'a str, value: Cow<'a, str>) {
    match pairs.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(index) => {
            if let Some(pair) = pairs.get_mut(index) {
                pair.1 = value;
            }
        }
        Err(index) => pairs.insert(index, (key, value)),
    }
}

// === impl Belonging ===

impl Belonging<'_> {
    fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.tls.is_empty()
    }

    /// Whether the annotations have room on the Ingress, with the record or, where that says nothing of its own, without.
    pub(super) fn fits(&self, ingress: &Ingress<'_>, present: &Present) -> bool {
        self.has_room(ingress, present) || self.can_be_silent(present)
    }

    /// Does without a record where there is no room for one.
    pub(super) fn leave_room(&mut self, ingress: &Ingress<'_>, present: &Present) {
        self.silent = !self.has_room(ingress, present) && self.can_be_silent(present);
    }

    fn can_be_silent(&self, present: &Present) -> bool {
        self.annotations.is_empty()
            && present.written.is_none()
            && self.tls.iter().all(|(host, secret)| record::is_reserved_name(secret, host))
    }

    fn has_room(&self, ingress: &Ingress<'_>, present: &Present) -> bool {
        let Some(existing) = &ingress.metadata.annotations else { return true };
        let bound = self.tls.iter().filter(|(host, secret)| !record::is_reserved_name(secret, host));
        let most = ANNOTATIONS_GROWTH + bound.map(|(_, secret)| secret.len() + BOUND_FRAME).sum::<usize>();
        if self.is_empty() || existing.octets + most <= MAX_ANNOTATIONS {
            return true;
        }
        let pairs = || self.annotations.iter().map(|(key, value)| (*key, &**value));
        let mut made = present.record.made;
        made.tls |= ingress.spec.tls.is_none();
        let record = record::annotation(pairs(), self.tls.iter().copied(), made);
        let ours = &present.record.annotations;
        let leaving = ours.keys().map(String::as_str).chain(present.written.is_some().then_some(names::INJECTED));
        let leaving: usize = leaving.map(|key| key.len() + existing.get(key).map_or(0, str::len)).sum();
        let coming: usize =
            pairs().chain([(names::INJECTED, record.as_str())]).map(|(key, value)| key.len() + value.len()).sum();
        existing.octets.saturating_sub(leaving) + coming <= MAX_ANNOTATIONS
    }
}

/// Whether an Ingress has room for the annotations that have a certificate ordered inline.
pub(super) fn has_room(ingress: &Ingress<'_>, present: &Present, issuer: &IssuerRef, profile: Profile) -> bool {
    if ingress.metadata.annotations.as_ref().is_none_or(|all| all.octets + ANNOTATIONS_GROWTH <= MAX_ANNOTATIONS) {
        return true;
    }
    let mut belonging = Belonging::default();
    let v5 = [(names::SECRET_TEMPLATE, RAINBOND_SECRET_TEMPLATE), (names::FORCE_SSL_REDIRECT, "true")];
    let v5 = v5.into_iter().filter(|_| profile == Profile::RainbondV5);
    for (key, value) in issuer_annotations(issuer).into_iter().chain(v5) {
        put(&mut belonging.annotations, key, Cow::Borrowed(value));
    }
    belonging.has_room(ingress, present)
}

/// The operations that turn what is there into what belongs there.
pub(super) fn patch(ingress: &Ingress<'_>, present: &Present, belongs: Belonging<'_>) -> Vec<PatchOp> {
    if belongs.is_empty() && !present.anything() {
        return Vec::new();
    }
    let mut ops = Vec::with_capacity(4);
    let mut made = present.record.made;
    tls_ops(ingress, present, &belongs, &mut made, &mut ops);
    let tls_ops_end = ops.len();
    let annotations_absent = ingress.metadata.annotations.is_none();
    made.annotations |= annotations_absent;
    annotation_ops(ingress, present, belongs, made, &mut ops);
    // Annotations first: a reader of the patch meets the issuer before the entries that need it.
    ops.rotate_left(tls_ops_end);
    ops
}

fn annotation_ops(
    ingress: &Ingress<'_>,
    present: &Present,
    belongs: Belonging<'_>,
    made: Made,
    ops: &mut Vec<PatchOp>,
) {
    let nothing = belongs.is_empty();
    let Belonging { annotations: mut want, tls, silent } = belongs;
    if !nothing && !silent {
        let pairs = || want.iter().map(|(key, value)| (*key, &**value));
        let text = match &present.written {
            Some(written) if present.is_told_at_length(pairs(), tls.iter().copied(), made) => {
                Cow::Owned(written.clone())
            }
            _ => Cow::Owned(record::annotation(pairs(), tls.iter().copied(), made)),
        };
        put(&mut want, names::INJECTED, text);
    }
    let Some(existing) = &ingress.metadata.annotations else {
        if !want.is_empty() {
            let size = want.iter().map(|(key, value)| key.len() + 2 * value.len() + 6).sum();
            let value = Json::written(size, |out| patch::map(out, want.iter().map(|(key, value)| (*key, &**value))));
            ops.push(PatchOp::Add { path: "/metadata/annotations".to_owned(), value });
        }
        return;
    };
    let wants = |key: &str| want.binary_search_by_key(&key, |(key, _)| *key).is_ok();
    let mut leaving: Vec<&str> = present.record.annotations.keys().map(String::as_str).collect();
    if present.written.is_some() {
        leaving.push(names::INJECTED);
    }
    if nothing && existing.get(names::NUDGE).is_some() {
        leaving.push(names::NUDGE);
    }
    leaving.retain(|key| !wants(key));
    leaving.sort_unstable();
    leaving.dedup();
    if want.is_empty() && made.annotations && existing.total == leaving.len() {
        if !leaving.is_empty() {
            ops.push(PatchOp::Remove { path: "/metadata/annotations".to_owned() });
        }
        return;
    }
    ops.extend(leaving.into_iter().map(|key| PatchOp::Remove { path: annotation_path(key) }));
    for (key, value) in &want {
        match existing.get(key) {
            Some(current) if *current == **value => {}
            Some(_) => ops.push(PatchOp::Replace { path: annotation_path(key), value: Json::text(value) }),
            None => ops.push(PatchOp::Add { path: annotation_path(key), value: Json::text(value) }),
        }
    }
}

fn tls_ops(ingress: &Ingress<'_>, present: &Present, belongs: &Belonging<'_>, made: &mut Made, ops: &mut Vec<PatchOp>) {
    // One entry a Secret: hosts that share a bound certificate share the entry.
    let mut want: BTreeMap<&str, SmallVec<[&str; 1]>> = BTreeMap::new();
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
        if want.get(secret).is_some_and(|wanted| wanted.as_slice() == hosts.as_slice()) {
            want.remove(secret);
        } else {
            leaving.push(index);
        }
    }
    if ingress.spec.tls.is_none() {
        if !want.is_empty() {
            made.tls = true;
            let size = belongs.tls.iter().map(|(host, secret)| host.len() + secret.len() + 32).sum();
            let value =
                Json::written(size, |out| patch::list(out, want, |(secret, hosts), out| entry(out, secret, &hosts)));
            ops.push(PatchOp::Add { path: "/spec/tls".to_owned(), value });
        }
        return;
    }
    if want.is_empty() && made.tls && leaving.len() == entries.len() {
        if !leaving.is_empty() {
            ops.push(PatchOp::Remove { path: "/spec/tls".to_owned() });
        }
        return;
    }
    ops.extend(leaving.into_iter().rev().map(|index| PatchOp::Remove { path: format!("/spec/tls/{index}") }));
    ops.extend(want.into_iter().map(|(secret, hosts)| PatchOp::Add {
        path: "/spec/tls/-".to_owned(),
        value: Json::written(128, |out| entry(out, secret, &hosts)),
    }));
}

/// Writes an entry of `spec.tls`.
fn entry(out: &mut String, secret: &str, hosts: &[&str]) {
    out.push_str(r#"{"hosts":"#);
    patch::list(out, hosts, |host, out| patch::string(out, host));
    out.push_str(r#","secretName":"#);
    patch::string(out, secret);
    out.push('}');
}

/// Takes all of ours off an Ingress: `present`.
pub fn strip(ingress: &Ingress<'_>, present: &Present) -> Vec<PatchOp> {
    patch(ingress, present, Belonging::default())
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
        let value = Json::written(32, |out| patch::map(out, [(names::RAINBOND_CREATOR, names::RAINBOND)]));
        return vec![PatchOp::Add { path: "/metadata/labels".to_owned(), value }];
    }
    vec![PatchOp::Add {
        path: format!("/metadata/labels/{}", names::RAINBOND_CREATOR),
        value: Json::text(names::RAINBOND),
    }]
}
