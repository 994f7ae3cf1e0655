//! From what the gateway's store holds to the servers it writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Crash,
    objects::{annotation, key, list, switched_on, text},
    served::{Certificate, Location, Server},
};

/// Where the gateway follows a backend that is no Service (store.go of Rainbond 5.17.3).
const IN_ENDPOINT_KEY: Crash = Crash("store.getEndpointKey (store.go:972)");
const IN_ENDPOINT_KEY_OF_PATH: Crash = Crash("store.getEndpointKey (store.go:977)");
const IN_LISTING: Crash = Crash("store.ListVirtualService (store.go:769)");
const IN_LISTING_TCP: Crash = Crash("store.ListVirtualService (store.go:553)");

/// What the gateway's store holds when it lists.
pub(crate) struct Store<'s> {
    /// The Ingresses in the order in which they are listed.
    pub(crate) ingresses: Vec<&'s Value>,
    /// The keys of the Endpoints with a ready address.
    pub(crate) ready: BTreeSet<String>,
    /// The certificates that were loaded, by the key of their Secret.
    pub(crate) certificates: &'s BTreeMap<String, Certificate>,
}

/// The servers found so far.
#[derive(Default)]
struct Listing {
    servers: Vec<Server>,
    /// Name → index in `servers`. Names of TLS servers begin with `tls`.
    by_name: BTreeMap<String, usize>,
    /// Name and path of the locations that pass to an application.
    passing: BTreeSet<(String, String)>,
}

// === impl Store ===

impl Store<'_> {
    /// The HTTP servers.
    pub(crate) fn servers(&self) -> Result<Vec<Server>, Crash> {
        let mut listing = Listing::default();
        let mut valid = Vec::new();
        for ingress in &self.ingresses {
            if endpoint_key(ingress)?.is_some_and(|key| self.ready.contains(&key)) {
                valid.push(*ingress);
            }
        }
        let mut http = Vec::new();
        for ingress in valid {
            if is_tcp(ingress)? {
                continue;
            }
            listing.add(ingress, self.first_certificate(ingress))?;
            http.push(ingress);
        }
        for ingress in http.into_iter().filter(|ingress| switched_on(ingress, "force-ssl-redirect")) {
            listing.redirect(ingress)?;
        }
        let mut servers = listing.servers;
        for server in &mut servers {
            // Meant for the mark of TLS servers; a plain host loses its own.
            server.name = server.name.replacen("tls", "", 1);
        }
        Ok(servers)
    }

    /// The one certificate that all servers of an Ingress get: the first that was
    /// loaded. `tls[].hosts` is looked up by a name that no host has.
    fn first_certificate(&self, ingress: &Value) -> Option<&Certificate> {
        let namespace = text(ingress, "/metadata/namespace");
        list(ingress, "/spec/tls")
            .iter()
            .find_map(|entry| self.certificates.get(&format!("{namespace}/{}", text(entry, "/secretName"))))
    }
}

// === impl Listing ===

impl Listing {
    fn server(&mut self, name: &str, certificate: Option<&Certificate>) -> &mut Server {
        let index = *self.by_name.entry(name.to_owned()).or_insert(self.servers.len());
        if index == self.servers.len() {
            let name = name.to_owned();
            self.servers.push(Server { certificate: certificate.cloned(), name, locations: Vec::new() });
        }
        &mut self.servers[index]
    }

    /// The rules of an Ingress, on 443 alone where it has a certificate.
    fn add(&mut self, ingress: &Value, certificate: Option<&Certificate>) -> Result<(), Crash> {
        for rule in list(ingress, "/spec/rules") {
            let host = text(rule, "/host").replace(' ', "");
            let host = if host.is_empty() { "_" } else { host.as_str() };
            let name = if certificate.is_some() { format!("tls{host}") } else { host.to_owned() };
            self.server(&name, certificate);
            for path in paths(rule)? {
                service(path).ok_or(IN_LISTING)?;
                let path = text(path, "/path").to_owned();
                // Further Ingresses of a path add backends to its location.
                if self.passing.insert((name.clone(), path.clone())) {
                    self.server(&name, certificate).locations.push(Location { path, redirect: false });
                }
            }
        }
        Ok(())
    }

    /// The redirects of an Ingress. They give way to what is served in the clear,
    /// but not to each other.
    fn redirect(&mut self, ingress: &Value) -> Result<(), Crash> {
        for rule in list(ingress, "/spec/rules") {
            let name = text(rule, "/host").trim();
            self.server(name, None);
            for path in paths(rule)? {
                let path = text(path, "/path").to_owned();
                if !self.passing.contains(&(name.to_owned(), path.clone())) {
                    self.server(name, None).locations.push(Location { path, redirect: true });
                }
            }
        }
        Ok(())
    }
}

/// The key of the Endpoints that decide whether an Ingress is served at all: those
/// of the default backend, or else of the first path.
fn endpoint_key(ingress: &Value) -> Result<Option<String>, Crash> {
    let namespace = text(ingress, "/metadata/namespace");
    let service = match ingress.pointer("/spec/defaultBackend") {
        Some(backend) if !backend.is_null() => {
            Some(backend.pointer("/service/name").and_then(Value::as_str).ok_or(IN_ENDPOINT_KEY)?)
        }
        _ => {
            let mut first = None;
            for rule in list(ingress, "/spec/rules") {
                first = paths(rule)?.first();
                if first.is_some() {
                    break;
                }
            }
            first.map(|path| service(path).ok_or(IN_ENDPOINT_KEY_OF_PATH)).transpose()?
        }
    };
    Ok(service.map(|service| format!("{namespace}/{service}")))
}

fn is_tcp(ingress: &Value) -> Result<bool, Crash> {
    let port: u32 = annotation(ingress, "l4-port").parse().unwrap_or_default();
    if !switched_on(ingress, "l4-enable") || !(1..=65535).contains(&port) {
        return Ok(false);
    }
    ingress.pointer("/spec/defaultBackend/service").map(|_| true).ok_or(IN_LISTING_TCP)
}

/// A rule's paths. A rule without `http` is followed all the same.
fn paths(rule: &Value) -> Result<&[Value], Crash> {
    if rule.get("http").is_none_or(Value::is_null) {
        Err(IN_ENDPOINT_KEY_OF_PATH)
    } else {
        Ok(list(rule, "/http/paths"))
    }
}

fn service(path: &Value) -> Option<&str> {
    path.pointer("/backend/service/name").and_then(Value::as_str)
}

/// The Secrets that an Ingress names, as keys.
pub(crate) fn secret_keys(ingress: &Value) -> impl Iterator<Item = String> {
    let namespace = key(ingress).split('/').next().unwrap_or_default().to_owned();
    list(ingress, "/spec/tls").iter().map(move |entry| format!("{namespace}/{}", text(entry, "/secretName")))
}
