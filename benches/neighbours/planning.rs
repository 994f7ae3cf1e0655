//! How the plans for an Ingress grow with its hosts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use certgate::{
    api::{
        domain::Domain,
        partial::{ingress::Ingress, issuer::ClusterIssuer, metadata::Metadata},
    },
    cluster::world::{Key, Touched, World, intake::Kept as _},
    core::{
        host::Host,
        policy::Policy,
        reconcile::{Checks, Notes},
    },
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::report::Table;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const NAMESPACE: &str = "team-a";

/// Times steps, and remembers the longest.
#[derive(Default)]
struct Watch {
    longest: Duration,
}

impl Watch {
    fn time<T>(&mut self, sum: &mut Duration, step: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = step();
        let took = begun.elapsed();
        *sum += took;
        self.longest = self.longest.max(took);
        result
    }
}

pub fn measure() -> String {
    let mut table = Table::default();
    table.head(&[
        "hosts",
        "seen, ms",
        "plans, ms",
        "µs a plan",
        "after verdicts, ms",
        "µs a host",
        "Ingress, ms",
        "longest, ms",
    ]);
    for hosts in SIZES {
        table.row(&row(hosts));
    }
    table.text()
}

fn read<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn row(count: usize) -> [String; 8] {
    let policy: Policy =
        read(json!({"issuer": {"name": "le"}, "autoIssue": "all", "gateway": {"addresses": ["203.0.113.7"]}}));
    let now = Timestamp::now();
    let mut world = World::new(policy.into());
    world.settle();
    world.settle_limits(now);
    read::<Metadata<Namespace>>(json!({"metadata": {"name": NAMESPACE}})).see(&mut world);
    read::<ClusterIssuer>(json!({"metadata": {"name": "le"},
        "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
    .see(&mut world);
    let hosts: Vec<Host> = (0..count).map(|n| Host::parse(&format!("h{n}.example.com")).unwrap()).collect();
    let namespace: Arc<str> = Arc::from(NAMESPACE);
    let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host.as_str()})).collect();
    let ingress: Ingress =
        read(json!({"metadata": {"name": "big", "namespace": NAMESPACE, "uid": "u", "resourceVersion": "1"},
        "spec": {"rules": rules}}));

    let mut watch = Watch::default();
    let mut seen = Duration::ZERO;
    watch.time(&mut seen, || ingress.see(&mut world));

    let plan = |world: &World, host: &Host| {
        world.plan_placed(&namespace, host, &mut Checks::default(), &Notes::default(), now)
    };
    let mut plans = Duration::ZERO;
    for host in &hosts {
        let plan = watch.time(&mut plans, || plan(&world, host));
        assert_eq!(plan.effects.len(), 1, "a Domain is made");
    }
    // Each verdict touches its host, the Ingress and VerifiedHosts; the last two are gathered, as the queue does.
    let mut verdicts = Duration::ZERO;
    for (number, host) in hosts.iter().enumerate() {
        let domain: Domain = read(json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": {"name": host.object_name(), "namespace": NAMESPACE, "uid": format!("d{number}"), "resourceVersion": "2"},
            "spec": {"host": host.as_str()},
            "status": {"lead": "big", "verdict": {"reason": "Verified", "subject": host.as_str(),
                "issuer": {"kind": "ClusterIssuer", "name": "le"}, "validUntil": "2099-01-01T00:00:00Z"}}}));
        let touched: Touched = watch.time(&mut verdicts, || domain.see(&mut world));
        for key in touched.keys {
            if let Key::Host(_, host) = key {
                watch.time(&mut verdicts, || plan(&world, &host));
            }
        }
    }
    let mut whole = Duration::ZERO;
    let patch = watch.time(&mut whole, || world.plan_ingress(NAMESPACE, "big", now).map(|(_, plan)| plan.patch.len()));
    assert!(patch.is_some_and(|operations| operations > 0), "it is injected");
    let verified = watch.time(&mut whole, || world.plan_verified(NAMESPACE, now).map(|verified| verified.hosts.len()));
    assert_eq!(verified, Some(count));
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let each = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e6 / count as f64);
    [count.to_string(), ms(seen), ms(plans), each(plans), ms(verdicts), each(verdicts), ms(whole), ms(watch.longest)]
}
