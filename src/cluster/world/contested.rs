//! Ingresses from which somebody takes away what certgate adds, so that their hosts' Domains say so.

use super::{IngressId, Key, Touched, World};
use crate::core::finding::Finding;

impl World {
    /// An Ingress is contested, for that reason, or no longer.
    pub fn set_contested(&mut self, id: &IngressId, finding: Option<Finding>) -> Touched {
        let before = match finding.clone() {
            Some(finding) => self.contested.insert(id.clone(), finding),
            None => self.contested.remove(id),
        };
        if before == finding {
            return Touched::default();
        }
        let (namespace, name) = id;
        let hosts = self.ingress(namespace, name).map(|seen| seen.hosts.as_slice()).unwrap_or_default();
        let keys = hosts.iter().map(|host| Key::Host(namespace.clone(), host.clone())).collect();
        Touched { keys, ..Touched::default() }
    }

    /// Why an Ingress is contested, if it is.
    pub(super) fn contested(&self, namespace: &str, name: &str) -> Option<&Finding> {
        if self.contested.is_empty() {
            return None;
        }
        self.contested.get(&(namespace.into(), name.into()))
    }
}
