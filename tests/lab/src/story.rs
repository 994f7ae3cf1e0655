//! The main job told from beginning to end, each step asserted. The demo tells
//! it aloud; the end-to-end tests tell it in silence, for each profile and each cert-manager.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{Lab, orders};

/// Steps that wait for DNS, cert-manager or a gateway may take this long.
const PATIENCE: Duration = Duration::from_secs(90);
/// Steps that wait for certgate alone.
const SOON: Duration = Duration::from_secs(60);

/// Hears the story.
pub trait Narrator {
    /// Something happened.
    fn happened(&self, what: &str);
    /// A particular of what happened.
    fn detail(&self, what: &str);
}

/// A narrator that says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Narrator for Silent {
    fn happened(&self, _: &str) {}
    fn detail(&self, _: &str) {}
}

/// What the story is about.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The application's namespace; it is made.
    pub namespace: String,
    /// The Ingress, as the platform writes it. Its namespace is replaced.
    pub ingress: Value,
    /// Objects that the Ingress needs, a Service above all.
    pub beside: Vec<Value>,
}

/// The story under way.
pub struct Story<'a> {
    lab: &'a Lab,
    client: Client,
    cast: Cast,
    host: String,
    narrator: &'a dyn Narrator,
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// A part of an object, for a message.
fn shown(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).unwrap_or(&Value::Null).to_string()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

// === impl Story ===

impl<'a> Story<'a> {
    /// Sets the scene: the namespace and what the Ingress needs.
    pub async fn begin(lab: &'a Lab, mut cast: Cast, narrator: &'a dyn Narrator) -> Result<Self> {
        let client = lab.client().await?;
        let host = text(&cast.ingress, "/spec/rules/0/host").to_owned();
        ensure!(!host.is_empty(), "the Ingress of the story names no host");
        lab.namespace(&cast.namespace).await?;
        for object in cast.beside.iter_mut().chain(std::iter::once(&mut cast.ingress)) {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("namespace".into(), json!(cast.namespace));
                // What the file says of an object that once was stored is nothing to the next one.
                for key in ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"] {
                    metadata.remove(key);
                }
            }
            if let Some(object) = object.as_object_mut() {
                object.remove("status");
            }
        }
        for object in &cast.beside {
            lab.apply_value(object.clone()).await?;
        }
        Ok(Self { lab, client, cast, host, narrator })
    }

    /// The whole story.
    pub async fn tell(&self) -> Result<()> {
        self.bound_before_dns().await?;
        self.held().await?;
        self.record_appears().await?;
        self.served().await?;
        self.written_again().await?;
        self.switched_off().await?;
        Ok(())
    }

    /// The host of the story.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Orders that were made for the host, whatever became of them.
    pub fn orders(&self) -> Result<usize> {
        orders::made(self.lab, &self.host)
    }

    fn ingresses(&self) -> Api<DynamicObject> {
        let kind = resource("networking.k8s.io", "v1", "Ingress", "ingresses");
        Api::namespaced_with(self.client.clone(), &self.cast.namespace, &kind)
    }

    fn domains(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.cast.namespace,
            &resource("certgate.dev", "v1alpha1", "Domain", "domains"),
        )
    }

    fn certificates(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.cast.namespace,
            &resource("cert-manager.io", "v1", "Certificate", "certificates"),
        )
    }

    fn name(&self) -> &str {
        text(&self.cast.ingress, "/metadata/name")
    }

    /// The Ingress as it is stored.
    pub async fn ingress(&self) -> Result<DynamicObject> {
        self.ingresses().get(self.name()).await.context("the Ingress")
    }

    /// The Domain, where there is one.
    pub async fn domain(&self) -> Result<Option<DynamicObject>> {
        Ok(self.domains().get_opt(&self.host).await?)
    }

    fn certificate_name(&self) -> String {
        format!("certgate-{}", self.host)
    }

    /// Writes the Ingress as the platform does: a POST, or a PUT without resourceVersion. Returns what
    /// the API server answered and how long it took.
    pub async fn write(&self) -> Result<(DynamicObject, Duration)> {
        let object: DynamicObject = serde_json::from_value(self.cast.ingress.clone())?;
        let begun = Instant::now();
        let stored = match self.ingresses().get_opt(self.name()).await? {
            Some(_) => {
                let begun = Instant::now();
                let stored = self.ingresses().replace(self.name(), &PostParams::default(), &object).await?;
                return Ok((stored, begun.elapsed()));
            }
            None => self.ingresses().create(&PostParams::default(), &object).await?,
        };
        Ok((stored, begun.elapsed()))
    }

    async fn bound_before_dns(&self) -> Result<()> {
        let (stored, took) = self.write().await?;
        ensure!(stored.data.pointer("/spec/tls").is_none(), "TLS was injected for a host that is not in DNS");
        ensure!(
            stored.data.get("spec") == self.cast.ingress.get("spec"),
            "the Ingress was changed: {}",
            shown(&stored.data, "/spec")
        );
        self.narrator.happened(&format!(
            "{} is bound on the platform; its Ingress is admitted unchanged in {} ms",
            self.host,
            took.as_millis()
        ));
        Ok(())
    }

    async fn held(&self) -> Result<()> {
        let domain = self
            .lab
            .wait_for("the Domain says why the host is held", SOON, async || {
                let domain = self.domain().await?;
                Ok(domain.filter(|domain| {
                    condition(domain, "Verified").is_some_and(|c| text(c, "/reason") == "DomainNotFound")
                }))
            })
            .await?;
        let message = text(&domain.data, "/status/message");
        ensure!(message.contains("does not exist in DNS yet"), "the Domain says: {message}");
        ensure!(message.contains(&self.lab.ip().to_string()), "the Domain does not say what to do: {message}");
        ensure!(text(&domain.data, "/status/whoActs") == "domain-owner", "{}", shown(&domain.data, "/status"));
        ensure!(
            !text(&domain.data, "/status/nextCheckTime").is_empty(),
            "no next check: {}",
            shown(&domain.data, "/status")
        );
        ensure!(self.orders()? == 0, "an order was wasted:\n{}", orders::account(self.lab)?);
        self.narrator.happened("certgate holds it, and says why and who must act:");
        self.narrator.detail(message);
        self.narrator.happened("the CA has seen 0 orders");
        Ok(())
    }

    async fn record_appears(&self) -> Result<()> {
        self.lab.dns().a(&self.host, self.lab.ip());
        self.narrator.happened(&format!("the domain's owner adds the record: {} A {}", self.host, self.lab.ip()));
        self.lab
            .wait_for("the verdict turns good", PATIENCE, async || {
                let domain = self.domain().await?;
                Ok(domain.filter(|domain| condition(domain, "Verified").is_some_and(|c| text(c, "/status") == "True")))
            })
            .await?;
        self.narrator.happened("certgate sees it: the CA will be able to validate the host");
        Ok(())
    }

    /// Waits until the host is served with a certificate of the CA.
    pub async fn served(&self) -> Result<()> {
        let certificate = self
            .lab
            .wait_for("the Certificate is Ready", PATIENCE, async || {
                let certificate = self.certificates().get_opt(&self.certificate_name()).await?;
                Ok(certificate.filter(|one| condition(one, "Ready").is_some_and(|c| text(c, "/status") == "True")))
            })
            .await?;
        self.lab
            .wait_for("the Ingress has its TLS entry", SOON, async || {
                Ok(self.injected(&self.ingress().await?).then_some(()))
            })
            .await?;
        ensure!(self.orders()? == 1, "not one order for one certificate:\n{}", orders::account(self.lab)?);
        self.narrator.happened("the Ingress has its issuer and TLS entry; cert-manager ordered once, the CA validated over HTTP, the Certificate is Ready");
        let answer = self
            .lab
            .wait_for("the gateway serves the certificate", PATIENCE, async || {
                self.lab.https_get(&self.host).await.map(Some)
            })
            .await?;
        ensure!(answer.status == 200, "the gateway answers {}: {}", answer.status, answer.body);
        let leaf = answer.leaf.context("no certificate")?;
        ensure!(leaf.names.contains(&self.host), "the certificate is for {:?}", leaf.names);
        self.narrator.happened(&format!("https://{}/ answers 200; the chain verifies ({})", self.host, leaf.issuer));
        self.lab
            .wait_for("the Domain is Ready", SOON, async || {
                let domain = self.domain().await?;
                Ok(domain.filter(|domain| condition(domain, "Ready").is_some_and(|c| text(c, "/status") == "True")))
            })
            .await?;
        self.narrator.detail(&format!(
            "kubectl wait --for=condition=Ready domain/{} would return now; certificate until {}",
            self.host,
            text(&certificate.data, "/status/notAfter")
        ));
        Ok(())
    }

    fn injected(&self, ingress: &DynamicObject) -> bool {
        let secret = self.certificate_name();
        let entries = ingress.data.pointer("/spec/tls").and_then(Value::as_array);
        entries.into_iter().flatten().any(|entry| text(entry, "/secretName") == secret)
    }

    async fn written_again(&self) -> Result<()> {
        let (stored, took) = self.write().await?;
        ensure!(
            self.injected(&stored),
            "a PUT without our parts was stored without them: {}",
            shown(&stored.data, "/spec")
        );
        ensure!(stored.annotations().contains_key("cert-manager.io/cluster-issuer"), "the issuer is gone");
        self.narrator.happened(&format!(
            "the platform writes the Ingress again without our parts: injected in the same write ({} ms)",
            took.as_millis()
        ));
        let answer = self.lab.https_get(&self.host).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        ensure!(self.orders()? == 1, "the rewrite cost an order:\n{}", orders::account(self.lab)?);
        self.narrator.happened("still served, still 1 order");
        Ok(())
    }

    async fn switched_off(&self) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {"certgate.dev/auto-issue": "false"}}});
        self.ingresses().patch(self.name(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.lab
            .wait_for("our parts and the Certificate are gone", PATIENCE, async || {
                let ingress = self.ingress().await?;
                let left = self.certificates().get_opt(&self.certificate_name()).await?;
                Ok((!self.injected(&ingress) && left.is_none()).then_some(()))
            })
            .await?;
        let ingress = self.ingress().await?;
        for key in ["cert-manager.io/cluster-issuer", "certgate.dev/injected", "cert-manager.io/secret-template"] {
            ensure!(!ingress.annotations().contains_key(key), "{key} was left behind");
        }
        ensure!(
            ingress.data.get("spec") == self.cast.ingress.get("spec"),
            "the spec is not as it was: {}",
            shown(&ingress.data, "/spec")
        );
        let answer = self.lab.http_get(&self.host).await?;
        ensure!(answer.status == 200, "plain HTTP answers {}", answer.status);
        self.narrator.happened(
            "the flag is switched off: our parts are gone, nothing is left renewing, plain HTTP answers as before",
        );
        Ok(())
    }

    /// Removes the story's namespace.
    pub async fn end(self) -> Result<()> {
        let namespaces: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &resource("", "v1", "Namespace", "namespaces"));
        namespaces.delete(&self.cast.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// A condition of an object.
pub fn condition<'o>(object: &'o DynamicObject, kind: &str) -> Option<&'o Value> {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|condition| text(condition, "/type") == kind)
}

/// The documents of a fixture file of Rainbond's.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).map_err(|error| anyhow::anyhow!("{error}"))?;
    if documents.is_empty() {
        bail!("no document in the fixture");
    }
    Ok(documents)
}
