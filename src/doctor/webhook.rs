//! The webhook: how it is configured, whether it is trusted, and whether it answers.

use jiff::Timestamp;
use k8s_openapi::{
    api::admissionregistration::v1::{MutatingWebhook, RuleWithOperations, WebhookClientConfig},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use rustls_pki_types::CertificateDer;

use super::{Check, Observed, Report, Text, observed::Trial};
use crate::{admission::handler::MUTATE_PATH, core::finding::clean, pki::x509};

/// The longest that the API server may wait for an answer, in seconds: an Ingress write waits with it.
const LONGEST_TIMEOUT: i32 = 2;
/// What the chart has the webhook called for.
const LOOKED_AT: [&str; 2] = ["ingresses", "services"];
/// A certificate with less than this left should have been renewed: seconds.
const NEARLY_OVER: i64 = 24 * 60 * 60;
/// An answer that takes longer is worth a word: milliseconds, for the write in all.
const SLOW: u64 = 1_000;

/// What answers must be of certgate: its warnings begin so.
const SIGNATURE: &str = "certgate: ";

/// Whether the API server is told to call the webhook, and without risk.
pub(super) fn configuration(observed: &Observed, report: &mut Report) {
    let name = &observed.names.prefix;
    let check = Check::WebhookConfiguration;
    let named = format!("MutatingWebhookConfiguration {name}");
    let Some(seen) = report.look(check, &named, &observed.configuration) else { return };
    let webhooks = seen.and_then(|seen| seen.webhooks.as_deref()).unwrap_or_default();
    let upgrade = Text::new("upgrade the chart, which writes it anew", "请升级 chart，它会重新写入");
    let Some(webhook) = webhooks.iter().find(|webhook| sees_ingresses(webhook)) else {
        let what = match seen {
            None => Text::new(
                format!("there is no {named}: Ingresses pass unseen"),
                format!("没有 {named}：Ingress 不会被处理"),
            ),
            Some(_) => Text::new(
                format!("{named} does not cover CREATE and UPDATE of Ingresses"),
                format!("{named} 未涵盖 Ingress 的 CREATE 与 UPDATE"),
            ),
        };
        let fault = if seen.is_none() { "ConfigurationMissing" } else { "ScopeWrong" };
        return report.fail(check, fault, what, upgrade);
    };
    let hook = &webhook.name;
    if webhook.failure_policy.as_deref() != Some("Ignore") {
        report.fail(
            check,
            "FailurePolicyFail",
            Text::new(
                format!("failurePolicy of {hook} is not Ignore: no Ingress can be written while certgate is down"),
                format!("{hook} 的 failurePolicy 不是 Ignore：certgate 不可用时将无法写入 Ingress"),
            ),
            upgrade.clone(),
        );
    }
    // 10 is what the API server takes where nothing is said.
    let timeout = webhook.timeout_seconds.unwrap_or(10);
    if timeout > LONGEST_TIMEOUT {
        report.fail(
            check,
            "TimeoutTooLong",
            Text::new(
                format!("timeoutSeconds of {hook} is {timeout}: writes wait that long while certgate does not answer"),
                format!("{hook} 的 timeoutSeconds 为 {timeout}：certgate 无应答时写入会等待这么久"),
            ),
            Text::new("set webhook.timeoutSeconds to 1 or 2", "请将 webhook.timeoutSeconds 设为 1 或 2"),
        );
    }
    if webhook.side_effects != "None" {
        report.fail(
            check,
            "SideEffects",
            Text::new(
                format!("sideEffects of {hook} is {}: dry runs are refused", clean(&webhook.side_effects)),
                format!("{hook} 的 sideEffects 为 {}：试运行（dry run）会被拒绝", clean(&webhook.side_effects)),
            ),
            upgrade.clone(),
        );
    }
    scope(observed, webhook, report);
    if webhook.reinvocation_policy.as_deref() != Some("IfNeeded") {
        report.warn(
            check,
            "NotReinvoked",
            Text::new(
                format!("reinvocationPolicy of {hook} is not IfNeeded: what later webhooks change goes unseen"),
                format!("{hook} 的 reinvocationPolicy 不是 IfNeeded：之后的 Webhook 所做的修改不会被看到"),
            ),
            upgrade.clone(),
        );
    }
    let target = webhook.client_config.service.as_ref();
    let reaches = target.is_some_and(|service| {
        service.namespace == observed.names.namespace
            && service.name == observed.names.service()
            && service.path.as_deref() == Some(MUTATE_PATH)
    });
    if !reaches {
        let found = target.map_or_else(
            || clean(webhook.client_config.url.as_deref().unwrap_or_default()),
            |service| format!("{}/{}{}", service.namespace, service.name, service.path.as_deref().unwrap_or_default()),
        );
        let wanted = format!("{}/{}{MUTATE_PATH}", observed.names.namespace, observed.names.service());
        report.fail(
            check,
            "WrongTarget",
            Text::new(format!("{hook} calls {found}, not {wanted}"), format!("{hook} 调用的是 {found}，而非 {wanted}")),
            upgrade,
        );
    }
    if report.is_well(check) {
        report.ok(check, format!("{hook}, Ignore, {timeout} s"), format!("{hook}，Ignore，{timeout} 秒"));
    }
}

/// Whether a webhook is for all writes of Ingresses.
fn sees_ingresses(webhook: &MutatingWebhook) -> bool {
    let covers = |rule: &RuleWithOperations, operation: &str| {
        let has =
            |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|entry| entry == word || entry == "*");
        has(&rule.api_groups, "networking.k8s.io")
            && has(&rule.api_versions, "v1")
            && has(&rule.resources, "ingresses")
            && has(&rule.operations, operation)
    };
    let rules = webhook.rules.as_deref().unwrap_or_default();
    ["CREATE", "UPDATE"].iter().all(|operation| rules.iter().any(|rule| covers(rule, operation)))
}

/// Whether it keeps off what it must keep off.
fn scope(observed: &Observed, webhook: &MutatingWebhook, report: &mut Report) {
    let selector = webhook.namespace_selector.as_ref();
    let seen: Vec<&str> = [observed.names.namespace.as_str(), "kube-system"]
        .into_iter()
        .filter(|namespace| selects(selector, &[("kubernetes.io/metadata.name", namespace)]))
        .collect();
    if !seen.is_empty() {
        let list = seen.join(", ");
        report.fail(
            Check::WebhookConfiguration,
            "OwnNamespaceSeen",
            Text::new(
                format!("{} is called for {list} too, which must work without certgate", webhook.name),
                format!("{} 也会处理 {list}，而这些命名空间必须在没有 certgate 时也能工作", webhook.name),
            ),
            Text::new("upgrade the chart, which exempts them", "请升级 chart，它会排除这些命名空间"),
        );
    }
    let rules = webhook.rules.as_deref().unwrap_or_default();
    let named = rules.iter().flat_map(|rule| rule.resources.iter().flatten());
    if let Some(other) = named.into_iter().find(|resource| !LOOKED_AT.contains(&resource.as_str())) {
        report.warn(
            Check::WebhookConfiguration,
            "ScopeTooBroad",
            Text::new(
                format!("{} is called for {other} too, which are none of certgate's business", webhook.name),
                format!("{} 还会处理 {other}，这与 certgate 无关", webhook.name),
            ),
            Text::new(
                "find out in the audit log who widened it, then upgrade the chart, which narrows it",
                "请在审计日志中查明是谁扩大了范围，再升级 chart，它会收窄范围",
            ),
        );
    }
}

/// Whether a selector takes something with these labels. Labels that are not given count as absent.
pub(super) fn selects(selector: Option<&LabelSelector>, labels: &[(&str, &str)]) -> bool {
    let Some(selector) = selector else { return true };
    let value = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let exactly = selector.match_labels.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted));
    exactly
        && selector.match_expressions.iter().flatten().all(|expression| {
            let found = value(&expression.key);
            let listed = || found.is_some_and(|f| expression.values.iter().flatten().any(|wanted| wanted == f));
            match expression.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// Whether the API server will accept the webhook's certificate.
pub(super) fn certificate(observed: &Observed, report: &mut Report) {
    let check = Check::ServingCertificate;
    let secret = format!("Secret {}/{}", observed.names.namespace, observed.names.tls_secret);
    let Some(seen) = report.look(check, &secret, &observed.serving) else { return };
    let keeper = if observed.names.self_managed {
        Text::new(
            "the controller makes it: see that it leads, and its log",
            "该证书由控制器签发：请确认有 Leader，并查看其日志",
        )
    } else {
        Text::new(
            "renew it where it comes from, cert-manager or your Secret",
            "请在其来源处（cert-manager 或您的 Secret）更新",
        )
    };
    let Some(pem) = seen else {
        let what = Text::new(format!("there is no {secret}"), format!("没有 {secret}"));
        return report.fail(check, "LeafMissing", what, keeper);
    };
    let (chain, validity) = match x509::chain(pem).and_then(|chain| {
        let validity = x509::validity(chain.first().ok_or(x509::X509Error::Empty)?)?;
        Ok((chain, validity))
    }) {
        Ok(read) => read,
        Err(error) => {
            let what =
                Text::new(format!("tls.crt of {secret}: {error}"), format!("{secret} 的 tls.crt 无法读取：{error}"));
            return report.fail(check, "LeafUnreadable", what, keeper);
        }
    };
    let now = observed.time();
    let left = validity.not_after.as_second() - now.as_second();
    if left <= 0 {
        let at = validity.not_after;
        let what = Text::new(format!("it expired at {at}"), format!("已于 {at} 过期"));
        report.fail(check, "LeafExpired", what, keeper.clone());
    } else if validity.not_before > now {
        let at = validity.not_before;
        let what = Text::new(
            format!("it is valid from {at} only, by the API server's clock in the future"),
            format!("要到 {at} 才生效，按 API 服务器的时钟仍在未来"),
        );
        let remedy = Text::new("set the nodes' clocks by NTP", "请用 NTP 校准各节点的时钟");
        report.fail(check, "LeafNotYetValid", what, remedy);
    } else if left < NEARLY_OVER {
        let what = Text::new(
            format!("it ends at {} and has not been renewed", validity.not_after),
            format!("将于 {} 到期，尚未续期", validity.not_after),
        );
        report.warn(check, "LeafNearlyOver", what, keeper);
    }
    let moment = now.clamp(validity.not_before, validity.not_after);
    let webhooks = observed.configuration.get().and_then(|seen| seen.webhooks.as_deref()).unwrap_or_default();
    for webhook in webhooks {
        trusted(&webhook.name, &webhook.client_config, &chain, observed, moment, check, report);
    }
    if report.is_well(check) {
        let until = validity.not_after;
        report.ok(check, format!("trusted, until {until}"), format!("受信任，有效期至 {until}"));
    }
}

/// Whether what a webhook's caBundle trusts includes the leaf, by the name that is called.
pub(super) fn trusted(
    webhook: &str,
    client: &WebhookClientConfig,
    chain: &[CertificateDer<'_>],
    observed: &Observed,
    moment: Timestamp,
    check: Check,
    report: &mut Report,
) {
    let remedy = if observed.names.self_managed {
        Text::new(
            "the controller publishes it: see that it leads, and that nothing else (GitOps) resets the caBundle",
            "caBundle 由控制器发布：请确认有 Leader，且没有其他工具（如 GitOps）在重置它",
        )
    } else {
        Text::new(
            "set webhook.servingCert.caBundle, or see that cert-manager's cainjector runs",
            "请设置 webhook.servingCert.caBundle，或确认 cert-manager 的 cainjector 在运行",
        )
    };
    let bundle = client.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
    if bundle.is_empty() {
        let what = Text::new(
            format!("the caBundle of {webhook} is empty: no call is trusted"),
            format!("{webhook} 的 caBundle 为空：调用不受信任"),
        );
        return report.fail(check, "CaBundleEmpty", what, remedy);
    }
    let roots = match x509::chain(bundle) {
        Ok(roots) => roots,
        Err(error) => {
            let what = Text::new(
                format!("the caBundle of {webhook}: {error}"),
                format!("{webhook} 的 caBundle 无法读取：{error}"),
            );
            return report.fail(check, "CaBundleUnreadable", what, remedy);
        }
    };
    if let Err(error) = x509::verify(chain, &roots, Some(&observed.names.host()), moment) {
        let what = Text::new(
            format!("the certificate does not verify against the caBundle of {webhook}: {error}"),
            format!("证书无法通过 {webhook} 的 caBundle 验证：{error}"),
        );
        report.fail(check, "LeafUntrusted", what, remedy);
    }
}

/// Whether a write of an Ingress really comes past certgate.
pub(super) fn calls(observed: &Observed, report: &mut Report) {
    let check = Check::WebhookCalls;
    let service = observed.names.service();
    if let Some(slices) = report.look(check, &format!("EndpointSlices of {service}"), &observed.endpoints) {
        let ready = (slices.into_iter().flatten())
            .flat_map(|slice| &slice.endpoints)
            .filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
            .count();
        if ready == 0 {
            report.fail(
                check,
                "NoEndpoints",
                Text::new(
                    format!("Service {service} leads to no ready Pod"),
                    format!("Service {service} 没有就绪的后端 Pod"),
                ),
                Text::new("see the replicas above", "请参见上面的副本检查"),
            );
        }
    }
    let (namespace, status, message, warnings, millis) = match &observed.trial {
        Trial::Answered { namespace, status, message, warnings, millis } => {
            (namespace, *status, clean(message), warnings, *millis)
        }
        Trial::Nowhere => {
            return report.warn(
                check,
                "NowhereToTry",
                Text::new(
                    "no namespace is open to the webhook, so that no trial is possible",
                    "没有命名空间会经过 Webhook，无法试写",
                ),
                Text::new("see webhook.namespaceSelector", "请检查 webhook.namespaceSelector"),
            );
        }
        Trial::Failed(why) => {
            return report.warn(
                check,
                "NotTried",
                Text::new(format!("no trial was possible: {}", clean(why)), format!("无法试写：{}", clean(why))),
                Text::new("run doctor again", "请重新运行 doctor"),
            );
        }
    };
    if warnings.iter().any(|warning| warning.contains(SIGNATURE)) {
        if millis > SLOW {
            report.warn(
                check,
                "SlowWrites",
                Text::new(
                    format!("a write of an Ingress took {millis} ms in all"),
                    format!("写入一个 Ingress 共耗时 {millis} 毫秒"),
                ),
                Text::new(
                    "compare certgate_admission_duration_seconds with the API server's own admission metrics",
                    "请对比 certgate_admission_duration_seconds 与 API 服务器自身的准入指标",
                ),
            );
        } else if report.is_well(check) {
            report.ok(
                check,
                format!("an Ingress written for a trial came past certgate ({millis} ms, nothing is left of it)"),
                format!("试写的 Ingress 经过了 certgate（{millis} 毫秒，未留下任何内容）"),
            );
        }
    } else if status == 403 || status == 401 {
        report.warn(
            check,
            "TrialRefused",
            Text::new(
                format!("an Ingress could not be written for a trial in {namespace}: {message}"),
                format!("无法在 {namespace} 中试写 Ingress：{message}"),
            ),
            Text::new("run doctor as an administrator", "请以管理员身份运行 doctor"),
        );
    } else {
        let said = if status < 300 { String::new() } else { format!(" ({status} {message})") };
        report.fail(
            check,
            "WebhookSilent",
            Text::new(
                format!("an Ingress written for a trial in {namespace} did not come past certgate{said}"),
                format!("在 {namespace} 中试写的 Ingress 没有经过 certgate{said}"),
            ),
            Text::new(
                "see the points above; if all is well there, the API server cannot reach the Pods on the webhook's port: \
                 see firewalls, network policies and webhook.hostNetwork, and the API server's log for \"failed calling webhook\"",
                "请先处理上面的问题；若均正常，则是 API 服务器访问不到 Pod 的 Webhook 端口：请检查防火墙、网络策略与 \
                 webhook.hostNetwork，并在 API 服务器日志中查找 \"failed calling webhook\"",
            ),
        );
    }
}
