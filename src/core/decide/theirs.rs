//! What is to be said of a TLS entry of the user's: that it is well, or why nothing will come of it.

use super::{Subject, Why};
use crate::core::{
    host::Host,
    knowledge::{DomainFacts, Knowledge, SecretFacts},
    reason::Reason,
    settings::{Flag, UserIssuer},
};

impl<'a, K: Knowledge> Subject<'a, K> {
    /// What is to be said of the user's own TLS entry for a host.
    pub(super) fn user_tls_of(&self, written: &'a str, host: &str, domain: Option<&DomainFacts>) -> Why<'a> {
        let flagged = self.scope.flag(written, domain) == Flag::On;
        match self.user_issuer {
            UserIssuer::Refused { reason, annotation } if flagged => return Why::Noted(reason, annotation.to_owned()),
            // Nobody waits for a certificate of ours, or cert-manager makes the Secret.
            _ if !flagged || self.surroundings.acted_on() => return Why::Plain(Reason::UserTls),
            _ => {}
        }
        match self.user_tls.secret_of(host) {
            None => Why::Plain(Reason::UserTls),
            Some("") => Why::Plain(Reason::TlsWithoutSecret),
            Some(secret) => {
                let namespace = &self.scope.ingress.metadata.namespace;
                let reason = match self.scope.knowledge.secret(namespace, secret, host) {
                    _ if is_of_another_host(secret, host) => Reason::TlsSecretOfOtherHost,
                    SecretFacts::Unknown | SecretFacts::Fits => return Why::Plain(Reason::UserTls),
                    SecretFacts::Missing => Reason::TlsSecretMissing,
                    SecretFacts::OfOtherHosts => Reason::TlsSecretOfOtherHost,
                };
                Why::Noted(reason, secret.to_owned())
            }
        }
    }
}

/// Whether a Secret has the name that certgate gives to that of another host, which does not cover this one.
fn is_of_another_host(secret: &str, host: &str) -> bool {
    let Some(name) = secret.strip_prefix("certgate-") else { return false };
    let named = name.strip_prefix("wildcard.").map(|base| format!("*.{base}"));
    let named = named.as_deref().unwrap_or_else(|| name.strip_prefix("literal.").unwrap_or(name));
    let (Ok(named), Ok(host)) = (Host::parse(named), Host::parse(host)) else { return false };
    named.secret_name() == secret && !named.covers(&host)
}
