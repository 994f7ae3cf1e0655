//! The API server, its time, and certgate's definitions.

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};

use super::{Check, Observed, Report, Text};

/// The oldest Kubernetes that certgate runs on.
const OLDEST: (u32, u32) = (1, 33);
/// Clocks that differ by less are said to agree: seconds.
const AGREE: i64 = 5;
/// At most so many fields are named.
const NAMED: usize = 5;

/// Whether the API server is recent enough.
pub(super) fn version(observed: &Observed, report: &mut Report) {
    let server = &observed.server;
    if server.version < OLDEST {
        return report.fail(
            Check::ApiServer,
            "ServerTooOld",
            Text::new(
                format!("Kubernetes {} is too old", server.git_version),
                format!("Kubernetes {} 版本过旧", server.git_version),
            ),
            Text::new("upgrade the cluster to 1.33 or later", "请将集群升级到 1.33 或更高版本"),
        );
    }
    report.ok(
        Check::ApiServer,
        format!("Kubernetes {}", server.git_version),
        format!("Kubernetes {}", server.git_version),
    );
}

/// Whether clocks agree with the API server's.
pub(super) fn clock(observed: &Observed, report: &mut Report) {
    let Some(date) = observed.server.date else { return };
    let seconds = |later: Timestamp| later.as_second() - date.as_second();
    let renewed = observed.lease.get().and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref());
    if let Some(ahead) = renewed.map(|time| seconds(time.0)).filter(|ahead| *ahead > AGREE) {
        report.fail(
            Check::Clock,
            "ControllerClockAhead",
            Text::new(
                format!("the controller's clock is {ahead} s ahead of the API server's"),
                format!("控制器的时钟比 API 服务器快 {ahead} 秒"),
            ),
            Text::new("set the nodes' clocks by NTP", "请用 NTP 校准各节点的时钟"),
        );
    }
    let here = seconds(observed.now);
    if here.abs() > AGREE {
        report.warn(
            Check::Clock,
            "ClockDiffersHere",
            Text::new(
                format!("this machine's clock differs from the API server's by {here} s"),
                format!("本机时钟与 API 服务器相差 {here} 秒"),
            ),
            Text::new(
                "set the clocks by NTP; certificates are judged by the API server's, as here",
                "请用 NTP 校准时钟；证书有效期以 API 服务器的时钟为准，本命令亦然",
            ),
        );
    }
    if report.is_well(Check::Clock) {
        report.ok(Check::Clock, "they agree within seconds", "相差在数秒之内");
    }
}

/// Whether certgate's kinds are there, in the form that this program writes.
pub(super) fn definitions(observed: &Observed, report: &mut Report) {
    for (expected, seen) in &observed.definitions {
        let name = expected.metadata.name.as_deref().unwrap_or_default();
        let Some(seen) = report.look(Check::Definitions, name, seen) else { continue };
        definition(name, expected, seen, report);
    }
    if report.is_well(Check::Definitions) {
        report.ok(Check::Definitions, "present and up to date", "已安装且为最新");
    }
}

fn definition(
    name: &str,
    expected: &CustomResourceDefinition,
    seen: Option<&CustomResourceDefinition>,
    report: &mut Report,
) {
    let apply = Text::new(
        "run `certgate crd | kubectl apply --server-side -f -`, or upgrade the chart with crds.install=true",
        "请执行 `certgate crd | kubectl apply --server-side -f -`，或以 crds.install=true 升级 chart",
    );
    let Some(seen) = seen else {
        let what = Text::new(format!("there is no definition {name}"), format!("缺少资源定义 {name}"));
        return report.fail(Check::Definitions, "DefinitionMissing", what, apply);
    };
    if !is_established(seen) {
        let what = Text::new(format!("definition {name} is not established"), format!("资源定义 {name} 尚未生效"));
        let remedy = Text::new(
            format!("see the conditions of `kubectl get crd {name} -o yaml`"),
            format!("请查看 `kubectl get crd {name} -o yaml` 中的 conditions"),
        );
        return report.fail(Check::Definitions, "DefinitionNotEstablished", what, remedy);
    }
    let Some(wanted) = expected.spec.versions.first() else { return };
    let served = seen.spec.versions.iter().find(|version| version.name == wanted.name && version.served);
    let missing = match served {
        Some(served) => missing_fields(schema(wanted), schema(served)),
        None => vec![wanted.name.clone()],
    };
    if !missing.is_empty() {
        let fields = missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let what = Text::new(
            format!("definition {name} is of another certgate: it does not know {fields}"),
            format!("资源定义 {name} 来自其他版本的 certgate：缺少 {fields}"),
        );
        report.fail(Check::Definitions, "DefinitionOutdated", what, apply);
    }
}

/// Whether the API server serves a kind.
pub(super) fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

fn schema(version: &CustomResourceDefinitionVersion) -> Option<&JSONSchemaProps> {
    version.schema.as_ref()?.open_api_v3_schema.as_ref()
}

/// The fields that one schema has and the other lacks, by path. What a definition does not know is dropped in silence.
fn missing_fields(expected: Option<&JSONSchemaProps>, seen: Option<&JSONSchemaProps>) -> Vec<String> {
    let (mut missing, mut left) = (Vec::new(), vec![(String::new(), expected, seen)]);
    while let Some((path, expected, seen)) = left.pop() {
        let Some(expected) = expected else { continue };
        for (name, field) in expected.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            match seen.and_then(|seen| seen.properties.as_ref()?.get(name)) {
                Some(seen) => left.push((path, Some(field), Some(seen))),
                None => missing.push(path.trim_start_matches('.').to_owned()),
            }
        }
        let items = |schema: &JSONSchemaProps| match schema.items.clone() {
            Some(JSONSchemaPropsOrArray::Schema(inner)) => Some(*inner),
            _ => None,
        };
        let values = |schema: &JSONSchemaProps| match schema.additional_properties.clone() {
            Some(JSONSchemaPropsOrBool::Schema(inner)) => Some(*inner),
            _ => None,
        };
        for inner in [items, values as fn(&JSONSchemaProps) -> Option<JSONSchemaProps>] {
            if let Some(expected) = inner(expected) {
                let seen = seen.and_then(inner);
                missing.extend(
                    missing_fields(Some(&expected), seen.as_ref()).into_iter().map(|field| format!("{path}[].{field}")),
                );
            }
        }
    }
    missing.sort();
    missing
}
