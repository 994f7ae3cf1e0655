//! `certgate doctor`: what is wrong with an installation, and what to do about it.
//!
//! [`gather`] looks at the cluster, within deadlines; what was seen is plain
//! data, [`Observed`]. Everything from there on is pure: each check reads what
//! was seen and says what it finds, in English and Chinese.

mod console;
mod gateway;
pub mod gather;
mod issuing;
pub mod observed;
pub mod permissions;
mod policies;
pub mod render;
mod running;
mod server;
mod unread;
mod webhook;

use serde::Serialize;

pub use self::observed::{Observed, Seen};
use crate::core::finding::{Lang, clean};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as it might; or it could not be found out.
    Warn,
    /// It does not work, or will not.
    Fail,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "titles say it, in two languages")]
pub enum Check {
    ApiServer,
    Clock,
    Definitions,
    Deployments,
    Lease,
    Permissions,
    Policy,
    WebhookConfiguration,
    ServingCertificate,
    WebhookCalls,
    ApprovalGate,
    AdmissionPolicies,
    NetworkPolicy,
    CertManager,
    Issuer,
    Solver,
    Resolver,
    Gateway,
    Rainbond,
    Console,
    Hosts,
    Objects,
}

/// A sentence in both languages, put together where its cause is seen, so that neither is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    en: String,
    zh: String,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub check: Check,
    /// How bad it is.
    pub level: Level,
    /// The name of the fault, stable, for programs; empty: none.
    pub fault: &'static str,
    /// What is there, or wrong.
    pub what: Text,
    /// What to do about it, unless all is well.
    pub remedy: Option<Text>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

/// The checks, in the order in which they are told. A further one is a function and a line here.
const CHECKS: &[fn(&Observed, &mut Report)] = &[
    server::version,
    server::clock,
    server::definitions,
    running::deployments,
    running::lease,
    running::permissions,
    policies::policy_file,
    webhook::configuration,
    webhook::certificate,
    webhook::calls,
    policies::approval,
    policies::admission_policies,
    gateway::network,
    issuing::cert_manager,
    issuing::issuers,
    issuing::solvers,
    gateway::resolvers,
    gateway::addresses,
    gateway::rainbond,
    gateway::apisix_ports,
    console::console,
    running::hosts,
    unread::objects,
];

/// The fault of what one may not look at.
const NOT_ALLOWED: &str = "NotAllowed";
/// The fault of what could not be looked at.
const NOT_SEEN: &str = "NotSeen";
/// Those of cert-manager's definitions without which nothing goes.
const CERT_MANAGER_KINDS: [&str; 3] =
    ["certificates.cert-manager.io", "clusterissuers.cert-manager.io", "challenges.acme.cert-manager.io"];

/// What is wrong with what was seen, and what is well.
pub fn diagnose(observed: &Observed) -> Vec<Finding> {
    let mut report = Report::default();
    for check in CHECKS {
        check(observed, &mut report);
    }
    report.findings
}

// === impl Finding ===

impl Finding {
    /// Whether it only says that something could not be looked at.
    pub fn is_unseen(&self) -> bool {
        [NOT_ALLOWED, NOT_SEEN].contains(&self.fault)
    }
}

// === impl Check ===

impl Check {
    /// What it is called.
    pub const fn title(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::ApiServer => ("API server", "API 服务器"),
            Self::Clock => ("clocks", "时钟"),
            Self::Definitions => ("resource definitions", "资源定义（CRD）"),
            Self::Deployments => ("replicas", "副本"),
            Self::Lease => ("leader", "Leader"),
            Self::Permissions => ("permissions", "权限"),
            Self::Policy => ("policy", "策略"),
            Self::WebhookConfiguration => ("webhook configuration", "Webhook 配置"),
            Self::ServingCertificate => ("serving certificate", "Webhook 证书"),
            Self::WebhookCalls => ("webhook calls", "Webhook 调用"),
            Self::ApprovalGate => ("approval gate", "证书请求审批"),
            Self::AdmissionPolicies => ("admission policies", "准入策略"),
            Self::NetworkPolicy => ("network policy", "网络策略"),
            Self::CertManager => ("cert-manager", "cert-manager"),
            Self::Issuer => ("issuer", "签发者"),
            Self::Solver => ("solvers", "solver"),
            Self::Resolver => ("resolvers", "DNS 解析器"),
            Self::Gateway => ("gateway", "网关"),
            Self::Rainbond => ("Rainbond", "Rainbond"),
            Self::Console => ("Rainbond's console", "Rainbond 控制台"),
            Self::Hosts => ("hosts", "域名"),
            Self::Objects => ("objects", "对象"),
        };
        match lang {
            Lang::En => en,
            Lang::ZhCn => zh,
        }
    }
}

// === impl Text ===

impl Text {
    /// A sentence, in English and in Chinese. What comes from the cluster is made safe to print.
    pub fn new(en: impl AsRef<str>, zh: impl AsRef<str>) -> Self {
        Self { en: printable(en.as_ref()), zh: printable(zh.as_ref()) }
    }

    /// In that language.
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::ZhCn => &self.zh,
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

// === impl Report ===

impl Report {
    fn add(&mut self, check: Check, level: Level, fault: &'static str, what: Text, remedy: Option<Text>) {
        self.findings.push(Finding { check, level, fault, what, remedy });
    }

    pub(super) fn ok(&mut self, check: Check, en: impl AsRef<str>, zh: impl AsRef<str>) {
        self.add(check, Level::Ok, "", Text::new(en, zh), None);
    }

    pub(super) fn warn(&mut self, check: Check, fault: &'static str, what: Text, remedy: Text) {
        self.add(check, Level::Warn, fault, what, Some(remedy));
    }

    pub(super) fn fail(&mut self, check: Check, fault: &'static str, what: Text, remedy: Text) {
        self.add(check, Level::Fail, fault, what, Some(remedy));
    }

    /// Whether nothing bad was said of a check.
    pub(super) fn is_well(&self, check: Check) -> bool {
        self.findings.iter().all(|finding| finding.check != check || finding.level == Level::Ok)
    }

    /// What was seen, or `None` where it is absent. What could not be looked at is told of, and is neither.
    pub(super) fn look<'a, T>(&mut self, check: Check, name: &str, seen: &'a Seen<T>) -> Option<Option<&'a T>> {
        match seen {
            Seen::Here(object) => Some(Some(object)),
            Seen::Absent => Some(None),
            Seen::Forbidden(why) => {
                let why = clean(why);
                self.warn(
                    check,
                    NOT_ALLOWED,
                    Text::new(format!("you may not look at {name}: {why}"), format!("无权查看 {name}：{why}")),
                    Text::new("run doctor as an administrator", "请以管理员身份运行 doctor"),
                );
                None
            }
            Seen::Failed(why) => {
                let why = clean(why);
                self.warn(
                    check,
                    NOT_SEEN,
                    Text::new(format!("{name} could not be looked at: {why}"), format!("无法查看 {name}：{why}")),
                    Text::new("run doctor again", "请重新运行 doctor"),
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
