//! cert-manager, and the issuers that policy names.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{Check, Observed, Report, Seen, Text, server::is_established};
use crate::core::{
    finding::clean,
    issuer::IssuerFacts,
    policy::{IssuerKind, IssuerRef},
    text::touch,
};

/// The oldest cert-manager that certgate works with.
const OLDEST: (u64, u64) = (1, 17);
/// What cert-manager calls the controller that makes Certificates of Ingresses.
const INGRESS_SHIM: &str = "ingress-shim";
/// Classes whose gateways serve them without an IngressClass object.
const UNDECLARED: [&str; 1] = ["apisix"];
const INSTALL: &str = "https://cert-manager.io/docs/installation/";

/// Whether cert-manager is there, recent, running and listening to Ingresses.
pub(super) fn cert_manager(observed: &Observed, report: &mut Report) {
    let check = Check::CertManager;
    for (name, seen) in &observed.cert_manager_definitions {
        let Some(seen) = report.look(check, name, seen) else { continue };
        if !seen.is_some_and(is_established) {
            return report.fail(
                check,
                "CertManagerMissing",
                Text::new(
                    format!("cert-manager is not installed: there is no definition {name}"),
                    format!("未安装 cert-manager：缺少资源定义 {name}"),
                ),
                Text::new(format!("install 1.17 or later: {INSTALL}"), format!("请安装 1.17 或更高版本：{INSTALL}")),
            );
        }
    }
    let Some(seen) = report.look(check, "cert-manager's Deployment", &observed.cert_manager) else { return };
    let Some(deployment) = seen.and_then(|deployments| deployments.first()) else {
        return report.warn(
            check,
            "CertManagerNotFound",
            Text::new(
                "cert-manager's definitions are there, but no Deployment with the labels of its chart",
                "有 cert-manager 的资源定义，但没有带其 chart 标签的 Deployment",
            ),
            Text::new("see that its controller runs", "请确认其控制器正在运行"),
        );
    };
    let place = format!(
        "{}/{}",
        deployment.metadata.namespace.as_deref().unwrap_or_default(),
        deployment.metadata.name.as_deref().unwrap_or_default()
    );
    let version = version(deployment);
    match version.as_deref().and_then(numbers) {
        Some(numbers) if numbers < OLDEST => {
            let version = version.as_deref().map(clean).unwrap_or_default();
            report.fail(
                check,
                "CertManagerTooOld",
                Text::new(
                    format!("cert-manager {version} ({place}) is too old"),
                    format!("cert-manager {version}（{place}）版本过旧"),
                ),
                Text::new("upgrade it to 1.17 or later", "请升级到 1.17 或更高版本"),
            );
        }
        Some(_) => {}
        None => report.warn(
            check,
            "CertManagerVersionUnknown",
            Text::new(format!("the version of {place} cannot be told"), format!("无法得知 {place} 的版本")),
            Text::new("see that it is 1.17 or later", "请确认其为 1.17 或更高版本"),
        ),
    }
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    if ready == 0 {
        report.fail(
            check,
            "CertManagerNotReady",
            Text::new(
                format!("no replica of {place} is ready: nothing is issued"),
                format!("{place} 没有就绪的副本：无法签发"),
            ),
            Text::new("see its Pods and their log", "请查看其 Pod 与日志"),
        );
    }
    if !watches_ingresses(&arguments(deployment)) {
        report.fail(
            check,
            "IngressShimOff",
            Text::new(
                format!("--controllers of {place} leaves out {INGRESS_SHIM}: nobody orders for Ingresses"),
                format!("{place} 的 --controllers 未包含 {INGRESS_SHIM}：不会为 Ingress 申请证书"),
            ),
            Text::new(
                format!("add {INGRESS_SHIM} to --controllers"),
                format!("请在 --controllers 中加入 {INGRESS_SHIM}"),
            ),
        );
    }
    if report.is_well(check) {
        let version = version.unwrap_or_default();
        report.ok(check, format!("{version}, ready ({place})"), format!("{version}，就绪（{place}）"));
    }
}

/// The arguments of all containers.
pub(super) fn arguments(deployment: &Deployment) -> Vec<String> {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    spec.iter().flat_map(|spec| &spec.containers).flat_map(|c| c.args.iter().flatten().cloned()).collect()
}

fn version(deployment: &Deployment) -> Option<String> {
    let labels = deployment.metadata.labels.as_ref();
    let labelled = labels.and_then(|labels| labels.get("app.kubernetes.io/version")).cloned();
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let image = spec.and_then(|spec| spec.containers.first()?.image.as_deref());
    // A digest says nothing, and a registry's port is no tag.
    let tag = image.and_then(|image| image.split('@').next()?.rsplit('/').next()?.split_once(':'));
    labelled.or_else(|| tag.map(|(_, tag)| tag.to_owned()))
}

fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let major = parts.next()?.parse().ok()?;
    let minor: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

/// `--controllers` names what runs; `*` is all, `-name` all but that.
fn watches_ingresses(arguments: &[String]) -> bool {
    let Some(list) = arguments.iter().find_map(|argument| argument.strip_prefix("--controllers=")) else {
        return true;
    };
    let mut words = list.split(',').map(str::trim);
    !words.clone().any(|word| word.strip_prefix('-') == Some(INGRESS_SHIM))
        && words.any(|word| word == "*" || word == INGRESS_SHIM)
}

/// Whether the policy's issuers can issue.
pub(super) fn issuers(observed: &Observed, report: &mut Report) {
    let check = Check::Issuer;
    let Some(policy) = observed.policy() else { return };
    if policy.issuer.is_none() {
        report.warn(
            check,
            "IssuerUnset",
            Text::new(
                "policy names no issuer: hosts are held (IssuerUnset) where nothing else does",
                "策略未指定签发者：若别处也未指定，域名会暂缓签发（IssuerUnset）",
            ),
            Text::new("set policy.issuer.name to a ClusterIssuer", "请将 policy.issuer.name 设为一个 ClusterIssuer"),
        );
    }
    for (name, seen) in &observed.issuers {
        let Some(seen) = report.look(check, &name.to_string(), seen) else { continue };
        issuer(name, seen, report);
    }
    if report.is_well(check) {
        let ready: Vec<String> = observed.issuers.iter().map(|(name, _)| name.to_string()).collect();
        // One of a namespace's own, or of another controller's, is no single object that could be looked at.
        let others: Vec<String> =
            policy.issuers().filter(|name| !is_looked_at(name)).map(ToString::to_string).collect();
        let parts = |ready_word: &str, other_word: &str| {
            let part =
                |word: &str, names: &[String]| (!names.is_empty()).then(|| format!("{word}{}", names.join(", ")));
            [part(ready_word, &ready), part(other_word, &others)].into_iter().flatten().collect::<Vec<_>>()
        };
        report.ok(
            check,
            parts("ready: ", "not looked at, as each namespace has its own: ").join("; "),
            parts("就绪：", "未检查（各命名空间自有）：").join("；"),
        );
    }
}

fn issuer(name: &IssuerRef, seen: Option<&DynamicObject>, report: &mut Report) {
    let check = Check::Issuer;
    let Some(object) = seen else {
        return report.fail(
            check,
            "IssuerMissing",
            Text::new(
                format!("there is no {name}: hosts are held (IssuerMissing)"),
                format!("{name} 不存在：域名会暂缓签发（IssuerMissing）"),
            ),
            Text::new("create it, or name another in policy.issuer", "请创建它，或在 policy.issuer 中指定其他签发者"),
        );
    };
    let Some(facts) = facts(object) else {
        return report.warn(
            check,
            "IssuerUnreadable",
            Text::new(format!("{name} cannot be read"), format!("无法解析 {name}")),
            Text::new("see its definition", "请检查其定义"),
        );
    };
    let describe = Text::new(
        format!("see `kubectl describe {} {}`", name.kind.as_str().to_lowercase(), name.name),
        format!("请查看 `kubectl describe {} {}`", name.kind.as_str().to_lowercase(), name.name),
    );
    let message = clean(&facts.message);
    if facts.account_refusal().is_some() {
        let touch = touch(&name.to_string()).unwrap_or_default();
        return report.fail(
            check,
            "AccountRateLimited",
            Text::new(
                format!("the CA refused the ACME account of {name} for its limits: {message}"),
                format!("证书机构因速率限制拒绝了 {name} 的 ACME 账户：{message}"),
            ),
            Text::new(
                format!("once the time it names is over, edit the issuer, e.g. `{touch}`"),
                format!("在其所示时间之后修改该签发者，例如 `{touch}`"),
            ),
        );
    }
    match facts.ready {
        Some(true) => {}
        Some(false) => report.fail(
            check,
            "IssuerNotReady",
            Text::new(format!("{name} is not Ready: {message}"), format!("{name} 未就绪：{message}")),
            describe.clone(),
        ),
        None => report.fail(
            check,
            "IssuerNotReady",
            Text::new(format!("cert-manager has said nothing of {name} yet"), format!("cert-manager 尚未处理 {name}")),
            Text::new("see that cert-manager runs", "请确认 cert-manager 正在运行"),
        ),
    }
    if facts.ready == Some(true) && facts.acme.as_ref().is_some_and(|acme| acme.account_uri.is_none()) {
        report.fail(
            check,
            "AccountUnregistered",
            Text::new(
                format!("{name} has no ACME account registered (status.acme.uri is empty)"),
                format!("{name} 尚未注册 ACME 账户（status.acme.uri 为空）"),
            ),
            describe,
        );
    }
}

fn facts(object: &DynamicObject) -> Option<IssuerFacts> {
    let part = |name: &str| object.data.get(name).cloned().unwrap_or(Value::Null);
    serde_json::from_value(json!({ "spec": part("spec"), "status": part("status") })).ok()
}

/// Whether ACME issuers can have their challenges answered here.
pub(super) fn solvers(observed: &Observed, report: &mut Report) {
    let check = Check::Solver;
    let mut told = Vec::new();
    for (name, seen) in &observed.issuers {
        let Some(acme) = seen.get().and_then(|object| object.data.pointer("/spec/acme")) else { continue };
        let solvers = acme.get("solvers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if solvers.is_empty() {
            report.fail(
                check,
                "NoSolver",
                Text::new(
                    format!("{name} has no solver: no host can be validated"),
                    format!("{name} 没有 solver：无法验证任何域名"),
                ),
                Text::new(
                    "add an http01 or dns01 solver to spec.acme.solvers",
                    "请在 spec.acme.solvers 中添加 http01 或 dns01 solver",
                ),
            );
            continue;
        }
        for solver in solvers {
            if let Some(ingress) = solver.pointer("/http01/ingress") {
                http01(name, ingress, observed, report);
            }
        }
        let wildcards = solvers.iter().any(|solver| solver.get("dns01").is_some_and(|dns01| !dns01.is_null()));
        told.push((name.to_string(), wildcards));
    }
    if report.is_well(check) && !told.is_empty() {
        let (mut en, mut zh) = (Vec::new(), Vec::new());
        for (name, wildcards) in told {
            en.push(format!("{name}: {}", if wildcards { "wildcards too" } else { "no wildcards (no dns01)" }));
            zh.push(format!("{name}：{}", if wildcards { "含泛域名" } else { "不含泛域名（无 dns01）" }));
        }
        report.ok(check, en.join("; "), zh.join("；"));
    }
}

/// Whether a gateway will see the Ingress that answers a challenge.
fn http01(name: &IssuerRef, ingress: &Value, observed: &Observed, report: &mut Report) {
    let check = Check::Solver;
    let word = |field: &str| ingress.get(field).and_then(Value::as_str).filter(|word| !word.is_empty());
    let Some(classes) = report.look(check, "IngressClasses", &observed.classes) else { return };
    let classes = classes.map_or(&[][..], Vec::as_slice);
    match (word("ingressClassName").or_else(|| word("class")), word("name")) {
        // Edits an Ingress that is there.
        (_, Some(_)) => {}
        (Some(class), None) => {
            let known = classes.iter().any(|known| known.metadata.name.as_deref() == Some(class));
            if !known && !UNDECLARED.contains(&class) {
                report.warn(
                    check,
                    "SolverClassUnknown",
                    Text::new(
                        format!("{name} answers http01 challenges by class {class}, and there is no such IngressClass"),
                        format!("{name} 使用 IngressClass {class} 应答 http01 验证，但找不到它"),
                    ),
                    Text::new(
                        "name the class of your gateway in http01.ingress.ingressClassName",
                        "请在 http01.ingress.ingressClassName 中填写网关的 IngressClass",
                    ),
                );
            }
        }
        // Rainbond 5's gateway serves what has no class.
        (None, None) if observed.is_rainbond_5() => {}
        (None, None) => {
            let default = classes.iter().any(|class| {
                let annotations = class.metadata.annotations.as_ref();
                let mark = annotations.and_then(|all| all.get("ingressclass.kubernetes.io/is-default-class"));
                mark.is_some_and(|mark| mark == "true")
            });
            if !default {
                report.warn(
                    check,
                    "SolverClassUnset",
                    Text::new(
                        format!(
                            "{name} answers http01 challenges by Ingresses without a class, and no class is the default"
                        ),
                        format!(
                            "{name} 用不指定 IngressClass 的 Ingress 应答 http01 验证，而集群没有默认的 IngressClass"
                        ),
                    ),
                    Text::new(
                        "name the class of your gateway in http01.ingress.ingressClassName",
                        "请在 http01.ingress.ingressClassName 中填写网关的 IngressClass",
                    ),
                );
            }
        }
    }
}

/// What is looked at of a policy's issuers: those that are one object, of cert-manager's own.
pub(super) fn is_looked_at(issuer: &IssuerRef) -> bool {
    issuer.is_builtin() && issuer.kind == IssuerKind::ClusterIssuer
}

/// Whether cert-manager itself labels what answers challenges as Rainbond's.
pub(super) fn labels_solvers(cert_manager: &Seen<Vec<Deployment>>) -> bool {
    let deployments = cert_manager.get().map_or(&[][..], Vec::as_slice);
    deployments.iter().flat_map(arguments).any(|argument| {
        argument
            .strip_prefix("--acme-http01-solver-extra-labels=")
            .is_some_and(|labels| labels.split(',').any(|label| label.trim() == "creator=Rainbond"))
    })
}
