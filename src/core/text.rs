//! Sentences: every [`Reason`](super::reason::Reason) in English and Chinese,
//! the same in status, Events and CLI. Completeness is the compiler's job (exhaustive matches).

mod en;
mod zh;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::finding::{ALIAS, Finding, Lang};
use super::host::Host;
use super::reason::WhoActs;

/// A DNS name for people: A-labels as Unicode, as everywhere else that hosts are shown. Records to set keep theirs.
fn readable(name: &str) -> Cow<'_, str> {
    match Host::parse(name) {
        Ok(host) if name.contains("xn--") => Cow::Owned(host.readable().into_owned()),
        _ => Cow::Borrowed(name),
    }
}

/// The sentence of a finding. States what is seen, then what to do.
pub fn sentence(finding: &Finding, lang: Lang) -> String {
    match lang {
        Lang::En => en::sentence(finding),
        Lang::ZhCn => zh::sentence(finding),
    }
}

/// The name of who acts, for people.
pub const fn who(who: WhoActs, lang: Lang) -> &'static str {
    match (lang, who) {
        (Lang::En, WhoActs::Nobody) => "nobody",
        (Lang::En, WhoActs::DomainOwner) => "the domain's owner",
        (Lang::En, WhoActs::DnsHost) => "the domain's DNS provider",
        (Lang::En, WhoActs::AppDeveloper) => "the application's developer",
        (Lang::En, WhoActs::ClusterAdmin) => "the cluster's administrator",
        (Lang::En, WhoActs::Ca) => "the certificate authority",
        (Lang::ZhCn, WhoActs::Nobody) => "无需处理",
        (Lang::ZhCn, WhoActs::DomainOwner) => "域名所有者",
        (Lang::ZhCn, WhoActs::DnsHost) => "域名的 DNS 服务商",
        (Lang::ZhCn, WhoActs::AppDeveloper) => "应用开发者",
        (Lang::ZhCn, WhoActs::ClusterAdmin) => "平台管理员",
        (Lang::ZhCn, WhoActs::Ca) => "证书机构",
    }
}

/// The records to add, as a zone file has them: `www.example.com. A 203.0.113.7`.
pub fn records(finding: &Finding) -> Vec<String> {
    let subject = &finding.subject;
    finding
        .required
        .iter()
        .map(|value| match value.parse::<::core::net::IpAddr>() {
            Ok(ip) if ip.is_ipv4() => format!("{subject}. A {value}"),
            Ok(_) => format!("{subject}. AAAA {value}"),
            Err(_) if value.starts_with(ALIAS) => format!("{subject}. {value}."),
            // Already a whole record: CAA.
            Err(_) if value.contains(' ') => value.clone(),
            Err(_) => format!("{subject}. CNAME {value}."),
        })
        .collect()
}

/// From when on something may be done, as people read it: the minute is over when it says so, since who tries before is
/// refused again.
pub fn not_before(time: Timestamp) -> String {
    let up = time.saturating_add(SignedDuration::from_secs(59)).unwrap_or(time);
    up.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The command that has cert-manager look at an issuer, `Kind/name`, again: any edit does.
pub fn touch(issuer: &str) -> Option<String> {
    let (kind, name) = issuer.split_once('/')?;
    let kind = kind.to_ascii_lowercase();
    let place = if kind == "issuer" { " -n NAMESPACE" } else { "" };
    Some(format!(r#"kubectl annotate {kind} {name}{place} retry="$(date +%s)" --overwrite"#))
}

/// What kind of record a required value asks for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    V4,
    V6,
    Name,
    Alias,
    /// A whole record.
    Record,
}

/// The values that ask for that kind of record.
fn of_kind(values: &[String], kind: Kind) -> Vec<&str> {
    let kind_of = |value: &str| match value.parse::<::core::net::IpAddr>() {
        Ok(ip) if ip.is_ipv4() => Kind::V4,
        Ok(_) => Kind::V6,
        Err(_) if value.starts_with(ALIAS) => Kind::Alias,
        Err(_) if value.contains(' ') => Kind::Record,
        Err(_) => Kind::Name,
    };
    let fit = values.iter().map(String::as_str).filter(|value| kind_of(value) == kind);
    fit.map(|value| value.strip_prefix(ALIAS).unwrap_or(value)).collect()
}

/// What the CAA records that were seen amount to.
#[derive(Clone, Copy, PartialEq)]
enum Caa {
    /// They let nobody issue.
    Nobody,
    /// One means the CA, and is written so that the CA does not read it.
    Misspelt,
    /// They name others.
    Others,
}

/// What CAA records as findings show them (`0 issue "ca.example"`) amount to, beside the one that is needed.
fn caa(finding: &Finding) -> Caa {
    let domain = |record: &str| -> Option<String> {
        let (_, value) = record.split_once('"')?;
        let value = value.rsplit_once('"').map_or(value, |(value, _)| value);
        Some(value.split(';').next().unwrap_or_default().trim().to_owned())
    };
    let seen: Vec<String> = finding.observed.iter().filter_map(|record| domain(record)).collect();
    if !seen.is_empty() && seen.iter().all(String::is_empty) {
        return Caa::Nobody;
    }
    let wanted = finding.required.first().and_then(|record| domain(record)).unwrap_or_default();
    let plain = |text: &str| text.trim_matches(['.', '"', '\'', ' ']).to_ascii_lowercase();
    let meant = |text: &String| !wanted.is_empty() && plain(text) == plain(&wanted);
    if seen.iter().any(meant) { Caa::Misspelt } else { Caa::Others }
}

/// Whose CAA records are at fault, where that is the target of a CNAME and not the host or a name above it.
fn caa_of_target(finding: &Finding) -> Option<&str> {
    let owner = finding.note.as_str();
    let host = finding.subject.trim_start_matches("*.");
    let above = host.strip_suffix(owner).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    (!owner.is_empty() && !above).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::reason::Reason;

    #[test]
    fn every_reason_has_a_sentence_of_its_own_in_both_languages() {
        let mut seen = std::collections::BTreeMap::new();
        for lang in [Lang::En, Lang::ZhCn] {
            for reason in Reason::ALL {
                let finding =
                    Finding::new(*reason, "www.example.com").observed(["198.51.100.9"]).required(["203.0.113.7"]);
                let text = finding.sentence(lang);
                assert!(text.len() > 10, "{reason} {lang:?}: {text}");
                assert!(!text.contains("  "), "{text}");
                assert_eq!(seen.insert(text, *reason), None, "{reason} shares its sentence");
            }
        }
    }

    #[test]
    fn sentences_hold_without_particulars() {
        for lang in [Lang::En, Lang::ZhCn] {
            for reason in Reason::ALL {
                let text = Finding::new(*reason, "www.example.com").sentence(lang);
                assert!(!text.contains("()") && !text.contains(" ,") && !text.contains(": ;"), "{reason}: {text}");
            }
        }
    }

    #[test]
    fn records_are_written_as_a_zone_file_has_them() {
        let finding = Finding::new(Reason::DomainNotFound, "www.example.com").required([
            "203.0.113.7",
            "2606:4700::1",
            "lb.example.net",
        ]);
        let expected = [
            "www.example.com. A 203.0.113.7",
            "www.example.com. AAAA 2606:4700::1",
            "www.example.com. CNAME lb.example.net.",
        ];
        assert_eq!(records(&finding), expected);
        let caa = Finding::new(Reason::CaaForbids, "www.example.com").required([r#"example.com. CAA 0 issue "x""#]);
        assert_eq!(records(&caa), [r#"example.com. CAA 0 issue "x""#]);
    }

    #[test]
    fn a_refused_account_names_the_time_or_link_and_the_command() {
        let refused = |issuer: &str, note: &str| {
            let limit = "too many new registrations (10) from this IP address in the last 3h0m0s";
            Finding::new(Reason::AccountRateLimited, "www.example.com").observed([issuer, limit]).note(note)
        };
        let timed = refused("ClusterIssuer/le", "2026-11-25 13:38 UTC").sentence(Lang::En);
        insta::assert_snapshot!(timed, @r#"the CA refused the ACME account of ClusterIssuer/le because of its rate limits: "too many new registrations (10) from this IP address in the last 3h0m0s"; from 2026-11-25 13:38 UTC the cluster's administrator must edit the issuer, e.g. `kubectl annotate clusterissuer le retry="$(date +%s)" --overwrite`, because cert-manager does not ask again by itself for up to ten hours"#);
        let paused = refused("Issuer/le", "https://portal.example/unpause?jwt=x");
        for lang in [Lang::En, Lang::ZhCn] {
            let told = paused.sentence(lang);
            assert!(told.contains("https://portal.example/unpause?jwt=x"), "{told}");
            assert!(told.contains("kubectl annotate issuer le -n NAMESPACE retry="), "{told}");
        }
    }

    #[test]
    fn the_first_sentence_a_person_meets() {
        let finding = Finding::new(Reason::DomainNotFound, "www.example.com").required(["203.0.113.7"]);
        insta::assert_snapshot!(finding.sentence(Lang::En), @"www.example.com does not exist in DNS yet; the domain's owner must add an A record to 203.0.113.7");
    }
}
