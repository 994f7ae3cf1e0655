//! Status page and traces as the chart offers them.

use serde_json::json;

use super::{args, find, render, rules};

#[test]
fn the_status_page_is_off_then_local_then_behind_a_service_that_asks_for_a_token() {
    let page = |more: &[&str]| {
        let objects = render(more);
        let args: Vec<String> = args(&objects, "certgate-controller")
            .into_iter()
            .filter(|arg| arg.starts_with("--page"))
            .map(str::to_owned)
            .collect();
        let service = objects.iter().any(|o| o["kind"] == "Service" && o["metadata"]["name"] == "certgate-page");
        let reviews = rules(&objects, "ClusterRole", "certgate-controller")
            .iter()
            .any(|rule| rule["resources"] == json!(["tokenreviews"]));
        (args, service, reviews)
    };
    assert_eq!(page(&[]), (vec!["--page-listen=off".to_owned()], false, false));
    let on = "--set=controller.page.enabled=true";
    let local = ["--page-listen=127.0.0.1:8081", "--page-auth=none"].map(str::to_owned).to_vec();
    assert_eq!(page(&[on]), (local, false, false));
    let (args, service, reviews) =
        page(&[on, "--set=controller.page.listen=service", "--set=controller.page.hosts={certs.example.com}"]);
    assert!(service && reviews);
    assert_eq!(args[..3], ["--page-listen=0.0.0.0:8081", "--page-auth=token", "--page-host=certs.example.com"]);
    assert!(args.contains(&"--page-host=certgate-page.certgate-system.svc".to_owned()), "{args:?}");
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    let traced = |more: &[&str]| {
        let objects = render(more);
        ["certgate-webhook", "certgate-controller"].map(|name| {
            let env = &find(&objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]["env"];
            let of = |env: &&serde_json::Value| env["name"].as_str().is_some_and(|name| name.starts_with("OTEL_"));
            env.as_array().unwrap().iter().filter(of).map(|env| env["value"].as_str().unwrap().to_owned()).collect()
        })
    };
    let none: [Vec<String>; 2] = traced(&[]);
    assert!(none.iter().all(Vec::is_empty));
    let endpoint = "--set=tracing.otlpEndpoint=http://otel.observability:4318";
    assert!(traced(&[endpoint]).iter().all(|env| *env == ["http://otel.observability:4318"]));
    let some =
        traced(&[endpoint, "--set=tracing.sampler=parentbased_traceidratio", "--set-string=tracing.samplerArg=0.01"]);
    assert!(some.iter().all(|env| env[1..] == ["parentbased_traceidratio", "0.01"]), "{some:?}");
}
