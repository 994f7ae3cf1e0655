//! Gateway addresses and DNS settings.

use ::core::net::{IpAddr, SocketAddr};

use super::{Faults, names};
use crate::core::{
    policy::{Dns, Gateway, Target},
    verdict::reserved::reserved,
};

/// The longest wait for one answer that is of use, in seconds.
const MAX_TIMEOUT: f64 = 30.0;
/// The longest time that all questions about one host may take, in seconds.
const MAX_DEADLINE: f64 = 120.0;
/// The longest wait before a host is looked at again: a day, in seconds.
const MAX_RECHECK: u64 = 86_400;
/// How many resolvers are of use.
const MAX_SERVERS: usize = 16;

pub(super) fn gateway(faults: &mut Faults, gateway: &Gateway) {
    faults.each("addresses", &gateway.addresses, |faults, address| {
        if address.is_unspecified() || address.is_multicast() {
            faults.add(format!("nobody can connect to {address}; write the gateway's public address"));
        } else if let Some(what) = reserved(*address).filter(|_| {
            // Where any public address will do, these are the gateway's within.
            !gateway.allow_reserved && gateway.target != Target::AnyPublic
        }) {
            faults.add(format!(
                "{address} is no public address ({what}), and a public CA never connects to one; write the address \
                 that the gateway has outside, or set gateway.allowReserved: true for a lab or a private CA"
            ));
        }
    });
    faults.each("cnames", &gateway.cnames, |faults, name| {
        if !names::is_host(name) {
            faults.add(format!("`{name}` is no host; write a name like gateway.example.com"));
        }
    });
    if gateway.target == Target::Cname && gateway.cnames.is_empty() {
        faults.add_to("target", "asks for a CNAME, but gateway.cnames names none; add one".to_owned());
    }
    if let Some(service) = &gateway.service {
        faults.within("service", |faults| {
            for (field, value) in [("namespace", &service.namespace), ("name", &service.name)] {
                if !names::is_label(value) {
                    faults.add_to(field, format!("`{value}` is no {field} of a Service; write it as kubectl shows it"));
                }
            }
        });
    }
}

pub(super) fn dns(faults: &mut Faults, dns: &Dns) {
    faults.each("servers", &dns.servers, |faults, server| {
        if let Err(fault) = check_server(server) {
            faults.add(fault);
        }
    });
    if dns.servers.len() > MAX_SERVERS {
        faults.add_to("servers", format!("{} are too many; name at most {MAX_SERVERS}", dns.servers.len()));
    }
    seconds(faults, "timeoutSeconds", dns.timeout_seconds, MAX_TIMEOUT);
    seconds(faults, "deadlineSeconds", dns.deadline_seconds, MAX_DEADLINE);
    if dns.deadline_seconds < dns.timeout_seconds {
        faults.add_to(
            "deadlineSeconds",
            format!(
                "{} s for all questions is less than timeoutSeconds, {} s for one; raise it",
                dns.deadline_seconds, dns.timeout_seconds
            ),
        );
    }
    if !dns.bogus_name.is_empty() && !names::is_host(&dns.bogus_name) {
        faults.add_to("bogusName", format!("`{}` is no host; write one like dnssec-failed.org", dns.bogus_name));
    }
    if dns.authoritative_port == 0 {
        faults.add_to("authoritativePort", "0 is no port; leave it out for 53".to_owned());
    }
    for (field, value) in
        [("minRecheckSeconds", dns.min_recheck_seconds), ("maxRecheckSeconds", dns.max_recheck_seconds)]
    {
        if !(1..=MAX_RECHECK).contains(&value) {
            faults.add_to(field, format!("{value} is out of bounds; write 1 to {MAX_RECHECK}"));
        }
    }
    if dns.max_recheck_seconds < dns.min_recheck_seconds {
        faults.add_to(
            "maxRecheckSeconds",
            format!("{} is less than minRecheckSeconds, {}", dns.max_recheck_seconds, dns.min_recheck_seconds),
        );
    }
    for (field, value, most) in
        [("queriesPerSecond", dns.queries_per_second, 100_000), ("concurrency", dns.concurrency, 4_096)]
    {
        if !(1..=most).contains(&value) {
            faults.add_to(field, format!("{value} is out of bounds; write 1 to {most}"));
        }
    }
}

fn seconds(faults: &mut Faults, field: &str, value: f64, most: f64) {
    // Written so that NaN fails too.
    if !(value >= 0.05 && value <= most) {
        faults.add_to(field, format!("{value} is out of bounds; write seconds, 0.05 to {most}"));
    }
}

fn check_server(server: &str) -> Result<(), String> {
    let (address, port) = match (server.parse::<IpAddr>(), server.parse::<SocketAddr>()) {
        (Ok(address), _) => (address, 53),
        (_, Ok(socket)) => (socket.ip(), socket.port()),
        _ => {
            return Err(format!(
                "`{server}` is no address; write an IP address, with a port where it is not 53: 1.1.1.1, 10.0.0.10:5353 or \
                 [2606:4700:4700::1111]:53"
            ));
        }
    };
    if port == 0 {
        return Err(format!("`{server}` has port 0; leave the port out for 53"));
    }
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("`{server}` is no resolver's address; write one like 1.1.1.1"));
    }
    Ok(())
}
