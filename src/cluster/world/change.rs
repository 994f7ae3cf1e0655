//! What of an Ingress changed, so that an Ingress of many hosts has those planned again that it matters to.

use super::SeenIngress;
use crate::core::{
    host::Host,
    ingress::{Metadata, TlsEntry},
    names,
};

/// From this size on annotations may be too many for ours to fit; whether they are is not looked at here.
const MANY_ANNOTATIONS: usize = 128 * 1024;

/// What changed for the hosts of an Ingress.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// Something that matters to every host.
    All {
        /// It was somebody's edit.
        edited: bool,
    },
    /// Nothing but what concerns these hosts.
    Some {
        /// Those that it no longer has to do with.
        gone: Vec<Host>,
        /// Those that it did not have to do with.
        new: Vec<Host>,
        /// Those for which our parts are others than before.
        other: Vec<Host>,
    },
}

/// Compares two versions of an Ingress.
pub(super) fn between(old: &SeenIngress, new: &SeenIngress) -> Change {
    let (was, is) = (&old.ingress.metadata, &new.ingress.metadata);
    let ours_changed = old.present != new.present;
    let edited = was.uid != is.uid
        || old.ingress.annotation(names::AUTO_ISSUE) != new.ingress.annotation(names::AUTO_ISSUE)
        || old.generation != new.generation;
    // A write of ours raises the generation, too; anybody's else that leaves our parts alone is an edit, whatever it was.
    if (edited && !ours_changed) || !is_same_for_all(old, new) {
        return Change::All { edited };
    }
    let missing = |from: &[Host], of: &[Host]| -> Vec<Host> {
        from.iter().filter(|host| of.binary_search(host).is_err()).cloned().collect()
    };
    let (before, after) = (&old.present.record.tls, &new.present.record.tls);
    let changed = |one: &std::collections::BTreeMap<String, String>, other: &std::collections::BTreeMap<_, _>| {
        let differ = one.iter().filter(|(host, secret)| other.get(*host) != Some(*secret));
        // The host itself, and the one whose Secret this is.
        let hosts = differ.flat_map(|(host, secret)| [Host::parse(host).ok(), Host::of_secret(secret)]);
        hosts.flatten().collect::<Vec<Host>>()
    };
    let mut other = changed(before, after);
    other.extend(changed(after, before));
    Change::Some { gone: missing(&old.hosts, &new.hosts), new: missing(&new.hosts, &old.hosts), other }
}

/// Whether all that matters to every host is as it was.
fn is_same_for_all(old: &SeenIngress, new: &SeenIngress) -> bool {
    let (was, is) = (&old.ingress, &new.ingress);
    let few = |metadata: &Metadata<'_>| metadata.annotations.as_ref().is_none_or(|all| all.octets < MANY_ANNOTATIONS);
    let (old_record, new_record) = (&old.present.record, &new.present.record);
    (old.created, old.root, old.hosts.len() > 1) == (new.created, new.root, new.hosts.len() > 1)
        && old.addresses == new.addresses
        && was.metadata.uid == is.metadata.uid
        && was.metadata.labels == is.metadata.labels
        && was.metadata.deletion_timestamp == is.metadata.deletion_timestamp
        && was.spec.ingress_class_name == is.spec.ingress_class_name
        && few(&was.metadata)
        && few(&is.metadata)
        && said(&was.metadata).eq(said(&is.metadata))
        && (&old_record.annotations, old_record.made) == (&new_record.annotations, new_record.made)
        && of_others(old).eq(of_others(new))
}

/// Annotations but for those that only say what we did.
fn said<'a>(metadata: &'a Metadata<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let read = metadata.annotations.iter().flat_map(|all| &all.read);
    read.map(|(key, value)| (&**key, &**value)).filter(|(key, _)| ![names::INJECTED, names::NUDGE].contains(key))
}

/// TLS entries that are not ours.
fn of_others(seen: &SeenIngress) -> impl Iterator<Item = &TlsEntry<'static>> {
    let entries = seen.ingress.tls().iter().enumerate();
    entries.filter(|(index, _)| seen.present.entries.binary_search(index).is_err()).map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        api::partial::ingress::Ingress,
        cluster::world::{Key, Touched, World, intake::Kept as _},
    };

    /// What a world is touched by when an Ingress of three hosts changes: which hosts are planned anew, and which count
    /// as edited.
    fn touched(from: impl Fn(&mut Value), to: impl Fn(&mut Value)) -> (Vec<String>, usize) {
        let base = json!({"metadata": {"name": "shop", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 1,
                "annotations": {"certgate.dev/auto-issue": "true"}},
            "spec": {"rules": [{"host": "a.example.com"}, {"host": "b.example.com"}, {"host": "c.example.com"}]}});
        let mut world = World::default();
        world.settle();
        let (mut old, mut new) = (base.clone(), base);
        from(&mut old);
        from(&mut new);
        to(&mut new);
        let see = |world: &mut World, object: Value| -> Touched {
            serde_json::from_value::<Ingress>(object).unwrap().see(world)
        };
        see(&mut world, old);
        let touched = see(&mut world, new);
        let hosts = touched.keys.iter().filter_map(|key| match key {
            Key::Host(_, host) => Some(host.as_str().trim_end_matches(".example.com").to_owned()),
            _ => None,
        });
        assert!(touched.keys.iter().any(|key| matches!(key, Key::Ingress(..))));
        (hosts.collect(), touched.edited.len())
    }

    fn ours(object: &mut Value, hosts: &[&str]) {
        let entry = |host: &&str| json!({"hosts": [host], "secretName": format!("certgate-{host}")});
        object["spec"]["tls"] = hosts.iter().map(entry).collect();
        let secrets: std::collections::BTreeMap<&str, String> =
            hosts.iter().map(|host| (*host, format!("certgate-{host}"))).collect();
        let record = json!({"annotations": {"cert-manager.io/cluster-issuer": "le"}, "tls": secrets});
        object["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] = json!("le");
        object["metadata"]["annotations"]["certgate.dev/injected"] = json!(record.to_string());
    }

    #[test]
    fn a_write_of_ours_has_the_hosts_planned_that_it_was_for_and_is_nobodys_edit() {
        let (hosts, edited) = touched(
            |object| ours(object, &["a.example.com"]),
            |object| {
                ours(object, &["a.example.com", "b.example.com"]);
                object["metadata"]["generation"] = json!(2);
            },
        );
        assert_eq!((hosts, edited), (vec!["b".to_owned()], 0));
    }

    #[test]
    fn a_status_that_changes_has_no_host_planned() {
        let (hosts, edited) = touched(|_| {}, |object| object["status"]["observed"] = json!(1));
        assert_eq!((hosts, edited), (Vec::new(), 0));
    }

    #[test]
    fn an_edit_has_all_hosts_planned() {
        let all = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let path = touched(|_| {}, |object| object["metadata"]["generation"] = json!(2));
        assert_eq!(path, (all(), 3), "of something that is not read");
        let label = touched(|_| {}, |object| object["metadata"]["labels"] = json!({"x": "y"}));
        assert_eq!(label, (all(), 0));
        let off =
            touched(|_| {}, |object| object["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false"));
        assert_eq!(off, (all(), 3));
        let theirs = touched(
            |_| {},
            |object| object["spec"]["tls"] = json!([{"hosts": ["a.example.com"], "secretName": "theirs"}]),
        );
        assert_eq!(theirs, (all(), 0));
    }

    #[test]
    fn a_host_that_comes_or_goes_with_a_write_of_ours_is_edited() {
        let (hosts, edited) = touched(
            |object| ours(object, &["a.example.com"]),
            |object| {
                ours(object, &["a.example.com", "b.example.com"]);
                object["metadata"]["generation"] = json!(2);
                object["spec"]["rules"][2]["host"] = json!("d.example.com");
            },
        );
        assert_eq!((hosts, edited), (vec!["b".to_owned(), "c".to_owned(), "d".to_owned()], 1));
    }
}
