//! [`Troubles`]: what was told of Ingresses, so that it is told once.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    cluster::world::IngressId,
    core::{reason::Reason, reconcile::ingress::Trouble},
};

/// What was told of Ingresses beside what their Domains tell.
#[derive(Default)]
pub(super) struct Troubles {
    /// By namespace and name: the Ingress' uid, and what was told of which host.
    pub(super) told: HashMap<IngressId, (String, BTreeMap<String, Reason>)>,
}

// === impl Troubles ===

impl Troubles {
    /// What of `present` has not been told yet, `most` of it, and whether there is more. What is over is forgotten, so
    /// that it is told again should it return.
    pub(super) fn news(
        &mut self,
        ingress: IngressId,
        uid: &str,
        present: Vec<Trouble>,
        most: usize,
    ) -> (Vec<Trouble>, bool) {
        if present.is_empty() {
            self.told.remove(&ingress);
            return (Vec::new(), false);
        }
        let (told_uid, told) = self.told.entry(ingress).or_default();
        if told_uid != uid {
            told.clear();
            uid.clone_into(told_uid);
        }
        let hosts: HashSet<&str> = present.iter().map(|trouble| trouble.host.as_str()).collect();
        told.retain(|host, _| hosts.contains(host.as_str()));
        let untold = |trouble: &Trouble| told.get(&trouble.host) != Some(&trouble.reason);
        let mut news: Vec<Trouble> = present.into_iter().filter(untold).collect();
        let more = news.len() > most;
        news.truncate(most);
        told.extend(news.iter().map(|trouble| (trouble.host.clone(), trouble.reason)));
        (news, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_told_in_several_turns_and_each_of_it_once() {
        let mut troubles = Troubles::default();
        let present = |count: usize| -> Vec<Trouble> {
            let trouble = |n| Trouble { host: format!("h{n}"), reason: Reason::HostInvalid, message: String::new() };
            (0..count).map(trouble).collect()
        };
        let mut told = |uid, count, most| {
            let (news, more) = troubles.news(("n".into(), "i".into()), uid, present(count), most);
            (news.iter().map(|one| one.host.clone()).collect::<Vec<_>>().join(" "), more)
        };
        assert_eq!(told("u", 5, 2), ("h0 h1".to_owned(), true));
        assert_eq!(told("u", 5, 2), ("h2 h3".to_owned(), true));
        assert_eq!(told("u", 5, 2), ("h4".to_owned(), false));
        assert_eq!(told("u", 4, 2), (String::new(), false));
        assert_eq!(told("u", 5, 2), ("h4".to_owned(), false), "it was over");
        assert_eq!(told("v", 1, 2), ("h0".to_owned(), false), "another of the same name");
    }
}
