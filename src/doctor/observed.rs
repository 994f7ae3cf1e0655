//! What doctor sees of a cluster, as plain data.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
            ValidatingWebhookConfiguration,
        },
        apps::v1::Deployment,
        coordination::v1::Lease,
        discovery::v1::EndpointSlice,
        networking::v1::{IngressClass, NetworkPolicy},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::api::DynamicObject;

use super::permissions::Permission;
use crate::{
    api::{
        domain::Domain,
        partial::gateway::{RainbondCluster, Service},
        read::Unreadable,
    },
    core::policy::{IssuerRef, Policy},
    dns::Manner,
};

/// What came of looking at something.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Seen<T> {
    /// It is there.
    Here(T),
    /// It is not there.
    #[default]
    Absent,
    /// Whoever asks may not look.
    Forbidden(String),
    /// It could not be looked at, for this reason.
    Failed(String),
}

/// Everything that is looked at.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// This machine's time, halfway through the first question.
    pub now: Timestamp,
    /// The API server.
    pub server: Server,
    /// What certgate's parts are called.
    pub names: Names,
    /// certgate's definitions by name, and what this program expects them to be.
    pub definitions: Vec<(CustomResourceDefinition, Seen<CustomResourceDefinition>)>,
    /// The Deployment of the webhook.
    pub webhook: Seen<Deployment>,
    /// The Deployment of the controller.
    pub controller: Seen<Deployment>,
    /// The leader's Lease.
    pub lease: Seen<Lease>,
    /// What certgate's accounts may do.
    pub access: Access,
    /// The policy in force; an unusable one as the error that it gives.
    pub policy: Seen<Result<Policy, String>>,
    /// The webhook configuration.
    pub configuration: Seen<MutatingWebhookConfiguration>,
    /// The approval gate's.
    pub approval: Seen<ValidatingWebhookConfiguration>,
    /// The webhook's serving certificate: the chain as PEM.
    pub serving: Seen<Vec<u8>>,
    /// Where the webhook's Service leads.
    pub endpoints: Seen<Vec<EndpointSlice>>,
    /// An Ingress that was written for a trial.
    pub trial: Trial,
    /// All admission policies, of whomever.
    pub admission_policies: Seen<Vec<ValidatingAdmissionPolicy>>,
    /// All bindings of them.
    pub bindings: Seen<Vec<ValidatingAdmissionPolicyBinding>>,
    /// The namespaces, but those that are going.
    pub namespaces: Seen<Vec<String>>,
    /// The namespaces that have a VerifiedHosts object.
    pub guarded: Seen<Vec<String>>,
    /// Network policies of certgate's namespace.
    pub network_policies: Seen<Vec<NetworkPolicy>>,
    /// Where the API server itself is reached.
    pub api_endpoints: Seen<Vec<EndpointSlice>>,
    /// cert-manager's definitions by name.
    pub cert_manager_definitions: Vec<(&'static str, Seen<CustomResourceDefinition>)>,
    /// cert-manager's controller, in whatever namespace.
    pub cert_manager: Seen<Vec<Deployment>>,
    /// The policy's issuers.
    pub issuers: Vec<(IssuerRef, Seen<DynamicObject>)>,
    /// Ingress classes.
    pub classes: Seen<Vec<IngressClass>>,
    /// What DNS servers said.
    pub resolvers: Resolvers,
    /// Where the gateway's own names lead.
    pub gateway_names: GatewayNames,
    /// APISIX's configuration as Rainbond 6 keeps it: the namespace, and the file.
    pub apisix_config: Seen<(String, String)>,
    /// The gateway's Service, where policy names one.
    pub gateway_service: Seen<Service>,
    /// Rainbond's description of the cluster.
    pub rainbond_cluster: Seen<RainbondCluster>,
    /// Whether there are Ingresses of Rainbond 5's shape.
    pub rainbond_ingresses: Seen<()>,
    /// Whether APISIX's kinds are known, as in Rainbond 6.
    pub apisix: Seen<()>,
    /// Domains, or the first of many.
    pub domains: Seen<Vec<Domain>>,
    /// The objects of the kinds that are watched that cannot be read, by kind.
    pub unreadable: Vec<(String, Seen<Vec<Unreadable>>)>,
}

/// The API server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Server {
    /// Major and minor version.
    pub version: (u32, u32),
    /// The version in full.
    pub git_version: String,
    /// Its time (the `Date` header, whole seconds).
    pub date: Option<Timestamp>,
}

/// What certgate's parts are called in this cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// The namespace.
    pub namespace: String,
    /// The prefix of all names.
    pub prefix: String,
    /// Whether certgate itself keeps the webhook's certificates.
    pub self_managed: bool,
    /// The Secret with the serving certificate.
    pub tls_secret: String,
    /// The ConfigMap with the policy.
    pub policy: String,
    /// Whether the status page asks visitors for a token.
    pub page_asks: bool,
    /// The accounts that the Pods run as.
    pub accounts: Accounts,
}

/// The ServiceAccounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Accounts {
    /// The webhook's.
    pub webhook: String,
    /// The controller's.
    pub controller: String,
}

/// What was asked about rights.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Access {
    /// Nothing came of it, for this reason.
    #[default]
    Unasked,
    /// The accounts' rights: those that they need and lack.
    OfAccounts(Vec<Permission>),
    /// Nobody may ask for others here; these rights are one's own, under this name.
    OfOneself {
        /// Who asks.
        user: String,
        /// What they lack of what the accounts need.
        lacking: Vec<Permission>,
    },
    /// It could not be asked.
    Failed(String),
}

/// What became of an Ingress that was written as a dry run, with a flag that certgate objects to.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Trial {
    /// There is no namespace in which certgate would look at it.
    #[default]
    Nowhere,
    /// It was answered.
    Answered {
        /// In this namespace.
        namespace: String,
        /// With this HTTP status.
        status: u16,
        /// And these words, where it was refused.
        message: String,
        /// Warnings that came with it.
        warnings: Vec<String>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// It could not be written.
    Failed(String),
}

/// What DNS servers said.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Resolvers {
    /// The Pods ask their own, which cannot be reached from here.
    #[default]
    PodsOwn,
    /// Each that was asked, and how long it took in milliseconds or what was wrong.
    Asked {
        /// Whether from within the cluster.
        inside: bool,
        /// Server and outcome.
        answers: Vec<(String, Result<Manner, String>)>,
    },
}

/// The gateway's own names, and where they lead; or why nowhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayNames {
    /// Whether the Pods' own resolvers were asked, and not some others.
    pub by_pods_resolvers: bool,
    /// Each name and what it leads to.
    pub each: Vec<(String, Result<Vec<IpAddr>, String>)>,
}

// === impl Seen ===

impl<T> Seen<T> {
    /// What is there.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Here(object) => Some(object),
            _ => None,
        }
    }

    /// The same, of something within.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Here(object) => Seen::Here(f(object)),
            Self::Absent => Seen::Absent,
            Self::Forbidden(why) => Seen::Forbidden(why),
            Self::Failed(why) => Seen::Failed(why),
        }
    }
}

// === impl Observed ===

impl Observed {
    /// The policy in force, if it is usable.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.get()?.as_ref().ok()
    }

    /// The cluster's time: the API server's, whose clock is the one that counts for certificates and Leases.
    pub fn time(&self) -> Timestamp {
        self.server.date.unwrap_or(self.now)
    }

    /// Whether Rainbond 5's gateway serves here.
    pub fn is_rainbond_5(&self) -> bool {
        self.rainbond_ingresses.get().is_some() && self.apisix.get().is_none()
    }
}

// === impl Names ===

impl Names {
    /// The names by the chart's rules, with what the Deployments say otherwise.
    pub fn of(namespace: &str, prefix: &str, webhook: Option<&Deployment>, controller: Option<&Deployment>) -> Self {
        let account = |deployment: Option<&Deployment>, role: &str| {
            let spec = deployment.and_then(|d| d.spec.as_ref()?.template.spec.as_ref());
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| format!("{prefix}-{role}"))
        };
        let volume = |deployment: Option<&Deployment>, name: &str| {
            let spec = deployment?.spec.as_ref()?.template.spec.as_ref()?;
            spec.volumes.as_ref()?.iter().find(|volume| volume.name == name).cloned()
        };
        let mounted = volume(webhook, "tls").and_then(|volume| volume.secret?.secret_name);
        let config = volume(controller, "policy").and_then(|volume| Some(volume.config_map?.name));
        Self {
            namespace: namespace.to_owned(),
            prefix: prefix.to_owned(),
            self_managed: flag(webhook, "--serving-cert").is_none_or(|mode| mode == "self-managed"),
            tls_secret: mounted
                .or_else(|| flag(webhook, "--tls-secret").map(str::to_owned))
                .unwrap_or_else(|| format!("{prefix}-webhook-tls")),
            policy: config.unwrap_or_else(|| format!("{prefix}-policy")),
            page_asks: flag(controller, "--page-auth").is_some_and(|mode| mode == "token"),
            accounts: Accounts { webhook: account(webhook, "webhook"), controller: account(controller, "controller") },
        }
    }

    /// The Service that the API server calls, and the webhook's Deployment.
    pub fn service(&self) -> String {
        format!("{}-webhook", self.prefix)
    }

    /// The controller's Deployment, and its Lease.
    pub fn controller(&self) -> String {
        format!("{}-controller", self.prefix)
    }

    /// The approval gate's configuration.
    pub fn approval(&self) -> String {
        format!("{}-approval", self.prefix)
    }

    /// The Secret with the CA.
    pub fn ca_secret(&self) -> String {
        format!("{}-ca", self.prefix)
    }

    /// The name that the webhook's certificate must be for.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.service(), self.namespace)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::of("certgate-system", "certgate", None, None)
    }
}

/// The value of a flag in the arguments of a Deployment's first container.
pub fn flag<'a>(deployment: Option<&'a Deployment>, name: &str) -> Option<&'a str> {
    let spec = deployment?.spec.as_ref()?.template.spec.as_ref()?;
    let args = spec.containers.first()?.args.as_deref().unwrap_or_default();
    args.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
}
