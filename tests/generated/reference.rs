//! Reference pages, made from the code that they describe.

use certgate::core::{
    finding::{Finding, Lang},
    reason::{Reason, WhoActs},
    text,
};
use serde_json::Value;

/// `docs/policy.md`.
pub(crate) fn policy(schema: &Value) -> String {
    let mut page = String::from(
        "# Policy file\n\n\
         Generated from the code by `make manifests`. The JSON schema for editors is [policy.schema.json](policy.schema.json), \
         also printed by `certgate schema`.\n\n\
         The file is YAML and strict: an unknown field, a wrong type or a value that makes no sense is refused with line, \
         column and remedy. Everything has a default; an empty file is a policy. A running certgate follows changes to the \
         file within seconds; an unusable edit is logged and counted, and the policy before it stays in force.\n",
    );
    table(&mut page, "Top level", schema);
    let mut definitions: Vec<_> = schema["$defs"].as_object().unwrap().iter().collect();
    definitions.sort_by_key(|(name, _)| name.as_str());
    for (name, definition) in &definitions {
        if definition["properties"].is_object() {
            table(&mut page, name, definition);
        }
    }
    page.push_str("\n## Words\n");
    for (name, definition) in &definitions {
        if definition["properties"].is_object() {
            continue;
        }
        page.push_str(&format!("\n### {name}\n\n{}\n\n", line(&definition["description"])));
        for choice in choices(definition) {
            page.push_str(&choice);
        }
    }
    page
}

/// One row a field.
fn table(page: &mut String, title: &str, object: &Value) {
    page.push_str(&format!("\n## {title}\n\n{}\n\n", line(&object["description"])));
    page.push_str("| field | type | default | |\n|---|---|---|---|\n");
    let required: Vec<_> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in object["properties"].as_object().unwrap() {
        let default = match field.get("default") {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            None | Some(Value::Null) => String::new(),
            // Its own table has them one by one.
            Some(Value::Object(of)) if !of.is_empty() => String::new(),
            Some(default) => format!("`{default}`"),
        };
        page.push_str(&format!("| `{name}` | {} | {default} | {} |\n", kind(field), line(&field["description"])));
    }
}

/// A field's type in words.
fn kind(field: &Value) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(options) = field["anyOf"].as_array() {
        let names: Vec<_> = options.iter().filter(|option| option["type"] != "null").map(kind).collect();
        return names.join(" or ");
    }
    let name = match &field["type"] {
        Value::Array(types) => {
            types.iter().find(|of| *of != "null").unwrap_or(&Value::Null).as_str().unwrap_or_default()
        }
        of => of.as_str().unwrap_or_default(),
    };
    match name {
        "array" => format!("list of {}", kind(&field["items"])),
        "object" => format!("map to {}", kind(&field["additionalProperties"])),
        "string" if field["format"].is_string() => "address".to_owned(),
        "string" => "text".to_owned(),
        "number" | "integer" => "number".to_owned(),
        other => other.to_owned(),
    }
}

/// The values of an enum, a line each.
fn choices(definition: &Value) -> Vec<String> {
    let options = definition["oneOf"].as_array().or_else(|| definition["anyOf"].as_array());
    options
        .into_iter()
        .flatten()
        .map(|option| match option["const"].as_str() {
            Some(word) => format!("- `{word}`: {}\n", line(&option["description"])),
            None => format!("- any other text: {}\n", line(&option["description"])),
        })
        .collect()
}

/// A description on one line, fit for a table.
fn line(description: &Value) -> String {
    let words: Vec<_> = description.as_str().unwrap_or_default().split_whitespace().collect();
    words.join(" ").replace('|', "\\|").replace("[`", "`").replace("`]", "`")
}

/// `docs/reasons.md`.
pub(crate) fn reasons() -> String {
    let mut page = String::from(
        "# Reasons\n\n\
         Generated from the code by `make manifests`. Every host that certgate looks at has one of these: in the conditions of \
         its Domain, in Events, in metrics (`reason`) and on the command line. The sentences below are samples: a real one \
         names the records that were seen.\n\n\
         | reason | what is so | who acts | the host is |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        page.push_str(&format!(
            "| [`{reason}`](#{}) | {} | {} | {} |\n",
            reason.as_str().to_lowercase(),
            reason.meaning().replace('|', "\\|"),
            text::who(reason.who_acts(), Lang::En),
            state(*reason),
        ));
    }
    page.push_str("\n## What certgate says\n");
    for reason in Reason::ALL {
        let finding = sample(*reason);
        page.push_str(&format!(
            "\n### {reason}\n\n> {}\n>\n> {}\n",
            finding.sentence(Lang::En),
            finding.sentence(Lang::ZhCn)
        ));
        if reason.who_acts() != WhoActs::Nobody {
            page.push_str(&format!(
                "\nActs: {} · {}\n",
                text::who(reason.who_acts(), Lang::En),
                text::who(reason.who_acts(), Lang::ZhCn)
            ));
        }
    }
    page
}

fn state(reason: Reason) -> &'static str {
    use certgate::core::reason::Action;
    match reason.action() {
        Action::Inject => "served or being issued",
        Action::Hold => "held: no order is made",
        Action::Skip => "left alone",
        Action::Withdraw => "withdrawn",
    }
}

fn sample(reason: Reason) -> Finding {
    let of = |subject: &str, observed: &[&str], note: &str| Finding::new(reason, subject).observed(observed).note(note);
    let host = "www.example.com";
    match reason {
        Reason::ChangesReverted => of("shop", &["argocd-controller"], ""),
        Reason::GatewayNameBroken => of(host, &["NXDOMAIN"], "gateway.example.net"),
        Reason::GatewayNotPublic => of(host, &["10.0.0.10"], ""),
        Reason::ResolverUnreachable | Reason::ResolverRefuses => of(host, &["10.96.0.10:53"], ""),
        Reason::ResolverFaulty => of(host, &["10.96.0.10:53"], "NXDOMAIN"),
        Reason::ResolverNotValidating => of(host, &["10.96.0.10:53"], "dnssec-failed.org; example.com"),
        Reason::RegistryFailure => of(host, &["SERVFAIL"], "com CAA: SERVFAIL"),
        Reason::LameDelegation => of("example.com", &["ns1.example.net: REFUSED", "ns2.example.net: REFUSED"], ""),
        Reason::CnameTargetFailure => of(host, &["shops.example.net"], "SERVFAIL"),
        Reason::CaaForbids => of(host, &["0 issue \"ca.example\""], "example.com")
            .required(["example.com. CAA 0 issue \"letsencrypt.org\""]),
        Reason::HttpBlocked => of(host, &["203.0.113.7"], "203.0.113.7: 403 (Beaver)"),
        Reason::HttpBadRedirect => of(
            host,
            &["203.0.113.7"],
            "203.0.113.7: redirected to https://www.example.com: 203.0.113.7:443: connection refused",
        ),
        Reason::HostInvalid => of("www..example.com", &[], ""),
        Reason::DomainMisnamed => of(host, &[], "").required([host]),
        Reason::HostIsIpAddress => of("203.0.113.7", &[], ""),
        Reason::NotPublicName => of("shop.internal", &[], ""),
        Reason::IsPublicSuffix => of("com.cn", &[], ""),
        Reason::PlatformDomain => of("80.shop.grapps.cn", &[], ""),
        Reason::WildcardNeedsDns01 => of("*.example.com", &[], ""),
        Reason::GatewayManglesHost => of("tls.example.com", &[], ""),
        Reason::IssuerMissing => of(host, &[], "ClusterIssuer/letsencrypt"),
        Reason::AccountRateLimited => {
            let limit = "too many new registrations (10) from this IP address in the last 3h0m0s";
            of(host, &["ClusterIssuer/letsencrypt", limit], "2026-11-25 13:38 UTC")
        }
        Reason::SecretNameTaken => of(host, &[], "certgate-www.example.com"),
        Reason::RateLimited => of(host, &["certificates-per-domain", "example.com"], "2026-11-25 13:38 UTC"),
        Reason::CnameLoop => of(host, &[host, "shop.example.com"], "").required(["203.0.113.7"]),
        Reason::CnameDangling => of(host, &[], "shop.example.net").required(["203.0.113.7"]),
        Reason::ReservedAddress => of(host, &["192.168.1.10"], "").required(["203.0.113.7"]),
        Reason::WrongIpv6 => of(host, &["2600:1f18::9"], ""),
        Reason::WrongCname => of(host, &["shop.example.net"], "").required(["gateway.example.org"]),
        Reason::ServersDisagree => of(host, &["ns1.example.com: 198.51.100.9", "ns2.example.com: 203.0.113.7"], ""),
        Reason::CaaUnknownCritical => of(host, &["128 tbs \"unknown\""], "example.com"),
        Reason::CaaOtherAccount => {
            let account = |number: u32| {
                format!("letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/{number}")
            };
            let seen = format!("0 issue \"{}\"", account(1));
            of(host, &[&seen], "example.com").required([format!("example.com. CAA 0 issue \"{}\"", account(2))])
        }
        Reason::CaaOtherMethod => of(host, &["0 issue \"letsencrypt.org; validationmethods=dns-01\""], "example.com")
            .required(["example.com. CAA 0 issue \"letsencrypt.org; validationmethods=http-01\""]),
        Reason::ChallengeCnameBroken => of(host, &["acme.example.net"], ""),
        Reason::BoundExisting => of(host, &[], "shop-tls"),
        Reason::Issued => of(host, &[], "2027-02-22"),
        Reason::RenewalAtRisk => of(host, &[], "").because(sample(Reason::WrongTarget)),
        Reason::CaRateLimited => {
            let limit = "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s";
            of(host, &[limit], "2026-11-25 13:38 UTC")
        }
        Reason::CertificateLeftOver => of(host, &[], "www.example.comp-ps-s"),
        _ => of(host, &["198.51.100.9"], "").required(["203.0.113.7"]),
    }
}
