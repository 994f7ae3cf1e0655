//! The cases of the first table, each as the writes that make it.

use serde_json::{Value, json};

use super::{
    fixtures::{
        Issued, NAMESPACE, OTHER, SECRET, WWW, application, challenge_path, endpoints_of, issue, labelled, name, rule,
        second_rule, secret, solver, unlabelled, with_redirect, with_tls,
    },
    gateway::{Crash, Gateway, Kind, Order, served},
    table::NO_SYNC,
};

/// A gateway, and what it served at each stage.
pub(crate) struct Run {
    pub(crate) gateway: Gateway,
    /// What the store listed at the end of each stage, and whether the gateway noticed anything in it.
    pub(crate) stages: Vec<(Result<String, Crash>, bool)>,
    syncs: u64,
}

// === impl Run ===

impl Run {
    /// A gateway in a cluster with Rainbond's application `web`.
    pub(crate) fn new(order: Order) -> Self {
        let mut run = Self { gateway: Gateway::listing(order), stages: Vec::new(), syncs: 0 };
        run.apply(application());
        run
    }

    pub(crate) fn apply(&mut self, objects: impl IntoIterator<Item = Value>) {
        objects.into_iter().for_each(|object| self.gateway.apply(object));
    }

    /// Ends a stage.
    pub(crate) fn stage(&mut self) {
        let noticed = self.gateway.syncs() > self.syncs;
        self.syncs = self.gateway.syncs();
        self.stages.push((self.gateway.listed().map(|servers| served::cell(&servers)), noticed));
    }

    /// All stages as the table writes them. The last one need not have been ended.
    pub(crate) fn cell(mut self) -> String {
        if self.stages.is_empty() || self.gateway.syncs() > self.syncs {
            self.stage();
        }
        let stages = self.stages.iter().map(|(servers, noticed)| match servers {
            Ok(servers) => format!("{servers}{}", if *noticed { "" } else { NO_SYNC }),
            Err(crash) => crash.to_string(),
        });
        stages.collect::<Vec<_>>().join(" ⇒ ")
    }

    /// A change, and what it leads to.
    fn then(&mut self, object: Value) {
        self.stage();
        self.gateway.apply(object);
    }

    /// An annotation of no meaning is written to an Ingress.
    fn touch(&mut self, ingress: &Value) {
        let mut touched = ingress.clone();
        touched["metadata"]["annotations"]["certgate.dev/nudge"] = json!(self.stages.len().to_string());
        self.then(touched);
    }

    fn solver_all_labelled(&mut self) {
        let solver = solver(WWW);
        let service = labelled(solver.service);
        self.apply([endpoints_of(&service), service, labelled(solver.ingress)]);
    }
}

fn www() -> Issued {
    issue(&[WWW], 0x7fe8)
}

fn renewed() -> Issued {
    issue(&[WWW], 0x68d6)
}

fn other() -> Issued {
    issue(&[OTHER], 0x1ea7)
}

fn rule_with_tls() -> Value {
    with_tls(rule(), WWW, SECRET)
}

/// Rainbond's own convention: the Secret is named like the Ingress.
fn rule_with_tls_of_its_name() -> Value {
    let rule = rule();
    let own = name(&rule).to_owned();
    with_tls(rule, WWW, &own)
}

fn secret_of_ingress_name(issued: &Issued) -> Value {
    secret(name(&rule()), issued)
}

fn two_hosts() -> Value {
    let mut ingress = with_tls(rule_with_tls(), OTHER, "other");
    let mut second = ingress["spec"]["rules"][0].clone();
    second["host"] = json!(OTHER);
    ingress["spec"]["rules"].as_array_mut().unwrap().push(second);
    ingress
}

fn rule_with_challenge_path(mut rule: Value) -> Value {
    rule["spec"]["rules"][0]["http"]["paths"].as_array_mut().unwrap().insert(0, challenge_path());
    rule
}

fn with_data(mut secret: Value, certificate: &str) -> Value {
    secret["data"] = json!({ "tls.crt": certificate, "tls.key": certificate });
    secret
}

/// A case of the table, and what is done to make it.
type Scenario = (&'static str, fn(&mut Run));

/// Every case of the first table.
pub(crate) const SCENARIOS: &[Scenario] = &[
    ("no tls", |run| run.apply([rule()])),
    ("tls; Secret kubernetes.io/tls, labelled creator=Rainbond", |run| {
        run.apply([secret(SECRET, &www()), rule_with_tls()]);
    }),
    ("tls; Secret Opaque, labelled", |run| {
        let mut opaque = secret(SECRET, &www());
        opaque["type"] = json!("Opaque");
        run.apply([opaque, rule_with_tls()]);
    }),
    ("tls; Secret missing", |run| run.apply([rule_with_tls()])),
    ("tls; Secret without the label", |run| {
        run.apply([unlabelled(secret(SECRET, &www())), rule_with_tls()]);
    }),
    ("tls; Secret not a certificate", |run| {
        run.apply([with_data(secret(SECRET, &www()), "bm8gY2VydGlmaWNhdGU="), rule_with_tls()]);
    }),
    ("tls; Secret with empty data", |run| {
        run.apply([with_data(secret(SECRET, &www()), ""), rule_with_tls()]);
    }),
    ("tls + force-ssl-redirect; Secret labelled", |run| {
        run.apply([secret(SECRET, &www()), with_redirect(rule_with_tls())]);
    }),
    ("tls + force-ssl-redirect; Secret missing", |run| run.apply([with_redirect(rule_with_tls())])),
    ("force-ssl-redirect, no tls", |run| run.apply([with_redirect(rule())])),
    ("Endpoints without a ready address", |run| {
        let [_, mut endpoints] = application();
        let addresses = endpoints["subsets"][0].as_object_mut().unwrap().remove("addresses").unwrap();
        endpoints["subsets"][0]["notReadyAddresses"] = addresses;
        run.apply([endpoints, rule()]);
    }),
    ("Endpoints without the label", |run| {
        let [_, endpoints] = application();
        run.apply([unlabelled(endpoints), rule()]);
    }),
    ("secretName = Ingress name: Secret created later ⇒ renewed ⇒ deleted", |run| {
        run.apply([rule_with_tls_of_its_name()]);
        run.then(secret_of_ingress_name(&www()));
        run.then(secret_of_ingress_name(&renewed()));
        run.stage();
        run.gateway.delete(Kind::Secret, NAMESPACE, name(&rule()));
    }),
    ("secretName = Ingress name: Secret there unlabelled ⇒ gets the label", |run| {
        let there = secret_of_ingress_name(&www());
        run.apply([unlabelled(there.clone()), rule_with_tls_of_its_name()]);
        run.then(there);
    }),
    (
        "other secretName: Secret created later ⇒ Ingress touched ⇒ Secret renewed ⇒ Ingress touched ⇒ Secret deleted",
        |run| {
            run.apply([rule_with_tls()]);
            run.then(secret(SECRET, &www()));
            run.touch(&rule_with_tls());
            run.then(secret(SECRET, &renewed()));
            run.touch(&rule_with_tls());
            run.stage();
            run.gateway.delete(Kind::Secret, NAMESPACE, SECRET);
            run.stage();
        },
    ),
    ("other secretName: Secret there unlabelled ⇒ gets the label ⇒ Ingress touched", |run| {
        let there = secret(SECRET, &www());
        run.apply([unlabelled(there.clone()), rule_with_tls()]);
        run.then(there);
        run.touch(&rule_with_tls());
    }),
    ("other secretName: Secret created later, two resync periods pass", |run| {
        run.apply([rule_with_tls()]);
        run.then(secret(SECRET, &www()));
        run.gateway.resync();
        run.gateway.resync();
        run.stage();
    }),
    ("Secret there: tls added by an update ⇒ removed again", |run| {
        run.apply([secret(SECRET, &www()), rule()]);
        run.then(rule_with_tls());
        run.then(rule());
    }),
    ("two Ingresses of one host: tls on /, plain on /api", |run| {
        run.apply([secret(SECRET, &www()), rule_with_tls(), second_rule("/api")]);
    }),
    ("two Ingresses of one host: tls + redirect on /, plain on /api", |run| {
        run.apply([secret(SECRET, &www()), with_redirect(rule_with_tls()), second_rule("/api")]);
    }),
    ("two Ingresses of one host: tls + redirect and plain on the same path", |run| {
        run.apply([secret(SECRET, &www()), with_redirect(rule_with_tls()), second_rule("/")]);
    }),
    ("two Ingresses of one host: tls with Secret on /, tls without Secret on /api", |run| {
        run.apply([secret(SECRET, &www()), rule_with_tls(), with_tls(second_rule("/api"), WWW, "missing")]);
    }),
    ("one Ingress, hosts www and other, a tls entry and Secret each", |run| {
        run.apply([secret(SECRET, &www()), secret("other", &other()), two_hosts()]);
    }),
    ("the same, only the second Secret there", |run| {
        run.apply([secret("other", &other()), two_hosts()]);
    }),
    ("tls.hosts names another host than the rule", |run| {
        run.apply([secret(SECRET, &other()), with_tls(rule(), OTHER, SECRET)]);
    }),
    ("host tls.shop-example.com, no tls", |run| {
        let mut rule = rule();
        rule["spec"]["rules"][0]["host"] = json!("tls.shop-example.com");
        run.apply([rule]);
    }),
    ("plain + ACME solver objects without the label", |run| {
        let solver = solver(WWW);
        run.apply([rule(), endpoints_of(&solver.service), solver.service, solver.ingress]);
    }),
    ("plain + solver, label on its Ingress only", |run| {
        let solver = solver(WWW);
        run.apply([rule(), endpoints_of(&solver.service), solver.service, labelled(solver.ingress)]);
    }),
    ("plain + solver, label on its Ingress, Service and Endpoints", |run| {
        run.apply([rule()]);
        run.solver_all_labelled();
    }),
    ("tls, Secret missing + solver all labelled", |run| {
        run.apply([rule_with_tls()]);
        run.solver_all_labelled();
    }),
    ("tls active + solver all labelled (renewal)", |run| {
        run.apply([secret(SECRET, &www()), rule_with_tls()]);
        run.solver_all_labelled();
    }),
    ("tls + redirect active + solver all labelled (renewal)", |run| {
        run.apply([secret(SECRET, &www()), with_redirect(rule_with_tls())]);
        run.solver_all_labelled();
    }),
    ("challenge path added to the rule's own Ingress, Secret missing", |run| {
        run.apply([rule_with_challenge_path(rule_with_tls())]);
    }),
    ("challenge path added to the rule's own Ingress, tls active (renewal)", |run| {
        run.apply([secret(SECRET, &www()), rule_with_challenge_path(rule_with_tls())]);
    }),
];
