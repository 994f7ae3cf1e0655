//! The world as the console's rules meet it.

use std::collections::{BTreeMap, HashMap};

use super::World;
use crate::core::{
    console::{Mark, Place, Rule, Seen},
    names,
};

impl World {
    /// Every Domain with what the console has to do with it.
    pub fn flagged_by_console(&self) -> BTreeMap<Place, Seen> {
        let mut all = BTreeMap::new();
        for (namespace, host, seen) in
            self.namespaces.iter().flat_map(|(name, ns)| ns.domains.iter().map(move |(host, seen)| (name, host, seen)))
        {
            let meta = &seen.domain.metadata;
            let mark = meta.annotations.as_ref().and_then(|all| all.get(names::CONSOLE_RULES));
            let label = meta.labels.as_ref().and_then(|labels| labels.get(names::MANAGED_BY));
            all.insert(
                (namespace.to_string(), host.clone()),
                Seen {
                    auto_issue: seen.domain.spec.auto_issue,
                    mark: mark.map(|text| Mark::parse(text)),
                    managed: label.is_some_and(|value| value == names::MANAGER),
                },
            );
        }
        all
    }

    /// The namespaces of those rules whose Ingress is there, carries the rule's host and belongs to its team; by the
    /// rule's id.
    pub fn namespaces_of_rules(&self, rules: &[Rule]) -> HashMap<String, String> {
        let by_id: HashMap<&str, &Rule> = rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        let mut found = HashMap::new();
        for (namespace, ns) in self.namespaces.iter().filter(|(namespace, _)| !self.is_terminating(namespace)) {
            for (name, seen) in &ns.ingresses {
                if let Some(rule) = by_id.get(&**name)
                    && seen.ingress.label(names::RAINBOND_TEAM) == Some(&rule.team)
                    && seen.hosts.contains(&rule.host)
                {
                    found.insert(name.to_string(), namespace.to_string());
                }
            }
        }
        found
    }
}
