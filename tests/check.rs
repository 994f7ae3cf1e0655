//! `certgate check`, as people and programs run it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use assert_cmd::Command;
use certgate_lab::dns::{Answer, DnsServer, RecordType};
use serde_json::Value;

fn server() -> DnsServer {
    DnsServer::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap()
}

/// `certgate check` with a scripted resolver, for a gateway at 1.2.3.4.
fn check(dns: &DnsServer, args: &[&str]) -> Command {
    let resolver = dns.addr().to_string();
    let mut command = Command::cargo_bin("certgate").unwrap();
    command.args(["check", "--gateway", "1.2.3.4", "--resolver", &resolver, "--authoritative", &resolver]).args(args);
    command
}

fn text(output: std::process::Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

/// The output without what differs from run to run.
fn settled(text: &str, dns: &DnsServer) -> String {
    text.replace(&dns.addr().to_string(), "SERVER")
}

#[test]
fn a_held_host_is_explained_and_exits_with_1() {
    let dns = server();
    dns.a("example.com", Ipv4Addr::new(1, 2, 3, 4));
    dns.set("www.example.com", RecordType::ANY, Answer::nxdomain().negative(300, 60));
    let assert = check(&dns, &["www.example.com"]).assert().code(1);
    insta::assert_snapshot!(settled(&text(assert.get_output().clone()), &dns));
}

#[test]
fn what_else_is_wrong_is_told_too() {
    let dns = server();
    dns.set("www.example.com", RecordType::A, Answer::new().a(Ipv4Addr::new(5, 6, 7, 8)).ttl(120));
    dns.set("example.com", RecordType::CAA, Answer::new().caa(0, "issue", "ca.example").ttl(3600));
    let assert = check(&dns, &["www.example.com", "--lang", "zh-CN"]).assert().code(1);
    insta::assert_snapshot!(settled(&text(assert.get_output().clone()), &dns));
}

#[test]
fn a_ready_host_exits_with_0() {
    let dns = server();
    dns.set("www.example.com", RecordType::CNAME, Answer::new().cname("lb.example.net").ttl(60));
    dns.set("lb.example.net", RecordType::A, Answer::new().a(Ipv4Addr::new(1, 2, 3, 4)).ttl(60));
    let assert = check(&dns, &["www.example.com"]).assert().success();
    insta::assert_snapshot!(settled(&text(assert.get_output().clone()), &dns));
}

#[test]
fn json_has_the_documented_keys_one_line_a_host() {
    let dns = server();
    dns.a("good.example.com", Ipv4Addr::new(1, 2, 3, 4));
    let assert = check(&dns, &["-o", "json", "good.example.com", "bad.example.com", "10.0.0.1"]).assert().code(1);
    let lines: Vec<Value> =
        text(assert.get_output().clone()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for (line, (ready, reason)) in
        lines.iter().zip([(true, "Verified"), (false, "DomainNotFound"), (false, "HostIsIpAddress")])
    {
        assert_eq!((&line["ready"], &line["reason"]), (&Value::Bool(ready), &Value::from(reason)), "{line}");
        for key in ["host", "whoActs", "message", "observed", "required", "nextCheckSeconds", "checks"] {
            assert!(!line[key].is_null(), "{key} is missing: {line}");
        }
        for check in line["checks"].as_array().unwrap() {
            assert!(["pass", "warn", "fail", "skipped"].contains(&check["status"].as_str().unwrap()), "{check}");
            assert!(check["name"].is_string() && check["detail"].is_string());
        }
    }
    assert_eq!(lines[1]["required"], serde_json::json!(["1.2.3.4"]));
    assert_eq!(lines[1]["whoActs"], "domain-owner");
}

#[test]
fn a_recording_is_judged_again_without_anybody_being_asked() {
    let dns = server();
    dns.a("www.example.com", Ipv4Addr::new(5, 6, 7, 8));
    dns.a("good.example.com", Ipv4Addr::new(1, 2, 3, 4));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording.json");
    let file = file.to_str().unwrap();
    let first = check(&dns, &["www.example.com", "good.example.com", "--record", file]).assert().code(1);
    drop(dns);
    let replay =
        |args: &[&str]| Command::cargo_bin("certgate").unwrap().args(["check", "--replay", file]).args(args).assert();
    assert_eq!(replay(&[]).code(1).get_output().stdout, first.get_output().stdout);
    replay(&["good.example.com"]).success();
    let absent = replay(&["other.example.com"]).code(2);
    let complaint = String::from_utf8(absent.get_output().stderr.clone()).unwrap();
    assert!(complaint.ends_with("holds no recording of other.example.com\n"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
}

#[test]
fn unusable_input_exits_with_2_and_one_line_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.json");
    let broken = directory.path().join("broken.json");
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&broken, "{\"request\": 1}").unwrap();
    for (args, word) in [
        (vec!["--replay", empty.to_str().unwrap()], "holds no recording"),
        (vec!["--replay", broken.to_str().unwrap()], "document 1 is no recording"),
        (vec!["--replay", "/nonexistent"], "cannot read /nonexistent"),
        (vec!["www.example.com", "--gateway", "not a name", "--resolver", "127.0.0.1:9"], "--gateway"),
    ] {
        let assert = Command::cargo_bin("certgate").unwrap().arg("check").args(&args).assert().code(2);
        let complaint = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(complaint.contains(word), "{args:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
    Command::cargo_bin("certgate").unwrap().arg("check").assert().code(2);
    Command::cargo_bin("certgate").unwrap().args(["check", "a.example.com", "--resolver", "dns"]).assert().code(2);
}
