//! What runs of certgate: replicas, their leader, their rights, and what hosts wait for.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;

use super::{Check, Observed, Report, Seen, Text, observed::Access, permissions::Permission};
use crate::{
    core::{
        finding::{Lang, clean},
        reason::{Reason, WhoActs},
    },
    status,
};

/// A Lease that was not renewed for so long is nobody's: seconds. Its term is 10 s.
const STALE: i64 = 30;
/// At most so many permissions are named.
const NAMED: usize = 8;

/// Whether the Deployments have the replicas that they should.
pub(super) fn deployments(observed: &Observed, report: &mut Report) {
    let parts = [(observed.names.service(), &observed.webhook), (observed.names.controller(), &observed.controller)];
    let mut ready = Vec::new();
    for (name, seen) in parts {
        if let Some(count) = deployment(&name, seen, observed, report) {
            ready.push(format!("{name} {count}"));
        }
    }
    if report.is_well(Check::Deployments) {
        let list = ready.join(", ");
        report.ok(Check::Deployments, format!("ready: {list}"), format!("就绪：{list}"));
    }
}

fn deployment(name: &str, seen: &Seen<Deployment>, observed: &Observed, report: &mut Report) -> Option<i32> {
    let namespace = &observed.names.namespace;
    let Some(deployment) = report.look(Check::Deployments, &format!("Deployment {name}"), seen)? else {
        report.fail(
            Check::Deployments,
            "DeploymentMissing",
            Text::new(
                format!("there is no Deployment {name} in {namespace}"),
                format!("命名空间 {namespace} 中没有 Deployment {name}"),
            ),
            Text::new(
                "install the chart, or name the namespace and prefix by --namespace and --name",
                "请安装 chart，或用 --namespace 与 --name 指定命名空间和名称前缀",
            ),
        );
        return None;
    };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let describe = Text::new(
        format!(
            "see `kubectl -n {namespace} describe deployment,pod` and the Pods' logs; /readyz says what is missing"
        ),
        format!("请查看 `kubectl -n {namespace} describe deployment,pod` 与 Pod 日志；/readyz 会说明缺少什么"),
    );
    if wanted == 0 {
        report.fail(
            Check::Deployments,
            "ScaledToZero",
            Text::new(format!("{name} is scaled to zero"), format!("{name} 的副本数为 0")),
            Text::new(
                format!("kubectl -n {namespace} scale deployment {name} --replicas=2"),
                format!("kubectl -n {namespace} scale deployment {name} --replicas=2"),
            ),
        );
    } else if ready == 0 {
        let why = trouble(deployment);
        let what = Text::new(
            format!("no replica of {name} is ready (0 of {wanted}){why}"),
            format!("{name} 没有就绪的副本（0/{wanted}）{why}"),
        );
        report.fail(Check::Deployments, "NoReplicaReady", what, describe);
    } else if ready < wanted {
        let why = trouble(deployment);
        let what = Text::new(
            format!("{ready} of {wanted} replicas of {name} are ready{why}"),
            format!("{name} 的 {wanted} 个副本中 {ready} 个就绪{why}"),
        );
        report.warn(Check::Deployments, "ReplicasMissing", what, describe);
    } else if wanted == 1 && name == observed.names.service() {
        report.warn(
            Check::Deployments,
            "OneReplica",
            Text::new(
                "one replica of the webhook: while it moves, Ingresses pass unchanged and wait for the controller",
                "Webhook 只有一个副本：迁移期间 Ingress 会原样通过，由控制器事后补上",
            ),
            Text::new("set webhook.replicas to 2", "请将 webhook.replicas 设为 2"),
        );
    }
    let labels = deployment.metadata.labels.as_ref();
    let version = labels.and_then(|labels| labels.get("app.kubernetes.io/version"));
    if let Some(version) = version.filter(|version| *version != env!("CARGO_PKG_VERSION")) {
        let ours = env!("CARGO_PKG_VERSION");
        report.warn(
            Check::Deployments,
            "OtherVersion",
            Text::new(
                format!("{name} is certgate {version}, and this is {ours}"),
                format!("{name} 是 certgate {version}，而本程序是 {ours}"),
            ),
            Text::new("run the doctor of the same version", "请使用相同版本的 doctor"),
        );
    }
    Some(ready)
}

/// What a Deployment's conditions complain of.
fn trouble(deployment: &Deployment) -> String {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let bad = conditions.iter().find(|c| (c.type_ == "ReplicaFailure") == (c.status == "True"));
    bad.and_then(|condition| condition.message.as_deref()).map_or_else(String::new, |why| format!(": {}", clean(why)))
}

/// Whether somebody leads.
pub(super) fn lease(observed: &Observed, report: &mut Report) {
    let name = observed.names.controller();
    let Some(lease) = report.look(Check::Lease, &format!("Lease {name}"), &observed.lease) else { return };
    let spec = lease.and_then(|lease| lease.spec.as_ref());
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let logs = Text::new(format!("see the log of Deployment {name}"), format!("请查看 Deployment {name} 的日志"));
    if holder.is_empty() {
        let what = Text::new("no replica of the controller leads", "没有 Leader，控制器未在工作");
        return report.fail(Check::Lease, "NoLeader", what, logs);
    }
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0.as_second());
    let age = renewed.map_or(i64::MAX, |renewed| observed.time().as_second().saturating_sub(renewed));
    if age > STALE {
        let what = Text::new(
            format!("the leader {} has not renewed its Lease for {age} s", clean(holder)),
            format!("Leader {} 已 {age} 秒未续租", clean(holder)),
        );
        return report.fail(Check::Lease, "LeaseStale", what, logs);
    }
    report.ok(Check::Lease, format!("{} leads", clean(holder)), format!("Leader：{}", clean(holder)));
}

/// Whether the accounts may do what they must.
pub(super) fn permissions(observed: &Observed, report: &mut Report) {
    let remedy = Text::new(
        "upgrade the chart with rbac.create=true, or bind the roles of webhook-config/certgate.yaml",
        "请以 rbac.create=true 升级 chart，或绑定 webhook-config/certgate.yaml 中的角色",
    );
    match &observed.access {
        Access::OfAccounts(lacking) if lacking.is_empty() => {
            report.ok(Check::Permissions, "both accounts have the permissions they need", "两个账户的权限齐全");
        }
        Access::OfAccounts(lacking) => {
            let mut by_account: BTreeMap<&str, Vec<&Permission>> = BTreeMap::new();
            for permission in lacking {
                by_account.entry(&permission.account).or_default().push(permission);
            }
            for (account, lacking) in by_account {
                let list = listed(&lacking);
                let what = Text::new(
                    format!("ServiceAccount {account} may not {list}"),
                    format!("ServiceAccount {account} 缺少权限：{list}"),
                );
                report.fail(Check::Permissions, "PermissionMissing", what, remedy.clone());
            }
        }
        Access::OfOneself { user, lacking } => {
            let user = clean(user);
            let own = if lacking.is_empty() {
                (String::from("have all of them"), String::from("自身权限齐全"))
            } else {
                let list = listed(&lacking.iter().collect::<Vec<_>>());
                (format!("lack: {list}"), format!("自身缺少：{list}"))
            };
            report.warn(
                Check::Permissions,
                "PermissionsUnknown",
                Text::new(
                    format!("you ({user}) may not ask what the accounts may do (create subjectaccessreviews); you yourself {}", own.0),
                    format!("当前用户（{user}）无权查询账户的权限（create subjectaccessreviews）；{}", own.1),
                ),
                Text::new("run doctor as an administrator", "请以管理员身份运行 doctor"),
            );
        }
        Access::Failed(why) => report.warn(
            Check::Permissions,
            "PermissionsUnknown",
            Text::new(
                format!("what the accounts may do could not be asked: {}", clean(why)),
                format!("无法查询账户的权限：{}", clean(why)),
            ),
            Text::new("run doctor again", "请重新运行 doctor"),
        ),
        Access::Unasked => {}
    }
}

fn listed(permissions: &[&Permission]) -> String {
    let named: Vec<String> = permissions.iter().take(NAMED).map(ToString::to_string).collect();
    match permissions.len().saturating_sub(NAMED) {
        0 => named.join("; "),
        more => format!("{}; … (+{more})", named.join("; ")),
    }
}

/// What hosts wait for that only an administrator can give.
pub(super) fn hosts(observed: &Observed, report: &mut Report) {
    let Some(Some(domains)) = report.look(Check::Hosts, "Domains", &observed.domains) else { return };
    let rows = status::rows(domains);
    let mut waiting: BTreeMap<Reason, Vec<&status::Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.ready && row.finding.who_acts() == WhoActs::ClusterAdmin) {
        waiting.entry(row.finding.reason).or_default().push(row);
    }
    for (reason, rows) in waiting {
        let Some(first) = rows.first() else { continue };
        let count = rows.len();
        report.warn(
            Check::Hosts,
            reason.as_str(),
            Text::new(
                format!("{count} held ({reason}): {}", first.finding.sentence(Lang::En)),
                format!("{count} 个域名暂缓签发（{reason}）：{}", first.finding.sentence(Lang::ZhCn)),
            ),
            Text::new("certgate status lists them", "用 certgate status 查看全部"),
        );
    }
    if report.is_well(Check::Hosts) {
        let ready = rows.iter().filter(|row| row.ready).count();
        let all = rows.len();
        report.ok(
            Check::Hosts,
            format!("{ready} of {all} ready, none waits for you"),
            format!("{all} 个域名中 {ready} 个就绪，没有需要管理员处理的"),
        );
    }
}
