//! The names of annotations and labels, ours and others'.

/// Our own prefix for annotations and labels.
pub const PREFIX: &str = "certgate.dev/";
/// What the name of an Ingress' twin ends in.
pub const TWIN_SUFFIX: &str = "-certgate-http";
/// Ingress annotation and namespace label: flag (`"true"`) or exempt (`"false"`).
pub const AUTO_ISSUE: &str = "certgate.dev/auto-issue";
/// Ingress annotation: the record of what certgate added (see [`super::record`]).
pub const INJECTED: &str = "certgate.dev/injected";
/// Ingress and Domain annotation: any new value asks for a check at once.
pub const CHECK_NOW: &str = "certgate.dev/check-now";
/// Ingress annotation whose only use is that writing it makes a watcher look again.
pub const NUDGE: &str = "certgate.dev/nudge";
/// Domain annotation: the rules of Rainbond's console for which it is flagged (see [`super::console`]).
pub const CONSOLE_RULES: &str = "certgate.dev/console-rules";
/// Annotation of the controller's Lease: when Rainbond's console last answered.
pub const CONSOLE_ANSWERED: &str = "certgate.dev/console-answered";
/// Condition on a Certificate that Rainbond's switch made: what certgate has found out.
pub const CONDITION: &str = "certgate.dev/Verified";
/// Label on objects that certgate made.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "certgate";
/// The class of companion Ingresses, which nobody serves.
pub const COMPANION_CLASS: &str = "certgate-companion";
/// Label on a companion: the name of its Domain.
pub const COMPANION_OF: &str = "certgate.dev/companion-of";

/// cert-manager: names a ClusterIssuer.
pub const CLUSTER_ISSUER: &str = "cert-manager.io/cluster-issuer";
/// cert-manager: names an Issuer, or an external issuer with the next two.
pub const ISSUER: &str = "cert-manager.io/issuer";
/// cert-manager: the kind of an external issuer.
pub const ISSUER_KIND: &str = "cert-manager.io/issuer-kind";
/// cert-manager: the group of an external issuer.
pub const ISSUER_GROUP: &str = "cert-manager.io/issuer-group";
/// Asks ingress-shim for a Certificate of the issuer that it was started with.
pub const TLS_ACME: &str = "kubernetes.io/tls-acme";
/// cert-manager: the common name of each Certificate of the Ingress.
pub const COMMON_NAME: &str = "cert-manager.io/common-name";
/// cert-manager (1.21): names beside the hosts, in each Certificate of the Ingress.
pub const ALT_NAMES: &str = "cert-manager.io/alt-names";
/// cert-manager (1.21): addresses, in each Certificate of the Ingress.
pub const IP_SANS: &str = "cert-manager.io/ip-sans";
/// cert-manager: mail addresses, in each Certificate of the Ingress.
pub const EMAIL_SANS: &str = "cert-manager.io/email-sans";
/// cert-manager: how long a Certificate is valid.
pub const DURATION: &str = "cert-manager.io/duration";
/// cert-manager: how long before its end it is renewed.
pub const RENEW_BEFORE: &str = "cert-manager.io/renew-before";
/// cert-manager (1.16): the same in hundredths of its duration.
pub const RENEW_BEFORE_PERCENTAGE: &str = "cert-manager.io/renew-before-percentage";
/// cert-manager: what the key may be used for.
pub const USAGES: &str = "cert-manager.io/usages";
/// cert-manager: how many CertificateRequests are kept.
pub const REVISION_HISTORY_LIMIT: &str = "cert-manager.io/revision-history-limit";
/// cert-manager: the key's algorithm.
pub const PRIVATE_KEY_ALGORITHM: &str = "cert-manager.io/private-key-algorithm";
/// cert-manager: the key's encoding.
pub const PRIVATE_KEY_ENCODING: &str = "cert-manager.io/private-key-encoding";
/// cert-manager: the key's size in bits.
pub const PRIVATE_KEY_SIZE: &str = "cert-manager.io/private-key-size";
/// cert-manager: whether a renewal makes a new key.
pub const PRIVATE_KEY_ROTATION_POLICY: &str = "cert-manager.io/private-key-rotation-policy";
/// cert-manager: challenges are answered by a path on the Ingress itself.
pub const HTTP01_EDIT_IN_PLACE: &str = "acme.cert-manager.io/http01-edit-in-place";
/// cert-manager: the class, by annotation, of the Ingress that answers challenges.
pub const HTTP01_INGRESS_CLASS: &str = "acme.cert-manager.io/http01-ingress-class";
/// cert-manager (1.20): the same, by field.
pub const HTTP01_INGRESS_CLASS_NAME: &str = "acme.cert-manager.io/http01-ingress-ingressclassname";
/// cert-manager: labels and annotations for the Secret.
pub const SECRET_TEMPLATE: &str = "cert-manager.io/secret-template";
/// cert-manager: label on the Pods, Services and Ingresses that answer HTTP-01 challenges.
pub const SOLVER_LABEL: &str = "acme.cert-manager.io/http01-solver";
/// cert-manager: Secret annotation with the name of the Certificate that it belongs to.
pub const CERTIFICATE_NAME: &str = "cert-manager.io/certificate-name";

/// Rainbond: label on all that Rainbond made; its v5 gateway sees nothing else.
pub const RAINBOND_CREATOR: &str = "creator";
/// The value of [`RAINBOND_CREATOR`].
pub const RAINBOND: &str = "Rainbond";
/// Rainbond: label with the component that a rule belongs to.
pub const RAINBOND_SERVICE_ID: &str = "service_id";
/// Rainbond: label on what the operator made.
pub const RAINBOND_BELONG_TO: &str = "belongTo";
/// The value of [`RAINBOND_BELONG_TO`].
pub const RAINBOND_OPERATOR: &str = "rainbond-operator";
/// Rainbond 5: annotation that makes an Ingress a TCP rule.
pub const L4_ENABLE: &str = "nginx.ingress.kubernetes.io/l4-enable";
/// Rainbond 5: annotation that redirects HTTP to HTTPS.
pub const FORCE_SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/force-ssl-redirect";
/// Rainbond 6: label on a route that its switch for automatic issuance is on for.
pub const RAINBOND_ISSUANCE: &str = "cert-manager-enabled";
/// Rainbond: label with the application that an object belongs to.
pub const RAINBOND_APP_ID: &str = "app_id";
/// Rainbond 5: label with the unique name of the team that an object belongs to.
pub const RAINBOND_TEAM: &str = "tenant_name";
