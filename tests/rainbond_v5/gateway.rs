//! A model of Rainbond 5's gateway: which changes it notices, and what nginx
//! then serves. Tested against what the real one was seen to do
//! (`tests/fixtures/rainbond-v5-gateway.md`).
//!
//! Not modelled: TCP rules, backends and weights of a location, the test that
//! `nginx -t` makes of a certificate's key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) mod listing;
pub(crate) mod objects;
pub(crate) mod served;

use listing::{Store, secret_keys};
use objects::{certificate, key, kind, list, ready, selected};
use served::{Answer, Certificate, Server, plain_answer, server_for};

/// The kinds of objects that the gateway watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// networking.k8s.io/v1 Ingress.
    Ingress,
    /// Service: watched, but no change of it is acted upon.
    Service,
    /// Endpoints.
    Endpoints,
    /// Secret.
    Secret,
}

/// The gateway's process died, and dies again whenever it is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panic: nil pointer in {0}: the gateway process dies")]
pub(crate) struct Crash(pub(crate) &'static str);

/// In which order Ingresses are listed. The real order is that of a Go map: what
/// must hold has to hold in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// By namespace and name.
    #[default]
    Forwards,
    /// The other way round.
    Backwards,
}

/// The gateway and the objects of the cluster it runs in.
pub(crate) struct Gateway {
    order: Order,
    objects: BTreeMap<(Kind, String), Value>,
    last_version: u64,
    /// Key of an Ingress → keys of the Secrets that it ever named. Asked by the
    /// key of a *Secret* when a Secret changes: the reload trap.
    secret_ingress_map: BTreeMap<String, Vec<String>>,
    /// The loaded certificates, by the key of their Secret.
    certificates: BTreeMap<String, Certificate>,
    served: Result<Vec<Server>, Crash>,
    refused: Option<String>,
    syncs: u64,
}

// === impl Gateway ===

impl Gateway {
    /// A gateway that runs in an empty cluster.
    pub(crate) fn new() -> Self {
        Self::listing(Order::default())
    }

    /// A gateway that lists Ingresses in that order.
    pub(crate) fn listing(order: Order) -> Self {
        Self {
            order,
            objects: BTreeMap::new(),
            last_version: 0,
            secret_ingress_map: BTreeMap::new(),
            certificates: BTreeMap::new(),
            served: Ok(Vec::new()),
            refused: None,
            syncs: 0,
        }
    }

    /// Writes an object as the API server stores it: a write that changes nothing
    /// is no write. Objects of kinds that the gateway does not watch are ignored.
    pub(crate) fn apply(&mut self, mut object: Value) {
        let Some(kind) = kind(&object) else { return };
        let id = (kind, key(&object));
        let version = self.objects.get(&id).map(|old| old["metadata"]["resourceVersion"].clone());
        object["metadata"]["resourceVersion"] = version.unwrap_or_default();
        if self.objects.get(&id) == Some(&object) {
            return;
        }
        self.last_version += 1;
        object["metadata"]["resourceVersion"] = json!(self.last_version.to_string());
        let old = self.objects.insert(id, object.clone());
        self.watched(kind, old.as_ref(), Some(&object));
    }

    /// Deletes an object.
    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        let old = self.objects.remove(&(kind, format!("{namespace}/{name}")));
        self.watched(kind, old.as_ref(), None);
    }

    /// A resync period passes: the informers hand out every object once more.
    pub(crate) fn resync(&mut self) {
        for ((kind, _), object) in self.objects.clone() {
            self.watched(kind, Some(&object), Some(&object));
        }
    }

    /// The process starts anew, with the cluster as it is. nginx starts with an empty configuration.
    pub(crate) fn restart(&mut self) {
        self.secret_ingress_map.clear();
        self.certificates.clear();
        self.served = Ok(Vec::new());
        for ((kind, _), object) in self.objects.clone() {
            if kind == Kind::Ingress && selected(&object) {
                self.load_secrets(&object);
            }
        }
        self.sync();
    }

    /// What nginx serves.
    pub(crate) fn served(&self) -> Result<Vec<Server>, Crash> {
        self.served.clone()
    }

    /// What the store would list now. nginx comes to it with the next sync, whatever triggers that.
    pub(crate) fn listed(&self) -> Result<Vec<Server>, Crash> {
        let of = |wanted: Kind| {
            let visible = self.objects.iter().filter(move |((kind, _), object)| *kind == wanted && selected(object));
            visible.map(|((_, key), object)| (key, object))
        };
        let mut ingresses: Vec<&Value> = of(Kind::Ingress).map(|(_, ingress)| ingress).collect();
        if self.order == Order::Backwards {
            ingresses.reverse();
        }
        let ready = of(Kind::Endpoints).filter(|(_, endpoints)| ready(endpoints)).map(|(key, _)| key.clone());
        Store { ingresses, ready: ready.collect(), certificates: &self.certificates }.servers()
    }

    /// Why nginx refused the configuration of the last sync. It goes on with the one
    /// before, for all namespaces, and takes no change until the reason is gone.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// How often the gateway computed its configuration.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// What port 80 answers.
    pub(crate) fn port80(&self, host: &str, path: &str) -> Answer {
        self.served.as_ref().map_or(Answer::Down, |servers| plain_answer(servers, host, path))
    }

    /// The certificate that port 443 shows, where it serves the host.
    pub(crate) fn port443(&self, host: &str) -> Option<Certificate> {
        server_for(self.served.as_ref().ok()?, true, host)?.certificate.clone()
    }

    /// Makes of a change what a watch with a label selector makes of it: an object
    /// that gets the label appears, one that loses it is gone.
    fn watched(&mut self, kind: Kind, old: Option<&Value>, new: Option<&Value>) {
        let (old, new) = (old.filter(|object| selected(object)), new.filter(|object| selected(object)));
        if self.served.is_err() {
            return;
        }
        match (kind, old, new) {
            (_, None, None) | (Kind::Service, ..) => {}
            (_, Some(old), Some(new)) if old["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"] => {}
            (Kind::Ingress, _, Some(new)) => {
                self.load_secrets(new);
                self.sync();
            }
            (Kind::Ingress | Kind::Endpoints, _, None) | (Kind::Endpoints, None, _) => self.sync(),
            (Kind::Endpoints, Some(old), Some(new)) => {
                if list(old, "/subsets") != list(new, "/subsets") {
                    self.sync();
                }
            }
            (Kind::Secret, _, Some(new)) => self.secret_changed(&key(new)),
            (Kind::Secret, Some(old), None) => {
                self.certificates.remove(&key(old));
                if self.secret_ingress_map.contains_key(&key(old)) {
                    self.sync();
                }
            }
        }
    }

    fn secret_changed(&mut self, secret: &str) {
        let Some(named) = self.secret_ingress_map.get(secret).cloned() else { return };
        // Keys of Secrets, taken for keys of Ingresses.
        for ingress in named {
            if self.selected(Kind::Ingress, &ingress).is_some() {
                self.load_secrets_of(&ingress);
            }
        }
        self.sync();
    }

    fn load_secrets(&mut self, ingress: &Value) {
        let named: Vec<String> = secret_keys(ingress).collect();
        if !named.is_empty() {
            self.secret_ingress_map.entry(key(ingress)).or_default().extend(named);
        }
        self.load_secrets_of(&key(ingress));
    }

    /// Loads what can be loaded; a certificate stays while its Secret cannot be read.
    fn load_secrets_of(&mut self, ingress: &str) {
        for secret in self.secret_ingress_map.get(ingress).cloned().unwrap_or_default() {
            if let Some(loaded) = self.selected(Kind::Secret, &secret).and_then(certificate) {
                self.certificates.insert(secret, loaded);
            }
        }
    }

    fn sync(&mut self) {
        self.syncs += 1;
        match self.listed() {
            Err(crash) => self.served = Err(crash),
            Ok(servers) => {
                self.refused = servers.iter().find_map(|server| {
                    let path = server.duplicate_location()?;
                    Some(format!("duplicate location \"{path}\" in server {}", server.name))
                });
                if self.refused.is_none() {
                    self.served = Ok(servers);
                }
            }
        }
    }

    fn selected(&self, kind: Kind, key: &str) -> Option<&Value> {
        self.objects.get(&(kind, key.to_owned())).filter(|object| selected(object))
    }
}
