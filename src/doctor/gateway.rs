//! The way from outside and to outside: the gateway's addresses, DNS resolvers, network policies, Rainbond.

use k8s_openapi::{
    api::networking::v1::{NetworkPolicy, NetworkPolicyPort},
    apimachinery::pkg::util::intstr::IntOrString,
};

use serde::Deserialize;

use super::{Check, Observed, Report, Text, issuing, observed::Resolvers};
use crate::{
    cluster::gateway::{of_rainbond, of_service, target},
    core::{finding::clean, policy::Target, verdict::reserved},
    dns::Manner,
};

/// Whether it is known where domains must lead, and whether a CA can reach it.
pub(super) fn addresses(observed: &Observed, report: &mut Report) {
    let check = Check::Gateway;
    let Some(policy) = observed.policy() else { return };
    let gateway = &policy.gateway;
    let set = || {
        Text::new(
            "set policy.gateway.addresses to the public addresses at which the gateway is reached",
            "请将 policy.gateway.addresses 设为网关的公网地址",
        )
    };
    let mut found = Vec::new();
    if let Some(service) = &gateway.service {
        let name = format!("Service {}/{}", service.namespace, service.name);
        match report.look(check, &name, &observed.gateway_service) {
            Some(Some(seen)) => found.push(of_service(seen)),
            Some(None) => report.fail(
                check,
                "GatewayServiceMissing",
                Text::new(format!("there is no {name}"), format!("找不到 {name}")),
                Text::new("fix policy.gateway.service", "请修正 policy.gateway.service"),
            ),
            None => {}
        }
    }
    if gateway.rainbond {
        match report.look(check, "RainbondCluster rainbondcluster", &observed.rainbond_cluster) {
            Some(Some(seen)) => found.push(of_rainbond(seen)),
            Some(None) => report.warn(
                check,
                "RainbondClusterMissing",
                Text::new(
                    "policy.gateway.rainbond is on, but there is no RainbondCluster",
                    "policy.gateway.rainbond 已开启，但没有 RainbondCluster",
                ),
                set(),
            ),
            None => {}
        }
    }
    let target = target(policy, found.iter());
    let addresses: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
    let hidden: Vec<String> =
        target.addresses.iter().filter(|ip| reserved(**ip).is_some()).map(ToString::to_string).collect();
    if gateway.target == Target::AnyPublic {
        return report.ok(check, "any public address counts (any-public)", "任意公网地址均可（any-public）");
    }
    if gateway.target == Target::Cname && target.cnames.is_empty() {
        return report.fail(
            check,
            "NoGatewayName",
            Text::new(
                "gateway.target is cname, but no name is known: hosts are held (NoGatewayAddress)",
                "gateway.target 为 cname，但没有已知的名称：域名会暂缓签发（NoGatewayAddress）",
            ),
            Text::new("set policy.gateway.cnames", "请设置 policy.gateway.cnames"),
        );
    }
    if addresses.is_empty() && target.cnames.is_empty() {
        if gateway.ingress_status {
            return report.ok(check, "each Ingress' own status tells", "由各 Ingress 自身的 status 提供");
        }
        return report.fail(
            check,
            "NoGatewayAddress",
            Text::new(
                "it is not known where the gateway is reached: hosts are held (NoGatewayAddress)",
                "尚不知道网关的对外地址：域名会暂缓签发（NoGatewayAddress）",
            ),
            set(),
        );
    }
    if !hidden.is_empty() && !gateway.allow_reserved {
        let all = hidden.len() == addresses.len() && target.cnames.is_empty();
        let list = hidden.join(", ");
        let what = Text::new(
            format!("{list}: not public, so that no CA connects there, and no domain that points there passes"),
            format!("{list} 不是公网地址：证书机构不会连接，指向它们的域名也无法通过检查"),
        );
        if all {
            report.fail(check, "GatewayPrivate", what, set());
        } else {
            report.warn(check, "GatewayPartlyPrivate", what, set());
        }
    }
    names(observed, gateway.allow_reserved, report);
    if report.is_well(check) {
        let all: Vec<String> = addresses.into_iter().chain(target.cnames).map(|one| clean(&one)).collect();
        report.ok(check, all.join(", "), all.join("、"));
    }
}

/// Whether the gateway's own names lead anywhere that a CA reaches.
fn names(observed: &Observed, allow_reserved: bool, report: &mut Report) {
    let check = Check::Gateway;
    for (name, found) in &observed.gateway_names.each {
        let name = clean(name);
        let (fault, what) = match found {
            Ok(addresses) if allow_reserved || addresses.iter().any(|ip| reserved(*ip).is_none()) => continue,
            Ok(addresses) => {
                let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let en = format!(
                    "the gateway's name {name} leads to private addresses alone ({list}), to which no CA connects"
                );
                (
                    "GatewayNamePrivate",
                    Text::new(en, format!("网关的域名 {name} 只指向非公网地址（{list}），证书机构无法连接")),
                )
            }
            // What the resolver does not answer is told of where resolvers are looked at.
            Err(why) if !["NXDOMAIN", "NODATA", "SERVFAIL"].contains(&why.as_str()) => continue,
            Err(why) => {
                let en = format!(
                    "the gateway's name {name} has no address in DNS ({why}): every domain that points to it is held"
                );
                (
                    "GatewayNameBroken",
                    Text::new(en, format!("网关的域名 {name} 在 DNS 中没有地址（{why}）：指向它的域名都会被暂缓")),
                )
            }
        };
        let remedy = Text::new(
            "repair its DNS record, or correct policy.gateway.cnames",
            "请修复其解析记录，或修正 policy.gateway.cnames",
        );
        if observed.gateway_names.by_pods_resolvers {
            report.fail(check, fault, what, remedy);
        } else {
            report.warn(check, fault, what, remedy);
        }
    }
}

/// Whether the resolvers that checks ask answer, and as resolvers should.
pub(super) fn resolvers(observed: &Observed, report: &mut Report) {
    let check = Check::Resolver;
    let Resolvers::Asked { inside, answers } = &observed.resolvers else {
        return report.ok(
            check,
            "the Pods' own, which cannot be asked from here; a host held by ResolverUnreachable would tell",
            "使用 Pod 自身的解析器，无法从此处测试；若其不可用，会有域名因 ResolverUnreachable 暂缓签发",
        );
    };
    let private = observed.policy().is_some_and(|policy| policy.gateway.allow_reserved);
    for (server, outcome) in answers {
        let why = match outcome {
            Ok(manner) => {
                manners(server, manner, private, report);
                continue;
            }
            Err(why) => why,
        };
        let why = clean(why);
        let remedy = Text::new(
            "see policy.dns.servers, networkPolicy.dnsPorts and the cluster's way out (UDP and TCP)",
            "请检查 policy.dns.servers、networkPolicy.dnsPorts 与集群出网（UDP 与 TCP）",
        );
        if *inside {
            let what = Text::new(format!("{server} does not answer: {why}"), format!("{server} 没有应答：{why}"));
            report.fail(check, "ResolverUnreachable", what, remedy);
        } else {
            let what = Text::new(
                format!("{server} does not answer from here: {why}; the Pods may reach it all the same"),
                format!("从此处访问 {server} 没有应答：{why}；Pod 中或许可以访问"),
            );
            report.warn(check, "ResolverUnreachable", what, remedy);
        }
    }
    if report.is_well(check) {
        let list: Vec<String> = answers
            .iter()
            .filter_map(|(server, seen)| Some((server, seen.as_ref().ok()?)))
            .map(|(server, manner)| format!("{server} ({} ms)", manner.took.as_millis()))
            .collect();
        report.ok(check, format!("answering: {}", list.join(", ")), format!("有应答：{}", list.join("、")));
    }
}

/// What is wrong with a resolver that answers.
fn manners(server: &str, manner: &Manner, private: bool, report: &mut Report) {
    let check = Check::Resolver;
    if manner.denies && !private {
        report.fail(
            check,
            "ResolverFaulty",
            Text::new(
                format!("{server} says that com does not exist, so it knows nothing of the public DNS: hosts are held"),
                format!("{server} 称 com 不存在，即无法解析公网域名：域名会暂缓签发"),
            ),
            Text::new(
                "name resolvers of the public DNS in policy.dns.servers",
                "请在 policy.dns.servers 中指定可解析公网域名的解析器",
            ),
        );
    } else if manner.validates == Some(false) {
        report.warn(
            check,
            "ResolverNotValidating",
            Text::new(
                format!(
                    "{server} does not validate DNSSEC: it answers for policy.dns.bogusName, whose signatures are wrong; \
                     hosts of signed domains are held (ResolverNotValidating)"
                ),
                format!(
                    "{server} 不验证 DNSSEC：对签名有误的 policy.dns.bogusName 仍给出应答；启用了 DNSSEC 的域名会暂缓签发（ResolverNotValidating）"
                ),
            ),
            Text::new(
                "name validating resolvers in policy.dns.servers, or switch validation on",
                "请在 policy.dns.servers 中指定会验证 DNSSEC 的解析器，或为其开启验证",
            ),
        );
    }
}

/// What APISIX listens on, of its configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ApisixConfig {
    apisix: ApisixListens,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ApisixListens {
    node_listen: Option<OneOrMany>,
}

/// As APISIX takes it: a port, or several, each alone or with more about it.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u16),
    Many(Vec<Listen>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listen {
    Port(u16),
    Full { port: u16 },
}

/// The ports of plain HTTP that an APISIX configuration names; `None`: it names none, or cannot be read.
fn plain_ports(file: &str) -> Option<Vec<u16>> {
    let config: ApisixConfig = serde_saphyr::from_str(file).ok()?;
    Some(match config.apisix.node_listen? {
        OneOrMany::One(port) => vec![port],
        OneOrMany::Many(each) => each
            .into_iter()
            .map(|listen| match listen {
                Listen::Port(port) | Listen::Full { port } => port,
            })
            .collect(),
    })
}

/// Whether Rainbond 6's gateway still listens where the CA comes to.
pub(super) fn apisix_ports(observed: &Observed, report: &mut Report) {
    let Some((namespace, file)) = observed.apisix_config.get() else { return };
    let Some(ports) = plain_ports(file).filter(|ports| !ports.contains(&80)) else { return };
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    report.warn(
        Check::Rainbond,
        "GatewayPortMoved",
        Text::new(
            format!(
                "Rainbond's gateway listens on {list} for HTTP and not on 80 (ConfigMap {namespace}/apisix-gw-config.yaml): the \
                 CA fetches an http01 challenge from port 80 of the public address, whatever else is open"
            ),
            format!(
                "Rainbond 网关的 HTTP 监听端口为 {list}，没有 80（ConfigMap {namespace}/apisix-gw-config.yaml）：证书机构的 http01 验证只访问公网地址的 80 端口"
            ),
        ),
        Text::new(
            "have the gateway listen on 80 again, or forward port 80 of the public address to it, or use an issuer with dns01",
            "请让网关重新监听 80 端口，或将公网地址的 80 端口转发到它，或改用 dns01 的签发者",
        ),
    );
}

/// Whether certgate's own network policies let it reach what it must.
pub(super) fn network(observed: &Observed, report: &mut Report) {
    let check = Check::NetworkPolicy;
    let Some(policies) = report.look(check, "NetworkPolicies", &observed.network_policies) else { return };
    let own = [observed.names.service(), observed.names.controller()];
    let ours: Vec<&NetworkPolicy> = (policies.into_iter().flatten())
        .filter(|policy| policy.metadata.name.as_ref().is_some_and(|name| own.contains(name)))
        .collect();
    if ours.is_empty() {
        return report.ok(check, "none of the chart's", "未开启 chart 的网络策略");
    }
    let Some(slices) = report.look(check, "the API server's EndpointSlice", &observed.api_endpoints) else { return };
    let ports: Vec<i32> = (slices.into_iter().flatten())
        .flat_map(|slice| slice.ports.iter().flatten().filter_map(|port| port.port))
        .collect();
    let dns: Vec<i32> = observed.policy().map_or_else(Vec::new, |policy| {
        let port = |server: &String| crate::dns::parse_server(server, 53).map(|address| i32::from(address.port()));
        policy.dns.servers.iter().filter_map(port).collect()
    });
    for policy in ours {
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        let shut = |wanted: &[i32], protocol| wanted.iter().find(|port| !lets_out(policy, **port, protocol)).copied();
        if let Some(port) = shut(&ports, "TCP") {
            report.fail(
                check,
                "ApiServerPortShut",
                Text::new(
                    format!("the API server listens on port {port}, which NetworkPolicy {name} does not let through"),
                    format!("API 服务器监听 {port} 端口，而 NetworkPolicy {name} 未放行"),
                ),
                Text::new(
                    format!("add {port} to networkPolicy.apiServerPorts"),
                    format!("请在 networkPolicy.apiServerPorts 中加入 {port}"),
                ),
            );
        }
        if let Some(port) = shut(&dns, "UDP").filter(|_| name == observed.names.controller()) {
            report.fail(
                check,
                "DnsPortShut",
                Text::new(
                    format!("policy.dns.servers names port {port}, which NetworkPolicy {name} does not let through"),
                    format!("policy.dns.servers 使用 {port} 端口，而 NetworkPolicy {name} 未放行"),
                ),
                Text::new(
                    format!("add {port} to networkPolicy.dnsPorts"),
                    format!("请在 networkPolicy.dnsPorts 中加入 {port}"),
                ),
            );
        }
    }
    if report.is_well(check) {
        report.ok(check, "it lets through the API server and DNS", "已放行 API 服务器与 DNS");
    }
}

/// Whether a policy lets packets out to a port of somewhere.
fn lets_out(policy: &NetworkPolicy, port: i32, protocol: &str) -> bool {
    let fits = |rule: &NetworkPolicyPort| {
        rule.protocol.as_deref().unwrap_or("TCP") == protocol
            && match (&rule.port, rule.end_port) {
                (None, _) => true,
                (Some(IntOrString::Int(first)), last) => (*first..=last.unwrap_or(*first)).contains(&port),
                (Some(IntOrString::String(_)), _) => false,
            }
    };
    let rules = policy.spec.as_ref().and_then(|spec| spec.egress.as_deref()).unwrap_or_default();
    rules.iter().any(|rule| rule.ports.as_ref().is_none_or(|ports| ports.iter().any(fits)))
}

/// Whether Rainbond's own gateway sees what answers challenges.
pub(super) fn rainbond(observed: &Observed, report: &mut Report) {
    let check = Check::Rainbond;
    if observed.apisix.get().is_some() {
        return report.ok(
            check,
            "APISIX is here: Ingresses of class apisix get their TLS entry once the Secret is there",
            "检测到 APISIX：类为 apisix 的 Ingress 会在 Secret 就绪后才绑定 TLS",
        );
    }
    if !observed.is_rainbond_5() {
        return;
    }
    let webhooks = observed.configuration.get().and_then(|seen| seen.webhooks.as_deref()).unwrap_or_default();
    let sees_services = webhooks.iter().any(|webhook| {
        let rules = webhook.rules.iter().flatten();
        rules.into_iter().any(|rule| rule.resources.iter().flatten().any(|resource| resource == "services"))
    });
    if sees_services || issuing::labels_solvers(&observed.cert_manager) {
        return report.ok(
            check,
            "Rainbond 5: what answers challenges is labelled for its gateway",
            "Rainbond 5：应答验证的对象带有其网关所需的标签",
        );
    }
    report.fail(
        check,
        "SolverUnlabelled",
        Text::new(
            "Rainbond 5 is here, whose gateway sees only what is labelled creator=Rainbond; the Services that answer \
             http01 challenges get no such label",
            "检测到 Rainbond 5，其网关只识别带 creator=Rainbond 标签的对象；而应答 http01 验证的 Service 没有该标签",
        ),
        Text::new(
            "set webhook.solverServices=true (values-rainbond-v5.yaml), or give cert-manager 1.21 or later \
             --acme-http01-solver-extra-labels=creator=Rainbond",
            "请设置 webhook.solverServices=true（见 values-rainbond-v5.yaml），或为 cert-manager 1.21 及以上版本添加 \
             --acme-http01-solver-extra-labels=creator=Rainbond",
        ),
    );
}
