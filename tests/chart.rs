//! The Helm chart, rendered by the real helm.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "chart/alerts.rs"]
mod alerts;
#[path = "support/helm.rs"]
mod helm;
#[path = "chart/policies.rs"]
mod policies;
#[path = "chart/recipes.rs"]
mod recipes;
#[path = "chart/seen.rs"]
mod seen;

use std::{collections::BTreeSet, fs, path::Path};

use certgate::{config, core::names};
use clap::CommandFactory as _;
use helm::{chart, documents, find, template};
use rstest::rstest;
use serde_json::{Value, json};

fn render(more: &[&str]) -> Vec<Value> {
    documents(&template(more).unwrap_or_else(|error| panic!("{error}")))
}

fn values_file(name: &str) -> String {
    chart().join(name).to_str().unwrap().to_owned()
}

/// The text of a policy as the chart mounts it.
fn policy_text(objects: &[Value]) -> &str {
    find(objects, "ConfigMap", "certgate-policy")["data"]["policy.yaml"].as_str().unwrap()
}

/// The arguments of a Deployment's one container.
fn args<'a>(objects: &'a [Value], deployment: &str) -> Vec<&'a str> {
    let containers = &find(objects, "Deployment", deployment)["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
    containers[0]["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect()
}

/// Every pod template, with its name.
fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let pod = |object: &Value| object["kind"] == "Pod";
    objects
        .iter()
        .filter(|object| pod(object) || object["kind"] == "Deployment")
        .map(|object| {
            let spec = if pod(object) { &object["spec"] } else { &object["spec"]["template"]["spec"] };
            (object["metadata"]["name"].as_str().unwrap(), spec)
        })
        .collect()
}

/// Rules of every role and cluster role of that name.
fn rules<'a>(objects: &'a [Value], kind: &str, name: &str) -> Vec<&'a Value> {
    find(objects, kind, name)["rules"].as_array().unwrap().iter().collect()
}

fn strings(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn helm_lint_has_nothing_to_say() {
    for values in ["values.yaml", "values-ha.yaml", "values-rainbond-v5.yaml", "values-rainbond-v6.yaml"] {
        let (chart, values) = (chart(), values_file(values));
        helm::helm(&[
            "lint",
            "--strict",
            chart.to_str().unwrap(),
            "--values",
            &values,
            "--kube-version",
            helm::KUBERNETES,
        ])
        .unwrap_or_else(|error| panic!("{values}: {error}"));
    }
}

#[rstest]
#[case::plain("values.yaml", 2, 1)]
#[case::highly_available("values-ha.yaml", 3, 2)]
#[case::rainbond_5("values-rainbond-v5.yaml", 2, 1)]
#[case::rainbond_6("values-rainbond-v6.yaml", 2, 1)]
fn each_values_file_renders_twice_alike_and_with_a_policy_that_certgate_accepts(
    #[case] values: &str,
    #[case] webhooks: u64,
    #[case] controllers: u64,
) {
    let values = values_file(values);
    let once = template(&["--values", &values]).unwrap();
    assert_eq!(once, template(&["--values", &values]).unwrap());
    let objects = documents(&once);
    config::parse(Path::new("policy.yaml"), policy_text(&objects)).unwrap();
    assert_eq!(find(&objects, "Deployment", "certgate-webhook")["spec"]["replicas"], webhooks);
    assert_eq!(find(&objects, "Deployment", "certgate-controller")["spec"]["replicas"], controllers);
    let mut seen = BTreeSet::new();
    for object in &objects {
        assert!(seen.insert(format!("{} {}", object["kind"], object["metadata"]["name"])), "{object}");
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/part-of"], "certgate", "{object}");
    }
}

#[test]
fn the_policy_arrives_as_it_was_given() {
    let objects = render(&[
        "--set",
        "policy.issuer.name=le,policy.autoIssue=all,policy.gateway.addresses={8.8.8.8}",
        "--set-json",
        r#"policy.rules=[{"match":{"hosts":["*.example.com"]},"autoIssue":false}]"#,
        "--set-json",
        r#"policy.dns={"timeoutSeconds":2.5}"#,
        "--set-json",
        r#"policy.httpReach=false"#,
        "--set-json",
        r#"policy.gate={"mode":false}"#,
    ]);
    let policy = config::parse(Path::new("policy.yaml"), policy_text(&objects)).unwrap();
    assert_eq!(policy.issuer.unwrap().name, "le");
    assert_eq!(policy.gateway.addresses, ["8.8.8.8".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(policy.rules[0].r#match.hosts, ["*.example.com"]);
    assert_eq!(policy.http_reach, certgate::core::policy::HttpReach::Off, "a bare off, which YAML 1.1 reads as false");
}

/// Values that are refused before anything is installed.
const WRONG: &[&str] = &[
    "replicas=3",
    "webhook.replica=3",
    "webhook.replicas=0",
    "webhook.replicas=two",
    "webhook.timeoutSeconds=30",
    "webhook.failurePolicy=Fail",
    "webhook.ports.https=0",
    "webhook.ports.https=70000",
    "webhook.servingCert.mode=selfmanaged",
    "webhook.servingCert.mode=files",
    "webhook.antiAffinity=hard",
    "webhook.excludeNamespaces={Not A Name}",
    "webhook.podDisruptionBudget.maxUnavailable=some",
    "webhook.resources.cpu=1",
    "webhook.autoscaling.maxReplicas=0",
    "controller.replicas=9",
    "controller.leaderElect=false",
    "controller.dnsPolicy=Cluster",
    "image.digest=abc",
    "image.pullPolicy=always",
    "image.repo=x",
    "log.format=xml",
    "crds.enabled=true",
    "policy.autoIsue=all",
    "policy.autoIssue=everything",
    "policy.issuer.kind=ClusterIssuer",
    "policy.gateway.adresses={8.8.8.8}",
    "policy.dns.timeoutSeconds=soon",
    "policy.rules={x}",
    "networkPolicy.apiServerCIDRs={everywhere}",
    "networkPolicy.apiServerPorts={}",
    "priorityClass.name=system-made-up",
    "priorityClass.value=2000000000",
    "admissionPolicy.verifiedHosts=strict",
    "monitoring.podMonitor.interval=often",
    "nameOverride=Not_A_Name",
];

#[test]
fn wrong_values_are_refused_by_name() {
    let mut told = String::new();
    for wrong in WRONG {
        let error = template(&["--set", wrong]).expect_err(wrong);
        assert!(error.contains("values don't meet the specifications of the schema"), "{wrong}: {error}");
        let lines: Vec<_> = error.lines().filter(|line| line.starts_with("- ")).collect();
        assert!(!lines.is_empty(), "{wrong}: {error}");
        told.push_str(&format!("{wrong}\n{}\n\n", lines.join("\n")));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn kubernetes_before_1_33_is_refused() {
    let error = template(&["--kube-version", "1.32.9"]).unwrap_err();
    assert!(error.contains("requires kubeVersion: >=1.33"), "{error}");
}

#[test]
fn the_webhook_may_read_a_little_and_write_nothing() {
    let objects = render(&[]);
    let mut granted = BTreeSet::new();
    for (kind, name) in [("ClusterRole", "certgate-webhook"), ("Role", "certgate-webhook")] {
        for rule in rules(&objects, kind, name) {
            assert!(strings(&rule["verbs"]).is_subset(&BTreeSet::from(["get", "list", "watch"])), "{rule}");
            granted.extend(strings(&rule["resources"]).into_iter().map(|resource| format!("{kind} {resource}")));
        }
    }
    assert_eq!(
        granted,
        ["ClusterRole domains", "ClusterRole mutatingwebhookconfigurations", "ClusterRole namespaces", "Role secrets",]
            .map(str::to_owned)
            .into()
    );
    let secrets = rules(&objects, "Role", "certgate-webhook")[0];
    assert_eq!(strings(&secrets["resourceNames"]), BTreeSet::from(["certgate-webhook-tls"]));
}

#[test]
fn no_role_has_a_wildcard_and_no_secret_is_read_or_written_but_by_name() {
    let objects = render(&["--values", &values_file("values-rainbond-v5.yaml")]);
    for role in objects.iter().filter(|o| o["kind"] == "ClusterRole" || o["kind"] == "Role") {
        for rule in role["rules"].as_array().unwrap() {
            for list in ["apiGroups", "resources", "verbs"] {
                assert!(!strings(&rule[list]).contains("*"), "{rule}");
            }
            if !strings(&rule["resources"]).contains("secrets") {
                continue;
            }
            let verbs = strings(&rule["verbs"]);
            if role["kind"] == "ClusterRole" {
                assert_eq!(verbs, BTreeSet::from(["list", "watch"]), "metadata, everywhere");
            } else if rule["resourceNames"].is_null() {
                assert_eq!(verbs, BTreeSet::from(["create"]), "what does not exist yet has no name");
            }
        }
    }
}

#[test]
fn the_two_roles_are_apart() {
    let objects = render(&[]);
    for role in ["webhook", "controller"] {
        let name = format!("certgate-{role}");
        let account = find(&objects, "ServiceAccount", &name);
        assert_eq!(account["automountServiceAccountToken"], false, "only the Pods that need it ask for the token");
        let pod = &find(&objects, "Deployment", &name)["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], name.as_str());
        for kind in ["ClusterRoleBinding", "RoleBinding"] {
            let binding = find(&objects, kind, &name);
            assert_eq!(binding["roleRef"]["name"], name.as_str());
            let subject = json!({ "kind": "ServiceAccount", "name": name, "namespace": "certgate-system" });
            assert_eq!(binding["subjects"], json!([subject]));
        }
    }
}

#[test]
fn the_webhook_is_called_for_ingresses_only_and_never_stands_in_the_way() {
    let objects = render(&[]);
    let configuration = find(&objects, "MutatingWebhookConfiguration", "certgate");
    let [webhook] = configuration["webhooks"].as_array().unwrap().as_slice() else { panic!("one webhook") };
    let expected = json!([{
        "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"],
        "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
    }]);
    assert_eq!(webhook["rules"], expected);
    assert_eq!(webhook["failurePolicy"], "Ignore");
    assert_eq!(webhook["sideEffects"], "None");
    assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
    assert_eq!(webhook["matchPolicy"], "Equivalent");
    assert!(webhook["timeoutSeconds"].as_u64().unwrap() <= 2);
    assert!(webhook["clientConfig"]["caBundle"].is_null(), "no certificate is made by Helm");
    let excluded = &webhook["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(excluded["key"], "kubernetes.io/metadata.name");
    assert_eq!(strings(&excluded["values"]), BTreeSet::from(["certgate-system", "kube-system"]));
    let service = &webhook["clientConfig"]["service"];
    let ports = &find(&objects, "Service", service["name"].as_str().unwrap())["spec"]["ports"];
    assert_eq!(ports[0]["port"], service["port"]);
    let text = serde_json::to_string(webhook).unwrap();
    for name in [names::INJECTED, names::COMPANION_OF, names::RAINBOND_BELONG_TO, names::RAINBOND_OPERATOR] {
        assert!(text.contains(name), "the code's {name} is the configuration's");
    }
}

#[test]
fn the_approval_gate_exists_where_policy_gates_and_is_called_only_for_approvals_by_others() {
    let gate = |objects: &[Value]| {
        objects.iter().find(|object| object["kind"] == "ValidatingWebhookConfiguration").map(Value::to_owned)
    };
    let approves = |objects: &[Value]| {
        rules(objects, "ClusterRole", "certgate-controller").iter().any(|rule| rule["verbs"] == json!(["approve"]))
    };
    for off in [render(&[]), render(&["--set-json", r#"policy.gate={"mode":false}"#])] {
        assert!(gate(&off).is_none() && !approves(&off));
    }
    let objects = render(&["--set", "policy.gate.mode=all"]);
    let configuration = gate(&objects).unwrap();
    assert_eq!(configuration["metadata"]["name"], "certgate-approval");
    let webhook = &configuration["webhooks"][0];
    assert_eq!(webhook["rules"][0]["resources"], json!(["certificaterequests/status"]));
    assert_eq!(webhook["rules"][0]["operations"], json!(["UPDATE"]));
    assert_eq!((&webhook["failurePolicy"], &webhook["timeoutSeconds"]), (&json!("Ignore"), &json!(2)));
    assert_eq!(webhook["clientConfig"]["service"]["path"], "/approve");
    assert_eq!(webhook["matchConditions"].as_array().unwrap().len(), 3);
    assert!(
        webhook["matchConditions"].to_string().contains("system:serviceaccount:certgate-system:certgate-controller")
    );
    assert!(approves(&objects));
}

#[test]
fn arguments_name_the_objects_that_the_roles_name() {
    let objects = render(&["--set", "nameOverride=other"]);
    let named = |kind: &str, name: &str, resource: &str| -> BTreeSet<String> {
        rules(&objects, kind, name)
            .into_iter()
            .filter(|rule| strings(&rule["resources"]).contains(resource))
            .flat_map(|rule| strings(&rule["resourceNames"]).into_iter().map(str::to_owned))
            .collect()
    };
    let of = |deployment: &str, flag: &str| {
        let prefix = format!("--{flag}=");
        args(&objects, deployment)
            .into_iter()
            .find_map(|arg| arg.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("{deployment} {flag}"))
            .to_owned()
    };
    for (deployment, flag, kind, resource) in [
        ("other-webhook", "tls-secret", "Role", "secrets"),
        ("other-webhook", "webhook-configuration", "ClusterRole", "mutatingwebhookconfigurations"),
        ("other-controller", "tls-secret", "Role", "secrets"),
        ("other-controller", "ca-secret", "Role", "secrets"),
        ("other-controller", "lease", "Role", "leases"),
        ("other-controller", "webhook-configuration", "ClusterRole", "mutatingwebhookconfigurations"),
    ] {
        let name = of(deployment, flag);
        assert!(named(kind, deployment, resource).contains(&name), "{deployment} may not touch {resource} {name}");
    }
    find(&objects, "Service", &of("other-controller", "service"));
    find(&objects, "MutatingWebhookConfiguration", &of("other-webhook", "webhook-configuration"));
}

/// Whether a sub-command has a flag of that name.
fn knows(command: &str, flag: &str) -> bool {
    let cli = certgate::cli::Cli::command();
    let command = cli.find_subcommand(command).unwrap_or_else(|| panic!("certgate {command}"));
    command.get_arguments().any(|arg| arg.get_long() == Some(flag))
}

#[test]
fn every_argument_is_a_flag_with_a_value_and_only_the_pods_coordinates_come_by_environment() {
    for values in ["values.yaml", "values-ha.yaml"] {
        let objects = render(&["--values", &values_file(values)]);
        for (deployment, command) in [("certgate-webhook", "webhook"), ("certgate-controller", "controller")] {
            let args = args(&objects, deployment);
            assert_eq!(args[0], command);
            for arg in &args[1..] {
                let (flag, _) = arg.strip_prefix("--").and_then(|arg| arg.split_once('=')).expect("--flag=value");
                assert!(knows(command, flag), "certgate {command} knows no --{flag}");
            }
            let container = &find(&objects, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0];
            for variable in container["env"].as_array().unwrap() {
                let name = variable["name"].as_str().unwrap();
                assert!(["POD_NAMESPACE", "POD_NAME", "POD_IP"].contains(&name), "{name}");
                assert!(variable["valueFrom"]["fieldRef"].is_object(), "{name}");
            }
        }
    }
}

#[test]
fn every_pod_meets_the_restricted_profile_and_cannot_write_its_disk() {
    let objects = render(&[]);
    assert_eq!(pods(&objects).len(), 3, "two Deployments and the test");
    for (name, pod) in pods(&objects) {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert!(pod["hostNetwork"].is_null() && pod["hostPID"].is_null(), "{name}");
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
            assert!(container["resources"]["requests"]["memory"].is_string(), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        }
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(volume["configMap"].is_object(), "{name}: {volume}");
        }
    }
}

#[test]
fn network_policies_let_through_what_is_used() {
    let objects = render(&[]);
    for role in ["certgate-webhook", "certgate-controller"] {
        let policy = &find(&objects, "NetworkPolicy", role)["spec"];
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
        let labels = &find(&objects, "Deployment", role)["spec"]["template"]["metadata"]["labels"];
        for (key, value) in policy["podSelector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(&labels[key], value);
        }
    }
    let egress =
        |objects: &[Value]| find(objects, "NetworkPolicy", "certgate-controller")["spec"]["egress"].to_string();
    assert!(!egress(&objects).contains(r#""port":80,"#), "no HTTP where none is asked for");
    assert!(egress(&render(&["--set", "policy.httpReach=warn"])).contains(r#""port":80,"#));
}

#[test]
fn a_certificate_by_cert_manager_or_from_files_needs_no_right_to_make_one() {
    let by_cert_manager = render(&["--set", "webhook.servingCert.mode=cert-manager"]);
    let by_files = render(&[
        "--set",
        "webhook.servingCert.mode=files,webhook.servingCert.secretName=mine,webhook.servingCert.caBundle=PEM",
    ]);
    for (objects, secret) in [(&by_cert_manager, "certgate-webhook-tls"), (&by_files, "mine")] {
        let pod = &find(objects, "Deployment", "certgate-webhook")["spec"]["template"]["spec"];
        assert!(pod["volumes"].as_array().unwrap().iter().any(|volume| volume["secret"]["secretName"] == secret));
        assert!(args(objects, "certgate-webhook").contains(&"--serving-cert=files"));
        assert!(!objects.iter().any(|o| o["kind"] == "Role" && o["metadata"]["name"] == "certgate-webhook"));
        let controller = find(objects, "Role", "certgate-controller").to_string();
        assert!(!controller.contains("secrets"), "{controller}");
        assert!(!find(objects, "ClusterRole", "certgate-controller").to_string().contains("mutatingwebhook"));
    }
    let annotations = &find(&by_cert_manager, "MutatingWebhookConfiguration", "certgate")["metadata"]["annotations"];
    assert_eq!(annotations["cert-manager.io/inject-ca-from"], "certgate-system/certgate-webhook-tls");
    let leaf = find(&by_cert_manager, "Certificate", "certgate-webhook-tls");
    assert!(strings(&leaf["spec"]["dnsNames"]).contains("certgate-webhook.certgate-system.svc"));
    let configuration = find(&by_files, "MutatingWebhookConfiguration", "certgate");
    assert_eq!(configuration["webhooks"][0]["clientConfig"]["caBundle"], "UEVN");
}

#[test]
fn switches_switch() {
    let kinds = |more: &[&str]| -> BTreeSet<String> {
        render(more).iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
    };
    let usual = kinds(&[]);
    for (switch, kind) in [
        ("webhook.autoscaling.enabled=true", "HorizontalPodAutoscaler"),
        ("monitoring.podMonitor.enabled=true", "PodMonitor"),
        ("monitoring.serviceMonitor.enabled=true", "ServiceMonitor"),
        ("monitoring.prometheusRule.enabled=true", "PrometheusRule"),
    ] {
        assert!(!usual.contains(kind), "{kind} is off by default");
        assert!(kinds(&["--set", switch]).contains(kind), "{switch}");
    }
    for (switch, kind) in [
        ("crds.install=false", "CustomResourceDefinition"),
        ("rbac.create=false", "ClusterRole"),
        ("serviceAccount.create=false", "ServiceAccount"),
        ("networkPolicy.enabled=false", "NetworkPolicy"),
        ("priorityClass.create=false", "PriorityClass"),
        ("webhook.podDisruptionBudget.enabled=false", "PodDisruptionBudget"),
    ] {
        assert!(usual.contains(kind), "{kind} is on by default");
        assert!(!kinds(&["--set", switch]).contains(kind), "{switch}");
    }
}

#[test]
fn definitions_outlive_an_uninstall_and_are_upgraded_with_the_chart() {
    let objects = render(&[]);
    for name in ["domains.certgate.dev", "verifiedhosts.certgate.dev"] {
        let definition = find(&objects, "CustomResourceDefinition", name);
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
    assert!(!chart().join("crds").exists(), "Helm never upgrades what is in crds/");
}

#[test]
fn the_gateway_that_policy_names_may_be_read() {
    let objects = render(&["--set", "policy.gateway.service.namespace=gw,policy.gateway.service.name=web"]);
    let role = find(&objects, "Role", "certgate-controller-gateway");
    assert_eq!(role["metadata"]["namespace"], "gw");
    assert_eq!(role["rules"][0]["resourceNames"], json!(["web"]));
    let rainbond = render(&["--set", "policy.gateway.rainbond=true"]);
    let reads =
        |objects: &[Value]| find(objects, "ClusterRole", "certgate-controller").to_string().contains("rainbond.io");
    assert!(reads(&rainbond) && !reads(&objects));
}

#[test]
fn every_value_has_a_comment() {
    let text = fs::read_to_string(values_file("values.yaml")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let commented = |line: &str| line.trim_start().starts_with('#');
    for (section, _) in lines.iter().enumerate().filter(|(_, line)| line.starts_with(|c: char| c.is_ascii_lowercase()))
    {
        let inside = lines[section + 1..].iter().take_while(|line| line.starts_with(' '));
        assert!(
            (section > 0 && commented(lines[section - 1])) || inside.into_iter().any(|line| commented(line)),
            "{} is not explained",
            lines[section]
        );
    }
}
