//! The policy in force, the approval gate, and the API server's own admission policies.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;

use super::{Check, Observed, Report, Text, issuing, webhook};
use crate::{core::policy::GateMode, pki::x509};

/// At most so many namespaces are named.
const NAMED: usize = 5;
/// The policies that the chart may install, by the ends of their names.
const POLICIES: [&str; 6] = ["verified-hosts", "own-objects", "own-fields", "certificates", ORDERS, "gateways"];
/// The one that keeps Orders for cert-manager to write.
const ORDERS: &str = "orders";

/// Whether there is a policy, and it can be read.
pub(super) fn policy_file(observed: &Observed, report: &mut Report) {
    let name = format!("ConfigMap {}/{}", observed.names.namespace, observed.names.policy);
    match report.look(Check::Policy, &name, &observed.policy) {
        None => {}
        Some(None) => report.fail(
            Check::Policy,
            "PolicyMissing",
            Text::new(format!("there is no {name} with policy.yaml"), format!("没有包含 policy.yaml 的 {name}")),
            Text::new("upgrade the chart, or give the file by --policy", "请升级 chart，或用 --policy 指定文件"),
        ),
        Some(Some(Err(why))) => report.fail(
            Check::Policy,
            "PolicyInvalid",
            Text::new(
                format!("{why}; the policy before it stays in force until the next restart"),
                format!("{why}；重启之前仍沿用先前的策略"),
            ),
            Text::new(
                "fix the field that is named; docs/policy.md lists them all",
                "请修正所指字段；全部字段见 docs/policy.md",
            ),
        ),
        Some(Some(Ok(_))) => report.ok(Check::Policy, format!("{name} is valid"), format!("{name} 有效")),
    }
}

/// Whether the second gate is where policy wants it.
pub(super) fn approval(observed: &Observed, report: &mut Report) {
    let check = Check::ApprovalGate;
    let Some(policy) = observed.policy() else { return };
    let gated = policy.gate.mode != GateMode::Off;
    let name = format!("ValidatingWebhookConfiguration {}", observed.names.approval());
    let Some(seen) = report.look(check, &name, &observed.approval) else { return };
    let upgrade = || {
        Text::new(
            "upgrade the chart with policy.gate.mode as it is to be: it installs or removes the webhook",
            "请以期望的 policy.gate.mode 升级 chart：它会安装或移除该 Webhook",
        )
    };
    let Some(configuration) = seen else {
        if gated {
            let what = Text::new(
                format!("gate.mode is on, but there is no {name}: cert-manager approves at once"),
                format!("gate.mode 已开启，但没有 {name}：cert-manager 会立即批准"),
            );
            return report.fail(check, "ApprovalMissing", what, upgrade());
        }
        return report.ok(check, "off", "未开启");
    };
    if !gated {
        let what =
            Text::new(format!("gate.mode is off, but {name} is there"), format!("gate.mode 未开启，但存在 {name}"));
        return report.warn(check, "ApprovalLeft", what, upgrade());
    }
    for hook in configuration.webhooks.iter().flatten() {
        if hook.failure_policy.as_deref() != Some("Ignore") {
            let what = Text::new(
                format!(
                    "failurePolicy of {} is not Ignore: no certificate is issued while certgate is down",
                    hook.name
                ),
                format!("{} 的 failurePolicy 不是 Ignore：certgate 不可用时无法签发任何证书", hook.name),
            );
            report.fail(check, "FailurePolicyFail", what, upgrade());
        }
        let Some(chain) = observed.serving.get().and_then(|pem| x509::chain(pem).ok()) else { continue };
        let validity = chain.first().and_then(|leaf| x509::validity(leaf).ok());
        let moment: Timestamp = validity.map_or(observed.time(), |v| observed.time().clamp(v.not_before, v.not_after));
        webhook::trusted(&hook.name, &hook.client_config, &chain, observed, moment, check, report);
    }
    ungated(observed, report);
    if report.is_well(check) {
        report.ok(check, "on, and trusted", "已开启，且受信任");
    }
}

/// Whether the gate on all certificates can be walked around: cert-manager asks nobody about an Order.
fn ungated(observed: &Observed, report: &mut Report) {
    let check = Check::ApprovalGate;
    if observed.policy().is_none_or(|policy| policy.gate.mode != GateMode::All) {
        return;
    }
    let Some(bindings) = report.look(check, "ValidatingAdmissionPolicyBindings", &observed.bindings) else { return };
    let denies = |end: &str| {
        let name = format!("{}-{end}", observed.names.prefix);
        let specs = bindings.into_iter().flatten().filter_map(|binding| binding.spec.as_ref());
        let mut ours = specs.filter(|spec| spec.policy_name.as_ref() == Some(&name));
        ours.any(|spec| spec.validation_actions.iter().flatten().any(|action| action == "Deny"))
    };
    if denies(ORDERS) || denies("certificates") {
        return;
    }
    report.warn(
        check,
        "OrdersUngated",
        Text::new(
            "gate.mode is all, but Orders pass no gate: who may create them in a namespace may order there unchecked",
            "gate.mode 为 all，但 Order 不经过任何检查：能在命名空间中创建 Order 的人可直接下单",
        ),
        Text::new(
            "set admissionPolicy.ungated=deny (Kubernetes 1.30 and later), or take orders and challenges out of your \
             developers' roles: cert-manager adds them to edit and admin",
            "请设置 admissionPolicy.ungated=deny（Kubernetes 1.30 及以上），或从开发者角色中移除 orders 与 challenges：cert-manager 会将其加入 edit 与 admin",
        ),
    );
}

/// Whether there are namespaces in which Ingresses are held against nothing.
fn unguarded(observed: &Observed, report: &mut Report) {
    let check = Check::AdmissionPolicies;
    let (Some(Some(namespaces)), Some(guarded)) = (
        report.look(check, "Namespaces", &observed.namespaces),
        report.look(check, "VerifiedHosts", &observed.guarded),
    ) else {
        return;
    };
    let guarded = guarded.map_or(&[][..], Vec::as_slice);
    let exempt = |name: &String| {
        *name == observed.names.namespace || observed.policy().is_some_and(|policy| policy.excludes(name))
    };
    let open: Vec<&str> =
        namespaces.iter().filter(|name| !exempt(name) && !guarded.contains(name)).map(String::as_str).collect();
    if open.is_empty() {
        return;
    }
    let (count, first) = (open.len(), open.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "));
    report.warn(
        check,
        "NamespacesUnguarded",
        Text::new(
            format!("{count} namespaces have no VerifiedHosts, so that nothing is held there: {first}"),
            format!("{count} 个命名空间没有 VerifiedHosts，因而不受约束：{first}"),
        ),
        Text::new(
            "the controller makes one in each within a second: see that it leads, and its log",
            "控制器会在一秒内为每个命名空间创建：请确认有 Leader，并查看其日志",
        ),
    );
}

/// Whether a controller has VerifiedHosts tell of hosts first, everywhere.
fn guards(controller: &Deployment) -> bool {
    issuing::arguments(controller).iter().any(|argument| argument == "--guarded")
}

/// Whether admission policies are bound, and what the API server objects to in them.
pub(super) fn admission_policies(observed: &Observed, report: &mut Report) {
    let check = Check::AdmissionPolicies;
    let (Some(policies), Some(bindings)) = (
        report.look(check, "ValidatingAdmissionPolicies", &observed.admission_policies),
        report.look(check, "ValidatingAdmissionPolicyBindings", &observed.bindings),
    ) else {
        return;
    };
    let upgrade = || Text::new("upgrade the chart, which writes both", "请升级 chart，它会同时写入两者");
    let ours: Vec<String> = POLICIES.iter().map(|end| format!("{}-{end}", observed.names.prefix)).collect();
    let mut on = Vec::new();
    for name in &ours {
        let policy = policies.into_iter().flatten().find(|policy| policy.metadata.name.as_ref() == Some(name));
        let binding = (bindings.into_iter().flatten())
            .find(|binding| binding.spec.as_ref().and_then(|spec| spec.policy_name.as_ref()) == Some(name));
        match (policy, binding) {
            (None, None) => continue,
            (Some(_), None) => report.fail(
                check,
                "PolicyUnbound",
                Text::new(
                    format!("policy {name} has no binding, and so holds nothing"),
                    format!("策略 {name} 没有绑定，不起作用"),
                ),
                upgrade(),
            ),
            (None, Some(_)) => report.fail(
                check,
                "BindingWithoutPolicy",
                Text::new(
                    format!("a binding names policy {name}, which does not exist"),
                    format!("有绑定指向不存在的策略 {name}"),
                ),
                upgrade(),
            ),
            (Some(policy), Some(binding)) => {
                let actions = binding.spec.as_ref().and_then(|spec| spec.validation_actions.clone());
                on.push(format!("{name} ({})", actions.unwrap_or_default().join(", ")));
                let status = policy.status.as_ref().and_then(|status| status.type_checking.as_ref());
                let complaint = status.and_then(|checked| checked.expression_warnings.as_ref()?.first());
                if let Some(complaint) = complaint {
                    report.warn(
                        check,
                        "PolicyMistyped",
                        Text::new(
                            format!("the API server objects to {name}: {}", complaint.warning),
                            format!("API 服务器对 {name} 提出异议：{}", complaint.warning),
                        ),
                        Text::new(
                            "see the definitions above: the policy may be of another certgate than they are",
                            "请参见上面的资源定义检查：策略与定义可能来自不同版本的 certgate",
                        ),
                    );
                }
            }
        }
    }
    let holds = policies.into_iter().flatten().any(|policy| policy.metadata.name.as_ref() == ours.first());
    if holds && observed.controller.get().is_some_and(|controller| !guards(controller)) {
        report.fail(
            check,
            "NotGuarded",
            Text::new(
                "Ingresses are held against VerifiedHosts, but the controller runs without --guarded: namespaces without \
                 hosts are not held to it, and a write may be refused in the moment a host is verified",
                "Ingress 受 VerifiedHosts 约束，但控制器未带 --guarded 运行：没有域名的命名空间不受约束，且域名刚通过检查时的写入可能被拒绝",
            ),
            upgrade(),
        );
    }
    if holds && report.is_well(check) {
        unguarded(observed, report);
    }
    if report.is_well(check) {
        let list = if on.is_empty() { ("off".into(), "未开启".into()) } else { (on.join("; "), on.join("；")) };
        report.ok(check, list.0, list.1);
    }
}
